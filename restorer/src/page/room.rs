//! What every page of a shop has at hand: who looks, at which shop, in which time zone.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use backstock_proto::journal::{AsOf, Page, ResourceFilter};
use backstock_proto::kind::Writable;
use backstock_proto::problem::Problem;
use backstock_proto::resource::gid_type;
use backstock_proto::{Kind, Op, ResourceId, ResourceKey, Shop};
use http::request::Parts;
use serde::Deserialize;
use serde_json::Value;

use super::when::Clock;
use crate::ask::InShop;
use crate::gate::Visit;
use crate::human::{self, Cell, Known, Line};
use crate::token::Scope;
use crate::{Desk, peer, refuse};

/// Other resources whose titles are looked up for one page.
const TITLES_MAX: usize = 60;

/// Which part of a long list, as a page's address says.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Part {
    pub(crate) cursor: Option<String>,
}

pub(crate) struct Room {
    pub(crate) desk: Arc<Desk>,
    pub(crate) visit: Visit,
    pub(crate) shop: Shop,
    pub(crate) clock: Clock,
    /// The shop's currency, where known.
    pub(crate) currency: Option<String>,
    /// What a form carries that only whoever is signed in has.
    pub(crate) seal: String,
    /// From where.
    pub(crate) from: IpAddr,
}

impl FromRequestParts<Arc<Desk>> for Room {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Problem> {
        let InShop(shop) = InShop::from_request_parts(parts, desk).await?;
        let visit = parts.extensions.get::<Visit>().cloned().unwrap_or_default();
        let key = &desk.config.session_key;
        let seal = visit.session.as_ref().map(|session| key.form_seal(session));
        let settings = settings(desk, &shop).await;
        // As the Admin API says it, or as the shop's own webhook does.
        let text = |names: [&str; 2]| names.iter().find_map(|name| settings.get(name)?.as_str());
        Ok(Self {
            clock: Clock::new(text(["ianaTimezone", "iana_timezone"]), desk.clock.now()),
            currency: text(["currencyCode", "currency"]).map(str::to_owned),
            seal: seal.unwrap_or_default(),
            from: peer::of(parts, &desk.config.proxies),
            desk: desk.clone(),
            visit,
            shop,
        })
    }
}

/// What the shop says of itself; nothing where that is not known.
async fn settings(desk: &Desk, shop: &Shop) -> Value {
    let Ok(kind) = Kind::parse("shop") else { return Value::Null };
    let filter = ResourceFilter { kind: Some(kind.clone()), ..ResourceFilter::default() };
    let first = Page { limit: 1, cursor: None };
    let Ok(list) = desk.journal.resources(shop, &filter, &first).await else { return Value::Null };
    let Some(found) = list.items.into_iter().next() else { return Value::Null };
    let key = ResourceKey { shop: shop.clone(), kind, id: found.id };
    let resource = desk.journal.resource(&key, AsOf::Latest).await.ok().flatten();
    resource.map(|resource| resource.state).unwrap_or_default()
}

impl Room {
    /// The shop's own path.
    pub(crate) fn path(&self) -> String {
        format!("/shops/{}", self.shop.name())
    }

    /// A resource's path.
    pub(crate) fn resource(&self, kind: &Kind, id: &ResourceId) -> String {
        format!("{}/resources/{kind}/{}", self.path(), encoded(id.as_str()))
    }

    /// Where something is to be had from the API.
    pub(crate) fn api(&self, path: &str) -> String {
        format!("/v1/shops/{}/{path}", self.shop.domain())
    }

    /// Whether the page is shown in a frame of Shopify's admin.
    pub(crate) fn is_framed(&self) -> bool {
        self.visit.session.as_ref().is_some_and(|session| session.user.is_some())
    }

    /// Whether whoever looks is called this.
    pub(crate) fn is_by(&self, name: &str) -> bool {
        self.visit.token.as_ref().is_some_and(|token| token.name == name)
    }

    /// Whether whoever looks may do this.
    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.visit.token.as_ref().is_some_and(|token| token.scopes.contains(&scope))
    }

    /// Whether anything can be asked of the shop itself, and written to it.
    pub(crate) fn is_reached(&self) -> bool {
        self.desk.admins.contains_key(&self.shop)
    }

    /// The kinds of which anything is kept.
    pub(crate) async fn kinds(&self) -> Result<Vec<Kind>, Problem> {
        let status = self.desk.journal.status(&self.shop).await.map_err(refuse::journal)?;
        let kinds = status.into_iter().flat_map(|status| status.kinds);
        Ok(kinds.map(|status| status.kind).collect())
    }

    /// What names values, beside the states themselves.
    pub(crate) fn known<'a>(&'a self, titles: &'a BTreeMap<String, String>) -> Known<'a> {
        Known { titles: Some(titles), currency: self.currency.as_deref(), ..Known::default() }
    }

    /// What happened, in a sentence whose times are the shop's.
    pub(crate) fn headline(&self, op: Op, lines: &[Line]) -> String {
        match lines {
            [only] => {
                let (old, new) = (self.in_words(&only.old), self.in_words(&only.new));
                human::headline(op, &[Line { old, new, ..only.clone() }])
            }
            lines => human::headline(op, lines),
        }
    }

    /// A value, an instant as it is in the shop's time zone.
    pub(crate) fn in_words(&self, cell: &Cell) -> Cell {
        match cell {
            Cell::When(at) => Cell::Text(self.clock.short(*at)),
            cell => cell.clone(),
        }
    }

    /// What resources are called, as far as history has them.
    pub(crate) async fn titles(
        &self,
        gids: impl IntoIterator<Item = String>,
    ) -> BTreeMap<String, String> {
        let mut titles = BTreeMap::new();
        for gid in gids.into_iter().take(TITLES_MAX) {
            let Some(key) = self.key_of(&gid) else { continue };
            if let Ok(Some(found)) = self.desk.journal.resource(&key, AsOf::Latest).await {
                let title = found.kind.listing(&found.state).title;
                if !title.is_empty() {
                    titles.insert(gid, title);
                }
            }
        }
        titles
    }

    /// The resource that a gid names, if we keep its kind.
    pub(crate) fn key_of(&self, gid: &str) -> Option<ResourceKey> {
        let found = gid_type(gid)?;
        let spec = backstock_proto::kind::ALL.iter().find(|spec| spec.gid_type == found)?;
        let id = ResourceId::parse(gid).ok()?;
        Some(ResourceKey { shop: self.shop.clone(), kind: Kind::of(spec), id })
    }
}

/// Why nothing of a kind is ever written back; `None` of what is.
pub(crate) fn kept_only(kind: &Kind) -> Option<&'static str> {
    match kind.spec().map(|spec| spec.writable) {
        Some(Writable::Whole | Writable::Partly(_) | Writable::InPlace(_)) => None,
        Some(Writable::Archive(why)) => Some(why),
        None => Some("it is of a sort that is kept as received"),
    }
}

/// A part of a path or of a query, escaped.
pub(crate) fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// A query made of what is there.
pub(crate) fn query(pairs: &[(&str, Option<String>)]) -> String {
    let there = pairs.iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
    let mut out = String::new();
    for (name, value) in there.filter(|(_, value)| !value.is_empty()) {
        out.push(if out.is_empty() { '?' } else { '&' });
        out.push_str(name);
        out.push('=');
        out.push_str(&encoded(value));
    }
    out
}
