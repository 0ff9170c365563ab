//! A product's own fields.

use serde_json::{Map, Value, json};

use crate::write::step::{Step, text, written};

const UPDATE: &str = include_str!("../graphql/product_update.graphql");

const TEXTS: [&str; 7] = [
    "title",
    "handle",
    "descriptionHtml",
    "vendor",
    "productType",
    "templateSuffix",
    "giftCardTemplateSuffix",
];
const OTHERS: [&str; 3] = ["status", "tags", "requiresSellingPlan"];

/// The update of those that differ, if any do.
pub(super) fn step(now: &Value, want: &Value) -> Option<Step> {
    let mut fields = changed(now, want);
    if fields.is_empty() {
        return None;
    }
    fields.insert("id".into(), now["id"].clone());
    Some(Step::setting(UPDATE, json!({"product": fields})))
}

/// The fields that differ, as an input has them. What the wanted state does not know is left alone.
pub(super) fn changed(now: &Value, want: &Value) -> Map<String, Value> {
    let mut fields = Map::new();
    let differs = |name: &str| want.get(name).filter(|value| now.get(name) != Some(value));
    for name in TEXTS {
        if let Some(value) = differs(name) {
            fields.insert(name.into(), written(value));
        }
    }
    for name in OTHERS {
        if let Some(value) = differs(name).filter(|value| !value.is_null()) {
            fields.insert(name.into(), value.clone());
        }
    }
    if let Some(category) = want.get("category")
        && category["id"] != now["category"]["id"]
    {
        fields.insert("category".into(), category["id"].clone());
    }
    if let Some(seo) = want.get("seo").and_then(Value::as_object) {
        let differ = seo.iter().filter(|(name, value)| now["seo"].get(*name) != Some(value));
        let seo: Map<String, Value> =
            differ.map(|(name, value)| (name.clone(), written(value))).collect();
        if !seo.is_empty() {
            fields.insert("seo".into(), seo.into());
        }
    }
    fields
}

/// The fields of a new product. What is nothing is not said.
pub(super) fn all(want: &Value) -> Map<String, Value> {
    let mut fields = changed(&json!({}), want);
    fields.retain(|_, value| !value.is_null() && *value != "");
    if want["isGiftCard"] == true {
        fields.insert("giftCard".into(), true.into());
    }
    // A child becomes one by what its parent lists.
    if text(want, "combinedListingRole") == "PARENT" {
        fields.insert("combinedListingRole".into(), "PARENT".into());
    }
    if let Some(Value::Object(seo)) = fields.get_mut("seo") {
        seo.retain(|_, value| *value != "");
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_field_is_sent_alone() {
        let now = json!({"id": "p", "title": "Mug", "vendor": "Acme", "seo": {"title": null, "description": "x"}});
        let mut want = now.clone();
        assert_eq!(step(&now, &want), None);
        want["title"] = json!("Cup");
        let sent = step(&now, &want).expect("a step");
        assert_eq!(sent.variables, json!({"product": {"id": "p", "title": "Cup"}}));
        want["title"] = json!("Mug");
        want["seo"]["description"] = Value::Null;
        let sent = step(&now, &want).expect("a step");
        assert_eq!(sent.variables, json!({"product": {"id": "p", "seo": {"description": ""}}}));
    }

    #[test]
    fn only_the_parent_of_a_combined_listing_is_made_as_one() {
        let role = |role: &str| {
            let made = all(&json!({"title": "Mug", "combinedListingRole": role}));
            made.get("combinedListingRole").cloned()
        };
        assert_eq!((role("PARENT"), role("CHILD")), (Some(json!("PARENT")), None));
    }

    #[test]
    fn what_is_not_known_is_left_alone() {
        let now = json!({"id": "p", "title": "Mug", "tags": ["a"], "category": {"id": "c"}});
        assert_eq!(step(&now, &json!({"id": "p", "title": "Mug"})), None);
        let sent = step(&now, &json!({"category": null})).expect("a step");
        assert_eq!(sent.variables, json!({"product": {"id": "p", "category": null}}));
    }
}
