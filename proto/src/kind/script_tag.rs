//! Scripts that an app puts into the online store.

use serde_json::Value;

use super::field::shown;
use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Listing, Spec, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "script_tag",
    gid_type: "ScriptTag",
    reads: &["read_script_tags"],
    writes: &["write_script_tags"],
    listing,
    facets: &[CORE],
    pulls: &[
        Pull {
            name: "pages",
            document: include_str!("graphql/script_tag_pages.graphql"),
            facets: &[Facet::Core],
            way: Way::Pages { connection: "/scriptTags", more: &[], each: &[] },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/script_tag_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById { list: "/nodes", ids_max: 50, more: &[], each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/ScriptTag/{id}"),
    natural_key: &["src"],
    rank: rank::THEMES,
    not_covered: "script tags of other apps, which Shopify shows to none but the app itself",
    ..PULLED
};

const CORE: Members = Members { facet: Facet::Core, members: &["src", "displayScope", "cache"] };

fn listing(state: &Value) -> Listing {
    Listing { title: shown(state, "src").unwrap_or_default(), handle: None, also: Vec::new() }
}
