//! Keeps the bytes of media and theme files beside the history of whatever names them, because the
//! address of a file dies with the file.
//!
//! [`follow`] does it seconds after a change, [`look`] for everything that has none yet: after a pull,
//! and where it failed before. [`edition`] does it for what a pull saw in another edition. All end in
//! [`Keeper::resource`]: the addresses of a state are compared with what the `Blobs` facet says, what is
//! new or has another edition is fetched (`fetch.rs`, from where `address.rs` allows), stored by its
//! hash, and the facet published, dated as the state that names it. What fails is counted and tried
//! again; it never holds history up.

use std::sync::Arc;

use backstock_proto::blob::{BlobError, Blobs};
use backstock_proto::journal::{Head, JournalError, Raw};
use backstock_proto::media::{self, Copies, Copy, Source as Address};
use backstock_proto::publish::PublishError;
use backstock_proto::{Event, Facet, Op, ResourceKey, Source, Timestamp};
use futures::{FutureExt, StreamExt, TryStreamExt};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::pull::Puller;

mod address;
mod edition;
mod fetch;
pub(crate) mod follow;
mod known;
pub(crate) mod look;

pub(crate) use edition::Editions;
use fetch::{FetchError, Fetcher};
pub(crate) use known::Known;

/// Bytes fetched at once for a shop.
const FETCHES: usize = 6;

/// Keeps the bytes of one shop's media.
#[derive(Clone)]
pub(crate) struct Keeper {
    puller: Puller,
    blobs: Blobs,
    fetcher: Fetcher,
    fetches: Arc<Semaphore>,
    known: Known,
}

/// A state that names media.
pub(crate) struct Named<'a> {
    /// Whose.
    pub(crate) key: &'a ResourceKey,
    /// The canonical state.
    pub(crate) state: &'a Value,
    /// The document that it was read from.
    pub(crate) said: &'a Value,
    /// Since when it is true, and when that happened.
    pub(crate) valid_at: Timestamp,
    pub(crate) triggered_at: Timestamp,
    /// Whether it was just told, and may be told again in a moment.
    pub(crate) is_told: bool,
}

/// What became of the media of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// How many it has.
    pub(crate) media: u64,
    /// Of how many the bytes are kept.
    pub(crate) kept: u64,
    /// Why those of the others are not.
    pub(crate) failures: Vec<String>,
    /// Whether trying again soon may end some of that.
    pub(crate) may_pass: bool,
}

/// Why nothing could be done about a resource's media.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MediaError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("reading back what a pull saw failed: {0}")]
    Io(#[from] std::io::Error),
}

/// Why the bytes of one medium are not kept.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Blob(#[from] BlobError),
}

impl KeepError {
    /// Whether trying again soon changes nothing: the bytes are gone, refused, or too many.
    fn lasts(&self) -> bool {
        use FetchError::{Gone, Refused, TooLarge};
        matches!(
            self,
            Self::Fetch(Gone(_) | Refused | TooLarge(_)) | Self::Blob(BlobError::TooLarge(_))
        )
    }
}

impl Keeper {
    /// Keeps them in `blobs`, none larger than `bytes_max`.
    pub(crate) fn new(
        puller: Puller,
        blobs: Blobs,
        bytes_max: u64,
        known: Known,
    ) -> reqwest::Result<Self> {
        let admin = &puller.asker.client.access().url;
        let fetcher = Fetcher::new(&puller.shop, admin, bytes_max)?;
        let fetches = Arc::new(Semaphore::new(FETCHES));
        known.forget_all_of(&puller.shop);
        Ok(Self { puller, blobs, fetcher, fetches, known })
    }

    /// Sees to it that the bytes of everything that a state names are kept and on record.
    pub(crate) async fn resource(&self, named: Named<'_>) -> Result<Outcome, MediaError> {
        let wanted = media::sources(named.state, named.said);
        let mut outcome = Outcome { media: wanted.len() as u64, ..Outcome::default() };
        if wanted.is_empty() || (named.is_told && self.remembers(named.key, &wanted)) {
            outcome.kept = outcome.media;
            return Ok(outcome);
        }
        let recorded = self.recorded(named.key).await?;
        let before = self.with_remembered(named.key, recorded.clone());
        let mut copies = Copies::new();
        let copied = wanted.into_iter().map(|address| self.known_or_new(address, &before).boxed());
        let mut copied = futures::stream::iter(copied).buffer_unordered(FETCHES);
        while let Some((url, copy)) = copied.next().await {
            match copy {
                Ok(copy) => {
                    outcome.kept += 1;
                    copies.insert(url, copy);
                }
                Err(error) => {
                    outcome.may_pass |= !error.lasts();
                    outcome.failures.push(error.to_string());
                }
            }
        }
        drop(copied);
        self.record(named, &recorded, &copies).await?;
        Ok(outcome)
    }

    /// The copy of the bytes at an address: the one there is, or a new one.
    async fn known_or_new(
        &self,
        address: Address,
        before: &Copies,
    ) -> (String, Result<Copy, KeepError>) {
        let known = before.get(&address.url).filter(|copy| is_same_edition(copy, &address));
        let copy = match known {
            Some(copy) => Ok(copy.clone()),
            None => self.copy(&address).await,
        };
        (address.url, copy)
    }

    /// Fetches and stores the bytes at an address.
    async fn copy(&self, address: &Address) -> Result<Copy, KeepError> {
        let metrics = &self.puller.metrics;
        let stored = async {
            // It is never closed.
            let _one_of_few = self.fetches.acquire().await;
            let bytes = self.fetcher.fetch(&address.from).await?;
            let (hash, length) =
                self.blobs.put(&self.puller.shop, bytes, self.fetcher.bytes_max()).await?;
            metrics.media_bytes.inc_by(length);
            Ok(Copy { blob: hash.to_string(), v: address.v.clone() })
        };
        let stored: Result<Copy, KeepError> = stored.await;
        let outcome = match &stored {
            Ok(_) => "kept",
            Err(KeepError::Fetch(FetchError::Refused)) => "refused",
            Err(KeepError::Fetch(FetchError::Gone(_))) => "gone",
            Err(_) => "failed",
        };
        metrics.media.with_label_values(&[outcome]).inc();
        stored
    }

    /// Publishes what is kept now, where that is not on record: an address whose new bytes could not be
    /// had has none, rather than the old ones.
    async fn record(
        &self,
        named: Named<'_>,
        recorded: &Copies,
        copies: &Copies,
    ) -> Result<(), MediaError> {
        let Named { key, valid_at, triggered_at, is_told, .. } = named;
        let is_new = !same_bytes(recorded, copies);
        if is_new {
            let payload = media::payload(&key.kind, key.kind.gid(&key.id).as_deref(), copies);
            let event = Event {
                key: key.clone(),
                facet: Facet::Blobs,
                op: Op::Update,
                source: Source::Pull,
                topic: format!("{}/media", key.kind).into(),
                api_version: None,
                webhook_id: None,
                event_id: None,
                triggered_at: Some(triggered_at),
                received_at: self.puller.clock.now(),
                valid_at: Some(valid_at),
                earliest_at: None,
                payload: payload.to_string().into(),
            };
            self.puller.publisher.event(event).await?;
        }
        // Another edition of the same bytes is on record nowhere else.
        if is_told || (!is_new && copies != recorded) {
            self.known.put(key, copies);
        } else if is_new {
            self.known.forget(key);
        }
        Ok(())
    }

    /// Whether exactly these were kept when the resource was last seen.
    fn remembers(&self, key: &ResourceKey, wanted: &[Address]) -> bool {
        let are_these = |copies: &[(String, Copy)]| {
            let has = |address: &Address| {
                let at = copies.binary_search_by(|(url, _)| url.cmp(&address.url));
                at.is_ok_and(|at| is_same_edition(&copies[at].1, address))
            };
            copies.len() == wanted.len() && wanted.iter().all(has)
        };
        self.known.look(key, are_these).unwrap_or(false)
    }

    /// The copies that are on record.
    async fn recorded(&self, key: &ResourceKey) -> Result<Copies, MediaError> {
        let Some(newest) = self.head(key, Facet::Blobs).await? else { return Ok(Copies::new()) };
        let said = self.said(key, newest.seq).await?;
        Ok(said.as_ref().map(media::copies).unwrap_or_default())
    }

    /// The same, with what is remembered of their editions.
    fn with_remembered(&self, key: &ResourceKey, mut copies: Copies) -> Copies {
        self.known.look(key, |known| copies.extend(known.iter().cloned()));
        copies
    }

    /// The newest version of a facet.
    async fn head(&self, key: &ResourceKey, facet: Facet) -> Result<Option<Head>, JournalError> {
        let mut heads = self.puller.journal.heads(&key.shop, &key.kind, Some(&key.id)).await?;
        while let Some(head) = heads.try_next().await? {
            if head.facet == facet {
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    /// The document of a version, or of the one whose bytes it shares.
    async fn said(&self, key: &ResourceKey, seq: u64) -> Result<Option<Value>, JournalError> {
        let mut raw = self.puller.journal.raw(key, seq).await?;
        if let Some(Raw::SameAs { seq }) = raw {
            raw = self.puller.journal.raw(key, seq).await?;
        }
        Ok(match raw {
            Some(Raw::Bytes(bytes)) => serde_json::from_slice(&bytes).ok(),
            _ => None,
        })
    }
}

/// Whether an address still has the bytes of a copy. One without an edition says nothing, unless the bytes
/// themselves tell.
fn is_same_edition(copy: &Copy, address: &Address) -> bool {
    let unsaid = address.v.is_none() || (copy.v.is_none() && !address.of_bytes);
    unsaid || copy.v == address.v
}

/// Whether both have the same bytes at the same addresses.
fn same_bytes(before: &Copies, now: &Copies) -> bool {
    before.len() == now.len()
        && now.iter().all(|(url, copy)| before.get(url).is_some_and(|old| old.blob == copy.blob))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_of_the_edition_that_it_was_made_of() {
        let text = |v: Option<&str>| v.map(str::to_owned);
        let same = |copy: Option<&str>, now: Option<&str>, of_bytes: bool| {
            let copy = Copy { blob: "aa".into(), v: text(copy) };
            let (url, from) = ("u".to_owned(), "u".to_owned());
            is_same_edition(&copy, &Address { url, from, v: text(now), of_bytes })
        };
        assert!(same(Some("1"), Some("1"), false) && !same(Some("1"), Some("2"), false));
        assert!(same(None, Some("1"), false) && same(Some("1"), None, false));
        assert!(!same(None, Some("sum"), true) && same(Some("sum"), Some("sum"), true));
    }
}
