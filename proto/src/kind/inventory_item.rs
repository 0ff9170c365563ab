//! What is counted of a variant: its stock keeping unit, cost, origin and weight.

use serde_json::{Value, json};

use super::field::{self, Mapped, MappingError, instant, money};
use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Coverage, Spec, Writable, rank};
use crate::event::Op;
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "inventory_item",
    gid_type: "InventoryItem",
    reads: &["read_inventory", "read_products"],
    writes: &["write_inventory"],
    topics: &[
        ("inventory_items/create", Coverage::Core(Op::Create)),
        ("inventory_items/update", Coverage::Core(Op::Update)),
        ("inventory_items/delete", Coverage::Delete),
    ],
    events_topic: Some("InventoryItem"),
    mapping: 2,
    core: Some(core),
    node,
    // A cost is in the shop's currency, which no webhook repeats.
    beside: &["/unitCost/currencyCode"],
    facets: &[CORE],
    pulls: &[
        Pull {
            name: "bulk",
            document: include_str!("graphql/inventory_item_bulk.graphql"),
            facets: &[Facet::Core],
            way: Way::Bulk { children: &[], owner: None },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/inventory_item_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById { list: "/nodes", ids_max: 100, more: &[], each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/InventoryItem/{id}"),
    rank: rank::INVENTORY,
    writable: Writable::Partly("it comes and goes with its variant"),
    not_covered: "harmonized system codes by country",
    ..PULLED
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &[
        "sku",
        "tracked",
        "requiresShipping",
        "countryCodeOfOrigin",
        "provinceCodeOfOrigin",
        "harmonizedSystemCode",
        "unitCost",
        "measurement",
    ],
};

/// What REST calls units of weight.
const UNITS: [(&str, &str); 4] =
    [("g", "GRAMS"), ("kg", "KILOGRAMS"), ("oz", "OUNCES"), ("lb", "POUNDS")];

fn core(body: &Value) -> Result<Value, MappingError> {
    let unit = body.get("weight_unit").and_then(Value::as_str).unwrap_or_default();
    let unit = UNITS.iter().find(|(short, _)| *short == unit).map(|(_, unit)| *unit);
    let mut m = Mapped::of(body)?;
    m.gid("InventoryItem")
        .text("sku", "sku")
        .same(&["tracked"])
        .copy("requires_shipping", "requiresShipping")
        .text("country_code_of_origin", "countryCodeOfOrigin")
        .text("province_code_of_origin", "provinceCodeOfOrigin")
        .text("harmonized_system_code", "harmonizedSystemCode")
        .map("created_at", "createdAt", instant)
        .map("cost", "unitCost", |cost| match money(cost) {
            Value::Null => Value::Null,
            amount => json!({"amount": amount}),
        })
        .map(
            "weight_value",
            "measurement",
            |value| json!({"weight": weight(&json!({"unit": unit, "value": value}))}),
        );
    Ok(m.done())
}

fn node(facet: Facet, node: &Value) -> Result<Value, MappingError> {
    let mut state = (PULLED.node)(facet, node)?;
    let measured = state.pointer("/measurement/weight").map(weight).unwrap_or_default();
    state["measurement"] = json!({"weight": measured});
    Ok(state)
}

/// A weight of nothing is none, in whichever unit it is not given.
fn weight(given: &Value) -> Value {
    match field::number(&given["value"]) {
        Value::Null => Value::Null,
        nothing if nothing == 0 => Value::Null,
        value => json!({"unit": given["unit"], "value": value}),
    }
}
