//! Redirects from one path to another. Nothing says when one was changed.

use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Spec, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "redirect",
    gid_type: "UrlRedirect",
    reads: &["read_online_store_navigation"],
    writes: &["write_online_store_navigation"],
    glimpse: Some(include_str!("graphql/redirect_glimpse.graphql")),
    facets: &[CORE],
    pulls: &[
        Pull {
            name: "bulk",
            document: include_str!("graphql/redirect_bulk.graphql"),
            facets: &[Facet::Core],
            way: Way::Bulk { children: &[], owner: None },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/redirect_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById { list: "/nodes", ids_max: 100, more: &[], each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/UrlRedirect/{id}"),
    natural_key: &["path"],
    rank: rank::NAVIGATION,
    ..PULLED
};

const CORE: Members = Members { facet: Facet::Core, members: &["path", "target"] };
