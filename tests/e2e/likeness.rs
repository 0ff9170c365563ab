//! What history says of a resource against what the simulated shop says that it really was: whatever
//! both tell of it, by whichever way history learned it.

use std::collections::{BTreeMap, BTreeSet};

use backstock_proto::Timestamp;
use backstock_proto::kind::Spec;
use serde_json::{Map, Value, json};

/// What of a kind nobody is told of when it changes, below the state.
const SILENT: &[(&str, &[&str])] = &[
    (
        "product",
        &[
            "seo",
            "giftCardTemplateSuffix",
            "isGiftCard",
            "requiresSellingPlan",
            "combinedListingRole",
            "metafields",
            "publications",
        ],
    ),
    ("collection", &["seo", "ruleSet", "metafields", "productIds", "publications"]),
    ("customer", &["tags", "locale", "emailMarketingConsent", "smsMarketingConsent", "metafields"]),
    ("order", &["returnStatus", "shippingLine", "transactions", "metafields"]),
    ("inventory_level", &["isActive", "quantities"]),
    ("location", &["fulfillsOnlineOrders", "shipsInventory", "metafields"]),
    ("metaobject", &["capabilities"]),
    ("company", &["contactRoles", "defaultRole", "metafields"]),
    ("company_location", &["metafields"]),
    ("discount", &["customerGets", "customerBuys", "metafields"]),
    ("selling_plan_group", &["products", "productVariants"]),
    ("shop", &["metafields"]),
];

/// The types of the simulator's documents that are of a kind.
pub(crate) fn types(spec: &Spec) -> Vec<&'static str> {
    match spec.name {
        "theme_file" => vec!["theme_file"],
        "translation" => vec!["translation"],
        "discount" => vec!["DiscountCodeNode", "DiscountAutomaticNode"],
        "catalog" => vec!["MarketCatalog", "CompanyLocationCatalog"],
        "file" => vec!["MediaImage", "GenericFile"],
        _ => vec![spec.gid_type],
    }
}

/// The id by which history knows what a document of the simulator is about.
pub(crate) fn id(spec: &Spec, truth: &Value) -> String {
    let number = |value: &Value| {
        let gid = value["id"].as_str().unwrap_or_else(|| panic!("no id: {truth}"));
        gid.rsplit('/').next().unwrap_or_default().split('?').next().unwrap_or_default().to_owned()
    };
    let text = |name: &str| truth[name].as_str().unwrap_or_default();
    match spec.name {
        "inventory_level" => format!("{}-{}", number(&truth["item"]), number(&truth["location"])),
        "theme_file" => format!("{}-{}", number(&truth["owner"]), text("filename")),
        "translation" => {
            let owner = truth["owner"]["id"].as_str().unwrap_or_default();
            let of = owner.split('/').nth(3).unwrap_or_default();
            format!("{of}-{}-{}-{}", number(&truth["owner"]), text("locale"), text("key"))
        }
        _ => number(truth),
    }
}

/// A document of the simulator under the names that history has for its parts.
pub(crate) fn named(spec: &Spec, mut truth: Value) -> Value {
    let number = |id: &Value| {
        id.as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned()
    };
    let by = |list: &Value, variant: &str| -> Value {
        let items = list.as_array().into_iter().flatten();
        items
            .map(|item| {
                let mut item = item.clone();
                item["id"] = item[variant]["id"].clone();
                item
            })
            .collect()
    };
    match spec.name {
        "customer" => {
            let (email, phone) =
                (truth["defaultEmailAddress"].take(), truth["defaultPhoneNumber"].take());
            truth["email"] = email["emailAddress"].clone();
            truth["phone"] = phone["phoneNumber"].clone();
            truth["addresses"] = truth["addressesV2"].take();
            truth["emailMarketingConsent"] = email;
            truth["smsMarketingConsent"] = phone;
        }
        "draft_order" => truth["note"] = truth["note2"].take(),
        "collection" if truth["ruleSet"].is_null() => {
            let products = truth["products"].as_array().into_iter().flatten();
            let mut ids: Vec<Value> = products.map(|product| product["id"].clone()).collect();
            if truth["sortOrder"] != "MANUAL" {
                ids.sort_by_key(Value::to_string);
            }
            truth["productIds"] = ids.into();
        }
        "discount" => {
            // Whichever way it is taken, it is asked for as a node of either sort.
            let id = json!(format!("gid://shopify/DiscountNode/{}", number(&truth["id"])));
            let held = ["codeDiscount", "automaticDiscount"].map(|name| truth[name].take());
            truth = held.into_iter().find(Value::is_object).unwrap_or_default();
            truth["id"] = id;
        }
        "price_list" => {
            truth["prices"] = by(&truth["prices"], "variant");
            truth["quantityRules"] = by(&truth["quantityRules"], "productVariant");
        }
        "delivery_profile" => {
            let groups = truth["profileLocationGroups"].as_array().into_iter().flatten();
            let zones = |group: &Value| -> Value {
                let zones = group["locationGroupZones"].as_array().into_iter().flatten();
                zones
                    .map(|zone| {
                        json!({
                            "id": zone["zone"]["id"], "name": zone["zone"]["name"],
                            "methodDefinitions": zone["methodDefinitions"],
                        })
                    })
                    .collect()
            };
            let group = |group: &Value| {
                json!({
                    "id": group["locationGroup"]["id"],
                    "locations": group["locationGroup"]["locations"],
                    "zones": zones(group),
                })
            };
            truth["profileLocationGroups"] = groups.map(group).collect();
        }
        "inventory_level" => {
            let quantities = truth["quantities"].as_array().into_iter().flatten();
            let mut sellable = quantities.filter(|quantity| quantity["name"] == "available");
            truth["available"] = sellable.next().map(|q| q["quantity"].clone()).unwrap_or_default();
        }
        "inventory_item" => {
            let weight = &mut truth["measurement"]["weight"];
            if weight["value"] == 0.0 {
                *weight = Value::Null;
            }
        }
        // The values of a plain option stand for nothing.
        "product" => {
            for option in truth["options"].as_array_mut().into_iter().flatten() {
                if option["linkedMetafield"].is_null() {
                    option["optionValues"] = Value::Null;
                }
            }
        }
        "theme_file" => truth["theme"] = truth["owner"].take(),
        "translation" => truth["resource"] = truth["owner"].take(),
        _ => {}
    }
    truth
}

/// Leaves of a state only what its webhooks tell of, or have asked for.
pub(crate) fn told_of(spec: &Spec, mut state: Value) -> Value {
    let silent = SILENT.iter().find(|(kind, _)| *kind == spec.name);
    if let (Some((_, silent)), Value::Object(members)) = (silent, &mut state) {
        members.retain(|name, _| !silent.contains(&name.as_str()));
    }
    state
}

/// Types of what others list.
pub(crate) const LISTED: [&str; 3] = ["Collection", "Product", "ProductVariant"];

/// Leaves out of a state's lists what is not there any more: the simulator's documents go on naming it.
pub(crate) fn leave_out_gone(state: &mut Value, listed: &BTreeSet<String>) {
    let is_gone = |element: &Value| {
        let gid = element["id"].as_str().unwrap_or_default();
        let of = |listed: &&str| gid.starts_with(&format!("gid://shopify/{listed}/"));
        LISTED.iter().any(of) && !listed.contains(gid)
    };
    match state {
        Value::Object(members) => members.values_mut().for_each(|m| leave_out_gone(m, listed)),
        Value::Array(elements) => {
            elements.retain(|element| !is_gone(element));
            elements.iter_mut().for_each(|element| leave_out_gone(element, listed));
        }
        _ => {}
    }
}

/// Where two states of a resource differ, and how many values of them were compared.
#[derive(Default)]
pub(crate) struct Likeness {
    pub(crate) compared: u64,
    pub(crate) unlike: Vec<String>,
}

impl Likeness {
    /// Compares what history says with what was true.
    pub(crate) fn of(ours: &Value, truth: &Value) -> Self {
        let mut likeness = Self::default();
        likeness.compare("", ours, truth);
        likeness
    }

    fn compare(&mut self, path: &str, ours: &Value, truth: &Value) {
        match (ours, truth) {
            (Value::Object(ours), Value::Object(truth)) => self.members(path, ours, truth),
            (Value::Array(ours), Value::Array(truth)) => self.elements(path, ours, truth),
            (ours, truth) => {
                self.compared += 1;
                if !(is_nothing(ours) && is_nothing(truth)) && plain(ours) != plain(truth) {
                    self.unlike.push(format!("{path}: {ours}, really {truth}"));
                }
            }
        }
    }

    /// What both have.
    fn members(&mut self, path: &str, ours: &Map<String, Value>, truth: &Map<String, Value>) {
        for (name, value) in ours {
            if let Some(really) = truth.get(name) {
                self.compare(&format!("{path}/{name}"), value, really);
            }
        }
    }

    /// Elements by what names them, where something does; else in their order, or as a set.
    fn elements(&mut self, path: &str, ours: &[Value], truth: &[Value]) {
        self.compared += 1;
        let by_id = ours.iter().all(|value| value["id"].is_string());
        if ours.len() != truth.len() {
            self.unlike.push(format!("{path}: {ours:?}, really {truth:?}"));
        } else if let (Some(ours), Some(truth)) = (by_name(ours, by_id), by_name(truth, by_id)) {
            for (name, value) in ours {
                match truth.get(&name) {
                    Some(really) => self.compare(&format!("{path}/{name}"), value, really),
                    None => self.unlike.push(format!("{path}: {name} is not really there")),
                }
            }
        } else if ours.iter().any(|value| value.is_object() || value.is_array()) {
            for (at, (ours, truth)) in ours.iter().zip(truth).enumerate() {
                self.compare(&format!("{path}/{at}"), ours, truth);
            }
        } else if set(ours) != set(truth) {
            self.unlike.push(format!("{path}: {ours:?}, really {truth:?}"));
        }
    }
}

fn set(list: &[Value]) -> Vec<String> {
    let mut all: Vec<String> = list.iter().map(plain).collect();
    all.sort();
    all
}

/// Elements by their ids, or by whatever else tells one from another.
fn by_name(list: &[Value], by_id: bool) -> Option<BTreeMap<String, &Value>> {
    let name = |value: &Value| {
        if by_id {
            return Some(value["id"].as_str()?.split('?').next()?.to_owned());
        }
        let key = value["key"].as_str().or(value["name"].as_str())?;
        Some(format!("{} {key}", value["namespace"].as_str().unwrap_or_default()))
    };
    let named: Option<BTreeMap<String, &Value>> =
        list.iter().map(|value| Some((name(value)?, value))).collect();
    named.filter(|named| named.len() == list.len())
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// A value in the one way to write it: instants, amounts, and addresses without their edition.
pub(crate) fn plain(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.contains('T')
        && let Ok(at) = Timestamp::parse(&text)
    {
        return at.to_string();
    }
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if let Some((whole, part)) = text.split_once('.')
        && digits(whole.trim_start_matches('-'))
        && digits(part)
    {
        return format!("{whole}.{}", part.trim_end_matches('0')).trim_end_matches('.').to_owned();
    }
    match text.split_once("?v=") {
        Some((address, _)) if text.starts_with("http") => address.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_unlike() {
        let ours = json!({
            "id": "gid://a/1", "price": "12.00", "note": null, "tags": ["b", "a"], "at": "2026-11-01T00:00:00Z",
            "lines": [{"id": "x", "n": 1}, {"id": "y", "n": 2}], "ours": 1,
        });
        let truth = json!({
            "id": "gid://a/1", "price": "12.0", "note": "", "tags": ["a", "b"],
            "at": "2026-11-01T01:00:00+01:00", "lines": [{"id": "y", "n": 2}, {"id": "x", "n": 1}],
        });
        let likeness = Likeness::of(&ours, &truth);
        assert_eq!((likeness.unlike, likeness.compared), (Vec::new(), 10));
        let mut other = truth;
        other["lines"][0]["n"] = json!(3);
        other["price"] = json!("12.01");
        assert_eq!(Likeness::of(&ours, &other).unlike.len(), 2);
    }
}
