//! What delivery costs where: profiles with their zones and rates.

use serde_json::{Value, json};

use super::field::{self, MappingError};
use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Coverage, Spec, Writable, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "delivery_profile",
    gid_type: "DeliveryProfile",
    reads: &["read_shipping"],
    writes: &["write_shipping"],
    topics: &[
        ("profiles/create", Coverage::Signal),
        ("profiles/update", Coverage::Signal),
        ("profiles/delete", Coverage::Delete),
    ],
    mapping: 2,
    node,
    facets: &[CORE],
    pulls: &[
        Pull {
            name: "pages",
            document: include_str!("graphql/delivery_profile_pages.graphql"),
            facets: &[Facet::Core],
            way: Way::Pages { connection: "/deliveryProfiles", more: MORE, each: &[] },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/delivery_profile_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById { list: "/nodes", ids_max: 1, more: MORE, each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/DeliveryProfile/{id}"),
    references: &["/profileLocationGroups/*/locations/*/id"],
    natural_key: &["name"],
    rank: rank::PRICING,
    writable: Writable::Partly(
        "which products a delivery profile is for is not kept: add them to it in Settings → Shipping",
    ),
    not_covered: "which products and selling plans it is for",
    ..PULLED
};

/// The zones of each group of locations with their rates, zone by zone, where the first page does not have
/// all of either.
const MORE: &[(&str, &str)] = &[(
    "profileLocationGroups/*locationGroup/locationGroupZones",
    include_str!("graphql/delivery_profile_more_zones.graphql"),
)];

const CORE: Members =
    Members { facet: Facet::Core, members: &["name", "default", "profileLocationGroups"] };

/// What rest-of-world is called among the codes of countries.
const REST_OF_WORLD: &str = "REST_OF_WORLD";

/// Groups of locations and zones stand under their own ids, and in an order that stays when they are
/// made anew.
fn node(facet: Facet, node: &Value) -> Result<Value, MappingError> {
    let mut state = (PULLED.node)(facet, node)?;
    if let Some(groups) = state.get_mut("profileLocationGroups") {
        *groups = field::sorted(field::list(groups, group), |group| group["locations"].to_string());
    }
    Ok(state)
}

fn group(group: &Value) -> Value {
    let locations = field::list(&group["locationGroup"]["locations"], Value::clone);
    let zones = field::list(&group["locationGroupZones"], zone);
    json!({
        "id": group["locationGroup"]["id"],
        "locations": field::sorted(locations, |location| location["id"].to_string()),
        "zones": field::sorted(zones, |zone| zone["name"].to_string()),
    })
}

fn zone(zone: &Value) -> Value {
    let methods = field::list(&zone["methodDefinitions"], method);
    let countries = field::list(&zone["zone"]["countries"], country);
    json!({
        "id": zone["zone"]["id"],
        "name": zone["zone"]["name"],
        "countries": field::sorted(countries, |country| country["code"].to_string()),
        "methodDefinitions": field::sorted(methods, |method| {
            let mut alike = method.clone();
            alike["id"] = Value::Null;
            alike["rateProvider"]["id"] = Value::Null;
            format!("{} {alike}", method["name"])
        }),
    })
}

fn country(country: &Value) -> Value {
    let code = match country["code"]["restOfWorld"] == true {
        true => REST_OF_WORLD.into(),
        false => country["code"]["countryCode"].clone(),
    };
    let codes = |province: &Value| province["code"].clone();
    let provinces = field::list(&country["provinces"], codes);
    json!({"code": code, "provinces": field::sorted(provinces, Value::to_string)})
}

fn method(method: &Value) -> Value {
    let mut method = method.clone();
    if let Some(conditions) = method.get_mut("methodConditions") {
        *conditions = field::sorted(conditions.take(), Value::to_string);
    }
    if let Some(services) = method.pointer_mut("/rateProvider/participantServices") {
        *services = field::sorted(services.take(), |service| service["name"].to_string());
    }
    method
}
