//! How much of an item is at a location.

use serde_json::Value;

use super::field::MappingError;
use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Coverage, Spec, Writable, rank};
use crate::resource::{Facet, ResourceId};

pub(super) static SPEC: Spec = Spec {
    name: "inventory_level",
    gid_type: "InventoryLevel",
    topics: &[
        ("inventory_levels/connect", Coverage::Signal),
        ("inventory_levels/update", Coverage::Signal),
        ("inventory_levels/disconnect", Coverage::Delete),
    ],
    facets: &[CORE],
    pulls: &[
        Pull {
            name: "bulk",
            document: include_str!("graphql/inventory_level_bulk.graphql"),
            facets: &[Facet::Core],
            way: Way::Bulk { children: &[("InventoryLevel", "inventoryLevels")], owner: None },
            explode: Some("inventoryLevels"),
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/inventory_level_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById {
                list: "/nodes",
                ids_max: 10,
                more: &[("inventoryLevels", include_str!("graphql/inventory_level_more.graphql"))],
            },
            explode: Some("inventoryLevels"),
        },
    ],
    references: &["/location/id", "/item/id"],
    rank: rank::INVENTORY,
    writable: Writable::Partly(
        "available and on hand, where asked for: stock moves on with every sale",
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

const CORE: Members =
    Members { facet: Facet::Core, members: &["isActive", "location", "quantities"] };

/// Every way tells of which item it is a part.
fn node(facet: Facet, node: &Value) -> Result<Value, MappingError> {
    let mut state = (PULLED.node)(facet, node)?;
    state["item"] = node.get("owner").cloned().ok_or(MappingError::Missing("owner"))?;
    Ok(state)
}

/// Its gid holds numbers of its own; it is known by its item and its location.
fn id(node: &Value) -> Option<ResourceId> {
    let number = |pointer| ResourceId::parse(node.pointer(pointer)?.as_str()?).ok();
    let (item, location) = (number("/owner/id")?, number("/location/id")?);
    ResourceId::parse(&format!("{item}-{location}")).ok()
}
