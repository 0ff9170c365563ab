//! Files of themes, with their text. Nothing tells that one was changed: `themes/update` is not sent
//! for it.

use serde_json::Value;

use super::field::MappingError;
use super::pull::{self, Members, Pull, Way};
use super::pulled::PULLED;
use super::{Spec, Writable, rank};
use crate::resource::{Facet, ResourceId};

/// Further files of a theme.
const MORE: &[(&str, &str)] = &[("files", include_str!("graphql/theme_file_more.graphql"))];

pub(super) static SPEC: Spec = Spec {
    name: "theme_file",
    gid_type: "OnlineStoreThemeFile",
    reads: &["read_themes"],
    writes: &["write_themes"],
    glimpse: Some(include_str!("graphql/theme_file_glimpse.graphql")),
    mapping: 2,
    node,
    facets: &[CORE, pull::BLOBS],
    pulls: &[
        Pull {
            name: "pages",
            document: include_str!("graphql/theme_file_pages.graphql"),
            facets: &[Facet::Core],
            way: Way::Pages { connection: "/themes", more: MORE, each: &[] },
            explode: Some("files"),
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/theme_file_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById { list: "/nodes", ids_max: 1, more: MORE, each: &[] },
            explode: Some("files"),
        },
    ],
    id,
    ask_for: |id| {
        let theme = id.as_str().split('-').next().unwrap_or_default();
        format!("gid://shopify/OnlineStoreTheme/{theme}")
    },
    references: &["/theme/id"],
    natural_key: &["filename"],
    rank: rank::THEMES,
    writable: Writable::Partly("writing theme files needs an exemption that Shopify grants an app"),
    ..PULLED
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &["filename", "checksumMd5", "contentType", "size", "body"],
};

fn node(facet: Facet, node: &Value) -> Result<Value, MappingError> {
    let mut state = (PULLED.node)(facet, node)?;
    state["theme"] = node.get("owner").cloned().ok_or(MappingError::Missing("owner"))?;
    // A number in a text in one shape, a number in the other.
    if let Some(size) = node.get("size").filter(|size| size.is_number()) {
        state["size"] = size.to_string().into();
    }
    // The address of a large file's bytes is signed, for a short while; `checksumMd5` tells when
    // the bytes are others.
    if let Some(url) = node.pointer("/body/url").and_then(Value::as_str) {
        state["body"]["url"] = url.split('?').next().unwrap_or_default().into();
    }
    Ok(state)
}

/// It has no gid; it is known by its theme and its name.
fn id(node: &Value) -> Option<ResourceId> {
    let theme = ResourceId::parse(node.pointer("/owner/id")?.as_str()?).ok()?;
    ResourceId::parse(&format!("{theme}-{}", node.get("filename")?.as_str()?)).ok()
}
