//! Places where stock is.

use serde_json::Value;

use super::field::{Mapped, MappingError, instant, object};
use super::metafield::{METAFIELDS, MORE_METAFIELDS};
use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Coverage, Spec, Writable, rank};
use crate::event::Op;
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "location",
    gid_type: "Location",
    reads: &["read_locations"],
    writes: &["write_locations"],
    topics: &[
        ("locations/create", Coverage::Core(Op::Create)),
        ("locations/update", Coverage::Core(Op::Update)),
        ("locations/activate", Coverage::Core(Op::Update)),
        ("locations/deactivate", Coverage::Core(Op::Update)),
        ("locations/delete", Coverage::Delete),
    ],
    events_topic: Some("Location"),
    mapping: 3,
    core: Some(core),
    facets: &[CORE, DETAIL, METAFIELDS],
    pulls: &[
        Pull {
            name: "pages",
            document: include_str!("graphql/location_pages.graphql"),
            facets: &[Facet::Core, Facet::Detail],
            way: Way::Pages { connection: "/locations", more: &[], each: &[] },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/location_by_id.graphql"),
            facets: &[Facet::Core, Facet::Detail, Facet::Metafields],
            way: Way::ById { list: "/nodes", ids_max: 20, more: &[MORE_METAFIELDS], each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/Location/{id}"),
    natural_key: &["name"],
    rank: rank::LOCATIONS,
    writable: Writable::Partly("the plan limits how many there are"),
    not_covered: "how orders are picked up or delivered from there",
    ..PULLED
};

const CORE: Members = Members { facet: Facet::Core, members: &["name", "isActive", "address"] };

/// What no webhook tells.
const DETAIL: Members =
    Members { facet: Facet::Detail, members: &["fulfillsOnlineOrders", "shipsInventory"] };

fn core(body: &Value) -> Result<Value, MappingError> {
    let address = object(body, |m| {
        m.text("address1", "address1")
            .text("address2", "address2")
            .text("city", "city")
            .text("province", "province")
            .text("province_code", "provinceCode")
            .text("country_name", "country")
            .text("country_code", "countryCode")
            .text("zip", "zip")
            .text("phone", "phone");
    });
    let mut m = Mapped::of(body)?;
    m.gid("Location")
        .text("name", "name")
        .copy("active", "isActive")
        .map("created_at", "createdAt", instant)
        .set("address", address);
    Ok(m.done())
}
