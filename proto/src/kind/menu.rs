//! Menus with their tree of items. Nothing says when one was changed.

use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Spec, Writable, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "menu",
    gid_type: "Menu",
    reads: &["read_online_store_navigation"],
    writes: &["write_online_store_navigation"],
    facets: &[CORE],
    pulls: &[
        Pull {
            name: "pages",
            document: include_str!("graphql/menu_pages.graphql"),
            facets: &[Facet::Core],
            way: Way::Pages { connection: "/menus", more: &[], each: &[] },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/menu_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById { list: "/nodes", ids_max: 10, more: &[], each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/Menu/{id}"),
    references: &[
        "/items/*/resourceId",
        "/items/*/items/*/resourceId",
        "/items/*/items/*/items/*/resourceId",
    ],
    natural_key: &["handle"],
    rank: rank::NAVIGATION,
    writable: Writable::Partly("the handles of the default menus are fixed"),
    ..PULLED
};

const CORE: Members =
    Members { facet: Facet::Core, members: &["title", "handle", "isDefault", "items"] };
