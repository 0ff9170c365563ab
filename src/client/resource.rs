//! One resource as the command line names it, and the path under which the API does.

use backstock_proto::{Kind, ResourceId, Shop};
use clap::Args;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::page;

/// Everything but what RFC 3986 calls unreserved.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Which resource.
#[derive(Args)]
pub(super) struct Named {
    /// What it is: product, collection, customer, order, …
    #[arg(value_name = "KIND", value_parser = kind)]
    pub(super) kind: Kind,
    /// Its number, or its whole gid
    #[arg(value_name = "ID", value_parser = id)]
    pub(super) id: String,
}

/// A kind as a person says it.
pub(super) fn kind(text: &str) -> Result<Kind, String> {
    Kind::parse(&text.trim().to_ascii_lowercase().replace('-', "_")).map_err(|e| e.to_string())
}

fn id(text: &str) -> Result<String, String> {
    ResourceId::parse(text).map(|_| text.to_owned()).map_err(|e| e.to_string())
}

impl Named {
    /// Where the API answers about it.
    pub(super) fn path(&self, shop: &Shop) -> String {
        path(shop, &self.kind, &self.id)
    }
}

/// A resource as a person sees it: `Enamel Mug (product 8072139866342)`.
pub(super) fn called(title: &str, kind: &Kind, id: &str) -> String {
    let id = ResourceId::parse(id).map_or_else(|_| id.to_owned(), String::from);
    match title {
        "" => page::strong(format!("{kind} {id}")),
        title => format!("{} ({kind} {id})", page::strong(title)),
    }
}

/// Where the API answers about a resource.
pub(super) fn path(shop: &Shop, kind: &Kind, id: &str) -> String {
    let id = utf8_percent_encode(id, SEGMENT);
    format!("/v1/shops/{shop}/resources/{kind}/{id}")
}
