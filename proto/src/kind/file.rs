//! Files: images, videos, models, documents.

use super::pull::{self, Members, Pull, Way};
use super::pulled::PULLED;
use super::{Spec, Writable, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "file",
    gid_type: "MediaImage",
    also_gid_types: &["GenericFile", "Video", "ExternalVideo", "Model3d"],
    reads: &["read_files"],
    writes: &["write_files"],
    glimpse: Some(include_str!("graphql/file_glimpse.graphql")),
    mapping: 2,
    facets: &[CORE, pull::BLOBS],
    pulls: &[
        Pull {
            name: "bulk",
            document: include_str!("graphql/file_bulk.graphql"),
            facets: &[Facet::Core],
            way: Way::Bulk { children: &[], owner: None },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/file_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById { list: "/nodes", ids_max: 50, more: &[], each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/MediaImage/{id}"),
    rank: rank::FILES,
    writable: Writable::Partly("a file that is gone comes back under a new address"),
    id: pull::by_gid,
    ..PULLED
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &[
        "alt",
        "fileStatus",
        "?mimeType",
        "?image",
        "?url",
        "?originalFileSize",
        "?duration",
        "?filename",
        "?originalSource",
        "?embedUrl",
        "?host",
        "?originUrl",
    ],
};
