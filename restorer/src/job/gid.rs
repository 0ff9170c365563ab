//! Gids within a state: where they stand, and what they become once something was made anew.

use backstock_proto::merge::{Field, FieldPath, Step};
use serde_json::Value;

/// What every gid begins with.
const GID: &str = "gid://shopify/";

/// Gives every gid within a value, wherever it stands (also within texts, such as a metafield's list
/// of references or rich text), the one that it has now.
pub(crate) fn rewrite(value: &mut Value, now: &impl Fn(&str) -> Option<String>) {
    match value {
        Value::String(text) => {
            if let Some(other) = rewritten(text, now) {
                *text = other;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, now)),
        Value::Object(members) => members.values_mut().for_each(|member| rewrite(member, now)),
        _ => {}
    }
}

/// A field with the gids of now, in its path too.
pub(crate) fn rewrite_field(field: &mut Field, now: &impl Fn(&str) -> Option<String>) {
    rewrite(&mut field.old, now);
    rewrite(&mut field.new, now);
    let steps = field.path.steps();
    if !steps.iter().any(|step| matches!(step, Step::Element(known) if known.contains(GID))) {
        return;
    }
    field.path = steps.into_iter().fold(FieldPath::root(), |path, step| match step {
        Step::Element(known) => path.then(&Step::Element(rewritten(&known, now).unwrap_or(known))),
        other => path.then(&other),
    });
}

/// Links that close a circle: what they lead to is made after what has them.
const LATER: [&str; 2] = ["mainContact", "catalog"];

/// What the shop takes only of something that has such a link: a price list has rules of quantity by its
/// catalog.
const WITH_LINK: [(&str, &str); 1] = [("catalog", "quantityRules")];

/// Whether a member is such a link, to something that `is` names.
fn is_later(name: &str, member: &Value, is: &impl Fn(&str) -> bool) -> bool {
    LATER.contains(&name) && member["id"].as_str().is_some_and(is)
}

/// Whether any gid within a value is one that `is` names, other than as the `id` of an object.
pub(crate) fn refers(value: &Value, is: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => gids(text).any(is),
        Value::Array(items) => items.iter().any(|item| refers(item, is)),
        Value::Object(members) => {
            let refers = |name: &str, member| is_later(name, member, is) || refers(member, is);
            members.iter().any(|(name, member)| name != "id" && refers(name, member))
        }
        _ => false,
    }
}

/// Whether a field is to hold such a gid, or stands in an element that one names.
pub(crate) fn field_refers(field: &Field, is: &impl Fn(&str) -> bool) -> bool {
    let steps = field.path.steps();
    let is_link =
        |step: &Step| matches!(step, Step::Member(name) if is_later(name, &field.new, is));
    refers(&field.new, is)
        || steps.last().is_some_and(is_link)
        || (!field.new.is_null() && names(&field.path, is))
}

/// Whether a path leads through an element that such a gid names.
pub(crate) fn names(path: &FieldPath, is: &impl Fn(&str) -> bool) -> bool {
    path.steps().iter().any(|step| matches!(step, Step::Element(known) if gids(known).any(is)))
}

/// Takes out of a state what refers to something that is not there yet: the smallest element of a
/// list that holds the reference, or else the member.
pub(crate) fn leave_out(value: &mut Value, is: &impl Fn(&str) -> bool) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(|item| {
                if item.is_array() || item.is_object() {
                    leave_out_within(item, is);
                }
            });
            items.retain(|item| !refers(item, is));
        }
        Value::Object(members) => {
            for (link, with) in WITH_LINK {
                if members.get(link).is_some_and(|member| is_later(link, member, is)) {
                    members.remove(with);
                }
            }
            for (name, member) in members.iter_mut().filter(|(name, _)| *name != "id") {
                leave_out(member, is);
                if is_later(name, member, is) || refers(member, is) {
                    *member = Value::Null;
                }
            }
        }
        _ => {}
    }
}

/// Puts links that `is` names back into a list, each behind the nearest one that it stood behind then.
pub(crate) fn put_back(list: &mut Vec<Value>, then: &[Value], is: &impl Fn(&str) -> bool) {
    for (at, link) in then.iter().enumerate().filter(|(_, link)| link.as_str().is_some_and(is)) {
        if list.contains(link) {
            continue;
        }
        let mut earlier = then[..at].iter().rev();
        let behind = earlier.find_map(|other| list.iter().position(|link| link == other));
        list.insert(behind.map_or(0, |at| at + 1), link.clone());
    }
}

/// Lists that an element does not do without: the shop takes no field for metaobjects that does not say by
/// a validation of which definition they are.
const WHOLE: [&str; 1] = ["validations"];

/// Of an element of a list only what stands in lists of its own: a metafield goes as a whole, and so does
/// a field of a definition.
fn leave_out_within(element: &mut Value, is: &impl Fn(&str) -> bool) {
    match element {
        Value::Object(members) => {
            let parts = members.iter_mut().filter(|(name, _)| !WHOLE.contains(&name.as_str()));
            parts.for_each(|(_, member)| leave_out_within(member, is));
        }
        list @ Value::Array(_) => leave_out(list, is),
        _ => {}
    }
}

/// The gids within a text.
fn gids(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices(GID).map(|(at, _)| &text[at..at + length(&text[at..])])
}

/// How long the gid is with which a text begins.
fn length(text: &str) -> usize {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/' | '?' | '=');
    text[GID.len()..].find(|c| !part(c)).map_or(text.len(), |end| GID.len() + end)
}

/// A text with the gids of now; `None` if nothing in it is another one now.
fn rewritten(text: &str, now: &impl Fn(&str) -> Option<String>) -> Option<String> {
    if !text.contains(GID) {
        return None;
    }
    let (mut out, mut done, mut any) = (String::with_capacity(text.len()), 0, false);
    for (at, _) in text.match_indices(GID) {
        if at < done {
            continue;
        }
        let end = at + length(&text[at..]);
        if let Some(other) = now(&text[at..end]) {
            out.push_str(&text[done..at]);
            out.push_str(&other);
            (done, any) = (end, true);
        }
    }
    out.push_str(&text[done..]);
    any.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now(gid: &str) -> Option<String> {
        match gid {
            "gid://shopify/Product/1" => Some("gid://shopify/Product/100".into()),
            "gid://shopify/ProductVariant/11" => Some("gid://shopify/ProductVariant/110".into()),
            _ => None,
        }
    }

    #[test]
    fn gids_are_found_wherever_they_stand_and_others_are_left_alone() {
        let mut state = json!({
            "id": "gid://shopify/Product/1",
            "other": "gid://shopify/Product/11",
            "theme": "shopify://products/mug",
            "metafields": [
                {"key": "one", "value": "gid://shopify/Product/1"},
                {"key": "list", "value": "[\"gid://shopify/Product/1\",\"gid://shopify/Page/1\"]"},
                {"key": "rich", "value": "{\"url\":\"gid://shopify/ProductVariant/11\"}"},
            ],
        });
        rewrite(&mut state, &now);
        let expected = json!({
            "id": "gid://shopify/Product/100",
            "other": "gid://shopify/Product/11",
            "theme": "shopify://products/mug",
            "metafields": [
                {"key": "one", "value": "gid://shopify/Product/100"},
                {"key": "list", "value": "[\"gid://shopify/Product/100\",\"gid://shopify/Page/1\"]"},
                {"key": "rich", "value": "{\"url\":\"gid://shopify/ProductVariant/110\"}"},
            ],
        });
        assert_eq!(state, expected);
    }

    #[test]
    fn links_go_back_to_where_they_stood() {
        let is = |gid: &str| gid.starts_with("gone");
        let put_back = |list: Value, then: Value| {
            let (mut list, then) = (list.as_array().cloned(), then.as_array().cloned());
            let (list, then) = (list.as_mut().expect("a list"), then.expect("a list"));
            super::put_back(list, &then, &is);
            json!(list)
        };
        let then = json!(["gone-1", "a", "gone-2", "b", "gone-3"]);
        let now = json!(["gone-1", "a", "gone-2", "new", "b", "gone-3"]);
        assert_eq!(put_back(json!(["a", "new", "b"]), then.clone()), now);
        assert_eq!(put_back(now.clone(), then.clone()), now);
        assert_eq!(put_back(json!([]), then), json!(["gone-1", "gone-2", "gone-3"]));
    }

    #[test]
    fn a_path_names_the_element_of_now() {
        let path = "/variants/{gid:~1~1shopify~1ProductVariant~111}/price";
        let mut field = Field {
            path: FieldPath::parse(path).expect("a path"),
            old: json!("1.00"),
            new: json!("2.00"),
        };
        rewrite_field(&mut field, &now);
        assert_eq!(field.path.as_str(), "/variants/{gid:~1~1shopify~1ProductVariant~1110}/price");
    }

    #[test]
    fn what_refers_to_what_is_not_there_yet_is_left_out_and_nothing_else() {
        let is = |gid: &str| gid == "gid://shopify/Product/1";
        let mut state = json!({
            "id": "gid://shopify/Product/1",
            "parent": "gid://shopify/Product/1",
            "mainContact": {"id": "gid://shopify/Product/1"},
            "product": {"id": "gid://shopify/Product/1"},
            "productIds": ["gid://shopify/Product/1", "gid://shopify/Product/2"],
            "variants": [{"id": "v", "metafields": [
                {"key": "a", "value": "[\"gid://shopify/Product/1\"]"}, {"key": "b", "value": "x"},
            ]}],
        });
        leave_out(&mut state, &is);
        let expected = json!({
            "id": "gid://shopify/Product/1",
            "parent": null,
            "mainContact": null,
            "product": {"id": "gid://shopify/Product/1"},
            "productIds": ["gid://shopify/Product/2"],
            "variants": [{"id": "v", "metafields": [{"key": "b", "value": "x"}]}],
        });
        assert_eq!(state, expected);
    }

    #[test]
    fn a_field_that_is_a_link_closing_a_circle_waits_for_what_it_leads_to() {
        let is = |gid: &str| gid == "gid://shopify/CompanyContact/1";
        let field = |path: &str, new: Value| {
            let field = json!({"path": path, "old": null, "new": new});
            serde_json::from_value::<Field>(field).expect("a field")
        };
        let contact = |n: u8| json!({"id": format!("gid://shopify/CompanyContact/{n}")});
        assert!(field_refers(&field("/mainContact", contact(1)), &is));
        assert!(!field_refers(&field("/mainContact", contact(2)), &is));
        assert!(!field_refers(&field("/mainContact", Value::Null), &is));
    }

    #[test]
    fn rules_of_quantity_wait_for_the_catalog_of_their_list() {
        let is = |gid: &str| gid == "gid://shopify/CompanyLocationCatalog/1";
        let list = |catalog: Value| {
            json!({
                "id": "gid://shopify/PriceList/1", "catalog": catalog, "prices": [{"id": "v"}],
                "quantityRules": [{"id": "v", "minimum": 6}],
            })
        };
        let mut early = list(json!({"id": "gid://shopify/CompanyLocationCatalog/1"}));
        assert!(refers(&early, &is));
        leave_out(&mut early, &is);
        let expected = json!({
            "id": "gid://shopify/PriceList/1", "catalog": null, "prices": [{"id": "v"}],
        });
        assert_eq!(early, expected);
        let other = list(json!({"id": "gid://shopify/CompanyLocationCatalog/2"}));
        let mut there = other.clone();
        leave_out(&mut there, &is);
        assert_eq!((&there, refers(&other, &is)), (&other, false));
    }

    #[test]
    fn a_field_of_a_definition_is_left_out_with_what_says_to_what_it_refers() {
        let is = |gid: &str| gid == "gid://shopify/MetaobjectDefinition/1";
        let field = |key: &str, to: &str| {
            json!({"key": key, "validations": [
                {"name": "metaobject_definition_id", "value": to}, {"name": "list.max", "value": "9"},
            ]})
        };
        let other = field("b", "gid://shopify/MetaobjectDefinition/2");
        let mut state = json!({"fieldDefinitions": [
            field("a", "gid://shopify/MetaobjectDefinition/1"), other,
        ]});
        leave_out(&mut state, &is);
        assert_eq!(state, json!({"fieldDefinitions": [other]}));
    }
}
