//! Which compactors are there, and which of them has which shop.
//!
//! Each says every few seconds that it is there, in a bucket that forgets what is not said again: that
//! is the lease by which it has its shops. Who has a shop stands in another bucket, and is written when
//! the shop changes hands, so that a shop costs nothing in between.
//!
//! Nobody takes a shop from one that may still be there. That somebody is gone is put down first, in the
//! place where he says that he is there, so that he cannot say it any more.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::jetstream::context::CreateKeyValueError;
use async_nats::jetstream::kv::{self, Operation, UpdateErrorKind};
use async_nats::jetstream::{self, stream};
use backstock_proto::{Shop, event, lease};
use bytes::Bytes;
use futures::TryStreamExt;

/// Who is there.
const PRESENT: &str = "backstock-compactors";
/// Who has which shop.
const SHOPS: &str = "backstock-shops";

/// The roster cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RosterError {
    #[error("{0}")]
    Entry(#[from] kv::EntryError),
    #[error("{0}")]
    Update(#[from] kv::UpdateError),
    #[error("{0}")]
    Members(#[from] stream::InfoError),
}

/// One of the compactors, from its start until it is taken for gone.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: String,
    /// What the server calls the last word of it; 0: it has said none.
    revision: AtomicU64,
}

impl Member {
    /// Nobody else may ever have had this id.
    pub(crate) fn new(id: String) -> Self {
        Self { id, revision: AtomicU64::new(0) }
    }
}

/// The compactors of an installation.
#[derive(Clone, Debug)]
pub(crate) struct Roster {
    present: kv::Store,
    shops: kv::Store,
}

impl Roster {
    /// Opens it, and makes it if it is not there.
    pub(crate) async fn open(
        jetstream: &jetstream::Context,
        replicas: usize,
    ) -> Result<Self, CreateKeyValueError> {
        let present = (PRESENT, "Backstock: which compactors are there");
        let shops = (SHOPS, "Backstock: which compactor looks after which shop");
        Ok(Self {
            present: lease::bucket(jetstream, present, lease::HOLDS, replicas).await?,
            shops: lease::bucket(jetstream, shops, Duration::ZERO, replicas).await?,
        })
    }

    /// Says that a member is there. False: it was taken for gone, and is for ever.
    pub(crate) async fn renew(&self, member: &Member) -> Result<bool, RosterError> {
        let said = |revision| self.present.update(&member.id, Bytes::new(), revision);
        let known = member.revision.load(Ordering::Relaxed);
        let revision = match said(known).await {
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                // The answer to its last word may have been lost.
                let last = self.present.entry(&member.id).await?;
                let Some(last) = last.filter(|last| last.operation == Operation::Put) else {
                    return Ok(false);
                };
                said(last.revision).await?
            }
            said => said?,
        };
        member.revision.store(revision, Ordering::Relaxed);
        Ok(true)
    }

    /// Who is there.
    pub(crate) async fn members(&self) -> Result<BTreeSet<String>, RosterError> {
        let said = format!("{}*", self.present.prefix);
        let mut said = self.present.stream.info_with_subjects(said).await?;
        let mut members = BTreeSet::new();
        while let Some((subject, _)) = said.try_next().await? {
            let Some(id) = subject.strip_prefix(&self.present.prefix) else { continue };
            let last = self.present.entry(id).await?;
            if last.is_some_and(|last| last.operation == Operation::Put) {
                members.insert(id.to_owned());
            }
        }
        Ok(members)
    }

    /// Takes a shop, if nobody has it who may still be there.
    pub(crate) async fn take(&self, shop: &Shop, id: &str) -> Result<bool, RosterError> {
        let entry = self.shops.entry(shop.name()).await?;
        if let Some(entry) = &entry
            && entry.operation == Operation::Put
            && !self.is_gone(&String::from_utf8_lossy(&entry.value)).await?
        {
            return Ok(false);
        }
        let (id, last) = (Bytes::copy_from_slice(id.as_bytes()), entry.map_or(0, |e| e.revision));
        is_ours(self.shops.update(shop.name(), id, last).await.map(drop))
    }

    /// Gives a shop back.
    pub(crate) async fn give_back(&self, shop: &Shop, id: &str) -> Result<(), RosterError> {
        let entry = self.shops.entry(shop.name()).await?;
        let ours = entry.filter(|e| e.operation == Operation::Put && e.value == id.as_bytes());
        let Some(entry) = ours else { return Ok(()) };
        Ok(self.shops.delete_expect_revision(shop.name(), Some(entry.revision)).await?)
    }

    /// Says that a member is gone: its shops are everybody's.
    pub(crate) async fn leave(&self, member: &Member) -> Result<(), RosterError> {
        let last = member.revision.load(Ordering::Relaxed);
        Ok(self.present.delete_expect_revision(&member.id, Some(last)).await?)
    }

    /// Whether somebody is gone, and can never say again that he is there.
    async fn is_gone(&self, id: &str) -> Result<bool, RosterError> {
        match self.present.entry(id).await? {
            Some(last) => Ok(last.operation != Operation::Put),
            // Nothing is known of him: he is gone from now on, if that is still so.
            None => is_ours(self.present.delete_expect_revision(id, Some(0)).await),
        }
    }
}

/// Whether something was written as the next after what was read.
fn is_ours(written: Result<(), kv::UpdateError>) -> Result<bool, RosterError> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Which of several is to have a shop. All of them agree on it, each has about as many, and who comes
/// or goes moves no more than his own.
pub(crate) fn first<'a>(members: &'a BTreeSet<String>, shop: &Shop) -> Option<&'a String> {
    let rank = |member: &&String| event::digest(format!("{member} {}", shop.name()).as_bytes());
    members.iter().max_by_key(rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shops() -> impl Iterator<Item = Shop> {
        (0..600).map(|n| Shop::from_name(&format!("shop-{n}")).expect("a shop"))
    }

    fn members(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn everybody_has_his_share_and_who_comes_moves_no_more_than_that() {
        let (two, three) = (members(&["a", "b"]), members(&["a", "b", "c"]));
        let mut moved = 0;
        for shop in shops() {
            let (before, after) = (first(&two, &shop), first(&three, &shop));
            assert!(before == after || after.is_some_and(|to| to == "c"), "{before:?} {after:?}");
            moved += usize::from(before != after);
        }
        assert!((150..250).contains(&moved), "{moved} of 600 moved to the third");
        let with_a = shops().filter(|shop| first(&two, shop).is_some_and(|id| id == "a")).count();
        assert!((250..350).contains(&with_a), "{with_a} of 600 are with the first of two");
        assert_eq!(first(&BTreeSet::new(), &shops().next().expect("one")), None);
    }
}
