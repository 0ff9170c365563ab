//! What delivery costs where: profiles with their zones and rates.

use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Coverage, Spec, Writable, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "delivery_profile",
    gid_type: "DeliveryProfile",
    topics: &[
        ("profiles/create", Coverage::Signal),
        ("profiles/update", Coverage::Signal),
        ("profiles/delete", Coverage::Delete),
    ],
    facets: &[CORE],
    pulls: &[
        Pull {
            name: "pages",
            document: include_str!("graphql/delivery_profile_pages.graphql"),
            facets: &[Facet::Core],
            way: Way::Pages { connection: "/deliveryProfiles", more: &[], each: &[] },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/delivery_profile_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById { list: "/nodes", ids_max: 1, more: &[], each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/DeliveryProfile/{id}"),
    references: &["/profileLocationGroups/*/locationGroup/locations/*/id"],
    natural_key: &["name"],
    rank: rank::PRICING,
    writable: Writable::Archive("delivery profiles are kept, and cannot be written back yet"),
    not_covered: "which products it is for, and what is beyond ten zones of a group of locations and \
                  ten rates of a zone",
    ..PULLED
};

const CORE: Members =
    Members { facet: Facet::Core, members: &["name", "default", "profileLocationGroups"] };
