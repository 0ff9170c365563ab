//! The access token: as configured, or granted for the app's credentials and renewed before it ends.
//! <https://shopify.dev/docs/apps/build/authentication-authorization/client-credentials-grant>

use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{Access, AdminError, Credentials};

/// A granted token is renewed so long before it ends.
const AHEAD: Duration = Duration::from_secs(300);
/// How long a grant may take.
const DEADLINE: Duration = Duration::from_secs(15);

/// The token of one shop. One renewal at a time; whoever comes meanwhile waits for it.
#[derive(Debug)]
pub(super) struct Tokens {
    granted: Mutex<Option<Granted>>,
}

#[derive(Clone, Debug)]
struct Granted {
    token: SecretString,
    until: Instant,
}

#[derive(Deserialize)]
struct Grant {
    access_token: SecretString,
    expires_in: Option<u64>,
}

impl Tokens {
    pub(super) fn new() -> Self {
        Self { granted: Mutex::new(None) }
    }

    /// The token to ask with. `refused` is one that the shop has just refused: it is not given again.
    pub(super) async fn get(
        &self,
        http: &reqwest::Client,
        access: &Access,
        refused: Option<&SecretString>,
    ) -> Result<SecretString, AdminError> {
        let Credentials::App { id, secret } = &access.credentials else {
            return fixed(access, refused);
        };
        let mut granted = self.granted.lock().await;
        let usable = granted.as_ref().filter(|granted| {
            granted.until > Instant::now()
                && refused.is_none_or(|old| old.expose_secret() != granted.token.expose_secret())
        });
        if let Some(granted) = usable {
            return Ok(granted.token.clone());
        }
        let new = grant(http, access, id, secret).await?;
        let token = new.token.clone();
        *granted = Some(new);
        Ok(token)
    }
}

fn fixed(access: &Access, refused: Option<&SecretString>) -> Result<SecretString, AdminError> {
    match (&access.credentials, refused) {
        (Credentials::Token(token), None) => Ok(token.clone()),
        _ => Err(AdminError::Unauthorized(access.shop.clone(), "401".into())),
    }
}

async fn grant(
    http: &reqwest::Client,
    access: &Access,
    id: &str,
    secret: &SecretString,
) -> Result<Granted, AdminError> {
    let shop = || access.shop.clone();
    let mut url = access.url.clone();
    url.set_path("/admin/oauth/access_token");
    let form = serde_json::json!({
        "grant_type": "client_credentials",
        "client_id": id,
        "client_secret": secret.expose_secret(),
    });
    let asked = Instant::now();
    let unavailable = |last: String| AdminError::Unavailable {
        shop: shop(),
        waited: asked.elapsed(),
        last: format!("granting a token: {last}"),
    };
    let sent = http.post(url).json(&form).timeout(DEADLINE).send().await;
    let response = sent.map_err(|e| unavailable(e.without_url().to_string()))?;
    let status = response.status();
    if status.is_server_error() || matches!(status.as_u16(), 408 | 429 | 430) {
        return Err(unavailable(status.to_string()));
    }
    if !status.is_success() {
        let why = meaning(&response.text().await.unwrap_or_default());
        return Err(AdminError::Unauthorized(
            shop(),
            format!("the grant is answered {status}{why}"),
        ));
    }
    // A page for people in the place of a grant, or half of one: the next try may bring it.
    let read: Result<Grant, _> = response.json().await;
    let grant = read.map_err(|e| unavailable(e.without_url().to_string()))?;
    let lasts = Duration::from_secs(grant.expires_in.unwrap_or(86_399).min(86_400));
    let until = asked + lasts.saturating_sub(AHEAD).max(lasts / 2);
    Ok(Granted { token: grant.access_token, until })
}

/// What Shopify says of a grant that it refuses, on a page for people.
fn meaning(answer: &str) -> &'static str {
    if answer.contains("shop_not_permitted") {
        ": the app and the shop are not of the same organization"
    } else if answer.contains("app_not_installed") {
        ": the app is not installed"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Router;
    use axum::routing::post;
    use http::StatusCode;
    use serde_json::json;

    use super::super::{Call, Client};
    use super::*;
    use crate::Shop;

    #[tokio::test]
    async fn a_grant_that_cannot_be_had_at_the_moment_is_asked_for_again() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let grant = move || {
            let before = count.fetch_add(1, Ordering::Relaxed);
            async move {
                match before {
                    0 => (StatusCode::BAD_GATEWAY, "<h1>Bad gateway</h1>"),
                    1 => (StatusCode::OK, "<h1>We will be right back</h1>"),
                    _ => (StatusCode::OK, r#"{"access_token": "shpat_1", "expires_in": 86399}"#),
                }
            }
        };
        let answer = || async { r#"{"data": {"shop": {"name": "Acme"}}}"# };
        let router = Router::new()
            .route("/admin/oauth/access_token", post(grant))
            .route("/admin/api/2026-10/graphql.json", post(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let access = Access {
            shop: Shop::from_name("acme").expect("a shop"),
            url: url.parse().expect("an address"),
            api_version: "2026-10".into(),
            credentials: Credentials::App { id: "id".into(), secret: "secret".into() },
        };
        let client = Client::new(reqwest::Client::new(), access);
        let call = Call::read("{ shop { name } }", json!({}));
        let answer = client.ask(call).await.expect("an answer");
        assert_eq!(answer.data["shop"]["name"], "Acme");
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_grant_that_is_refused_says_why() {
        let page = "<h2>Oauth error shop_not_permitted: Client credentials cannot be performed on this \
                    shop.</h2>";
        assert!(meaning(page).contains("organization"));
        assert!(meaning("Oauth error app_not_installed: …").contains("not installed"));
        assert_eq!(meaning(""), "");
    }
}
