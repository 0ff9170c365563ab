//! What a request asks: the shop that the gate let through, the resource in the path, the query.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, Query, RawPathParams};
use backstock_proto::journal::{AsOf, PAGE_LIMIT_MAX, Page, Span};
use backstock_proto::problem::Problem;
use backstock_proto::resource::{ID_BYTES_MAX, gid_type};
use backstock_proto::{Kind, Op, ResourceId, ResourceKey, Shop, Source, Timestamp};
use http::StatusCode;
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use crate::gate::Visit;
use crate::plan::Action;
use crate::{Desk, level, refuse};

/// The shop in the path, which the token sees.
pub(crate) struct InShop(pub(crate) Shop);

/// The resource in the path, in a shop that the token sees.
pub(crate) struct Named(pub(crate) ResourceKey);

/// The `{id}` in the path.
pub(crate) struct Which(pub(crate) String);

/// The name of the token that asks.
pub(crate) struct By(pub(crate) String);

/// The query, all of it understood.
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Send + Sync> FromRequestParts<S> for InShop {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let shop = parts.extensions.get::<Visit>().and_then(|visit| visit.shop.clone());
        shop.map(Self).ok_or_else(|| {
            tracing::error!("a handler asked for a shop on a route that has none");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "this route names no shop")
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Which {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, &()).await;
        let id = params.ok().and_then(|params| {
            params.iter().find(|(name, _)| *name == "id").map(|(_, id)| id.to_owned())
        });
        let named = |id: &String| (1..=ID_BYTES_MAX).contains(&id.len());
        id.filter(named).filter(|id| !id.chars().any(char::is_control)).map(Self).ok_or_else(|| {
            Problem::new(StatusCode::NOT_FOUND, "the path names nothing that can be there")
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for By {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let visit = parts.extensions.get::<Visit>();
        let token = visit.and_then(|visit| visit.token.as_ref());
        Ok(Self(token.map_or_else(String::new, |token| token.name.clone())))
    }
}

/// What `plans/{id}` takes.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes what `Which` reads")]
pub(crate) struct PlanPath {
    /// The plan.
    id: String,
}

/// What `jobs/{id}` takes.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes what `Which` reads")]
pub(crate) struct JobPath {
    /// The job.
    id: String,
}

/// What `{shop}` takes.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes what the gate reads")]
pub(crate) struct ShopPath {
    /// The domain, or the name before .myshopify.com.
    #[param(
        pattern = r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[Mm][Yy][Ss][Hh][Oo][Pp][Ii][Ff][Yy]\.[Cc][Oo][Mm])?$",
        example = "acme.myshopify.com"
    )]
    shop: String,
}

/// What `{kind}/{id}` takes.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct ResourcePath {
    /// Singular snake_case.
    #[param(pattern = "^[a-z][a-z0-9_]{0,63}$", example = "product")]
    kind: String,
    /// The number in the gid, or the whole gid, escaped.
    #[param(min_length = 1, max_length = 255, example = "8072139866342")]
    id: String,
}

impl FromRequestParts<Arc<Desk>> for Named {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Problem> {
        let InShop(shop) = InShop::from_request_parts(parts, desk).await?;
        let Ok(Path(path)) = Path::<ResourcePath>::from_request_parts(parts, desk).await else {
            return Err(refuse::no_such_resource(&shop, "resource", "", "it is not UTF-8"));
        };
        let key = resource_key(shop, &path.kind, &path.id)?;
        let level = level::known_as(desk.journal.as_ref(), &key.shop, &path.id).await;
        let id = level.map_err(refuse::journal)?.unwrap_or_else(|| key.id.clone());
        Ok(Self(ResourceKey { id, ..key }))
    }
}

/// The key of a resource by its number, or by a gid whose type is the kind's.
fn resource_key(shop: Shop, kind: &str, id: &str) -> Result<ResourceKey, Problem> {
    let none = |why: &str| refuse::no_such_resource(&shop, kind, id, why);
    let parsed = Kind::parse(kind).map_err(|e| none(&e.to_string()))?;
    if id.starts_with("gid:") {
        match (gid_type(id), parsed.spec()) {
            (None, _) => return Err(none("a gid is like \"gid://shopify/Product/1\"")),
            (Some(found), Some(spec)) if !spec.is_of(found) => {
                return Err(none(&format!("a {kind} is a {}, not a {found}", spec.gid_type)));
            }
            _ => {}
        }
    }
    let id = ResourceId::parse(id).map_err(|e| none(&e.to_string()))?;
    Ok(ResourceKey { shop, kind: parsed, id })
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(rejection) => {
                let text = rejection.body_text();
                let why = text.strip_prefix("Failed to deserialize query string: ");
                let hint = if text.contains("RFC 3339") {
                    "; in a query the + of an offset is written %2B"
                } else {
                    ""
                };
                Err(refuse::bad_request(format!("query: {}{hint}", why.unwrap_or(&text))))
            }
        }
    }
}

/// How many items at most.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "usize")]
pub(crate) struct Limit(usize);

impl TryFrom<usize> for Limit {
    type Error = String;
    fn try_from(limit: usize) -> Result<Self, String> {
        if (1..=PAGE_LIMIT_MAX).contains(&limit) {
            Ok(Self(limit))
        } else {
            Err(format!("{limit} is not from 1 to {PAGE_LIMIT_MAX}"))
        }
    }
}

/// Where a page begins and ends.
pub(crate) fn page(limit: Option<Limit>, cursor: Option<String>) -> Page {
    let limit = limit.map_or(Page::default().limit, |Limit(limit)| limit);
    Page { limit, cursor }
}

/// The number that a page of numbered things begins with, and how many are on it.
pub(crate) fn numbered(
    limit: Option<Limit>,
    cursor: Option<String>,
) -> Result<(u64, usize), Problem> {
    let from = cursor.map(|cursor| cursor.parse().map_err(|_| wrong_cursor(&cursor)));
    Ok((from.transpose()?.unwrap_or(0), page(limit, None).limit))
}

/// What is said of a cursor that no page ended with.
pub(crate) fn wrong_cursor(cursor: &str) -> Problem {
    let cursor: String = cursor.chars().take(100).collect();
    refuse::bad_request(format!("query: cursor {cursor:?} is not one of ours"))
}

/// The instants between, both of which count.
pub(crate) fn span(from: Option<Timestamp>, to: Option<Timestamp>) -> Result<Span, Problem> {
    let all = Span::default();
    let span = Span { from: from.unwrap_or(all.from), to: to.unwrap_or(all.to) };
    if span.from <= span.to {
        Ok(span)
    } else {
        Err(refuse::bad_request(format!("query: from {} is after to {}", span.from, span.to)))
    }
}

/// The instant asked for; the latest there is by default.
pub(crate) fn as_of(at: Option<Timestamp>) -> AsOf {
    at.map_or(AsOf::Latest, AsOf::At)
}

/// What a request's body says, all of it understood.
pub(crate) fn body<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|e| refuse::bad_request(format!("the body is not understood: {e}")))
}

/// A query without parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// As of when.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AtQuery {
    /// As of this instant, inclusive; now by default.
    pub(crate) at: Option<Timestamp>,
}

/// Which resources.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ResourcesQuery {
    /// Only this kind.
    pub(crate) kind: Option<Kind>,
    /// Only those whose title, handle, id or further words hold this text, in any case.
    pub(crate) q: Option<String>,
    /// As of this instant, inclusive; now by default.
    pub(crate) at: Option<Timestamp>,
    /// Only deleted ones, or only living ones; both by default.
    pub(crate) deleted: Option<bool>,
    /// At most so many items.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1000, default = 100)]
    pub(crate) limit: Option<Limit>,
    /// `next` of the page before; no other text is accepted.
    #[param(min_length = 1)]
    pub(crate) cursor: Option<String>,
}

/// Which versions.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct VersionsQuery {
    /// Valid from this instant on, inclusive.
    pub(crate) from: Option<Timestamp>,
    /// Valid until this instant, inclusive.
    pub(crate) to: Option<Timestamp>,
    /// At most so many items.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1000, default = 100)]
    pub(crate) limit: Option<Limit>,
    /// `next` of the page before; no other text is accepted.
    #[param(min_length = 1)]
    pub(crate) cursor: Option<String>,
}

/// Between which two instants.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DiffQuery {
    /// The state before.
    pub(crate) from: Timestamp,
    /// The state after; now by default.
    pub(crate) to: Option<Timestamp>,
}

/// Which changes.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ChangesQuery {
    /// Valid from this instant on, inclusive.
    pub(crate) from: Option<Timestamp>,
    /// Valid until this instant, inclusive.
    pub(crate) to: Option<Timestamp>,
    /// Only this kind.
    pub(crate) kind: Option<Kind>,
    /// Only this sort of event.
    #[param(inline)]
    pub(crate) op: Option<Op>,
    /// Only those learned in this way.
    #[param(inline)]
    pub(crate) source: Option<Source>,
    /// Only what this app did, by its title, as far as that can be told.
    pub(crate) app: Option<String>,
    /// At most so many items.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1000, default = 100)]
    pub(crate) limit: Option<Limit>,
    /// `next` of the page before; no other text is accepted.
    #[param(min_length = 1)]
    pub(crate) cursor: Option<String>,
}

/// Which change-sets.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ChangeSetsQuery {
    /// With a change from this instant on, inclusive.
    pub(crate) from: Option<Timestamp>,
    /// With a change until this instant, inclusive.
    pub(crate) to: Option<Timestamp>,
    /// Only those with changes of this kind.
    pub(crate) kind: Option<Kind>,
    /// Only those that this app, or person, made, as far as that can be told.
    pub(crate) app: Option<String>,
    /// At most so many items.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1000, default = 100)]
    pub(crate) limit: Option<Limit>,
    /// `next` of the page before; no other text is accepted.
    #[param(min_length = 1)]
    pub(crate) cursor: Option<String>,
}

/// Which pulls.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PullsQuery {
    /// Only of this kind.
    pub(crate) kind: Option<Kind>,
    /// At most so many items.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1000, default = 100)]
    pub(crate) limit: Option<Limit>,
    /// `next` of the page before; no other text is accepted.
    #[param(min_length = 1)]
    pub(crate) cursor: Option<String>,
}

/// Which part of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// At most so many items.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1000, default = 100)]
    pub(crate) limit: Option<Limit>,
    /// `next` of the page before; no other text is accepted.
    #[param(min_length = 1)]
    pub(crate) cursor: Option<String>,
}

/// Which part of a list that is short as a rule, and whole unless less is asked for.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ShortListQuery {
    /// At most so many items.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1000, default = 1000)]
    pub(crate) limit: Option<Limit>,
    /// `next` of the page before; no other text is accepted.
    #[param(min_length = 1)]
    pub(crate) cursor: Option<String>,
}

impl ShortListQuery {
    /// Where the page begins and ends.
    pub(crate) fn page(self) -> Page {
        page(self.limit.or(Some(Limit(PAGE_LIMIT_MAX))), self.cursor)
    }
}

/// Which shops.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ShopsQuery {
    /// Only those whose name holds this text, in any case.
    pub(crate) q: Option<String>,
    /// Whether to say of each how it is, or was at most five minutes ago: `health`. It is left out of a shop
    /// that could not be looked at within a second; asked again, it is there.
    pub(crate) health: Option<bool>,
    /// At most so many items.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1000, default = 1000)]
    pub(crate) limit: Option<Limit>,
    /// `next` of the page before; no other text is accepted.
    #[param(min_length = 1)]
    pub(crate) cursor: Option<String>,
}

/// Which snapshot.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SnapshotQuery {
    /// As of this instant, inclusive; now by default.
    pub(crate) at: Option<Timestamp>,
    /// Only this kind.
    pub(crate) kind: Option<Kind>,
}

/// Which rows of a plan.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PlanQuery {
    /// Only rows that do this.
    #[param(inline)]
    pub(crate) action: Option<Action>,
    /// Only this kind.
    pub(crate) kind: Option<Kind>,
    /// At most so many rows.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1000, default = 100)]
    pub(crate) limit: Option<Limit>,
    /// `next` of the page before; no other text is accepted.
    #[param(min_length = 1)]
    pub(crate) cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_its_gid_are_the_same_resource_and_another_type_is_not() {
        let shop = || Shop::parse("acme.myshopify.com").expect("shop");
        let key = |kind, id| resource_key(shop(), kind, id);
        let by_number = key("product", "9007199254740993").expect("number");
        assert_eq!(key("product", "gid://shopify/Product/9007199254740993"), Ok(by_number));
        assert!(key("theme", "gid://shopify/OnlineStoreTheme/1").is_ok());
        for (kind, id) in [
            ("product", "gid://shopify/Order/1"),
            ("product", "gid://shopify/"),
            ("product", "gid://shopify/Product/"),
            ("product", "gid:1"),
            ("product", ""),
            ("product", "a\u{0}b"),
            ("Product", "1"),
            ("", "1"),
        ] {
            assert_eq!(key(kind, id).expect_err(id).status, 404);
        }
    }
}
