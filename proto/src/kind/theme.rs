//! Themes. Their files are resources of their own.

use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Coverage, Spec, Writable, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "theme",
    gid_type: "OnlineStoreTheme",
    reads: &["read_themes"],
    writes: &["write_themes"],
    topics: &[
        ("themes/create", Coverage::Signal),
        ("themes/update", Coverage::Signal),
        ("themes/publish", Coverage::Signal),
        ("themes/delete", Coverage::Delete),
    ],
    facets: &[CORE],
    pulls: &[
        Pull {
            name: "pages",
            document: include_str!("graphql/theme_pages.graphql"),
            facets: &[Facet::Core],
            way: Way::Pages { connection: "/themes", more: &[], each: &[] },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/theme_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById { list: "/nodes", ids_max: 20, more: &[], each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/OnlineStoreTheme/{id}"),
    natural_key: &["name"],
    rank: rank::THEMES,
    writable: Writable::Partly("through a new, unpublished theme"),
    ..PULLED
};

const CORE: Members = Members { facet: Facet::Core, members: &["name", "role", "processing"] };
