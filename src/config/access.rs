//! Whose Admin API may be asked, and how.

use backstock_proto::admin::{Access, Credentials};
use url::Url;

use super::{Config, ShopConfig};

impl Config {
    /// The shops with credentials; the others are known by their webhooks only.
    pub(crate) fn accesses(&self) -> Vec<Access> {
        self.shop.iter().filter_map(ShopConfig::access).collect()
    }
}

impl ShopConfig {
    /// The address of its Admin API.
    pub(super) fn url(&self) -> Result<Url, url::ParseError> {
        match &self.admin_url {
            Some(url) => url.parse(),
            None => format!("https://{}", self.domain).parse(),
        }
    }

    fn access(&self) -> Option<Access> {
        let credentials = match (&self.access_token, &self.client_id, &self.client_secret) {
            (Some(token), ..) => Credentials::Token(token.clone()),
            (None, Some(id), Some(secret)) => {
                Credentials::App { id: id.clone(), secret: secret.clone() }
            }
            _ => return None,
        };
        Some(Access {
            shop: self.domain.clone(),
            url: self.url().ok()?,
            api_version: self.api_version.clone(),
            credentials,
        })
    }
}
