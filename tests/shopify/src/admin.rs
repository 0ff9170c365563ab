//! The Admin API: documents are held against Shopify's own schema before anything is done, and
//! executed on the shop's documents.

pub mod bulk;
pub mod cost;
pub mod document;
pub mod endpoint;
pub mod schema;

mod connection;
mod field;
mod introspection;
mod membership;
mod mutation;
mod read;
pub(crate) mod search;
mod session;
mod translation;

pub(crate) use mutation::{
    catalog_publication, company_roles, delivery_country, gift_card_at_founding, market_conditions,
    metafield_type, metaobject_definition, theme_file, theme_file_of,
};
pub(crate) use translation::current_digest;
