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
    if status.is_server_error() || status.as_u16() == 429 {
        return Err(unavailable(status.to_string()));
    }
    if !status.is_success() {
        let why = meaning(&response.text().await.unwrap_or_default());
        return Err(AdminError::Unauthorized(
            shop(),
            format!("the grant is answered {status}{why}"),
        ));
    }
    let read: Result<Grant, _> = response.json().await;
    let grant = read.map_err(|e| AdminError::Garbled {
        shop: shop(),
        detail: format!("a granted token: {}", e.without_url()),
    })?;
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
    use super::meaning;

    #[test]
    fn a_grant_that_is_refused_says_why() {
        let page = "<h2>Oauth error shop_not_permitted: Client credentials cannot be performed on this \
                    shop.</h2>";
        assert!(meaning(page).contains("organization"));
        assert!(meaning("Oauth error app_not_installed: …").contains("not installed"));
        assert_eq!(meaning(""), "");
    }
}
