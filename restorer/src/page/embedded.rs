//! The page inside Shopify's own admin: Shopify opens it in a frame and says in its address who opened
//! it ([`id_token`]). That opens a session for that shop alone, which is short, ends when it ends, and
//! lives in a cookie that only that frame has.
//!
//! Only a page of such a session may be framed, by that shop's admin and nobody else.

use std::fmt;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use backstock_proto::problem::Problem;
use backstock_proto::{Kind, ResourceId, Shop};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use maud::{Markup, html};
use secrecy::{ExposeSecret as _, SecretString};

use super::room::encoded;
use super::session::Session;
use super::{id_token, session, shell};
use crate::metrics::Refused;
use crate::token::{Digest, Scope, Shops, Token};
use crate::{Desk, peer, refuse};

/// What the token of a shop's admin is called, before the number of whoever uses it.
const NAME: &str = "Shopify admin";

/// The app as which a shop's admin opens the page.
#[derive(Clone)]
pub struct App {
    /// Its client id.
    pub(crate) client_id: String,
    /// What Shopify signs with.
    pub(crate) client_secret: SecretString,
    /// Names the token of its sessions. No text has it for its digest that anybody could know.
    token: Digest,
}

impl App {
    /// A shop's app.
    pub fn new(shop: &Shop, client_id: String, client_secret: SecretString) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("backstock 2026-11 embedded app's token");
        for part in [shop.domain().as_str(), &client_id, client_secret.expose_secret()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let token = Digest::from_bytes(*hasher.finalize().as_bytes());
        Self { client_id, client_secret, token }
    }

    /// What whoever opens it in the admin may do there.
    pub fn token(&self, shop: &Shop, scopes: &[Scope]) -> Token {
        Token {
            name: NAME.into(),
            digest: self.token,
            scopes: scopes.iter().copied().collect(),
            shops: Shops::These([shop.clone()].into()),
        }
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// The one whose page a response is: it may be framed by this shop's admin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FramedBy(pub(crate) Shop);

impl FramedBy {
    /// Who may frame it, as a content security policy says it.
    pub(crate) fn ancestors(&self) -> String {
        format!("https://{} https://admin.shopify.com", self.0.domain())
    }
}

/// What Shopify says in the address: whose admin, its word about who is there, and which thing's page a
/// link was on.
pub(super) struct Opened {
    shop: String,
    id_token: String,
    id: Option<String>,
    kind: Option<Kind>,
}

/// What the address says, if Shopify opened it.
pub(super) fn opened(query: Option<&str>) -> Option<Opened> {
    let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let (mut shop, mut id_token, mut id) = (None, None, None);
    for (name, value) in pairs {
        match &*name {
            "shop" => shop = Some(value.into_owned()),
            "id_token" => id_token = Some(value.into_owned()),
            "id" => id = Some(value.into_owned()),
            _ => {}
        }
    }
    Some(Opened { shop: shop.unwrap_or_default(), id_token: id_token?, id, kind: None })
}

/// `/open/{kind}`: where a link on a thing's page in the admin leads. Shopify adds which thing it is.
pub(crate) async fn linked(
    State(desk): State<Arc<Desk>>,
    Path(kind): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let kind = Kind::parse(&kind).map_err(|error| refuse::bad_request(error.to_string()))?;
    let opened = opened(parts.uri.query()).ok_or_else(|| {
        Problem::new(StatusCode::FORBIDDEN, "this address is opened by a link in Shopify's admin")
    })?;
    enter(&desk, &parts, &Opened { kind: Some(kind), ..opened })
}

impl Opened {
    /// Where in the page of a shop it leads.
    fn address(&self, shop: &Shop) -> String {
        let home = format!("/shops/{}", shop.name());
        let id = self.id.as_deref().and_then(|id| ResourceId::parse(id).ok());
        match (&self.kind, id) {
            (Some(kind), Some(id)) => format!("{home}/resources/{kind}/{}", encoded(id.as_str())),
            _ => home,
        }
    }
}

/// Opens a session for whoever Shopify says is there.
pub(super) fn enter(desk: &Desk, parts: &Parts, asked: &Opened) -> Result<Response, Problem> {
    let refused = |why: &str| {
        desk.metrics.refused(Refused::WrongToken);
        Problem::new(StatusCode::FORBIDDEN, why)
    };
    let said = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    // An address that somebody is sent must not sign them in elsewhere than in the admin.
    if said("sec-fetch-dest") != Some("iframe") || said("sec-fetch-mode") != Some("navigate") {
        return Err(refused("this address is opened by Shopify's admin, in a frame of its page"));
    }
    if !session::over_https(&parts.headers) {
        return Err(refused("Shopify's admin signs people in over HTTPS only"));
    }
    let now = desk.clock.now();
    let user = app_of(desk, &asked.shop)
        .ok_or(id_token::Refused::Signature)
        .and_then(|app| Ok((app.0, app.1, id_token::user(&asked.id_token, app, now)?)));
    let (shop, app, user) = user.map_err(|why| {
        if let Err(seconds) = desk.throttle.guessed(peer::of(parts, &desk.config.proxies), now) {
            return refused(&format!("too many wrong tokens came from here; wait {seconds} s"));
        }
        tracing::warn!(reason = %why, "an ID token of Shopify's admin was refused");
        refused(&format!("Shopify's word about who you are was not taken: {why}"))
    })?;
    tracing::info!(%shop, user, "somebody signed in by Shopify's admin");
    let session = desk.config.session_key.open_embedded(app.token, &user, now);
    let mut response = Redirect::to(&asked.address(shop)).into_response();
    if let Some(cookie) = session.cookie(&parts.headers) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

fn app_of<'d>(desk: &'d Desk, shop: &str) -> Option<(&'d Shop, &'d App)> {
    desk.config.embedded.get_key_value(&Shop::parse(shop).ok()?)
}

/// The shop and app whose admin opened a session.
fn behind<'d>(desk: &'d Desk, session: &Session) -> Option<(&'d Shop, &'d App)> {
    session.user.as_ref()?;
    desk.config.embedded.iter().find(|(_, app)| app.token == session.token)
}

/// Whose admin may frame what such a request is answered: the one that opened its session.
pub(super) fn framed_by(desk: &Desk, headers: &HeaderMap) -> Option<FramedBy> {
    let session = desk.config.session_key.find(headers, desk.clock.now())?;
    behind(desk, &session).map(|(shop, _)| FramedBy(shop.clone()))
}

/// What is shown in the frame when its session is over: the way in again, which only the admin has.
pub(super) fn over(desk: &Desk, headers: &HeaderMap) -> Option<(FramedBy, Markup)> {
    let session = desk.config.session_key.embedded(headers)?;
    let (shop, app) = behind(desk, &session)?;
    let again = format!("https://admin.shopify.com/store/{}/apps/{}", shop.name(), app.client_id);
    let page = shell::alone(
        "Please open Backstock again",
        html! {
            h1 { "Please open Backstock again" }
            p { "Your session has ended. Nothing was done." }
            p.actions { a.button.primary href=(again) target="_top" { "Open again" } }
        },
    );
    Some((FramedBy(shop.clone()), page))
}

#[cfg(test)]
mod tests;
