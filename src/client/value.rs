//! States and their fields as a person reads them.

use backstock_proto::diff::FieldChange;
use backstock_proto::resource::gid_type;
use serde_json::Value;

/// Longest piece of a changed text that is shown, in characters, unless all of it is asked for.
const SHORT: usize = 72;

/// How much of what stayed the same is shown on each side of a difference, in characters.
const CONTEXT: usize = 16;

/// How much of a long value is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Short,
    Full,
}

/// What stands for a value that is not there.
pub(super) const NOTHING: &str = "—";

/// A changed field's name: `variants › Blue / M › price`. List elements are called by what a
/// person knows them by, if `state`, the state after the change, tells.
pub(super) fn field(change: &FieldChange, state: Option<&Value>) -> String {
    let removed = change.new.is_null();
    let whole = if removed { &change.old } else { &change.new };
    let tokens: Vec<String> =
        change.path.split('/').skip(1).map(|t| t.replace("~1", "/").replace("~0", "~")).collect();
    let last_index = tokens.iter().rposition(|t| is_index(t));
    let mut at = state;
    let mut names = Vec::new();
    for (n, token) in tokens.iter().enumerate() {
        let inside = at.and_then(|v| step(v, token));
        if token == "-" {
            names.push("order".into());
        } else if !is_index(token) {
            names.push(token.clone());
        } else if Some(n) == last_index {
            let element = change.element.as_deref();
            let known = at.and_then(|list| element.and_then(|e| known_by(list, e)));
            let own = (n + 1 == tokens.len()).then(|| title(whole)).flatten();
            names.push(own.or(known).unwrap_or_else(|| element.map_or_else(|| nth(token), plain)));
        } else {
            names.push(inside.and_then(title).unwrap_or_else(|| nth(token)));
        }
        at = inside;
    }
    names.join(" › ")
}

fn is_index(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|b| b.is_ascii_digit())
}

fn step<'a>(value: &'a Value, token: &str) -> Option<&'a Value> {
    match value {
        Value::Array(list) => list.get(token.parse::<usize>().ok()?),
        other => other.get(token),
    }
}

fn nth(token: &str) -> String {
    format!("#{}", token.parse::<usize>().map_or(0, |n| n + 1))
}

/// What a person calls the element that a change names by its identity.
fn known_by(list: &Value, element: &str) -> Option<String> {
    let named = |v: &&Value| v.get("id").and_then(Value::as_str) == Some(element);
    title(list.as_array()?.iter().find(named)?)
}

/// What a person calls a thing: its title or name, else the key by which it is known.
pub(super) fn title(thing: &Value) -> Option<String> {
    let text = |name: &str| thing.get(name).and_then(Value::as_str).filter(|s| !s.is_empty());
    let sku = text("sku");
    match text("title").filter(|t| *t != "Default Title").or_else(|| text("name")) {
        Some(title) => Some(match sku {
            Some(sku) => format!("{title} ({sku})"),
            None => title.into(),
        }),
        None => sku
            .map(str::to_owned)
            .or_else(|| Some(format!("{}.{}", text("namespace")?, text("key")?)))
            .or_else(|| ["key", "code", "alt", "url"].iter().find_map(|n| text(n)).map(plain))
            .or_else(|| text("id").map(plain)),
    }
}

/// A gid as `Product 123`; any other text as it is.
pub(super) fn plain(text: &str) -> String {
    match (gid_type(text), text.rsplit_once('/')) {
        (Some(kind), Some((_, id))) => format!("{kind} {id}"),
        _ => text.into(),
    }
}

/// A field's two values, shortened to where they differ.
pub(super) fn both(change: &FieldChange, length: Length) -> (String, String) {
    match (&change.old, &change.new) {
        (Value::String(old), Value::String(new)) if length == Length::Short => difference(old, new),
        (Value::Array(old), Value::Array(new)) if length == Length::Short => only(old, new),
        (old, new) => (one(old, length), one(new, length)),
    }
}

/// A value in one line: money as it is, a picture as its address.
pub(super) fn one(value: &Value, length: Length) -> String {
    let text = match value {
        Value::Null => return NOTHING.into(),
        Value::String(s) if s.is_empty() => return "\"\"".into(),
        Value::String(s) => plain(s),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) if items.is_empty() => "none".into(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|v| one(v, length)).collect();
            items.join(", ")
        }
        Value::Object(members) => {
            if let Some(Value::String(url)) = members.get("url") {
                url.clone()
            } else if let (Some(Value::String(amount)), Some(Value::String(currency))) =
                (members.get("amount"), members.get("currencyCode"))
            {
                format!("{amount} {currency}")
            } else if let Some(money) = members.get("shopMoney") {
                one(money, length)
            } else {
                summary(members, length)
            }
        }
    };
    match length {
        Length::Short if !text.starts_with("http") => cut(&text),
        _ => text,
    }
}

/// An object by its plain members, those first that a person looks for.
fn summary(members: &serde_json::Map<String, Value>, length: Length) -> String {
    const FIRST: &[&str] = &["title", "name", "sku", "price", "value"];
    let shown = |name: &str| {
        let value =
            members.get(name).filter(|v| !v.is_null() && !v.is_object() && !v.is_array())?;
        Some(format!("{name} {}", one(value, length)))
    };
    let rest = members.keys().map(String::as_str).filter(|n| !FIRST.contains(n) && *n != "id");
    let parts: Vec<String> = FIRST.iter().copied().chain(rest).filter_map(shown).collect();
    match (parts.is_empty(), members.get("id").and_then(Value::as_str)) {
        (true, Some(id)) => plain(id),
        (true, None) => Value::Object(members.clone()).to_string(),
        (false, _) => parts.join(", "),
    }
}

/// Of two lists only what the other one has not, if what they share is long.
fn only(old: &[Value], new: &[Value]) -> (String, String) {
    let side = |list: &[Value], other: &[Value]| {
        let own: Vec<String> =
            list.iter().filter(|v| !other.contains(v)).map(|v| one(v, Length::Short)).collect();
        let same = list.len() - own.len();
        match (own.is_empty(), same) {
            (true, 0) => "none".into(),
            (true, _) => format!("{same} the same"),
            (false, 0) => own.join(", "),
            (false, _) => format!("{} and {same} the same", own.join(", ")),
        }
    };
    let as_sets_equal = old.len() == new.len() && old.iter().all(|v| new.contains(v));
    if as_sets_equal || old.len() + new.len() <= 8 {
        let all = |list: &[Value]| one(&Value::Array(list.to_vec()), Length::Short);
        (all(old), all(new))
    } else {
        (side(old, new), side(new, old))
    }
}

/// Two texts, of which only the part that differs is shown, with a little of what is around it.
fn difference(old: &str, new: &str) -> (String, String) {
    let plain_old: Vec<char> = one_line(&plain(old)).chars().collect();
    let plain_new: Vec<char> = one_line(&plain(new)).chars().collect();
    let shorter = plain_old.len().min(plain_new.len());
    if plain_old.len().max(plain_new.len()) <= SHORT || plain_old == plain_new {
        let shown = |chars: &[char], text: &str| match text {
            "" => "\"\"".to_owned(),
            _ if plain_old == plain_new => one(&Value::String(text.into()), Length::Full),
            _ => chars.iter().collect(),
        };
        return (shown(&plain_old, old), shown(&plain_new, new));
    }
    let before = plain_old.iter().zip(&plain_new).take_while(|(a, b)| a == b).count();
    let after = plain_old.iter().rev().zip(plain_new.iter().rev()).take_while(|(a, b)| a == b);
    let after = after.count().min(shorter - before);
    let window = |text: &[char]| {
        if text.is_empty() {
            return "\"\"".to_owned();
        }
        let from = before.saturating_sub(CONTEXT);
        let end = (text.len() - after + CONTEXT).min(text.len());
        let shown: String = text[from..end].iter().collect();
        let head = if from > 0 { "…" } else { "" };
        let tail = if end < text.len() { "…" } else { "" };
        format!("{head}{}{tail}", middle(&shown))
    };
    (window(&plain_old), window(&plain_new))
}

/// Without its middle, if it is long.
fn middle(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= SHORT {
        return text.into();
    }
    let side = SHORT / 2;
    let part = |chars: &[char]| chars.iter().collect::<String>();
    format!("{} … {}", part(&chars[..side]), part(&chars[chars.len() - side..]))
}

fn cut(text: &str) -> String {
    let line = one_line(text);
    if line.chars().count() <= SHORT {
        return line;
    }
    let shown: String = line.chars().take(SHORT - 1).collect();
    format!("{shown}…")
}

/// With each run of white space as one space.
fn one_line(text: &str) -> String {
    if text.contains(['\n', '\r', '\t']) {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    } else {
        text.into()
    }
}

/// A whole state as an outline. Nothing is left out and nothing is cut.
pub(super) fn outline(state: &Value) -> String {
    let mut text = String::new();
    branch(state, 0, &mut text);
    text
}

fn branch(value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(members) => {
            let width = members.keys().map(|k| k.chars().count()).max().unwrap_or(0).min(24);
            let (plain, nested): (Vec<_>, Vec<_>) =
                members.iter().partition(|(_, value)| leaf(value).is_some());
            for (name, value) in plain.into_iter().chain(nested) {
                let label = super::page::faint(name);
                let gap = " ".repeat(width.saturating_sub(name.chars().count()) + 2);
                match leaf(value) {
                    Some(text) if text.contains('\n') => {
                        out.push_str(&format!("{indent}{label}\n"));
                        for line in text.lines() {
                            out.push_str(&format!("{indent}  {line}\n"));
                        }
                    }
                    Some(text) => out.push_str(&format!("{indent}{label}{gap}{text}\n")),
                    None => {
                        out.push_str(&format!("{indent}{label}\n"));
                        branch(value, depth + 1, out);
                    }
                }
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                let name = title(item).unwrap_or_else(|| format!("#{}", n + 1));
                match leaf(item) {
                    Some(text) => out.push_str(&format!("{indent}{text}\n")),
                    None => {
                        out.push_str(&format!("{indent}{}\n", super::page::strong(name)));
                        branch(item, depth + 1, out);
                    }
                }
            }
        }
        other => out.push_str(&format!("{indent}{}\n", one(other, Length::Full))),
    }
}

/// What fits beside its name.
fn leaf(value: &Value) -> Option<String> {
    match value {
        Value::Object(members) if members.is_empty() => Some(NOTHING.into()),
        Value::Object(members) => {
            let money = members.len() == 2 && members.contains_key("currencyCode");
            money.then(|| one(value, Length::Full))
        }
        Value::Array(items) if items.iter().any(|v| v.is_object() || v.is_array()) => None,
        Value::String(s) if !s.is_empty() => Some(s.clone()),
        _ => Some(one(value, Length::Full)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backstock_proto::diff::fields;
    use serde_json::json;

    fn check(old: Value, new: Value, expect: &[&str]) {
        let shown: Vec<String> = fields(&old, &new)
            .iter()
            .map(|change| {
                let (before, after) = both(change, Length::Short);
                format!("{}: {before} → {after}", field(change, Some(&new)))
            })
            .collect();
        assert_eq!(shown, expect);
    }

    #[test]
    fn list_elements_have_the_names_people_know() {
        let variant = |id: u64, title: &str, sku: &str, price: &str| {
            let gid = format!("gid://shopify/ProductVariant/{id}");
            let chosen = json!([{"name": "Size", "value": title}]);
            json!({"id": gid, "title": title, "sku": sku, "price": price, "selectedOptions": chosen})
        };
        check(
            json!({"variants": [variant(1, "S", "MUG-S", "8.00"), variant(2, "M", "MUG-M", "9.00")]}),
            json!({"variants": [variant(2, "Medium", "MUG-M", "9.50")]}),
            &[
                "variants › Medium (MUG-M) › price: 9.00 → 9.50",
                "variants › Medium (MUG-M) › selectedOptions › Size › value: M → Medium",
                "variants › Medium (MUG-M) › title: M → Medium",
                "variants › S (MUG-S): title S, sku MUG-S, price 8.00 → —",
            ],
        );
    }

    #[test]
    fn without_the_state_ids_stand_for_names() {
        let change = |path: &str, element: &str| FieldChange {
            path: path.into(),
            element: Some(element.into()),
            old: json!("1"),
            new: json!("2"),
        };
        let variant = change("/variants/3/price", "gid://shopify/ProductVariant/44");
        assert_eq!(field(&variant, None), "variants › ProductVariant 44 › price");
        let option = change("/variants/3/selectedOptions/0/value", "Size");
        assert_eq!(field(&option, None), "variants › #4 › selectedOptions › Size › value");
        assert_eq!(field(&change("/variants/-", "order"), None), "variants › order");
    }

    #[test]
    fn long_texts_are_shown_where_they_differ() {
        let old = format!("{} soft cotton {}", "before ".repeat(40), "after ".repeat(40));
        let new = old.replace("cotton", "linen");
        check(
            json!({"descriptionHtml": old}),
            json!({"descriptionHtml": new}),
            &["descriptionHtml: …re before  soft cotton after after af… → \
               …re before  soft linen after after af…"],
        );
        let long = "x".repeat(500);
        let (before, after) = difference("short", &long);
        assert_eq!(before, "short");
        assert!(after.chars().count() < 100 && after.contains(" … "), "{after}");
        assert_eq!(difference("", "a\nb"), ("\"\"".into(), "a b".into()));
        assert_eq!(
            difference("ä".repeat(90).as_str(), "ö".repeat(90).as_str()).0.len(),
            72 * 2 + 5
        );
    }

    #[test]
    fn a_difference_in_white_space_alone_is_still_seen() {
        let (old, new) = difference("a b", "a\nb");
        assert_ne!(old, new);
    }

    #[test]
    fn money_pictures_and_lists_read_as_such() {
        let one = |value: Value| one(&value, Length::Short);
        assert_eq!(one(json!("64.00")), "64.00");
        assert_eq!(one(json!({"amount": "64.00", "currencyCode": "EUR"})), "64.00 EUR");
        assert_eq!(
            one(json!({"id": "gid://shopify/MediaImage/1", "alt": "Mug",
            "url": "https://cdn.example/mug.png"})),
            "https://cdn.example/mug.png"
        );
        assert_eq!(one(json!({"id": "gid://shopify/Customer/7"})), "Customer 7");
        assert_eq!(one(json!(["new", "sale"])), "new, sale");
        assert_eq!([one(json!([])), one(Value::Null), one(json!(""))], ["none", "—", "\"\""]);
        let tags = |extra: &str| {
            let same = (0..9).map(|n| json!(format!("tag {n}")));
            Value::Array(same.chain([json!(extra)]).collect())
        };
        check(
            json!({"tags": tags("old")}),
            json!({"tags": tags("new")}),
            &["tags: old and 9 the same → new and 9 the same"],
        );
    }
}
