//! Erasure: a person, or a whole shop, is taken out of everything that this journal keeps.
//!
//! What asks for it is a message on the stream, so every copy of a partition does the same: a
//! compliance webhook, or a record that the API puts there. An erasure is then a [`case`], and goes
//! through stages, each of which may be done again after a kill:
//!
//! 1. The wish is put on record without anything personal, on the stream and in the object store, so
//!    that a journal that is brought back from an older checkpoint erases again.
//! 2. What speaks of the person is looked for ([`find`]) and rewritten ([`rewrite`]). From before the
//!    look begins, nothing of the person comes in as it is said ([`live`]).
//! 3. The messages are deleted from the stream ([`messages`]).
//! 4. The sorted files and logs that held any of it are written anew ([`disk`]).
//! 5. Older checkpoints go once a newer one is whole, in the usual store and in each that holds copies.
//!
//! The receipt is the case itself: whom, when, and how much.

mod case;
mod disk;
mod find;
mod live;
pub(crate) mod messages;
mod on_record;
mod rewrite;
mod since;

use std::cmp::Reverse;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::Stream;
use backstock_proto::erase::{ERASED_MESSAGES, ERASURE, Whom};
use backstock_proto::storage::{self, Keys, StorageError};
use backstock_proto::stream::{Partition, ops_subject, stream_name};
use backstock_proto::time::Clock;
use backstock_proto::{Shop, Timestamp};
use futures::TryStreamExt;
use object_store::path::Path as Place;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use tokio_util::sync::CancellationToken;

use crate::checkpoint::{CheckpointError, Checkpoints, stored_at};
use crate::store::{Store, StoreError};
pub(crate) use case::Case;
use case::Stage;
use disk::Anew;
use messages::Unreachable;
use on_record::kept_of;
pub(crate) use on_record::{Kept, OnRecord, keep, kept};

/// How often it looks whether something is left to do, beside being told.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Rest after a failure, and while somebody still reads what is to go.
const REST: Duration = Duration::from_secs(2);
/// How long a store may take to read what the stream holds, before its erasure waits for the next look.
const LEVEL_WITHIN: Duration = Duration::from_secs(1);
/// How often it is looked whether it has.
const LEVEL_EVERY: Duration = Duration::from_millis(20);
/// Messages taken off the stream between two looks.
const MESSAGES: usize = 5_000;

/// Erases what is asked for, for one partition.
pub struct Eraser {
    /// From where.
    pub store: Arc<Store>,
    /// And from where.
    pub jetstream: Context,
    /// Which one.
    pub partition: Partition,
    /// Where checkpoints and blobs are.
    pub storage: Arc<dyn ObjectStore>,
    /// Where further checkpoints may be.
    pub copies: Arc<[String]>,
    /// What those are sealed with.
    pub keys: Keys,
    /// What "now" is.
    pub clock: Arc<dyn Clock>,
}

/// Why an erasure has to wait.
#[derive(Debug, thiserror::Error)]
enum EraseError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Stream(#[from] Unreachable),
    #[error(transparent)]
    Storage(#[from] object_store::Error),
    #[error(transparent)]
    Copies(#[from] StorageError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("erasing panicked: {0}")]
    Panic(#[from] tokio::task::JoinError),
    #[error("somebody still reads what was there before")]
    Read,
    #[error("what came since is not read yet")]
    Behind,
    #[error("files that hold it could not be written anew; the log of RocksDB says why")]
    Unwritten,
}

impl Eraser {
    /// Erases what is asked for, until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut recalled = false;
        loop {
            let told = self.store.erasing.notified();
            let worked = tokio::select! {
                () = shutdown.cancelled() => return,
                worked = self.work(&mut recalled) => worked,
            };
            let rest = match worked {
                Ok(rest) => rest,
                Err(error) => {
                    tracing::warn!(partition = self.partition, %error, "erasing has to wait");
                    REST
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = told => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// Does all that can be done now, and says after which rest to go on. An erasure that fails is tried
    /// again then, and keeps no other from its end.
    async fn work(&self, recalled: &mut bool) -> Result<Duration, EraseError> {
        if !*recalled {
            // This store may be an older one, of which the stream has forgotten what was erased since.
            let kept = kept(&*self.storage, self.partition).await?;
            self.blocking(move |store| store.recall(kept)).await?;
            *recalled = true;
        }
        let mut rest = LOOK_EVERY;
        for case in self.cases().await? {
            if let Err(error) = self.take_out(&case).await {
                rest = rest.min(self.later(&case, &error));
            }
        }
        let cases = self.cases().await?.into_iter();
        let mut rewritten = Vec::new();
        for case in cases.filter(|case| case.stage == Stage::Rewritten) {
            match self.take_off_the_stream(&case).await {
                Ok(()) => rewritten.push(case),
                Err(error) => rest = rest.min(self.later(&case, &error)),
            }
        }
        self.take_the_unsaid_off(&rewritten).await?;
        // All together is once over the disk; where that fails, one of them may be why.
        let one_by_one = match self.write_anew(&rewritten).await {
            Ok(()) => false,
            // Nothing is gained yet for any of them. Those that are further go on.
            Err(EraseError::Read) => {
                rewritten.clear();
                rest = REST;
                false
            }
            Err(_) => true,
        };
        for case in &rewritten {
            let done = async {
                if one_by_one {
                    self.write_anew(std::slice::from_ref(case)).await?;
                }
                self.note_erased(case).await
            };
            if let Err(error) = done.await {
                rest = rest.min(self.later(case, &error));
            }
        }
        self.take_off_the_checkpoints().await?;
        Ok(rest)
    }

    /// After which rest an erasure that failed is tried again. What is wrong with history stays so for long.
    fn later(&self, case: &Case, error: &EraseError) -> Duration {
        if matches!(error, EraseError::Read | EraseError::Behind) {
            return REST;
        }
        let (partition, whom) = (self.partition, case.wish.whom.name());
        tracing::warn!(partition, shop = %case.shop, whom, %error, "an erasure has to wait");
        match error {
            EraseError::Store(_) | EraseError::Panic(_) | EraseError::Unwritten => LOOK_EVERY,
            _ => REST,
        }
    }

    async fn take_out(&self, case: &Case) -> Result<(), EraseError> {
        if !case.recorded {
            self.put_on_record(case).await?;
        }
        if case.stage == Stage::Asked {
            let case = case.clone();
            self.blocking(move |store| store.take_out(&case)).await?;
        }
        Ok(())
    }

    async fn cases(&self) -> Result<Vec<Case>, EraseError> {
        self.blocking(|store| store.cases()).await
    }

    /// On the stream, for other copies; in the object store, for whoever comes back from a checkpoint
    /// when the stream has forgotten.
    async fn put_on_record(&self, case: &Case) -> Result<(), EraseError> {
        let said = serde_json::to_vec(&OnRecord::of(case)).map_err(|e| unwritable(&e))?;
        let name = case.wish.whom.name();
        self.publish(ops_subject(self.partition, &case.shop, ERASURE, &name), said).await?;
        let (place, kept) = kept_of(self.partition, case)?;
        self.storage.put(&place, PutPayload::from(kept)).await?;
        let of = case.clone();
        let recorded = move |now: &mut Case| {
            now.recorded = (&now.wish, now.upto) == (&of.wish, of.upto);
        };
        let case = case.clone();
        self.blocking(move |store| store.change_case(&case, recorded)).await
    }

    async fn publish(&self, subject: String, said: Vec<u8>) -> Result<(), Unreachable> {
        let failed = |error: &dyn std::fmt::Display| Unreachable::of(error);
        let sent = self.jetstream.publish(subject, said.into()).await;
        sent.map_err(|e| failed(&e))?.await.map_err(|e| failed(&e))?;
        Ok(())
    }

    async fn stream(&self) -> Result<Stream, Unreachable> {
        let stream = self.jetstream.get_stream(stream_name(self.partition)).await;
        stream.map_err(|error| Unreachable::of(&error))
    }

    async fn take_off_the_stream(&self, case: &Case) -> Result<(), EraseError> {
        let stream = self.stream().await?;
        let seqs = match &case.wish.whom {
            Whom::Customer(_) => {
                let erased = self.store.erased_of(&case.shop).unwrap_or_default();
                messages::of_resources(&stream, self.partition, &case.shop, &erased).await?
            }
            Whom::Shop => {
                // Its bytes stay until then, and all from here on would be done over and over meanwhile.
                self.catch_up().await?;
                messages::of_shop(&stream, self.partition, &case.shop, case.upto).await?
            }
        };
        self.take_off(&stream, &case.shop, Some(case), &seqs).await
    }

    async fn take_the_unsaid_off(&self, rewritten: &[Case]) -> Result<(), EraseError> {
        loop {
            let unsaid = self.blocking(|store| store.unsaid(MESSAGES)).await?;
            if unsaid.is_empty() {
                return Ok(());
            }
            let stream = self.stream().await?;
            for (shop, seqs) in unsaid {
                let case = rewritten.iter().find(|case| case.shop == shop);
                self.take_off(&stream, &shop, case, &seqs).await?;
                self.blocking(move |store| store.said_no_more(&shop, &seqs)).await?;
            }
        }
    }

    async fn take_off(
        &self,
        stream: &Stream,
        shop: &Shop,
        case: Option<&Case>,
        seqs: &[u64],
    ) -> Result<(), EraseError> {
        let name = case.map_or_else(|| "late".into(), |case| case.wish.whom.name());
        let there = messages::there(stream, seqs).await?;
        for said in messages::said(&there)? {
            let subject = ops_subject(self.partition, shop, ERASED_MESSAGES, &name);
            self.publish(subject, said).await?;
        }
        let deleted = messages::delete(stream, there).await?;
        if let Some(case) = case.cloned() {
            let count = move |now: &mut Case| now.counts.messages += deleted;
            self.blocking(move |store| store.change_case(&case, count)).await?;
        }
        Ok(())
    }

    async fn write_anew(&self, rewritten: &[Case]) -> Result<(), EraseError> {
        if rewritten.is_empty() {
            return Ok(());
        }
        let cases = rewritten.to_vec();
        match self.blocking(move |store| store.write_anew(&cases)).await? {
            Anew::Written => Ok(()),
            Anew::Read => Err(EraseError::Read),
            Anew::Failed => Err(EraseError::Unwritten),
        }
    }

    /// Removes the files of what is off the disk, and notes that it is erased.
    async fn note_erased(&self, case: &Case) -> Result<(), EraseError> {
        let blobs = match case.wish.whom {
            Whom::Shop => self.remove_blobs(&case.shop).await?,
            Whom::Customer(_) => self.remove_exports(&case.shop).await?,
        };
        let (of, now) = (case.clone(), self.clock.now());
        self.blocking(move |store| {
            store.change_case(&of, |case| {
                // Asked for more meanwhile: once more, then.
                if case.stage == Stage::Rewritten {
                    (case.stage, case.erased_at) = (Stage::Erased, Some(now));
                    case.counts.blobs += blobs;
                }
            })
        })
        .await?;
        tracing::info!(shop = %case.shop, whom = case.wish.whom.name(), "erased");
        Ok(())
    }

    /// Exports that were brought in hold everybody, and can be brought in again.
    async fn remove_exports(&self, shop: &Shop) -> Result<u64, EraseError> {
        let of = shop.clone();
        let exports = self.blocking(move |store| store.exports(&of)).await?;
        let mut removed = 0;
        for export in exports {
            let place = Place::from_iter(["blobs", shop.name(), export.as_str()]);
            removed += self.remove(&place).await?;
        }
        Ok(removed)
    }

    /// Bytes of media, of which none belongs to a customer, and what is noted about them; but for those
    /// that were named since, or are about to be.
    async fn remove_blobs(&self, shop: &Shop) -> Result<u64, EraseError> {
        let begun = self.clock.now();
        // Listed before it is asked what is named: what is stored meanwhile is not among them. What is stored
        // is of something that the stream held before.
        let blobs = self.files(&Place::from_iter(["blobs", shop.name()])).await?;
        self.catch_up().await?;
        let of = shop.clone();
        let (named, since) = self.blocking(move |store| store.named_files(&of)).await?;
        let since = since.unwrap_or(begun);
        for note in self.files(&Place::from_iter(["unnamed", shop.name()])).await? {
            self.remove(&note).await?;
        }
        let mut removed = 0;
        for blob in blobs {
            let is_named = blob.filename().is_some_and(|name| named.contains(name));
            if !is_named && !self.is_stored_since(&blob, since).await? {
                removed += self.remove(&blob).await?;
            }
        }
        Ok(removed)
    }

    /// Waits until the store has read what the stream holds now. One that was brought back from before may not
    /// know yet that a shop has history again.
    async fn catch_up(&self) -> Result<(), EraseError> {
        let stream = self.stream().await?;
        let state = &stream.cached_info().state;
        if state.messages == 0 {
            return Ok(());
        }
        let read = async {
            while self.store.applied_seq() < state.last_sequence {
                tokio::time::sleep(LEVEL_EVERY).await;
            }
        };
        tokio::time::timeout(LEVEL_WITHIN, read).await.map_err(|_| EraseError::Behind)
    }

    /// Whether a file was stored since the shop has history again, which is about to name it then. What was
    /// there before is written once more, so it is asked when the file is about to go.
    async fn is_stored_since(
        &self,
        place: &Place,
        since: Timestamp,
    ) -> Result<bool, object_store::Error> {
        match self.storage.head(place).await {
            Ok(there) => Ok(stored_at(&there) >= since),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn files(&self, place: &Place) -> Result<Vec<Place>, object_store::Error> {
        self.storage.list(Some(place)).map_ok(|file| file.location).try_collect().await
    }

    async fn remove(&self, place: &Place) -> Result<u64, object_store::Error> {
        match self.storage.delete(place).await {
            Ok(()) => Ok(1),
            Err(object_store::Error::NotFound { .. }) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// An erasure is done once no checkpoint from before is left anywhere: making one removes those.
    async fn take_off_the_checkpoints(&self) -> Result<(), EraseError> {
        let cases = self.cases().await?;
        let erased: Vec<Case> =
            cases.into_iter().filter(|case| case.stage == Stage::Erased).collect();
        if erased.is_empty() {
            return Ok(());
        }
        let usual = Checkpoints::new(self.storage.clone(), self.partition);
        let mut oldest = usual.oldest().await?;
        for copy in &*self.copies {
            match self.oldest_copy(copy).await {
                Ok(copied) => oldest = [oldest, copied].into_iter().flatten().min(),
                Err(error) => {
                    let partition = self.partition;
                    tracing::warn!(
                        partition, %error,
                        "whether copies of before are left is not known: no erasure is done yet"
                    );
                    return Ok(());
                }
            }
        }
        for case in erased {
            let held = case.erased_at.zip(oldest).is_some_and(|(erased, oldest)| oldest < erased);
            if !held {
                let now = self.clock.now();
                let done = move |case: &mut Case| {
                    (case.stage, case.done_at) = (Stage::Done, Some(now));
                };
                self.blocking(move |store| store.change_case(&case, done)).await?;
            }
        }
        Ok(())
    }

    async fn oldest_copy(&self, url: &str) -> Result<Option<Timestamp>, EraseError> {
        let storage = storage::open(Some(url), self.store.path(), &self.keys)?;
        Ok(Checkpoints::elsewhere(storage, self.partition).oldest().await?)
    }

    /// Runs something that blocks on the disk.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, EraseError> {
        let store = self.store.clone();
        Ok(tokio::task::spawn_blocking(move || work(&store)).await??)
    }
}

impl Store {
    /// Erases again what was erased before, in a store that comes back from a checkpoint of before.
    pub(crate) fn erase_again(&self, mut kept: Vec<Kept>) -> Result<u64, StoreError> {
        // One may be kept in two places, in one of them as it was asked for first.
        kept.sort_by_key(|kept| Reverse(kept.wish.upto));
        for Kept { shop, wish } in kept {
            let mut batch = rocksdb::WriteBatch::default();
            let case = self.case_on_record(&shop, wish)?;
            self.put_case(&mut batch, &case);
            self.write(batch)?;
        }
        let open = |case: &Case| matches!(case.stage, Stage::Asked | Stage::Rewritten);
        let cases: Vec<Case> = self.cases()?.into_iter().filter(open).collect();
        for case in &cases {
            if case.stage == Stage::Asked {
                self.take_out(case)?;
            }
        }
        self.write_anew(&cases)?;
        Ok(cases.len() as u64)
    }

    /// Opens the cases of what was erased before. What is known of changes nothing.
    fn recall(&self, kept: Vec<Kept>) -> Result<(), StoreError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = rocksdb::WriteBatch::default();
        for Kept { shop, wish } in kept {
            let known = self.case(&shop, &wish.wish.whom)?;
            let case = self.case_on_record(&shop, wish)?;
            if known.is_none_or(|known| known != case) {
                self.put_case(&mut batch, &case);
            }
        }
        if batch.is_empty() { Ok(()) } else { self.write(batch) }
    }

    /// The case of a wish that is kept beside checkpoints. One of a stream that is lost for good, or that does
    /// not say, reaches what is here.
    fn case_on_record(&self, shop: &Shop, on_record: OnRecord) -> Result<Case, StoreError> {
        let OnRecord { wish, upto } = on_record;
        let since = self.stream_identity()?.map(|(_, created)| created);
        let upto = upto.filter(|_| since.is_some_and(|at| at <= wish.requested_at.as_micros()));
        self.case_of(shop, wish, upto.unwrap_or_else(|| self.applied_seq()))
    }

    /// Since when an erasure waits for a checkpoint, if one does. One that was made since may leave it to
    /// wait for copies elsewhere.
    pub(crate) fn awaits_checkpoint_since(&self) -> Result<Option<Timestamp>, StoreError> {
        let made = self.checkpointed_at()?;
        let erased = self.cases()?.into_iter().filter(|case| case.stage == Stage::Erased);
        let erased = erased.filter_map(|case| case.erased_at);
        Ok(erased.filter(|at| made.is_none_or(|made| made < *at)).min())
    }
}

fn unwritable(error: &serde_json::Error) -> Unreachable {
    Unreachable::of(error)
}
