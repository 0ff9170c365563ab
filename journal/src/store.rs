//! The store: one RocksDB directory, which one process may have open.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use backstock_proto::erase::Erased;
use backstock_proto::{Kind, Shop, Timestamp};
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{ColumnFamily, DB, ReadOptions, SnapshotWithThreadMode, WriteBatch, WriteOptions};

use crate::facts::{Changes, Facts};
use crate::keys::meta;
use crate::lag::Lag;
use crate::options::{self, Family, Options};
use crate::read::Healed;
use crate::record::{self, Reader};

mod error;

pub(crate) use error::At;
pub use error::StoreError;

/// The layout that this binary writes, and the newest that it opens.
const STORE_FORMAT: u8 = 1;

/// A consistent view of the store.
pub(crate) type Snapshot<'a> = SnapshotWithThreadMode<'a, DB>;

/// One partition's history on disk. Closed when the last reference is dropped.
pub struct Store {
    db: DB,
    path: PathBuf,
    applied: AtomicU64,
    created_at: Timestamp,
    /// What did not hold when everything was last read back.
    faults: AtomicU64,
    lag: Lag,
    /// Held while a batch is put together and written: there is one writer at a time.
    pub(crate) writing: Mutex<Writing>,
    /// Held while history is thinned, or somebody taken out of it.
    pub(crate) thinning: Mutex<()>,
    /// What was erased in each shop.
    pub(crate) erased: RwLock<HashMap<Shop, Arc<Erased>>>,
    /// Sequences that were taken off the stream, first → last: they are no gap.
    pub(crate) taken_off: RwLock<BTreeMap<u64, u64>>,
    /// Told when there is something to erase.
    pub(crate) erasing: tokio::sync::Notify,
    /// What each kind's pulls of a shop healed, as far as that was asked for.
    pub(crate) healed: Mutex<HashMap<(Shop, Kind), Healed>>,
    /// Messages kept aside that went with a shop since that was last told.
    pub(crate) no_longer_aside: AtomicU64,
    /// What is said of versions that lists of changes asked for.
    pub(crate) facts: Facts,
}

/// What whoever writes knows.
#[derive(Debug, Default)]
pub(crate) struct Writing {
    /// The resources appended to since somebody began to plan removals; `None` if nobody does.
    pub(crate) touched: Option<HashSet<Vec<u8>>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Store {
    /// Whether there is a store at `path`: RocksDB's `CURRENT` says of what it consists, and comes last.
    pub fn is_at(path: &Path) -> bool {
        path.join("CURRENT").is_file()
    }

    /// Opens the directory, or makes a new store in it. `now` is kept as the moment of creation.
    pub fn open(path: &Path, options: Options, now: Timestamp) -> Result<Self, StoreError> {
        let opened =
            DB::open_cf_descriptors(&options::database(options), path, options::families(options));
        let db = opened.map_err(|source| {
            let path = path.to_owned();
            // A lock held elsewhere, or twice by this process.
            if source.kind() == rocksdb::ErrorKind::IOError
                && (source.as_ref().contains("lock ") || source.as_ref().contains("LOCK"))
            {
                StoreError::Locked { path }
            } else {
                StoreError::Open { path, source }
            }
        })?;
        let mut store = Self {
            db,
            path: path.to_owned(),
            applied: AtomicU64::new(0),
            created_at: now,
            faults: AtomicU64::new(0),
            lag: Lag::unknown(now),
            writing: Mutex::default(),
            thinning: Mutex::default(),
            erased: RwLock::default(),
            taken_off: RwLock::default(),
            erasing: tokio::sync::Notify::new(),
            healed: Mutex::default(),
            no_longer_aside: AtomicU64::new(0),
            facts: Facts::default(),
        };
        match store.load(now) {
            Ok(()) => {
                let versions = store.family(Family::Versions);
                let set = store.db.set_options_cf(versions, &options::VERSIONS_ONCE_OPEN);
                if let Err(error) = set {
                    tracing::warn!(%error, "compactions of the journal may take more memory");
                }
                Ok(store)
            }
            // What stands at the very beginning cannot be read: as good as not opened.
            Err(StoreError::Read(source)) => {
                Err(StoreError::Open { path: path.to_owned(), source })
            }
            Err(other) => Err(other),
        }
    }

    /// Reads where the store stands, or makes an empty directory a store.
    fn load(&mut self, now: Timestamp) -> Result<(), StoreError> {
        match self.get(Family::Meta, meta::FORMAT)?.as_deref() {
            None => self.found(now)?,
            Some([STORE_FORMAT]) => {}
            Some(other) => {
                let found = other.first().copied().unwrap_or_default();
                return Err(StoreError::NewerFormat { path: self.path.clone(), found });
            }
        }
        let number = |key| -> Result<u64, StoreError> {
            let Some(value) = self.get(Family::Meta, key)? else { return Ok(0) };
            Reader::of(&value).and_then(|mut r| r.number()).at(|| "meta".into())
        };
        let (applied, created) = (number(meta::APPLIED)?, number(meta::CREATED)?);
        self.created_at = Timestamp::from_micros(created as i64);
        *self.applied.get_mut() = applied;
        self.load_erased()
    }

    /// Writes what makes an empty directory a store.
    fn found(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        batch.put_cf(self.family(Family::Meta), meta::FORMAT, [STORE_FORMAT]);
        let mut created = vec![record::FORMAT];
        record::put_instant(&mut created, now);
        batch.put_cf(self.family(Family::Meta), meta::CREATED, created);
        self.write(batch)
    }

    /// Whether messages are missing before or between these that nobody is known to have taken off.
    pub(crate) fn misses(&self, messages: &[crate::decode::Decoded]) -> bool {
        let mut expected = self.applied_seq() + 1;
        messages.iter().any(|message| {
            let lost = !self.lost(expected, message.seq).is_empty();
            expected = expected.max(message.seq + 1);
            lost
        })
    }

    /// The last stream sequence whose effect is in the store; 0 if there is none.
    pub fn applied_seq(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    /// When the store was made.
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// Whether it has read what is on the stream since it was opened, but for a few seconds.
    pub fn is_level(&self, now: Timestamp) -> bool {
        self.lag.is_level(now)
    }

    pub(crate) fn lag(&self) -> &Lag {
        &self.lag
    }

    /// When everything was last read back without a fault.
    pub fn verified_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let Some(value) = self.get(Family::Meta, meta::VERIFIED)? else { return Ok(None) };
        Reader::of(&value).and_then(|mut r| r.instant()).map(Some).at(|| "meta verified".into())
    }

    /// How much did not hold when everything was last read back since the store was opened.
    pub(crate) fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    /// Keeps what reading everything back found, and when, if it found no fault.
    pub(crate) fn set_verified(&self, at: Timestamp, faults: u64) -> Result<(), StoreError> {
        self.faults.store(faults, Ordering::Relaxed);
        if faults > 0 {
            return Ok(());
        }
        let mut value = vec![record::FORMAT];
        record::put_instant(&mut value, at);
        let mut batch = WriteBatch::default();
        batch.put_cf(self.family(Family::Meta), meta::VERIFIED, value);
        self.write(batch)
    }

    /// When the last checkpoint was made.
    pub fn checkpointed_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let Some(value) = self.get(Family::Meta, meta::CHECKPOINTED)? else { return Ok(None) };
        Reader::of(&value).and_then(|mut r| r.instant()).map(Some).at(|| "meta checkpointed".into())
    }

    pub(crate) fn set_checkpointed_at(&self, at: Timestamp) -> Result<(), StoreError> {
        let mut value = vec![record::FORMAT];
        record::put_instant(&mut value, at);
        let mut batch = WriteBatch::default();
        batch.put_cf(self.family(Family::Meta), meta::CHECKPOINTED, value);
        self.write(batch)
    }

    /// The store's directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The store as it is now, as a directory of its own on the same disk, which must not be there.
    pub(crate) fn checkpoint_to(&self, dir: &Path) -> Result<(), StoreError> {
        let made = Checkpoint::new(&self.db).and_then(|now| now.create_checkpoint(dir));
        made.map_err(StoreError::of_write)
    }

    /// Forgets which stream it was filled from: that one is lost for good.
    pub fn forget_stream(&self) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        batch.delete_cf(self.family(Family::Meta), meta::STREAM);
        self.write(batch)
    }

    /// The stream that the store was filled from: its name, and when it was created in
    /// microseconds.
    pub(crate) fn stream_identity(&self) -> Result<Option<(String, i64)>, StoreError> {
        let Some(value) = self.get(Family::Meta, meta::STREAM)? else { return Ok(None) };
        let read = |mut r: Reader<'_>| Ok((r.number()? as i64, r.text()?.to_owned()));
        let (created, name) = Reader::of(&value).and_then(read).at(|| "meta stream".into())?;
        Ok(Some((name, created)))
    }

    pub(crate) fn set_stream_identity(&self, name: &str, created: i64) -> Result<(), StoreError> {
        let mut value = vec![record::FORMAT];
        value.extend(created.to_be_bytes());
        record::put_text(&mut value, name);
        let mut batch = WriteBatch::default();
        batch.put_cf(self.family(Family::Meta), meta::STREAM, value);
        self.write(batch)
    }

    /// Writes a batch that brings the store to `seq`. Of versions that were there before, it changes only
    /// what is said of those of facets that got one which is not their newest.
    pub(crate) fn write_applied(
        &self,
        mut batch: WriteBatch,
        seq: u64,
        inserted: &[Vec<u8>],
    ) -> Result<(), StoreError> {
        let mut value = vec![record::FORMAT];
        value.extend(seq.to_be_bytes());
        batch.put_cf(self.family(Family::Meta), meta::APPLIED, value);
        self.facts.around(Changes::Facets(inserted), || self.write_synced(batch))?;
        self.applied.store(seq, Ordering::Release);
        Ok(())
    }

    /// Writes all of a batch or nothing, synced before it returns.
    pub(crate) fn write(&self, batch: WriteBatch) -> Result<(), StoreError> {
        self.facts.around(Changes::Any, || self.write_synced(batch))
    }

    fn write_synced(&self, batch: WriteBatch) -> Result<(), StoreError> {
        let mut durable = WriteOptions::default();
        durable.set_sync(true);
        self.db.write_opt(batch, &durable).map_err(StoreError::of_write)
    }

    pub(crate) fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.db.get_cf(self.family(family), key)?)
    }

    /// A consistent view, to read from.
    pub(crate) fn snapshot(&self) -> Snapshot<'_> {
        self.db.snapshot()
    }

    pub(crate) fn db(&self) -> &DB {
        &self.db
    }

    /// The family's handle. Opening made all of them, so it is always there.
    #[allow(clippy::expect_used)]
    pub(crate) fn family(&self, family: Family) -> &ColumnFamily {
        self.db.cf_handle(family.name()).expect("every family was opened")
    }

    /// Bytes in sorted files, per family.
    pub(crate) fn disk_bytes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Family::ALL.into_iter().map(|family| {
            let handle = self.family(family);
            let size =
                self.db.property_int_value_cf(handle, rocksdb::properties::TOTAL_SST_FILES_SIZE);
            (family.name(), size.ok().flatten().unwrap_or(0))
        })
    }

    /// Writes everything into sorted files, so that opening again replays nothing, and stops
    /// RocksDB's background work. Reads still work; the files are closed with the last reference.
    pub fn close(&self) -> Result<(), StoreError> {
        let flushed =
            Family::ALL.into_iter().try_for_each(|family| self.db.flush_cf(self.family(family)));
        self.db.cancel_all_background_work(true);
        flushed.map_err(StoreError::of_write)
    }

    /// Writes something that changes nothing.
    pub(crate) fn touch(&self) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        batch.put_cf(self.family(Family::Meta), meta::FORMAT, [STORE_FORMAT]);
        self.write(batch)
    }

    /// Writes what is only in memory and in logs into sorted files, so that the logs go.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.db.flush().map_err(StoreError::of_write)?;
        for family in Family::ALL {
            self.db.flush_cf(self.family(family)).map_err(StoreError::of_write)?;
        }
        Ok(())
    }

    /// Rewrites everything at its final density. For measurements.
    pub fn compact(&self) {
        let mut options = rocksdb::CompactOptions::default();
        options.set_bottommost_level_compaction(rocksdb::BottommostLevelCompaction::Force);
        for family in Family::ALL {
            let all: Option<&[u8]> = None;
            self.db.compact_range_cf_opt(self.family(family), all, all, &options);
        }
    }
}

/// Options of a read that ends before `end`.
pub(crate) fn until(end: Option<Vec<u8>>) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_verify_checksums(true);
    if let Some(end) = end {
        options.set_iterate_upper_bound(end);
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compaction_holds_a_bounded_part_of_a_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let now = Timestamp::from_micros(0);
        drop(Store::open(dir.path(), Options::for_testing(), now).expect("open"));
        let entries = std::fs::read_dir(dir.path()).expect("read").flatten();
        let newest = entries
            .map(|entry| entry.path())
            .filter(|path| path.to_string_lossy().contains("OPTIONS-"))
            .max()
            .expect("RocksDB writes down its options");
        let options = std::fs::read_to_string(newest).expect("read");
        let (_, of_versions) = options.split_once("[CFOptions \"versions\"]").expect("the family");
        let line = of_versions.lines().find(|line| line.contains("bottommost_compression_opts="));
        let line = line.expect("an option");
        for part in ["max_dict_buffer_bytes=4194304;", "max_dict_bytes=16384;", "enabled=true;"] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }

    /// The others are in `tests/golden`.
    #[test]
    fn what_a_store_knows_of_itself_stands_as_it_always_did() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = Timestamp::from_micros(0x0102);
        let store = Store::open(dir.path(), Options::for_testing(), at).expect("open");
        store.set_stream_identity("BACKSTOCK-0", 0x0304).expect("written");
        store.set_verified(at, 0).expect("written");
        store.set_checkpointed_at(at).expect("written");
        let instant = r"\x01\x00\x00\x00\x00\x00\x00\x01\x02";
        let stream = r"\x01\x00\x00\x00\x00\x00\x00\x03\x04\x00\x00\x00\x0bBACKSTOCK-0";
        let golden = [
            ("created", instant),
            ("verified", instant),
            ("checkpointed", instant),
            ("stream", stream),
            ("format", r"\x01"),
        ];
        for (key, golden) in golden {
            let value = store.get(Family::Meta, key.as_bytes()).expect("read").expect(key);
            golden::means(golden::shown(&value), golden);
        }
        let identity = store.stream_identity().expect("read");
        golden::means(identity, Some(("BACKSTOCK-0".to_owned(), 0x0304)));
        golden::means(store.verified_at().expect("read"), Some(at));
        golden::means(store.checkpointed_at().expect("read"), Some(at));
    }
}
