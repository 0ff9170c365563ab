//! How much of an item is at a location.

use serde_json::{Value, json};

use super::field::{Mapped, MappingError, gid_of};
use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Coverage, Spec, Writable, rank};
use crate::event::Op;
use crate::resource::{Facet, ResourceId};

pub(super) static SPEC: Spec = Spec {
    name: "inventory_level",
    gid_type: "InventoryLevel",
    reads: &["read_inventory"],
    writes: &["write_inventory"],
    topics: &[
        ("inventory_levels/connect", Coverage::Core(Op::Create)),
        ("inventory_levels/update", Coverage::Core(Op::Update)),
        ("inventory_levels/disconnect", Coverage::Delete),
    ],
    mapping: 2,
    core: Some(core),
    facets: &[CORE, DETAIL],
    pulls: &[
        Pull {
            name: "bulk",
            document: include_str!("graphql/inventory_level_bulk.graphql"),
            facets: &[Facet::Core, Facet::Detail],
            way: Way::Bulk { children: &[("InventoryLevel", "inventoryLevels")], owner: None },
            explode: Some("inventoryLevels"),
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/inventory_level_by_id.graphql"),
            facets: &[Facet::Core, Facet::Detail],
            way: Way::ById {
                list: "/nodes",
                ids_max: 10,
                each: &[],
                more: &[("inventoryLevels", include_str!("graphql/inventory_level_more.graphql"))],
            },
            explode: Some("inventoryLevels"),
        },
    ],
    references: &["/location/id", "/item/id"],
    rank: rank::INVENTORY,
    writable: Writable::Partly(
        "only the amount that can be sold, and only where the item comes back or where asked for: \
         stock moves on with every sale",
    ),
    named: super::generic::identify,
    node,
    id,
    ask_for: |id| {
        let item = id.as_str().split('-').next().unwrap_or_default();
        format!("gid://shopify/InventoryItem/{item}")
    },
    ..PULLED
};

/// The location, and how many can be sold, which is among the quantities.
const CORE: Members = Members { facet: Facet::Core, members: &["location", "quantities"] };

/// All quantities, by name.
const DETAIL: Members = Members { facet: Facet::Detail, members: &["isActive", "quantities"] };

fn core(body: &Value) -> Result<Value, MappingError> {
    let mut m = Mapped::of(body)?;
    m.gid("InventoryLevel")
        .map("inventory_item_id", "item", |id| json!({"id": gid_of("InventoryItem", id)}))
        .map("location_id", "location", |id| json!({"id": gid_of("Location", id)}))
        .same(&["available"]);
    Ok(m.done())
}

/// Every way tells of which item it is a part.
fn node(facet: Facet, node: &Value) -> Result<Value, MappingError> {
    let state = (PULLED.node)(facet, node)?;
    if facet != Facet::Core {
        return Ok(state);
    }
    let quantities = state["quantities"].as_array().into_iter().flatten();
    let mut sellable = quantities.filter(|quantity| quantity["name"] == "available");
    Ok(json!({
        "id": state["id"],
        "item": node.get("owner").ok_or(MappingError::Missing("owner"))?,
        "location": state["location"],
        "available": sellable.next().map(|quantity| quantity["quantity"].clone()),
    }))
}

/// Its gid holds numbers of its own; it is known by its item and its location.
fn id(node: &Value) -> Option<ResourceId> {
    let number = |pointer| ResourceId::parse(node.pointer(pointer)?.as_str()?).ok();
    let (item, location) = (number("/owner/id")?, number("/location/id")?);
    ResourceId::parse(&format!("{item}-{location}")).ok()
}
