//! Getting what was taken out off the disk: a database that is written in levels keeps what is
//! replaced until the files that hold it are written anew.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rocksdb::{BottommostLevelCompaction, CompactOptions};

use super::case::Case;
use super::rewrite::Range;
use crate::options::Family;
use crate::store::{Store, StoreError};

/// Up to so many stretches of a family are written anew one by one; above that, what lies between
/// them is as well.
const STRETCHES_MAX: usize = 64;
/// How long files that are no longer needed may be held by whoever reads them.
const HELD_MAX: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What became of writing files anew. But for the first, nothing is gained yet, and it has to be done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anew {
    /// Nothing of it is left.
    Written,
    /// Somebody still reads from before.
    Read,
    /// The old files are still in use.
    Failed,
}

impl Store {
    /// Writes every file anew that may hold something of these cases.
    pub(super) fn write_anew(&self, cases: &[Case]) -> Result<Anew, StoreError> {
        // Something to flush there always is, so that a new log begins and the present one ends.
        self.touch()?;
        let written = self.db().latest_sequence_number();
        let before = self.files();
        self.flush()?;
        // What a snapshot still sees stays when files are written anew.
        if self.oldest_snapshot().is_some_and(|oldest| oldest < written) {
            return Ok(Anew::Read);
        }
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        options.set_exclusive_manual_compaction(false);
        let mut ranges = Vec::new();
        for case in cases {
            ranges.extend(self.ranges_of(case)?);
        }
        let failed = self.failures();
        for (family, from, to) in together(ranges) {
            self.db().compact_range_cf_opt(self.family(family), Some(from), Some(to), &options);
        }
        // It does not say how it went. Where the disk was full, the old files are still in use.
        if self.failures() > failed {
            tracing::error!("files that hold somebody who was erased could not be written anew");
            return Ok(Anew::Failed);
        }
        // A log holds what was written to any family; none from before is left now, and none of the
        // files that were written anew, once nobody reads from them.
        let begun = Instant::now();
        loop {
            let live: HashSet<PathBuf> = self.live_files()?;
            let held = self
                .files()
                .into_iter()
                .any(|file| before.contains(&file) && !live.contains(&file));
            if !held {
                return Ok(Anew::Written);
            }
            if begun.elapsed() > HELD_MAX {
                return Ok(Anew::Read);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// The sequence of the oldest view that somebody reads from, if there is one.
    fn oldest_snapshot(&self) -> Option<u64> {
        let oldest = self.db().property_int_value("rocksdb.oldest-snapshot-sequence");
        oldest.ok().flatten().filter(|sequence| *sequence > 0)
    }

    /// How often something that RocksDB does by itself failed since the store was opened.
    fn failures(&self) -> u64 {
        let failures = self.db().property_int_value(rocksdb::properties::BACKGROUND_ERRORS);
        failures.ok().flatten().unwrap_or_default()
    }

    /// The sorted files and logs in the store's directory.
    fn files(&self) -> HashSet<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.path()) else { return HashSet::new() };
        let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
        let ends = |path: &PathBuf, end| path.extension().is_some_and(|found| found == end);
        paths.filter(|path| ends(path, "sst") || ends(path, "log")).collect()
    }

    /// Those of them that hold something that can be read.
    fn live_files(&self) -> Result<HashSet<PathBuf>, StoreError> {
        let files = self.db().live_files()?.into_iter();
        let sorted = files.map(|file| self.path().join(file.name.trim_start_matches('/')));
        Ok(sorted.collect())
    }
}

/// As few stretches as that, in the order of their keys.
fn together(ranges: Vec<Range>) -> Vec<Range> {
    let mut few = Vec::new();
    for family in Family::ALL {
        let of = ranges.iter().filter(|(of, ..)| *of == family);
        let mut stretches: Vec<(Vec<u8>, Vec<u8>)> =
            of.map(|(_, from, to)| (from.clone(), to.clone())).collect();
        stretches.sort_unstable();
        stretches.dedup();
        if stretches.len() > STRETCHES_MAX {
            let from = stretches.first().map(|(from, _)| from.clone()).unwrap_or_default();
            let to = stretches.iter().map(|(_, to)| to).max().cloned().unwrap_or_default();
            stretches = vec![(from, to)];
        }
        few.extend(stretches.into_iter().map(|(from, to)| (family, from, to)));
    }
    few
}

#[cfg(test)]
mod tests {
    use backstock_proto::erase::{Via, Whom, Wish};
    use backstock_proto::{Facet, Kind, ResourceId, ResourceKey, Shop, Timestamp};
    use rocksdb::WriteBatch;

    use super::*;
    use crate::keys;
    use crate::options::Options;

    #[test]
    fn what_could_not_be_written_anew_is_not_taken_for_gone() {
        let dir = tempfile::tempdir().expect("a directory");
        let now = Timestamp::from_micros(1_790_812_800_000_000);
        let options = Options { compressed: false, ..Options::for_testing() };
        let store = Store::open(dir.path(), options, now).expect("open");
        let shop = Shop::from_name("acme").expect("a shop");
        let kind = Kind::parse("customer").expect("a kind");
        let id = ResourceId::parse("7").expect("an id");
        let key = ResourceKey { shop: shop.clone(), kind, id: id.clone() };
        let wish = Wish {
            whom: Whom::Customer(id),
            orders: Vec::new(),
            via: Via::Api,
            by: String::new(),
            requested_at: now,
            confirmed: false,
        };
        store.add_erased(vec![key.clone()], &wish.whom.name()).expect("written");
        let mut batch = WriteBatch::default();
        let said = keys::of_facet(&key, Facet::Core);
        batch.put_cf(store.family(Family::Versions), said, "somebody".repeat(1_000));
        store.write(batch).expect("written");
        store.flush().expect("flushed");
        let files = store.db().live_files().expect("a list").into_iter();
        for file in files.filter(|file| file.column_family_name == Family::Versions.name()) {
            let path = dir.path().join(file.name.trim_start_matches('/'));
            let mut bytes = std::fs::read(&path).expect("read");
            bytes[4_000] ^= 1;
            std::fs::write(&path, bytes).expect("damaged");
        }
        let case = Case::new(shop, wish, 1);
        assert_eq!(store.write_anew(&[case]).expect("an answer"), Anew::Failed);
    }
}
