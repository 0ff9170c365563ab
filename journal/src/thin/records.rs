//! Records of how something went on, of which a newer one says more. What came of it stays.

use backstock_proto::journal::{JournalError, PULL, Record};
use backstock_proto::{Mode, Shop, Timestamp};
use rocksdb::WriteBatch;

use crate::append::shown;
use crate::keys::{self, ops as ops_keys};
use crate::ops;
use crate::options::Family;
use crate::read::{View, current};
use crate::store::{At, Store};

/// Everything is kept for so long, in microseconds.
const KEPT: i64 = 7 * 24 * 3600 * 1_000_000;
/// Most records removed in one write.
const REMOVALS_MAX: usize = 1_000;
/// Of these only the newest of each id matters.
const SUPERSEDED: [&str; 10] = [
    "job_row",
    "media",
    "order",
    "order_by_id",
    "order_later",
    "order_untold",
    "plan_rows",
    "proof",
    "retention",
    "subscriptions",
];

impl Store {
    /// Removes them, or only counts them.
    pub(super) fn thin_records(
        &self,
        shop: &Shop,
        now: Timestamp,
        mode: Mode,
        stop: impl Fn() -> bool,
    ) -> Result<u64, JournalError> {
        let until = Timestamp::from_micros(now.as_micros() - KEPT);
        let (view, prefix) = (View::of(self), keys::of_shop(shop));
        let mut entries = view.scan_of(Family::Ops, &prefix);
        entries.seek(&prefix);
        let (mut batch, mut of, mut removed) = (WriteBatch::default(), Vec::new(), 0);
        while let Some((key, value)) = current(&entries, &prefix)? {
            if stop() {
                break;
            }
            let (said, seq) = ops_keys::split(key).at(|| shown(key))?;
            // Newest first: the first of an id stays, and with it nothing ever becomes the newest
            // that was not.
            let superseded = of == said && !ops_keys::is_newest(said);
            if superseded {
                let (_, what, id) = ops_keys::parse(said).at(|| shown(key))?;
                let record = ops::said_from_bytes(value, (what, id, seq)).at(|| shown(key))?;
                if record.recorded_at < until && is_chatter(&record) {
                    batch.delete_cf(self.family(Family::Ops), key);
                    removed += 1;
                }
            } else {
                of = said.to_vec();
            }
            if batch.len() >= REMOVALS_MAX && !mode.is_dry() {
                self.write(std::mem::take(&mut batch))?;
            }
            entries.next();
        }
        if !mode.is_dry() {
            self.write(batch)?;
        }
        Ok(removed)
    }
}

/// Whether a record says nothing that a newer one of its id does not.
fn is_chatter(record: &Record) -> bool {
    match record.what.as_str() {
        // How far it was, or why it was not complete; the next one says how that went on.
        PULL => record.payload["state"] != "complete",
        what => SUPERSEDED.contains(&what),
    }
}
