//! Writes one resource to the shop: from what is there now to what is wanted, and nothing else.
//!
//! Each kind that can be written has a file of its own here. A writer compares `now` with `want`,
//! both canonical, and sends the fewest mutations that make the one the other; a field that is the
//! same in both is never sent. Nothing is created before it was looked for: most of Shopify's
//! mutations are not idempotent, so what carries the resource's natural key (its handle, its path,
//! its code) is taken for the resource itself, where an earlier try may have made it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use backstock_proto::Timestamp;
use backstock_proto::admin::{AdminError, Answer, Call, Client};
use backstock_proto::kind::{Spec, Writable};
use serde_json::Value;
use tokio::sync::OnceCell;

mod address;
mod article;
mod assortment;
mod blog;
pub(crate) mod bulk;
mod catalog;
mod collection;
mod collection_source;
mod company;
mod company_contact;
mod company_location;
mod consent;
mod crud;
mod customer;
mod delivery_profile;
mod discount;
mod draft_order;
mod file;
mod inventory_item;
mod inventory_level;
mod location;
pub mod look;
mod market;
mod menu;
mod metafield;
mod metafield_definition;
mod metaobject;
mod metaobject_definition;
mod order;
mod page;
mod policy;
mod price_list;
mod product;
mod publication;
mod reach;
mod redirect;
mod script_tag;
mod segment;
mod selling_plan;
mod send;
mod shop;
mod step;
mod theme;
mod theme_file;
mod translation;
mod twin;
pub(crate) mod upload;
mod visible;

pub(crate) use draft_order::likeness as draft_likeness;
pub(crate) use file::likeness as file_likeness;
pub(crate) use inventory_level::{amount, has_moved};
pub(crate) use menu::{title_of as menu_title_of, titles as menu_titles};
pub use reach::{
    alike, by_hand, cost, cost_of_making, drifts, given_since, goes_with_its_owner, incidental,
    is_stock, links, unwritable, unwritable_to, withdraws,
};
pub(crate) use reach::{comes_along, follows_from_bytes, names_bytes, replaces};

/// What is to be done to one resource.
#[derive(Clone)]
pub struct Task {
    /// What sort of thing.
    pub spec: &'static Spec,
    /// The canonical state as the shop has it now, just read; `None`: it is not there.
    pub now: Option<Value>,
    /// The canonical state to be there afterwards; `None`: it is to be gone. References to what was
    /// made anew since are already to what is there now. Where `now` is `None`, the ids of the
    /// resource itself and of what it owns are those that history knows, and are no longer there.
    pub want: Option<Value>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    /// It is there anew.
    Created {
        /// Its gid now.
        gid: String,
        /// Old gid → new gid of it and of what it owns (variants, media, inventory items, …), as far
        /// as they differ.
        ids: BTreeMap<String, String>,
    },
    /// It was changed. What it owns may have been made anew.
    Updated {
        /// Old gid → new gid of what was made anew within it.
        ids: BTreeMap<String, String>,
    },
    /// It is gone.
    Deleted,
    /// It was as wanted already.
    Unchanged,
}

/// Why it was not done, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The shop could not be asked.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The shop does not accept what was written.
    #[error("the shop refuses it: {}", .0.join("; "))]
    Refused(Vec<String>),
    /// Something else in the shop goes by the name that it is to have.
    #[error("the shop refuses it: {0}")]
    Taken(String),
    /// Something that it refers to is not there.
    #[error("{0}")]
    Missing(String),
    /// The shop takes no more of it for now; another day it does.
    #[error("{0}")]
    Later(String),
    /// This sort of thing cannot be written.
    #[error("{0}")]
    Unwritable(String),
}

impl WriteError {
    /// Whether something else in the shop goes by its name. That one may be about to go, or to be called
    /// otherwise.
    pub(crate) fn is_taken(&self) -> bool {
        match self {
            Self::Taken(_) => true,
            Self::Refused(why) => why.iter().any(|why| crud::is_taken(why)),
            _ => false,
        }
    }
}

/// What writers need of those around them.
#[async_trait]
pub trait Around: Send + Sync {
    /// The shop.
    fn admin(&self) -> &Client;
    /// Sends a mutation, of which it is on record that it is sent. Those around may have it go another
    /// way than by itself, as long as the answer is the same.
    async fn mutate(&self, call: Call<'_>) -> Result<Answer, AdminError> {
        self.admin().ask(call).await
    }
    /// The gid that something has now which history knows by `gid`: the same, unless it was made anew.
    fn gid_now(&self, gid: &str) -> String;
    /// The bytes of a medium or a theme file, by their BLAKE3, hexadecimal; `None` where they were
    /// never kept.
    async fn blob(&self, hash: &str) -> Option<bytes::Bytes>;
    /// How many bytes those are; `None` where they were never kept.
    async fn blob_length(&self, hash: &str) -> Option<u64> {
        self.blob(hash).await.map(|bytes| bytes.len() as u64)
    }
    /// The wanted states of what belongs to a resource and is written for itself, by the gid that
    /// history knows the resource by. All files of a theme, which comes of them when it is made anew;
    /// of a company that comes back, the first of its locations, which is made with it; of an inventory
    /// item that comes back, itself and its levels at locations that are there now, by the gids that these
    /// have now, which its variant is made with.
    async fn parts(&self, gid: &str) -> Result<Vec<Value>, WriteError> {
        let _ = gid;
        Ok(Vec::new())
    }
    /// Where what the shop is asked about a resource is held for a moment, for others that ask the same; in
    /// place of an answer that turned out to be `old`, if that is what is held. By itself nobody does.
    fn asked(&self, gid: &str, old: Option<&Arc<OnceCell<Value>>>) -> Arc<OnceCell<Value>> {
        let _ = (gid, old);
        Arc::default()
    }
    /// [`Self::parts`] of each of the first of some inventory items, each with the number that those around
    /// know it by: of as many items as have few enough to be held together, and of one at least.
    async fn counted(&self, items: &[&str]) -> Result<Vec<Vec<(u64, Value)>>, WriteError> {
        let mut counted = Vec::with_capacity(items.len());
        for item in items {
            counted.push((0..).zip(self.parts(item).await?).collect());
        }
        Ok(counted)
    }
    /// A product was made with what is counted of it, and these have all that is wanted of them; or only
    /// without: where that happens again and again those around keep it from others, too.
    fn stocked(&self, whole: Option<&[u64]>) {
        let _ = whole;
    }
    /// A mutation is about to be sent: puts on record, durably, that the resource is being written.
    async fn before(&self, what: &str) -> Result<(), WriteError>;
    /// When the job began: what carries the natural key and was made since may be our own work, of a try
    /// whose answer was lost ([`Self::may_be_ours`]); anything older is somebody else's.
    fn began_at(&self) -> Timestamp;
    /// Whether something that was made since the job began may be the work of an earlier try of this
    /// row: one was begun, and nothing else is on record as having come back as it.
    async fn may_be_ours(&self, gid: &str) -> bool {
        let _ = gid;
        true
    }
    /// A key for `@idempotent`: the same whenever this row of this job is tried again with the same
    /// `what`, and never the same for anything else.
    fn key(&self, what: &str) -> String;
    /// Tells a person, with the row's outcome, what could not be brought back and what to do by hand.
    fn note(&self, text: String);
}

/// Makes one resource what it should be, by the writer of its kind. What is wanted may be put aside
/// meanwhile, and is there again afterwards.
pub async fn write(around: &dyn Around, task: &mut Task) -> Result<Written, WriteError> {
    let (now, want) = (task.now.as_ref(), task.want.as_ref());
    if let Writable::Archive(why) = task.spec.writable {
        return Err(WriteError::Unwritable(why.into()));
    }
    // A kind that can be written is a line here: `"page" => page::write(around, now, want).await,`.
    match task.spec.name {
        _ if now == want => Ok(Written::Unchanged),
        "article" => article::write(around, now, want).await,
        "blog" => blog::write(around, now, want).await,
        "catalog" => catalog::write(around, now, want).await,
        "collection" => collection::write(around, now, want).await,
        "company" => company::write(around, now, want).await,
        "company_contact" => company_contact::write(around, now, want).await,
        "company_location" => company_location::write(around, now, want).await,
        "customer" => customer::write(around, now, want).await,
        "delivery_profile" => delivery_profile::write(around, now, want).await,
        "discount" => discount::write(around, now, want).await,
        "draft_order" => draft_order::write(around, now, want).await,
        "file" => file::write(around, now, want).await,
        "inventory_item" => inventory_item::write(around, now, want).await,
        "inventory_level" => inventory_level::write(around, now, want).await,
        "location" => location::write(around, now, want).await,
        "market" => market::write(around, now, want).await,
        "menu" => menu::write(around, now, want).await,
        "metafield_definition" => metafield_definition::write(around, now, want).await,
        "metaobject" => metaobject::write(around, now, want).await,
        "metaobject_definition" => metaobject_definition::write(around, now, want).await,
        "page" => page::write(around, now, want).await,
        "policy" => policy::write(around, now, want).await,
        "price_list" => price_list::write(around, now, want).await,
        "product" => product::write(around, now, task.want.as_mut()).await,
        "redirect" => redirect::write(around, now, want).await,
        "script_tag" => script_tag::write(around, now, want).await,
        "segment" => segment::write(around, now, want).await,
        "selling_plan_group" => selling_plan::write(around, now, want).await,
        "shop" => shop::write(around, now, want).await,
        "theme" => theme::write(around, now, want).await,
        "theme_file" => theme_file::write(around, now, want).await,
        "translation" => translation::write(around, now, want).await,
        kind => {
            let shop = &around.admin().access().shop;
            Err(WriteError::Unwritable(format!("{kind} of {shop} cannot be written back yet")))
        }
    }
}
