//! What Shopify sends: signed bodies with all headers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Client, StatusCode};
use serde_json::json;
use sha2::Sha256;

pub(crate) const SECRET: &str = "hush";

/// One delivery. Sent again, it is the same delivery.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) shop: String,
    pub(crate) topic: String,
    pub(crate) webhook_id: String,
    pub(crate) triggered_at: String,
    pub(crate) body: Vec<u8>,
}

/// The signature of a body, as the header has it.
pub(crate) fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key will do");
    mac.update(body);
    STANDARD.encode(mac.finalize().into_bytes())
}

/// `2026-10-01T00:00:00Z` and so many seconds.
pub(crate) fn instant(seconds: i64) -> String {
    let base: jiff::Timestamp = "2026-10-01T00:00:00Z".parse().expect("an instant");
    (base + jiff::SignedDuration::from_secs(seconds)).to_string()
}

impl Delivery {
    pub(crate) fn new(
        topic: &str,
        webhook_id: impl Into<String>,
        triggered_at: String,
        body: Vec<u8>,
    ) -> Self {
        Self {
            shop: "acme.myshopify.com".into(),
            topic: topic.into(),
            webhook_id: webhook_id.into(),
            triggered_at,
            body,
        }
    }

    /// A product that was called `title` from second `at` on.
    pub(crate) fn product(id: u64, title: &str, at: i64, webhook_id: impl Into<String>) -> Self {
        let body = json!({
            "admin_graphql_api_id": format!("gid://shopify/Product/{id}"),
            "id": id,
            "title": title,
            "handle": format!("p-{id}"),
            "body_html": "<p>A believable length of description, so that a body is a few hundred bytes.</p>",
            "vendor": "Acme",
            "status": "active",
            "tags": "b, a",
            "updated_at": instant(at),
            "options": [{"id": 1, "name": "Size", "position": 1, "values": ["S"]}],
            "variants": [{
                "admin_graphql_api_id": format!("gid://shopify/ProductVariant/{}", id + 1_000_000),
                "id": id + 1_000_000, "title": "S", "price": "64.00", "compare_at_price": null,
                "option1": "S", "position": 1, "inventory_policy": "deny", "inventory_quantity": at,
            }],
        });
        Self::new("products/update", webhook_id, instant(at), body.to_string().into_bytes())
    }

    /// Sends it once, signed with `secret`.
    pub(crate) async fn send_signed(
        &self,
        client: &Client,
        url: &str,
        secret: &str,
    ) -> reqwest::Result<StatusCode> {
        let answer = client
            .post(url)
            .header("X-Shopify-Topic", &self.topic)
            .header("X-Shopify-Shop-Domain", &self.shop)
            .header("X-Shopify-API-Version", "2026-10")
            .header("X-Shopify-Webhook-Id", &self.webhook_id)
            .header("X-Shopify-Event-Id", format!("event-{}", self.webhook_id))
            .header("X-Shopify-Triggered-At", &self.triggered_at)
            .header("X-Shopify-Hmac-Sha256", sign(secret, &self.body))
            .header("Content-Type", "application/json")
            .body(self.body.clone())
            .send()
            .await?;
        Ok(answer.status())
    }

    /// Sends it once.
    pub(crate) async fn send(&self, client: &Client, url: &str) -> reqwest::Result<StatusCode> {
        self.send_signed(client, url, SECRET).await
    }
}
