//! Variants: those that are missing, those that differ, those that are not wanted, and their order.

use serde_json::{Map, Value, json};

use super::matching::by_id;
use super::{linked, points};
use crate::write::metafield;
use crate::write::step::{Step, list, text, written};

const CREATE: &str = include_str!("../graphql/product_variants_create.graphql");
const UPDATE: &str = include_str!("../graphql/product_variants_update.graphql");
const DELETE: &str = include_str!("../graphql/product_variants_delete.graphql");
const REORDER: &str = include_str!("../graphql/product_variants_reorder.graphql");
const DETACH: &str = include_str!("../graphql/product_variants_detach_media.graphql");

/// A product has no more variants than this.
const VARIANTS_MAX: usize = 2048;
/// A list in an input has no more elements than this.
pub(super) const INPUT_MAX: usize = 250;
/// So many variants at a time are parted from their pictures.
/// <https://shopify.dev/docs/api/admin-graphql/latest/enums/MediaUserErrorCode>
const DETACH_MAX: usize = 100;

/// What brings the missing ones back, and gives those that are there the values that they should
/// have. Too many at once are made room for first.
pub(super) fn shape(now: &Value, want: &Value) -> Vec<Step> {
    let there = list(now, "variants");
    let rechosen: Vec<Value> = list(want, "variants")
        .iter()
        .filter(|variant| variant["selectedOptions"].is_array())
        .filter(|variant| {
            by_id(there, text(variant, "id"))
                .is_some_and(|there| there["selectedOptions"] != variant["selectedOptions"])
        })
        .map(|variant| {
            let chosen = option_values(variant, &[want, now]);
            json!({"id": variant["id"], "optionValues": chosen})
        })
        .collect();
    let missing: Vec<Value> = list(want, "variants")
        .iter()
        .filter(|variant| by_id(there, text(variant, "id")).is_none())
        .filter(|variant| variant["selectedOptions"].is_array())
        .map(|variant| {
            let mut input = input(None, variant, now);
            input.insert("optionValues".into(), option_values(variant, &[want, now]));
            Value::Object(input)
        })
        .collect();
    let mut steps = match there.len() + missing.len() > VARIANTS_MAX && !missing.is_empty() {
        true => drop_extra(now, want),
        false => Vec::new(),
    };
    steps.extend(rechosen.chunks(INPUT_MAX).map(|variants| {
        Step::setting(UPDATE, json!({"productId": now["id"], "variants": variants}))
    }));
    steps.extend(points::parts(&missing).into_iter().map(|variants| {
        Step::making(CREATE, json!({"productId": now["id"], "variants": variants}))
    }));
    steps
}

/// What brings those that are there to what is wanted of them.
pub(super) fn rest(now: &Value, want: &Value) -> Vec<Step> {
    let there = list(now, "variants");
    let both: Vec<(&Value, &Value)> = list(want, "variants")
        .iter()
        .filter_map(|variant| Some((by_id(there, text(variant, "id"))?, variant)))
        .collect();
    let mut steps = Vec::new();
    let detached: Vec<Value> = both
        .iter()
        .filter(|(now, want)| {
            !list(now, "mediaIds").is_empty()
                && want["mediaIds"].as_array().is_some_and(Vec::is_empty)
        })
        .map(|(now, _)| json!({"variantId": now["id"], "mediaIds": now["mediaIds"]}))
        .collect();
    for variants in detached.chunks(DETACH_MAX) {
        let variables = json!({"productId": now["id"], "variantMedia": variants});
        steps.push(Step::making(DETACH, variables));
    }
    let changed: Vec<Value> = both
        .iter()
        .filter_map(|(there, wanted)| {
            let mut input = input(Some(there), wanted, now);
            if input.is_empty() {
                return None;
            }
            input.insert("id".into(), wanted["id"].clone());
            Some(input.into())
        })
        .collect();
    for variants in points::parts(&changed) {
        let variables = json!({"productId": now["id"], "variants": variants});
        steps.push(Step::setting(UPDATE, variables));
    }
    steps.extend(drop_extra(now, want));
    steps.extend(order(now, want));
    steps
}

/// What deletes those that are not wanted.
fn drop_extra(now: &Value, want: &Value) -> Vec<Step> {
    let wanted = list(want, "variants");
    if wanted.is_empty() {
        return Vec::new();
    }
    let extra: Vec<&Value> = list(now, "variants")
        .iter()
        .filter(|variant| by_id(wanted, text(variant, "id")).is_none())
        .map(|variant| &variant["id"])
        .collect();
    let delete =
        |ids: &[&Value]| Step::making(DELETE, json!({"productId": now["id"], "variantsIds": ids}));
    extra.chunks(INPUT_MAX).map(delete).collect()
}

/// The positions of those from the first on that stands elsewhere than wanted.
fn order(now: &Value, want: &Value) -> Vec<Step> {
    let wanted = list(want, "variants");
    if !wanted.iter().all(|variant| variant["position"].is_number()) {
        return Vec::new();
    }
    let ids = |of: &[Value], other: &[Value]| -> Vec<String> {
        let ids = of.iter().map(|variant| text(variant, "id").to_owned());
        ids.filter(|id| by_id(other, id).is_some()).collect()
    };
    let (is, should) = (ids(list(now, "variants"), wanted), ids(wanted, list(now, "variants")));
    let Some(first) = is.iter().zip(&should).position(|(is, should)| is != should) else {
        return Vec::new();
    };
    let positions: Vec<Value> = should
        .iter()
        .enumerate()
        .skip(first)
        .map(|(at, id)| json!({"id": id, "position": at + 1}))
        .collect();
    let reorder = |positions: &[Value]| {
        Step::setting(REORDER, json!({"productId": now["id"], "positions": positions}))
    };
    positions.chunks(INPUT_MAX).map(reorder).collect()
}

/// The fields in which a variant differs from what is there; all of a new one, but for its option
/// values. Its picture is told only where the product has it.
fn input(now: Option<&Value>, want: &Value, product: &Value) -> Map<String, Value> {
    let mut input = fields(now, want);
    let nothing = json!({});
    let now = now.unwrap_or(&nothing);
    if let Some(medium) = list(want, "mediaIds").first()
        && list(now, "mediaIds").first() != Some(medium)
        && list(product, "media").iter().any(|there| there["id"] == *medium)
    {
        input.insert("mediaId".into(), medium.clone());
    }
    let metafields = metafield::inputs(&now["metafields"], &want["metafields"]);
    if !metafields.is_empty() {
        input.insert("metafields".into(), metafields.into());
    }
    input
}

fn fields(now: Option<&Value>, want: &Value) -> Map<String, Value> {
    let mut input = Map::new();
    let nothing = json!({});
    let differs = |name: &str| {
        let is = now.unwrap_or(&nothing).get(name);
        want.get(name).filter(|value| match now {
            Some(_) => is != Some(value),
            // What is nothing is not said of something new.
            None => !value.is_null(),
        })
    };
    for name in ["price", "compareAtPrice"] {
        if let Some(value) = differs(name) {
            input.insert(name.into(), value.clone());
        }
    }
    if let Some(barcode) = differs("barcode") {
        input.insert("barcode".into(), written(barcode));
    }
    for name in ["inventoryPolicy", "taxable", "showUnitPrice", "requiresComponents"] {
        if let Some(value) = differs(name).filter(|value| !value.is_null()) {
            input.insert(name.into(), value.clone());
        }
    }
    if let Some(measurement) = differs("unitPriceMeasurement") {
        let mut measurement = measurement.clone();
        if let Some(members) = measurement.as_object_mut() {
            members.remove("measuredType");
        }
        input.insert("unitPriceMeasurement".into(), measurement);
    }
    let mut item = Map::new();
    if let Some(sku) = differs("sku") {
        item.insert("sku".into(), written(sku));
    }
    // Webhooks of older versions carry these.
    for name in ["requiresShipping", "tracked"] {
        let is = now.and_then(|now| now["inventoryItem"].get(name));
        if now.is_none()
            && let Some(value) = want["inventoryItem"].get(name).filter(|v| is != Some(v))
        {
            item.insert(name.into(), value.clone());
        }
    }
    if !item.is_empty() {
        input.insert("inventoryItem".into(), item.into());
    }
    input
}

/// Those of which it is known what they are: a webhook of a large product names others by their ids only.
pub(super) fn known(product: &Value) -> impl Iterator<Item = &Value> {
    list(product, "variants").iter().filter(|variant| variant["selectedOptions"].is_array())
}

/// A new variant as `productSet` takes it, without its picture. `products` say what its values stand for.
pub(super) fn set_input(want: &Value, products: &[&Value]) -> Value {
    let mut input = fields(None, want);
    input.insert("optionValues".into(), option_values(want, products));
    if want["position"].is_number() {
        input.insert("position".into(), want["position"].clone());
    }
    let metafields = metafield::inputs(&json!([]), &want["metafields"]);
    if !metafields.is_empty() {
        input.insert("metafields".into(), metafields.into());
    }
    input.into()
}

/// The values chosen of each option, those of linked ones by the metaobjects that they stand for in the
/// first of `products` that says so.
pub(super) fn option_values(variant: &Value, products: &[&Value]) -> Value {
    let chosen = list(variant, "selectedOptions").iter();
    let input = |choice: &Value| match linked::chosen(choice, products) {
        Some(entry) => json!({"optionName": choice["name"], "linkedMetafieldValue": entry}),
        None => json!({"optionName": choice["name"], "name": choice["value"]}),
    };
    chosen.map(input).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant(n: u64, size: &str) -> Value {
        json!({
            "id": format!("v{n}"), "position": n, "price": "1.00", "compareAtPrice": null,
            "sku": format!("SKU-{n}"), "barcode": null, "taxable": true, "mediaIds": [],
            "selectedOptions": [{"name": "Size", "value": size}], "metafields": [],
        })
    }

    fn product(variants: Vec<Value>) -> Value {
        json!({"id": "p", "variants": variants, "media": [{"id": "m1"}]})
    }

    #[test]
    fn one_variants_price_is_sent_alone() {
        let now = product(vec![variant(1, "S"), variant(2, "M")]);
        let mut want = now.clone();
        assert_eq!((shape(&now, &want), rest(&now, &want)), (vec![], vec![]));
        want["variants"][1]["price"] = json!("2.00");
        assert_eq!(shape(&now, &want), []);
        let sent = rest(&now, &want);
        assert_eq!(sent.len(), 1);
        assert_eq!(
            sent[0].variables,
            json!({"productId": "p", "variants": [{"id": "v2", "price": "2.00"}]})
        );
    }

    #[test]
    fn a_missing_one_is_made_with_all_that_it_was_and_a_strange_one_goes() {
        let want = product(vec![variant(1, "S"), variant(2, "M")]);
        let now = product(vec![variant(1, "S"), variant(3, "XL")]);
        let made = shape(&now, &want);
        assert_eq!(
            made[0].variables["variants"],
            json!([{"inventoryItem": {"sku": "SKU-2"}, "price": "1.00", "taxable": true,
                    "optionValues": [{"optionName": "Size", "name": "M"}]}])
        );
        let sent = rest(&now, &want);
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert_eq!(sent[0].variables["variantsIds"], json!(["v3"]));
    }

    #[test]
    fn a_long_list_is_sent_in_parts_and_room_is_made_first() {
        let many: Vec<Value> = (1..=600).map(|n| variant(n, &n.to_string())).collect();
        let want = product(many.clone());
        let sizes = |steps: &[Step]| -> Vec<usize> {
            steps.iter().map(|step| list(&step.variables, "variants").len()).collect()
        };
        assert_eq!(sizes(&shape(&product(vec![variant(1, "1")]), &want)), [250, 250, 99]);
        let others: Vec<Value> = (1001..=3000).map(|n| variant(n, &n.to_string())).collect();
        let steps = shape(&product(others), &want);
        assert_eq!(list(&steps[0].variables, "variantsIds").len(), 250);
        assert_eq!(sizes(&steps)[8..], [250, 250, 100]);
    }

    #[test]
    fn pictures_are_linked_and_taken_off() {
        let now = product(vec![variant(1, "S")]);
        let mut want = now.clone();
        want["variants"][0]["mediaIds"] = json!(["m1"]);
        let sent = rest(&now, &want);
        assert_eq!(sent[0].variables["variants"], json!([{"id": "v1", "mediaId": "m1"}]));
        let sent = rest(&want, &now);
        assert_eq!(
            sent[0].variables["variantMedia"],
            json!([{"variantId": "v1", "mediaIds": ["m1"]}])
        );
        want["variants"][0]["mediaIds"] = json!(["m2"]);
        assert_eq!(rest(&now, &want), [], "the product has no such picture");
    }

    #[test]
    fn pictures_are_taken_off_a_hundred_variants_at_a_time() {
        let pictured = |n: u64| {
            let mut variant = variant(n, &n.to_string());
            variant["mediaIds"] = json!(["m1"]);
            variant
        };
        let now = product((1..=130).map(pictured).collect());
        let want = product((1..=130).map(|n| variant(n, &n.to_string())).collect());
        let sent = rest(&now, &want);
        let sizes = sent.iter().map(|step| list(&step.variables, "variantMedia").len());
        assert_eq!(sizes.collect::<Vec<_>>(), [100, 30]);
    }

    #[test]
    fn only_what_stands_elsewhere_gets_a_position() {
        let now = product(vec![variant(1, "S"), variant(3, "L"), variant(2, "M")]);
        let want = product(vec![variant(1, "S"), variant(2, "M"), variant(3, "L")]);
        let sent = rest(&now, &want);
        assert_eq!(
            sent[0].variables["positions"],
            json!([{"id": "v2", "position": 2}, {"id": "v3", "position": 3}])
        );
    }
}
