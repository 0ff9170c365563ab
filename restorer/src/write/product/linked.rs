//! Options that follow a metafield of their product: each value stands for a metaobject and is called as
//! that is. The metafield lists those metaobjects; it is written by writing the option.
//! <https://shopify.dev/docs/apps/build/product-merchandising/products-and-collections/metafield-linked>

use serde_json::{Value, json};

use super::matching::by_id;
use crate::write::Around;
use crate::write::step::{list, text};

/// What Shopify says of a link that it does not take.
/// <https://shopify.dev/docs/api/admin-graphql/latest/enums/ProductSetUserErrorCode>
/// <https://shopify.dev/docs/api/admin-graphql/latest/enums/ProductOptionUpdateUserErrorCode>
const REFUSALS: [&str; 8] = [
    "(CANNOT_COMBINE_LINKED_AND_NONLINKED_OPTION_VALUES)",
    "(DUPLICATED_METAFIELD_VALUE)",
    "(DUPLICATE_LINKED_OPTION)",
    "(INVALID_METAFIELD_VALUE_FOR_LINKED_OPTION)",
    "(LINKED_METAFIELD_DEFINITION_NOT_FOUND)",
    "(LINKED_OPTIONS_NOT_SUPPORTED_FOR_SHOP)",
    "(LINKED_OPTION_UPDATE_MISSING_VALUES)",
    "(OPTION_LINKED_METAFIELD_ALREADY_TAKEN)",
];

/// The metaobject that a value of an option stands for.
fn entry<'a>(option: &'a Value, name: &Value) -> Option<&'a Value> {
    let value = list(option, "optionValues").iter().find(|value| value["name"] == *name)?;
    Some(&value["linkedMetafieldValue"]).filter(|entry| entry.is_string())
}

/// Whether an option follows a metafield, and it is known of each of its values what it stands for: no
/// option has values of both sorts.
pub(super) fn is_linked(option: &Value) -> bool {
    option["linkedMetafield"].is_object()
        && list(option, "values").iter().all(|name| entry(option, name).is_some())
}

/// The metaobject that a variant's choice stands for, by the first of some products that says so.
pub(super) fn chosen<'a>(choice: &Value, products: &[&'a Value]) -> Option<&'a Value> {
    let options = products.iter().copied().flat_map(|product| list(product, "options"));
    let mut named = options.filter(|option| option["name"] == choice["name"] && is_linked(option));
    named.find_map(|option| entry(option, &choice["value"]))
}

/// Whether a metafield is what an option of one of these products follows.
pub(super) fn is_followed(metafield: &Value, products: &[&Value]) -> bool {
    let mut options = products.iter().copied().flat_map(|product| list(product, "options"));
    options.any(|option| {
        let followed = &option["linkedMetafield"];
        is_linked(option)
            && followed["namespace"] == metafield["namespace"]
            && followed["key"] == metafield["key"]
    })
}

/// A link as `productSet` takes it, values and all.
pub(super) fn input(option: &Value) -> Value {
    let entries: Vec<&Value> =
        list(option, "values").iter().filter_map(|name| entry(option, name)).collect();
    let followed = &option["linkedMetafield"];
    json!({"namespace": followed["namespace"], "key": followed["key"], "values": entries})
}

/// Whether an option is to follow another metafield than it does.
pub(super) fn is_moved(there: &Value, wanted: &Value) -> bool {
    is_linked(wanted) && there["linkedMetafield"] != wanted["linkedMetafield"]
}

/// Whether an option is to follow another metafield, or its values are to stand for other metaobjects.
pub(super) fn differs(there: &Value, wanted: &Value) -> bool {
    let is_other = |name: &Value| {
        let wanted = entry(wanted, name);
        wanted.is_some() && wanted != entry(there, name)
    };
    is_moved(there, wanted) || (is_linked(wanted) && list(there, "values").iter().any(is_other))
}

/// Whether an option is to follow another metafield, and variants have values of it that stand for nothing
/// then: these go with it or not at all.
pub(super) fn is_apart(there: &Value, wanted: &Value) -> bool {
    is_moved(there, wanted)
        && list(there, "values").iter().any(|name| entry(wanted, name).is_none())
}

/// The values of an option, all of which are known, with what they are to stand for.
pub(super) fn values(there: &Value, wanted: &Value) -> Vec<Value> {
    let known = list(there, "known").iter();
    let input = |value: &Value| {
        let entry = entry(wanted, &value["name"])?;
        Some(json!({"id": value["id"], "linkedMetafieldValue": entry}))
    };
    known.filter_map(input).collect()
}

/// The ids of those that are to stand for nothing.
pub(super) fn without_entry(there: &Value, wanted: &Value) -> Vec<Value> {
    let known = list(there, "known").iter();
    let gone = known.filter(|value| entry(wanted, &value["name"]).is_none());
    gone.map(|value| value["id"].clone()).collect()
}

/// Calls the values of a wanted state as they are called now: a metaobject that was renamed since renames
/// what stands for it.
pub(super) fn call_as_now(now: &Value, want: &mut Value) {
    let mut renamed: Vec<(Value, Value, Value)> = Vec::new();
    for option in list(want, "options").iter().filter(|option| is_linked(option)) {
        let there = list(now, "options");
        let same = by_id(there, text(option, "id"))
            .or_else(|| there.iter().find(|there| there["name"] == option["name"]));
        let Some(there) = same.filter(|there| !is_moved(there, option)) else { continue };
        for value in list(option, "optionValues") {
            let known = list(there, "optionValues").iter();
            let mut same = known
                .filter(|known| known["linkedMetafieldValue"] == value["linkedMetafieldValue"]);
            if let Some(is) = same.next()
                && !list(option, "values").contains(&is["name"])
            {
                renamed.push((option["name"].clone(), value["name"].clone(), is["name"].clone()));
            }
        }
    }
    if renamed.is_empty() {
        return;
    }
    let name_now = |option: &Value, value: &Value| {
        let found = renamed.iter().find(|(of, from, _)| of == option && from == value);
        found.map(|(_, _, to)| to.clone())
    };
    for option in members(want, "options") {
        let of = option["name"].clone();
        for value in members(option, "values") {
            if let Some(name) = name_now(&of, value) {
                *value = name;
            }
        }
        for value in members(option, "optionValues") {
            if let Some(name) = name_now(&of, &value["name"]) {
                value["name"] = name;
            }
        }
    }
    for variant in members(want, "variants") {
        for choice in members(variant, "selectedOptions") {
            if let Some(name) = name_now(&choice["name"], &choice["value"]) {
                choice["value"] = name;
            }
        }
    }
}

/// The elements of a list member, to be changed.
fn members<'a>(state: &'a mut Value, member: &str) -> impl Iterator<Item = &'a mut Value> {
    state.get_mut(member).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Whether a refusal is about what an option is to follow.
pub(super) fn is_refused(why: &str) -> bool {
    REFUSALS.iter().any(|code| why.contains(code))
}

/// Makes the options that are to follow a metafield plain ones, since the shop refuses it, and says so.
/// Whether there were any.
pub(super) fn give_up(around: &dyn Around, want: &mut Value, why: &[String]) -> bool {
    let mut plain = Vec::new();
    for option in members(want, "options").filter(|option| is_linked(option)) {
        let followed = &option["linkedMetafield"];
        let metafield = format!("{}.{}", text(followed, "namespace"), text(followed, "key"));
        plain.push(format!("{:?} (of the metafield {metafield})", text(option, "name")));
        if let Some(option) = option.as_object_mut() {
            option.remove("linkedMetafield");
            option.remove("optionValues");
        }
    }
    if plain.is_empty() {
        return false;
    }
    around.note(format!(
        "the values of its options {} are written as plain texts, which stand for no metaobjects: {}; \
         restore the metafield's definition and the metaobjects, then link the option on the product's \
         page in Shopify's admin",
        plain.join(", "),
        why.join("; ")
    ));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn color(name: &str, entry: &str) -> Value {
        json!({
            "id": "o", "name": "Color", "values": [name],
            "linkedMetafield": {"namespace": "shopify", "key": "color-pattern"},
            "optionValues": [{"name": name, "linkedMetafieldValue": entry}],
        })
    }

    fn product(option: &Value) -> Value {
        let chosen = json!([{"name": "Color", "value": option["values"][0]}]);
        json!({"id": "p", "options": [option], "variants": [{"id": "v", "selectedOptions": chosen}]})
    }

    #[test]
    fn a_value_is_called_as_its_metaobject_is_now() {
        let now = product(&color("Crimson", "m1"));
        let mut want = product(&color("Red", "m1"));
        call_as_now(&now, &mut want);
        assert_eq!(want, now);
        let mut other = product(&color("Red", "m2"));
        call_as_now(&now, &mut other);
        assert_eq!(other, product(&color("Red", "m2")), "that stands for another one");
    }

    #[test]
    fn an_option_differs_by_what_it_follows_and_not_by_what_is_not_known() {
        let (linked, mut plain) = (color("Red", "m1"), color("Red", "m1"));
        plain.as_object_mut().expect("an object").remove("linkedMetafield");
        assert!(differs(&plain, &linked) && !differs(&linked, &linked));
        assert!(differs(&color("Red", "m9"), &linked) && !is_moved(&color("Red", "m9"), &linked));
        assert!(!differs(&linked, &plain), "an earlier state may not have known it");
        assert!(is_apart(&json!({"values": ["Red", "Blue"]}), &linked));
    }

    #[test]
    fn a_variant_is_made_by_metaobjects_and_the_metafield_is_left_to_the_option() {
        let want = product(&color("Red", "m1"));
        let choice = |value: &str| json!({"name": "Color", "value": value});
        assert_eq!(chosen(&choice("Red"), &[&want]), Some(&json!("m1")));
        assert_eq!(chosen(&choice("Blue"), &[&want]), None);
        let metafield = |key: &str| json!({"namespace": "shopify", "key": key});
        assert!(is_followed(&metafield("color-pattern"), &[&want]));
        assert!(!is_followed(&metafield("size"), &[&want]));
    }
}
