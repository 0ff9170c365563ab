//! Reading the fields of a webhook body.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::Timestamp;
use crate::resource::ResourceId;

/// Why a body is not what its topic promises. The event belongs in quarantine.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MappingError {
    /// Not JSON, or nested deeper than 128 levels.
    #[error("the body is not readable JSON: {0}")]
    Json(String),
    /// Not the sort of value that the kind's bodies are.
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// A member that every body of this kind has is missing.
    #[error("the body has no {0}")]
    Missing(&'static str),
    /// A facet that the kind does not have, or that nothing brings.
    #[error("the kind has no facet {0} that could be pulled")]
    NotPulled(&'static str),
    /// The body speaks of another resource than subject and topic say.
    #[error("the body speaks of {found}, the envelope of {expected}")]
    OtherResource {
        /// What the envelope says.
        expected: String,
        /// What the body says.
        found: String,
    },
}

/// The two places where a REST-shaped body names its resource. Everything else is skipped unread.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow, default)]
    admin_graphql_api_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

/// The id that a body names at its top, gid before number.
pub(super) fn identity(body: &[u8]) -> Option<ResourceId> {
    let named: Named<'_> = serde_json::from_slice(body).ok()?;
    [named.admin_graphql_api_id, named.id].into_iter().flatten().find_map(scalar_id)
}

/// The id that a body names in another member, or as a gid in the same in camel case.
pub(super) fn numbered(body: &[u8], member: &str) -> Option<ResourceId> {
    let members: std::collections::HashMap<&str, &RawValue> = serde_json::from_slice(body).ok()?;
    let same = |name: &str| name.replace('_', "").eq_ignore_ascii_case(&member.replace('_', ""));
    members.into_iter().find(|(name, _)| same(name)).and_then(|(_, raw)| scalar_id(raw))
}

fn scalar_id(raw: &RawValue) -> Option<ResourceId> {
    match serde_json::from_str::<Value>(raw.get()).ok()? {
        Value::String(s) => ResourceId::parse(&s).ok(),
        Value::Number(n) => ResourceId::parse(&n.to_string()).ok(),
        _ => None,
    }
}

/// When a document says that it was last changed.
pub(super) fn updated_at(body: &Value) -> Option<Timestamp> {
    let said = body.get("updated_at").or_else(|| body.get("updatedAt"))?;
    Timestamp::parse(said.as_str()?).ok()
}

/// A canonical object under construction, read from a REST-shaped one. A member that the body does
/// not have is left out of the result, since a body of another API version may simply not carry it.
pub(super) struct Mapped<'a> {
    from: &'a Map<String, Value>,
    to: Map<String, Value>,
}

impl<'a> Mapped<'a> {
    pub(super) fn of(body: &'a Value) -> Result<Self, MappingError> {
        let from = body.as_object().ok_or(MappingError::NotAnObject)?;
        Ok(Self { from, to: Map::new() })
    }

    /// Copies `from` to `to` as it is.
    pub(super) fn copy(&mut self, from: &str, to: &str) -> &mut Self {
        self.map(from, to, Value::clone)
    }

    /// Copies members that have the same name in both shapes.
    pub(super) fn same(&mut self, names: &[&str]) -> &mut Self {
        for name in names {
            self.copy(name, name);
        }
        self
    }

    /// Copies a text; `null` and the empty text are the same to Shopify's two shapes.
    pub(super) fn text(&mut self, from: &str, to: &str) -> &mut Self {
        self.map(from, to, |v| match v.as_str() {
            Some("") => Value::Null,
            _ => v.clone(),
        })
    }

    /// Copies through a function, if the body has the member.
    pub(super) fn map(
        &mut self,
        from: &str,
        to: &str,
        f: impl FnOnce(&'a Value) -> Value,
    ) -> &mut Self {
        if let Some(value) = self.from.get(from) {
            self.to.insert(to.into(), f(value));
        }
        self
    }

    /// Sets a member that is put together from several.
    pub(super) fn set(&mut self, to: &str, value: Value) -> &mut Self {
        self.to.insert(to.into(), value);
        self
    }

    /// The resource's gid: as the body says it, else made from its number.
    pub(super) fn gid(&mut self, gid_type: &str) -> &mut Self {
        let gid = self.from.get("admin_graphql_api_id").filter(|v| v.is_string()).cloned();
        if let Some(gid) = gid.or_else(|| self.from.get("id").map(|id| gid_of(gid_type, id))) {
            self.to.insert("id".into(), gid);
        }
        self
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.from.get(name)
    }

    pub(super) fn done(&mut self) -> Value {
        Value::Object(std::mem::take(&mut self.to))
    }
}

/// `123` → `gid://shopify/Type/123`; a gid and `null` stay what they are.
pub(super) fn gid_of(gid_type: &str, id: &Value) -> Value {
    match id {
        Value::Number(n) => format!("gid://shopify/{gid_type}/{n}").into(),
        Value::String(s) if !s.starts_with("gid://") && !s.is_empty() => {
            format!("gid://shopify/{gid_type}/{s}").into()
        }
        other => other.clone(),
    }
}

/// `best-selling` → `BEST_SELLING`.
pub(super) fn upper(value: &Value) -> Value {
    match value.as_str() {
        Some("") => Value::Null,
        Some(s) => s.to_ascii_uppercase().replace(['-', ' '], "_").into(),
        None => value.clone(),
    }
}

/// An instant in UTC; what is not one stays as it is.
pub(super) fn instant(value: &Value) -> Value {
    match value.as_str().map(Timestamp::parse) {
        Some(Ok(t)) => t.to_string().into(),
        _ => value.clone(),
    }
}

/// An amount as an exact decimal in a string with at least two decimals: Shopify's two shapes write
/// `64.00` and `64.0`.
pub(super) fn money(value: &Value) -> Value {
    match value {
        Value::Number(n) => decimals(&n.to_string()).into(),
        Value::String(s) if s.is_empty() => Value::Null,
        Value::String(s) => decimals(s).into(),
        other => other.clone(),
    }
}

fn decimals(amount: &str) -> String {
    let (whole, part) = amount.split_once('.').unwrap_or((amount, ""));
    if ![whole.trim_start_matches('-'), part].iter().all(|d| d.bytes().all(|b| b.is_ascii_digit()))
    {
        return amount.into();
    }
    let part = part.trim_end_matches('0');
    format!("{whole}.{part:0<2}")
}

/// A gid as an object that refers to it.
pub(super) fn link(gid: &Value) -> Value {
    if gid.is_null() { Value::Null } else { serde_json::json!({"id": gid}) }
}

/// A number as a text: GraphQL writes large ones so.
pub(super) fn text_of(value: &Value) -> Value {
    if value.is_number() { value.to_string().into() } else { value.clone() }
}

/// A number without the zeros that only one of Shopify's shapes writes: `4.0` is `4`.
pub(super) fn number(value: &Value) -> Value {
    let Value::Number(number) = value else { return value.clone() };
    let text = number.to_string();
    if !text.contains('.') || text.contains(['e', 'E']) {
        return value.clone();
    }
    let short = text.trim_end_matches('0').trim_end_matches('.');
    serde_json::from_str(short).unwrap_or_else(|_| value.clone())
}

/// `"b, a, a"` → `["a", "b"]`; a list is sorted as well.
pub(super) fn tags(value: &Value) -> Value {
    let mut tags: Vec<String> = match value {
        Value::String(s) => s.split(',').map(|t| t.trim().to_owned()).collect(),
        Value::Array(list) => {
            list.iter().filter_map(|t| t.as_str().map(|t| t.trim().to_owned())).collect()
        }
        other => return other.clone(),
    };
    tags.retain(|t| !t.is_empty());
    tags.sort();
    tags.dedup();
    tags.into()
}

/// A list, element by element; what is not a list stays as it is.
pub(super) fn list(value: &Value, f: impl Fn(&Value) -> Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(f).collect(),
        other => other.clone(),
    }
}

/// An object through a mapping; `null`, and what is not an object, stay as they are.
pub(super) fn object(value: &Value, f: impl FnOnce(&mut Mapped<'_>)) -> Value {
    match Mapped::of(value) {
        Ok(mut mapped) => {
            f(&mut mapped);
            mapped.done()
        }
        Err(_) => value.clone(),
    }
}

/// `[{name, value}]` → `[{key, value}]`.
pub(super) fn attributes(value: &Value) -> Value {
    let pair = |m: &mut Mapped<'_>| {
        m.copy("name", "key").copy("value", "value");
    };
    list(value, |item| object(item, pair))
}

/// `{shop_money, presentment_money}` → `{shopMoney, presentmentMoney}`.
pub(super) fn money_bag(value: &Value) -> Value {
    let side = |v: &Value| {
        object(v, |m| {
            m.map("amount", "amount", money).copy("currency_code", "currencyCode");
        })
    };
    object(value, |m| {
        m.map("shop_money", "shopMoney", side).map("presentment_money", "presentmentMoney", side);
    })
}

/// A list in the order that a key gives it; what is not a list stays as it is.
pub(super) fn sorted(value: Value, key: impl Fn(&Value) -> String) -> Value {
    match value {
        Value::Array(mut items) => {
            items.sort_by_cached_key(|item| key(item));
            Value::Array(items)
        }
        other => other,
    }
}

/// A text that may hold JSON: written the same way however it was spaced and ordered.
pub(super) fn json_text(value: &Value) -> Value {
    let Some(text) = value.as_str().filter(|text| text.starts_with(['{', '['])) else {
        return value.clone();
    };
    match serde_json::from_str::<Value>(text) {
        Ok(parsed) => parsed.to_string().into(),
        Err(_) => value.clone(),
    }
}

/// A CDN address without the `v` parameter, which changes whenever the file is touched.
pub(super) fn url(value: &Value) -> Value {
    let Some(text) = value.as_str() else { return value.clone() };
    let Ok(mut url) = url::Url::parse(text) else { return value.clone() };
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(k, _)| k != "v")
        .map(|(k, v)| (k.into_owned(), v.into_owned()))
        .collect();
    url.set_query(None);
    if !kept.is_empty() {
        url.query_pairs_mut().extend_pairs(kept);
    }
    url.to_string().into()
}

/// The text of a canonical member, for listings.
pub(super) fn shown(state: &Value, name: &str) -> Option<String> {
    state.get(name)?.as_str().filter(|s| !s.is_empty()).map(str::to_owned)
}
