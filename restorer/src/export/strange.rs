//! What an export says in terms of the shop that it comes from: references to what is not here, sales
//! channels, the order of ids, and what Shopify gave.

use backstock_proto::Kind;
use backstock_proto::resource::gid_type;
use serde_json::Value;

/// Members that are sets, which stand in the order of their ids.
const SETS: [&str; 10] = [
    "apps",
    "companyLocations",
    "contactRoles",
    "markets",
    "prices",
    "productVariants",
    "products",
    "publications",
    "quantityRules",
    "roleAssignments",
];
/// Lists of what each shop has for itself, sales channels and web addresses, and what names these.
const CHANNELS: [(&str, &str); 2] = [("publications", "publicationId"), ("webPresences", "id")];
/// Objects whose lists are such sets.
const OF_SETS: [&str; 3] = ["/customerGets/items", "/customerBuys/items", "/context"];

/// What Shopify gives to what is there, and would be another in any shop.
const GIVEN: [(&str, &[&str]); 3] = [
    ("inventory_item", &["/unitCost/currencyCode"]),
    ("publication", &["/catalog/id"]),
    (
        "draft_order",
        &[
            "/name",
            "/status",
            "/completedAt",
            "/invoiceSentAt",
            "/reserveInventoryUntil",
            "/order",
            "/currencyCode",
            "/taxesIncluded",
        ],
    ),
];

/// Takes metafields, and fields of metaobjects, out of a state as far as they lead to nothing here:
/// Shopify would refuse all of the resource. What is there under their names stays. Answers how many
/// references those were.
pub(super) fn leave_out(state: &mut Value, now: &Value, is_here: &impl Fn(&str) -> bool) -> u64 {
    let Value::Object(members) = state else { return 0 };
    let mut left = 0;
    for (name, member) in members {
        let there = now.get(name).unwrap_or(&Value::Null);
        match (name.as_str(), member) {
            ("metafields" | "fields", Value::Array(list)) => left += fields(list, there, is_here),
            ("variants", Value::Array(list)) => {
                for variant in list {
                    let ours = elements(there).find(|our| our.get("id") == variant.get("id"));
                    left += leave_out(variant, ours.unwrap_or(&Value::Null), is_here);
                }
            }
            _ => {}
        }
    }
    left
}

fn fields(list: &mut Vec<Value>, there: &Value, is_here: &impl Fn(&str) -> bool) -> u64 {
    let mut left = 0;
    list.retain_mut(|field| {
        let text = field.get("value").and_then(Value::as_str);
        let Some((value, references)) = text.and_then(|text| without(text, is_here)) else {
            return true;
        };
        left += references;
        let ours = elements(there).find(|our| name(our) == name(field));
        match (value.is_null(), ours) {
            (true, Some(ours)) => *field = ours.clone(),
            // A metaobject has all the fields of its type, a metafield that says nothing is none.
            (true, None) if field.get("namespace").is_some() => return false,
            _ => field["value"] = value,
        }
        true
    });
    left
}

fn name(field: &Value) -> [Option<&Value>; 2] {
    ["namespace", "key"].map(|member| field.get(member))
}

/// A value without the references that lead to nothing, and how many those were; `None` where each leads
/// somewhere.
fn without(text: &str, is_here: &impl Fn(&str) -> bool) -> Option<(Value, u64)> {
    // What Shopify's taxonomy names is the same everywhere.
    let leads =
        |gid: &str| gid_type(gid).is_some_and(|of| of.starts_with("Taxonomy")) || is_here(gid);
    if gid_type(text).is_some() {
        return (!leads(text)).then_some((Value::Null, 1));
    }
    if !text.starts_with('[') {
        return None;
    }
    let list: Vec<String> = serde_json::from_str(text).ok()?;
    if list.iter().any(|gid| gid_type(gid).is_none()) {
        return None;
    }
    let (kept, lost): (Vec<String>, Vec<String>) = list.into_iter().partition(|gid| leads(gid));
    let value = match kept.is_empty() {
        true => Value::Null,
        false => Value::String(Value::from(kept).to_string()),
    };
    (!lost.is_empty()).then_some((value, lost.len() as u64))
}

/// Leaves sales channels and web addresses that are not known here out of a state. Of those that only
/// this shop has an export says nothing.
pub(super) fn channels(state: &mut Value, now: &Value, is_here: &impl Fn(&str) -> bool) {
    for (name, id) in CHANNELS {
        let Some(channels) = state.get_mut(name).and_then(Value::as_array_mut) else { continue };
        let known = |channel: &Value| channel.get(id).and_then(Value::as_str).is_some_and(is_here);
        channels.retain(known);
        let ours = now.get(name).map(elements).into_iter().flatten();
        channels.extend(ours.filter(|channel| !known(channel)).cloned());
    }
}

/// Puts sets in the order that their ids have here.
pub(super) fn sort(state: &mut Value) {
    for name in SETS {
        if let Some(set) = state.get_mut(name) {
            by_id(set);
        }
    }
    for pointer in OF_SETS {
        let sets = state.pointer_mut(pointer).and_then(Value::as_object_mut);
        sets.into_iter().flat_map(|sets| sets.values_mut()).for_each(by_id);
    }
}

fn by_id(set: &mut Value) {
    let id = |element: &Value| match element.get("id") {
        Some(id) => id.to_string(),
        None => element.get("publicationId").map(Value::to_string).unwrap_or_default(),
    };
    if let Some(set) = set.as_array_mut() {
        set.sort_by_cached_key(id);
    }
}

/// Gives what is found here what Shopify gave it: nobody chose that, and nobody can write it.
pub(super) fn given(kind: &Kind, state: &mut Value, now: &Value) {
    let (Value::Object(members), Value::Object(ours)) = (&mut *state, now) else { return };
    let own = match kind.as_str() {
        // All but its text follows from its bytes.
        "file" => Some("alt"),
        // Its settings are each shop's own.
        "shop" => Some("metafields"),
        _ => None,
    };
    if let Some(name) = own {
        let own = members.remove(name);
        *members = ours.clone();
        members.extend(own.map(|own| (name.to_owned(), own)));
    }
    if let (Some(image), Some(our)) = (members.get_mut("image"), ours.get("image"))
        && image.get("blob").is_some_and(|blob| blob.is_string() && *blob == our["blob"])
    {
        image["url"] = our["url"].clone();
    }
    let given = GIVEN.iter().find(|(of, _)| *of == kind.as_str());
    for pointer in given.map(|(_, pointers)| *pointers).unwrap_or_default() {
        if let (Some(is), Some(ours)) = (state.pointer_mut(pointer), now.pointer(pointer)) {
            *is = ours.clone();
        }
    }
}

fn elements(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const HERE: &str = "gid://shopify/Page/9";
    const STRANGE: &str = "gid://shopify/MediaImage/1";

    fn is_here(gid: &str) -> bool {
        gid == HERE
    }

    fn metafield(key: &str, value: &str) -> Value {
        json!({"namespace": "custom", "key": key, "value": value})
    }

    #[test]
    fn what_leads_to_nothing_is_left_out_and_nothing_else() {
        let taxonomy = "[\"gid://shopify/TaxonomyValue/17\"]";
        let mut state = json!({
            "metafields": [
                metafield("plain", "[1, 2]"),
                metafield("page", HERE),
                metafield("picture", STRANGE),
                metafield("ours", STRANGE),
                metafield("some", &format!("[\"{STRANGE}\",\"{HERE}\"]")),
                metafield("none", &format!("[\"{STRANGE}\"]")),
                metafield("taxonomy", taxonomy),
            ],
            "variants": [{"id": "v", "metafields": [metafield("picture", STRANGE)]}],
            "fields": [{"key": "picture", "value": STRANGE}, {"key": "page", "value": HERE}],
        });
        let now = json!({"metafields": [metafield("ours", "gid://shopify/MediaImage/7")]});
        assert_eq!(leave_out(&mut state, &now, &is_here), 6);
        let expected = json!({
            "metafields": [
                metafield("plain", "[1, 2]"),
                metafield("page", HERE),
                metafield("ours", "gid://shopify/MediaImage/7"),
                metafield("some", &format!("[\"{HERE}\"]")),
                metafield("taxonomy", taxonomy),
            ],
            "variants": [{"id": "v", "metafields": []}],
            "fields": [{"key": "picture", "value": null}, {"key": "page", "value": HERE}],
        });
        assert_eq!(state, expected);
        assert_eq!(leave_out(&mut state, &now, &|_| true), 0);
    }

    #[test]
    fn channels_that_only_one_shop_has_are_left_alone() {
        let on = |channel: &str| json!({"isPublished": true, "publicationId": channel});
        let mut state = json!({"publications": [on(STRANGE), on(HERE)]});
        let now = json!({"publications": [on("gid://shopify/Publication/1")]});
        channels(&mut state, &now, &is_here);
        sort(&mut state);
        let expected = [on(HERE), on("gid://shopify/Publication/1")];
        assert_eq!(state["publications"], json!(expected));
        let presence = |id: &str| json!({"webPresences": [{"id": id, "subfolderSuffix": null}]});
        let mut market = presence(STRANGE);
        channels(&mut market, &presence("gid://shopify/MarketWebPresence/1"), &is_here);
        assert_eq!(market, presence("gid://shopify/MarketWebPresence/1"));
        channels(&mut market, &Value::Null, &is_here);
        assert_eq!(market["webPresences"], json!([]));
    }

    #[test]
    fn of_a_file_its_text_is_wanted_and_what_shopify_gave_a_draft_is_its_own() {
        let kind = |name: &str| Kind::parse(name).expect("a kind");
        let mut file = json!({"alt": "Mug", "originalFileSize": 9, "image": {"url": "theirs"}});
        let ours = json!({"alt": null, "originalFileSize": 8, "image": {"url": "ours"}});
        given(&kind("file"), &mut file, &ours);
        assert_eq!(file, json!({"alt": "Mug", "originalFileSize": 8, "image": {"url": "ours"}}));
        let mut shop = json!({"name": "Theirs", "metafields": [metafield("motto", "theirs")]});
        given(&kind("shop"), &mut shop, &json!({"name": "Ours", "metafields": []}));
        let expected = json!({"name": "Ours", "metafields": [metafield("motto", "theirs")]});
        assert_eq!(shop, expected, "its settings are each shop's own");
        let mut draft = json!({"name": "#D9", "note": "a"});
        given(&kind("draft_order"), &mut draft, &json!({"name": "#D1", "note": "b"}));
        assert_eq!(draft, json!({"name": "#D1", "note": "a"}));
        given(&kind("draft_order"), &mut draft, &Value::Null);
        assert_eq!(draft["name"], "#D1");
        let image = |url: &str, blob: &str| json!({"image": {"url": url, "blob": blob}});
        let mut collection = image("theirs", "b1");
        given(&kind("collection"), &mut collection, &image("ours", "b2"));
        assert_eq!(collection, image("theirs", "b1"), "it is another picture");
        given(&kind("collection"), &mut collection, &image("ours", "b1"));
        assert_eq!(collection, image("ours", "b1"));
    }
}
