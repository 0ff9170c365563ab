//! Where in a resource a field is, in the words of somebody who looks at the shop.

use backstock_proto::merge::{Field, Step};
use serde_json::Value;

use super::{Known, name};

/// Fields that nobody edits.
pub(super) fn is_housekeeping(steps: &[Step]) -> bool {
    match steps.last() {
        Some(Step::Member(last)) => {
            let nested = steps.len() > 1;
            matches!(last.as_str(), "id" | "createdAt" | "updatedAt" | "gid" | "legacyResourceId")
                || nested && last == "position"
        }
        _ => false,
    }
}

/// What people look for first comes first.
pub(super) fn rank(steps: &[Step]) -> u8 {
    let member = |n: usize| match steps.get(n) {
        Some(Step::Member(name)) => name.as_str(),
        _ => "",
    };
    match (member(0), member(2)) {
        ("title" | "name" | "path", _) => 0,
        ("status" | "isPublished" | "publishedAt", _) => 1,
        ("price", _) | (_, "price" | "compareAtPrice") => 2,
        ("variants", _) => 3,
        ("media" | "image", _) => 4,
        ("descriptionHtml" | "body", _) => 5,
        ("seo", _) => 7,
        ("metafields", _) => 8,
        ("variantDetails", _) => 9,
        _ => 6,
    }
}

/// The place and the name of a field.
pub(super) fn of(steps: &[Step], field: &Field, known: Known<'_>) -> (Vec<String>, String) {
    let mut place = Vec::new();
    let mut list = "";
    for (n, step) in steps.iter().enumerate() {
        let last = n + 1 == steps.len();
        match step {
            Step::Member(member) if last => {
                return match (list, member.as_str()) {
                    // These are pairs of a name and a value: the name says it all.
                    ("metafields" | "fields", "value" | "jsonValue")
                    | ("selectedOptions", "value") => {
                        let what = place.pop().unwrap_or_default();
                        (place, what)
                    }
                    _ => (place, name::field(member)),
                };
            }
            Step::Member(member) => {
                let element_next = matches!(steps.get(n + 1), Some(Step::Element(_) | Step::Order));
                if element_next {
                    list = member;
                } else {
                    place.push(name::field(member));
                    list = "";
                }
            }
            Step::Element(label) => {
                let whole = if last { Some(field) } else { None };
                let called = element(list, &steps[..=n], label, whole, known);
                if last {
                    return (place, called.unwrap_or_else(|| name::element(list)));
                }
                place.extend(called);
            }
            Step::Order => {
                return (place, format!("Order of {}", name::field(list).to_lowercase()));
            }
        }
    }
    (place, "Everything".into())
}

/// What an element of a list is called; `None` where it is the only one and needs no name.
fn element(
    list: &str,
    steps: &[Step],
    label: &str,
    whole: Option<&Field>,
    known: Known<'_>,
) -> Option<String> {
    let noun = name::element(list);
    let thing = whole
        .map(|field| if field.new.is_null() { &field.old } else { &field.new })
        .or_else(|| find(known.after, steps))
        .or_else(|| find(known.before, steps));
    match list {
        "metafields" if whole.is_none() => return Some(label.into()),
        "metafields" => return Some(format!("Metafield {}", label)),
        "fields" if whole.is_none() => return Some(super::name::field(label)),
        "selectedOptions" => return Some(label.into()),
        _ => {}
    }
    // The details of a variant stand apart from it.
    let twin = || {
        let steps = [Step::Member("variants".into()), Step::Element(label.into())];
        find(known.after, &steps).or_else(|| find(known.before, &steps))
    };
    let thing = match list {
        "variantDetails" => twin().or(thing),
        _ => thing,
    };
    let title = thing.and_then(title);
    match (list, title.as_deref()) {
        ("variants" | "variantDetails", Some("Default Title")) if whole.is_none() => None,
        ("variants" | "variantDetails", Some("Default Title")) => Some(noun),
        ("variants" | "variantDetails", Some(title)) if whole.is_none() => Some(title.into()),
        (_, Some(title)) => Some(format!("{noun} “{}”", super::cell::shortened(title, 60))),
        (_, None) => Some(noun),
    }
}

fn find<'a>(state: Option<&'a Value>, steps: &[Step]) -> Option<&'a Value> {
    let path = steps.iter().fold(backstock_proto::merge::FieldPath::root(), |p, step| p.then(step));
    backstock_proto::merge::get(state?, &path)
}

/// What a person calls a thing.
pub(super) fn title(thing: &Value) -> Option<String> {
    let text = |name: &str| thing.get(name).and_then(Value::as_str).filter(|s| !s.is_empty());
    ["title", "name", "displayName", "alt", "key", "code", "sku"]
        .iter()
        .find_map(|name| text(name))
        .map(str::to_owned)
}
