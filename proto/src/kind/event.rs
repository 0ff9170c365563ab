//! The shop's own log of who did what: late, and not complete, but the only place where Shopify names
//! an app or a person.

use super::pull::Members;
use super::pulled::PULLED;
use super::{Personal, Spec, Writable, rank};
use crate::resource::Facet;

/// The kind's name.
pub const NAME: &str = "event";

/// Asks for the log from an instant on: takes `$after: String` and `$query: String`, oldest first.
pub const PAGES: &str = include_str!("graphql/event_pages.graphql");

/// The types that it tells of and no webhook does. Of what a webhook tells of as well, that is sooner.
pub const LOGGED: [&str; 3] = ["Article", "Blog", "Page"];

pub(super) static SPEC: Spec = Spec {
    name: NAME,
    gid_type: "BasicEvent",
    facets: &[CORE],
    // Followed by its dates, not read whole: see the compactor's `log.rs`.
    pulls: &[],
    ask_for: |id| format!("gid://shopify/BasicEvent/{id}"),
    personal: Personal::Mentions(&["/author", "/message"]),
    rank: rank::ARCHIVES,
    writable: Writable::Archive("what happened cannot be written"),
    not_covered: "what Shopify does not log: files, menus, redirects, metafields, themes, stock",
    ..PULLED
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &[
        "action",
        "appTitle",
        "attributeToApp",
        "attributeToUser",
        "author",
        "message",
        "subjectId",
        "subjectType",
    ],
};
