//! A value as a person reads it.

use std::collections::BTreeSet;

use backstock_proto::Timestamp;
use backstock_proto::merge::Step;
use backstock_proto::resource::gid_type;
use serde_json::{Map, Value};

use super::{Known, name, place};

/// A value, by what it is to a person.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// There is none.
    Nothing,
    /// Words.
    Text(String),
    /// Words with their markup.
    Html(String),
    /// Something that machines read: JSON, Liquid, CSS.
    Code(String),
    /// An amount.
    Money {
        /// With its decimals.
        amount: String,
        /// ISO 4217, where known.
        currency: Option<String>,
    },
    /// Yes or no.
    Flag(bool),
    /// An instant.
    When(Timestamp),
    /// A picture.
    Picture(Picture),
    /// Another resource.
    Thing {
        /// Its gid.
        gid: String,
        /// What it is called, where known.
        title: Option<String>,
    },
    /// Several.
    List(Vec<Cell>),
    /// A thing with parts, each with its name.
    Parts(Vec<(String, Cell)>),
}

/// Where a picture is to be had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// Its address in the shop; it may be gone.
    pub url: Option<String>,
    /// The hash of its bytes, where we keep them.
    pub blob: Option<String>,
    /// What it shows, in words.
    pub alt: String,
}

/// Parts of a whole that are shown, the most telling first.
const PARTS_MAX: usize = 12;

/// Members that are words whatever they look like.
const WORDS: &[&str] = &["sku", "barcode", "title", "handle", "name", "code", "alt", "displayName"];

/// What the value of the field at `steps` is.
pub(super) fn of(steps: &[Step], value: &Value, known: Known<'_>) -> Cell {
    let list = steps.iter().rev().find_map(|step| match step {
        Step::Member(name) => Some(name.as_str()),
        _ => None,
    });
    match (steps.last(), value) {
        (Some(Step::Order), Value::Array(labels)) => {
            let list = &steps[..steps.len() - 1];
            Cell::List(labels.iter().map(|label| called(list, label, known)).collect())
        }
        _ => cell(list.unwrap_or_default(), value, known),
    }
}

/// An element of a list, by its identity, as what it is called.
fn called(list: &[Step], label: &Value, known: Known<'_>) -> Cell {
    let label = label.as_str().unwrap_or_default();
    let path = (list.iter().chain([&Step::Element(label.into())]))
        .fold(backstock_proto::merge::FieldPath::root(), |path, step| path.then(step));
    let found = |state: Option<&Value>| {
        let thing = backstock_proto::merge::get(state?, &path)?;
        if let Some(picture) = thing.as_object().and_then(picture) {
            return Some(Cell::Picture(picture));
        }
        place::title(thing).map(Cell::Text)
    };
    found(known.after).or_else(|| found(known.before)).unwrap_or_else(|| text(label, known))
}

fn cell(member: &str, value: &Value, known: Known<'_>) -> Cell {
    match value {
        Value::Null => Cell::Nothing,
        Value::Bool(flag) => Cell::Flag(*flag),
        Value::Number(number) => Cell::Text(number.to_string()),
        Value::String(s) if s.is_empty() => Cell::Nothing,
        Value::String(s) => string(member, s, known),
        Value::Array(items) if items.is_empty() => Cell::Nothing,
        Value::Array(items) => {
            Cell::List(items.iter().map(|item| cell(member, item, known)).collect())
        }
        Value::Object(members) => object(members, known),
    }
}

fn string(member: &str, s: &str, known: Known<'_>) -> Cell {
    if WORDS.contains(&member) {
        return Cell::Text(s.into());
    }
    if is_amount_name(member) && is_decimal(s) {
        return Cell::Money { amount: s.into(), currency: known.currency.map(str::to_owned) };
    }
    if member.ends_with("Html") || member == "body" || member == "summary" {
        return if s.contains('<') { Cell::Html(s.into()) } else { Cell::Text(s.into()) };
    }
    if (member.ends_with("At") || member.ends_with("Date") || member.ends_with("On"))
        && let Ok(at) = Timestamp::parse(s)
    {
        return Cell::When(at);
    }
    match (member, s) {
        ("inventoryPolicy", "DENY") => return Cell::Text("Stop selling".into()),
        ("inventoryPolicy", "CONTINUE") => return Cell::Text("Keep selling".into()),
        _ => {}
    }
    if s.len() < 60 && s.len() > 1 && s.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
        return Cell::Text(name::enumeration(s));
    }
    if s.starts_with(['{', '[']) && serde_json::from_str::<Value>(s).is_ok() {
        return json_text(s, known);
    }
    if member == "content" || s.contains("{{") || s.contains("{%") {
        return Cell::Code(s.into());
    }
    text(s, known)
}

/// A text, unless it names a resource.
fn text(s: &str, known: Known<'_>) -> Cell {
    if gid_type(s).is_some() {
        let title = known.titles.and_then(|titles| titles.get(s).cloned());
        return Cell::Thing { gid: s.into(), title };
    }
    Cell::Text(s.into())
}

/// JSON within a text, as metafields hold it: money, lists, rich text, or for machines.
fn json_text(s: &str, known: Known<'_>) -> Cell {
    let value: Value = serde_json::from_str(s).unwrap_or_default();
    match &value {
        Value::Object(members) if money(members).is_some() => object(members, known),
        Value::Object(members) if members.get("type").is_some_and(|t| t == "root") => {
            let mut words = String::new();
            rich_text(&value, &mut words);
            Cell::Text(words.trim().into())
        }
        Value::Object(members) if members.len() == 2 && members.contains_key("unit") => {
            let part = |name: &str| members.get(name).map(plain).unwrap_or_default();
            Cell::Text(format!("{} {}", part("value"), part("unit").to_lowercase()))
        }
        Value::Array(items) if items.iter().all(|item| item.is_string() || item.is_number()) => {
            Cell::List(items.iter().map(|item| text(&plain(item), known)).collect())
        }
        _ => Cell::Code(serde_json::to_string_pretty(&value).unwrap_or_else(|_| s.into())),
    }
}

fn rich_text(node: &Value, out: &mut String) {
    if let Some(words) = node.get("value").and_then(Value::as_str) {
        out.push_str(words);
    }
    for child in node.get("children").and_then(Value::as_array).into_iter().flatten() {
        rich_text(child, out);
    }
    let ends = matches!(
        node.get("type").and_then(Value::as_str),
        Some("paragraph" | "heading" | "list-item")
    );
    if ends {
        out.push('\n');
    }
}

fn object(members: &Map<String, Value>, known: Known<'_>) -> Cell {
    if let Some((amount, currency)) = money(members) {
        return Cell::Money { amount, currency };
    }
    if let Some(inner) = members.get("shopMoney").and_then(Value::as_object) {
        return object(inner, known);
    }
    if let Some(picture) = picture(members) {
        return Cell::Picture(picture);
    }
    let pair = |a: &str, b: &str| {
        let plain = members.len() == 2;
        plain.then(|| Some((members.get(a)?.as_str()?, members.get(b)?.as_str()?))).flatten()
    };
    if let Some((_, value)) = pair("name", "value") {
        return Cell::Text(value.into());
    }
    if let Some(gid) = members.get("publicationId").and_then(Value::as_str) {
        return text(gid, known);
    }
    let telling: &[&str] = &["title", "name", "sku", "price", "value"];
    let rest = members.keys().map(String::as_str).filter(|name| !telling.contains(name));
    let parts: Vec<(String, Cell)> = (telling.iter().copied().chain(rest))
        .filter(|name| !matches!(*name, "id" | "createdAt" | "updatedAt" | "position"))
        .filter_map(|name| Some((name, members.get(name)?)))
        .filter(|(name, value)| !(*name == "title" && *value == "Default Title"))
        .map(|(name, value)| (name::field(name), cell(name, value, known)))
        .filter(|(_, cell)| *cell != Cell::Nothing)
        .take(PARTS_MAX)
        .collect();
    match (parts.is_empty(), members.get("id").and_then(Value::as_str)) {
        (true, Some(gid)) => text(gid, known),
        (true, None) => Cell::Nothing,
        (false, _) => Cell::Parts(parts),
    }
}

fn money(members: &Map<String, Value>) -> Option<(String, Option<String>)> {
    let amount = members.get("amount").map(plain).filter(|amount| is_decimal(amount))?;
    let code = members.get("currencyCode").or_else(|| members.get("currency_code"));
    let currency = code.and_then(Value::as_str)?;
    Some((amount, Some(currency.into())))
}

fn picture(members: &Map<String, Value>) -> Option<Picture> {
    let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
    let is_medium = members.contains_key("mediaContentType")
        || members.contains_key("alt")
            && (members.contains_key("url") || members.contains_key("blob"));
    is_medium.then(|| Picture {
        url: text("url"),
        blob: text("blob"),
        alt: text("alt").unwrap_or_default(),
    })
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

fn is_amount_name(member: &str) -> bool {
    matches!(member, "price" | "compareAtPrice" | "amount" | "cost" | "unitCost" | "balance")
        || ["Price", "Amount", "Cost", "Balance"].iter().any(|end| member.ends_with(end))
}

fn is_decimal(s: &str) -> bool {
    let digits = s.strip_prefix('-').unwrap_or(s);
    !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && digits.bytes().filter(|b| *b == b'.').count() <= 1
        && digits.bytes().any(|b| b.is_ascii_digit())
}

/// A text of at most so many characters.
pub(super) fn shortened(text: &str, chars_max: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= chars_max {
        return line;
    }
    let mut short: String = line.chars().take(chars_max - 1).collect();
    short.truncate(short.trim_end().len());
    short + "…"
}

impl Cell {
    /// In one line of at most so many characters.
    pub fn short(&self, chars_max: usize) -> String {
        match self {
            Self::Nothing => "nothing".into(),
            Self::Text(text) | Self::Code(text) => shortened(text, chars_max),
            Self::Html(html) => {
                let words: Vec<String> =
                    super::blocks(html).into_iter().map(|block| block.text()).collect();
                shortened(&words.join(" "), chars_max)
            }
            Self::Money { amount, currency } => priced(amount, currency.as_deref()),
            Self::Flag(true) => "yes".into(),
            Self::Flag(false) => "no".into(),
            Self::When(at) => at.to_string(),
            Self::Picture(picture) if picture.alt.is_empty() => "a picture".into(),
            Self::Picture(picture) => format!("picture “{}”", shortened(&picture.alt, 40)),
            Self::Thing { title: Some(title), .. } => shortened(title, chars_max),
            Self::Thing { gid, title: None } => thing(gid),
            Self::List(cells) => {
                let all: Vec<String> = cells.iter().map(|cell| cell.short(chars_max)).collect();
                shortened(&all.join(", "), chars_max)
            }
            Self::Parts(parts) => {
                let all: Vec<String> = (parts.iter())
                    .map(|(name, cell)| format!("{name} {}", cell.short(chars_max)))
                    .collect();
                shortened(&all.join(", "), chars_max)
            }
        }
    }

    pub(super) fn mentions(&self, gids: &mut BTreeSet<String>) {
        match self {
            Self::Thing { gid, .. } => drop(gids.insert(gid.clone())),
            Self::List(cells) => cells.iter().for_each(|cell| cell.mentions(gids)),
            Self::Parts(parts) => parts.iter().for_each(|(_, cell)| cell.mentions(gids)),
            _ => {}
        }
    }
}

/// A gid as `collection 12`.
fn thing(gid: &str) -> String {
    let id = gid.rsplit('/').next().unwrap_or_default();
    match gid_type(gid) {
        Some(kind) => format!("{} {id}", name::field(kind).to_lowercase()),
        None => gid.into(),
    }
}

/// An amount with its currency, as shops write it.
pub(super) fn priced(amount: &str, currency: Option<&str>) -> String {
    let sign = match currency {
        Some("EUR") => "€",
        Some("USD") => "$",
        Some("GBP") => "£",
        Some("JPY") => "¥",
        Some(other) => return format!("{amount} {other}"),
        None => return amount.into(),
    };
    match amount.strip_prefix('-') {
        Some(amount) => format!("−{sign}{amount}"),
        None => format!("{sign}{amount}"),
    }
}
