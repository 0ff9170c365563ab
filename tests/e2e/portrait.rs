//! A shop as it looks: every value of every thing, under names instead of ids, so that two looks are alike
//! where only ids differ.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};

use crate::likeness;
use crate::simulator::Simulator;

/// What is new in whatever is made anew, and what Shopify makes of the rest by itself.
const NEW: [&str; 18] = [
    "bodySummary",
    "canDeactivate",
    "createdAt",
    "creationDate",
    "currentlyHasInventory",
    "id",
    "lastEditDate",
    "fileCreatedAt",
    "legacyResourceId",
    // Only the customer gives consent to marketing.
    "marketingOptInLevel",
    "marketingState",
    "marketingUpdatedAt",
    "shortSummary",
    "summary",
    "supportsDefinitionMigrations",
    "themeStoreId",
    "updatedAt",
    "version",
];
/// Lists of which the order is somebody's choice. All others are sets.
const ORDERED: [&str; 8] =
    ["fields", "images", "items", "media", "options", "optionValues", "values", "variants"];
/// What calls a thing by its name, best first.
const NAMES: [&str; 12] = [
    "handle",
    "path",
    "filename",
    "sku",
    "code",
    "key",
    "email",
    "displayName",
    "name",
    "title",
    "src",
    "type",
];

/// Each value by its place.
pub(crate) struct Portrait(BTreeMap<String, String>);

impl Portrait {
    /// Of everything that there is of some types and that is to be looked at.
    pub(crate) async fn of(
        simulator: &Simulator,
        kinds: impl Iterator<Item = (&'static str, Vec<&'static str>)>,
        looked_at: impl Fn(&Value) -> bool,
    ) -> Self {
        let mut things = Vec::new();
        for (kind, types) in kinds {
            for of in types {
                let all = simulator.truth(of).await;
                things.extend(all.into_iter().filter(&looked_at).map(|thing| (kind, thing)));
            }
        }
        let mut look = Look { simulator, names: HashMap::new(), bytes: HashMap::new() };
        let parts = things.iter().flat_map(|(_, thing)| {
            let variants = thing["variants"].as_array().into_iter().flatten();
            variants.chain([thing]).filter_map(|part| part["id"].as_str().map(bare))
        });
        let there: BTreeSet<String> = parts.collect();
        for (_, thing) in &mut things {
            likeness::leave_out_gone(thing, &there);
            // Drafts are counted, and one that comes back has the next number. A line whose product went
            // keeps its title and price.
            if thing["id"].as_str().is_some_and(|id| of(id) == "DraftOrder") {
                thing["name"] = "".into();
                for line in thing["lineItems"].as_array_mut().into_iter().flatten() {
                    if !line["variant"]["id"].as_str().is_some_and(|id| there.contains(id)) {
                        line["product"] = Value::Null;
                        line["variant"] = Value::Null;
                    }
                }
            }
        }
        things.iter().for_each(|(_, thing)| look.learn(thing));
        things.iter().for_each(|(_, thing)| look.learn_links(thing));
        for (_, thing) in &things {
            look.see(thing).await;
        }
        let mut told: BTreeMap<String, Vec<Map<String, Value>>> = BTreeMap::new();
        for (kind, thing) in &things {
            let plain = look.told(thing);
            let name = look.name_of(thing);
            let Value::Object(members) = plain else { continue };
            told.entry(format!("{kind} {name}")).or_default().push(members);
        }
        let mut values = BTreeMap::new();
        for (name, mut same) in told {
            same.sort_by_key(|members| Value::Object(members.clone()).to_string());
            for (n, members) in same.into_iter().enumerate() {
                let name = if n == 0 { name.clone() } else { format!("{name}#{n}") };
                values.insert(name.clone(), "is there".to_owned());
                flatten(&name, &Value::Object(members), &mut values);
            }
        }
        Self(values)
    }

    /// Where another one differs.
    pub(crate) fn unlike(&self, other: &Self) -> Vec<String> {
        let places = self.0.keys().chain(other.0.keys().filter(|key| !self.0.contains_key(*key)));
        let pair = |place: &String| (self.0.get(place).cloned(), other.0.get(place).cloned());
        let unlike = places.map(|place| (place, pair(place))).filter(|(_, (a, b))| a != b);
        unlike.map(|(place, (was, is))| format!("{place}: was {was:?}, is {is:?}")).collect()
    }
}

fn flatten(place: &str, value: &Value, values: &mut BTreeMap<String, String>) {
    match value {
        Value::Null => {}
        Value::String(text) if text.is_empty() => {}
        Value::Object(members) => {
            members
                .iter()
                .for_each(|(name, value)| flatten(&format!("{place}/{name}"), value, values));
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(n, item)| flatten(&format!("{place}/{n}"), item, values));
        }
        plain => drop(values.insert(place.to_owned(), likeness::plain(plain))),
    }
}

struct Look<'a> {
    simulator: &'a Simulator,
    /// What is called how, by its gid.
    names: HashMap<String, String>,
    /// The hash of what is at an address.
    bytes: HashMap<String, String>,
}

impl Look<'_> {
    /// Learns what things and their parts are called by themselves.
    fn learn(&mut self, thing: &Value) {
        match thing {
            Value::Object(members) => {
                if let (Some(id), Some(name)) =
                    (members.get("id").and_then(Value::as_str), named(members))
                {
                    self.names.entry(bare(id)).or_insert_with(|| format!("{} {name}", of(id)));
                }
                members.values().for_each(|member| self.learn(member));
            }
            Value::Array(items) => items.iter().for_each(|item| self.learn(item)),
            _ => {}
        }
    }

    /// Learns what is called after what it belongs to.
    fn learn_links(&mut self, thing: &Value) {
        if let Some(variants) = thing["variants"].as_array() {
            let product = self.name_of(thing);
            for variant in variants {
                let Some(id) = variant["id"].as_str() else { continue };
                let title = variant["title"].as_str().unwrap_or_default();
                self.names.insert(bare(id), format!("ProductVariant {title} of {product}"));
                let Some(item) = variant["inventoryItem"]["id"].as_str() else { continue };
                self.names.insert(bare(item), format!("InventoryItem {title} of {product}"));
            }
        }
    }

    /// Looks at what is at the shop's own addresses.
    async fn see(&mut self, thing: &Value) {
        let mut addresses = Vec::new();
        collect(thing, &self.simulator.url, &mut addresses);
        for address in addresses {
            if !self.bytes.contains_key(&address) {
                let bytes = self.simulator.bytes(&address).await;
                let seen = bytes.map_or("nothing".to_owned(), |bytes| {
                    format!("{} bytes {}", bytes.len(), blake3::hash(&bytes))
                });
                self.bytes.insert(address, seen);
            }
        }
    }

    fn name_of(&self, thing: &Value) -> String {
        let called = |id: &Value| id.as_str().and_then(|id| self.names.get(&bare(id)).cloned());
        let parts = ["item", "location", "owner", "locale", "key", "filename"];
        let parts = parts.iter().filter_map(|part| {
            let part = &thing[*part];
            called(&part["id"]).or_else(|| part.as_str().map(str::to_owned))
        });
        let discount = ["codeDiscount", "automaticDiscount"].map(|of| thing[of]["title"].as_str());
        called(&thing["id"])
            .or_else(|| discount.into_iter().flatten().next().map(str::to_owned))
            .unwrap_or_else(|| parts.collect::<Vec<_>>().join(" "))
    }

    /// A value under names, without what is new in what is made anew.
    fn told(&self, value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                let link = members.get("id").filter(|_| named(members).is_none());
                let is_told = |name: &str| !NEW.contains(&name) && !name.starts_with('_');
                let by_hand = members.get("sortOrder").is_some_and(|order| order == "MANUAL");
                let mut told = Map::new();
                for (name, value) in members.iter().filter(|(name, _)| is_told(name)) {
                    let mut value = self.told(value);
                    let is_ordered = ORDERED.contains(&name.as_str()) || by_hand;
                    if let (Value::Array(items), false) = (&mut value, is_ordered) {
                        items.sort_by_key(Value::to_string);
                    }
                    told.insert(name.clone(), value);
                }
                if let Some(link) = link {
                    told.insert("is".to_owned(), self.told(link));
                }
                told.into()
            }
            // What is priced, or counted, by its variant is not there without one.
            Value::Array(items) => {
                let is_there =
                    |id: &Value| id.as_str().is_none_or(|id| self.names.contains_key(&bare(id)));
                let of = |item: &&Value| {
                    let by_price = item["price"].is_null() || is_there(&item["variant"]["id"]);
                    by_price && is_there(&item["productVariant"]["id"])
                };
                items.iter().filter(of).map(|item| self.told(item)).collect()
            }
            Value::String(text) => self.text(text).into(),
            other => other.clone(),
        }
    }

    fn text(&self, text: &str) -> String {
        if text.starts_with("gid://") {
            return self.names.get(&bare(text)).cloned().unwrap_or_else(|| of(text).to_owned());
        }
        if let Some(seen) = self.bytes.get(text) {
            return seen.clone();
        }
        // A list of references, as metafields have it.
        match serde_json::from_str::<Value>(text) {
            Ok(list @ Value::Array(_)) if text.contains("gid://") => self.told(&list).to_string(),
            _ => text.to_owned(),
        }
    }
}

fn named(members: &Map<String, Value>) -> Option<String> {
    NAMES.iter().find_map(|name| {
        let text = members.get(*name)?.as_str().filter(|text| !text.is_empty())?;
        let space = members.get("namespace").and_then(Value::as_str).unwrap_or_default();
        Some(format!("{space}{}{text}", if space.is_empty() { "" } else { "." }))
    })
}

fn collect(value: &Value, base: &str, addresses: &mut Vec<String>) {
    match value {
        Value::Object(members) => members.values().for_each(|m| collect(m, base, addresses)),
        Value::Array(items) => items.iter().for_each(|item| collect(item, base, addresses)),
        Value::String(text) if text.starts_with(base) => addresses.push(text.clone()),
        _ => {}
    }
}

/// The type in a gid.
fn of(gid: &str) -> &str {
    gid.split('/').nth(3).unwrap_or_default()
}

fn bare(gid: &str) -> String {
    gid.split('?').next().unwrap_or_default().to_owned()
}
