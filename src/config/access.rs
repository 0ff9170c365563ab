//! Whose Admin API may be asked, and how; and whose admin may open the page.

use std::collections::BTreeMap;

use anyhow::Context as _;
use backstock_proto::Shop;
use backstock_proto::admin::{Access, Credentials};
use backstock_restorer::{App, Scope, Token, TokenError};
use url::Url;

use super::{Config, ShopConfig};

impl Config {
    /// The shops with credentials; the others are known by their webhooks only.
    pub(crate) fn accesses(&self) -> Vec<Access> {
        self.shop.iter().filter_map(ShopConfig::access).collect()
    }

    /// The shops whose admin may open the page, and as which app.
    pub(crate) fn embedded(&self) -> BTreeMap<Shop, App> {
        let embedded = |shop: &ShopConfig| Some((shop.domain.clone(), shop.embedded().ok()??.0));
        self.shop.iter().filter_map(embedded).collect()
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

    /// The app as which its admin may open the page, and what may be done there; none by default.
    pub(super) fn embedded(&self) -> anyhow::Result<Option<(App, Token)>> {
        if self.embedded_scopes.is_empty() {
            return Ok(None);
        }
        let scope = |name: &String| Scope::parse(name).ok_or(TokenError::Scope(name.clone()));
        let scopes = self.embedded_scopes.iter().map(scope).collect::<Result<Vec<_>, _>>()?;
        let credentials = self.client_id.clone().zip(self.client_secret.clone());
        let (id, secret) = credentials.context("it needs client_id and client_secret")?;
        let app = App::new(&self.domain, id, secret);
        let token = app.token(&self.domain, &scopes);
        Ok(Some((app, token)))
    }
}
