//! What was done: records of pulls, marks, plans, jobs.

use backstock_proto::Shop;
use backstock_proto::journal::{JournalError, List, Page, Record};

use super::{View, current, page_limit};
use crate::append::shown;
use crate::keys::ops as keys;
use crate::ops;
use crate::options::Family;
use crate::store::At;

impl View<'_> {
    /// All records of an id, or the newest of each, newest first.
    pub(crate) fn records(
        &self,
        shop: &Shop,
        what: &str,
        id: Option<&str>,
        page: &Page,
    ) -> Result<List<Record>, JournalError> {
        let limit = page_limit(page.limit)?;
        let named = ops::is_name(what) && id.is_none_or(ops::is_name);
        if !named {
            return Err(JournalError::Invalid(format!("{what:?} {id:?} cannot name a record")));
        }
        let prefix = match id {
            Some(id) => keys::said(shop, what, id),
            None => keys::newest(shop, what),
        };
        let mut entries = self.entries(Family::Ops, &prefix);
        entries.seek(match &page.cursor {
            Some(cursor) => after(&prefix, cursor)?,
            None => prefix.clone(),
        });
        let mut items: Vec<Record> = Vec::new();
        while let Some((key, value)) = current(&entries, &prefix)? {
            if items.len() == limit {
                let next = items.last().map(|last| last.seq.to_string());
                return Ok(List { items, next });
            }
            let (_, seq) = keys::split(key).at(|| shown(key))?;
            items.push(match id {
                Some(id) => ops::said_from_bytes(value, (what, id, seq)).at(|| shown(key))?,
                None => {
                    let id = ops::newest_from_bytes(value).at(|| shown(key))?;
                    self.record(shop, (what, id, seq))?
                }
            });
            entries.next();
        }
        Ok(List { items, next: None })
    }

    /// A record that there has to be: its `what`, its id and its sequence.
    pub(super) fn record(
        &self,
        shop: &Shop,
        named: (&str, &str, u64),
    ) -> Result<Record, JournalError> {
        let (what, id, seq) = named;
        let key = keys::at(&keys::said(shop, what, id), seq);
        let Some(value) = self.get(Family::Ops, &key)? else {
            return Err(JournalError::Damaged(format!("record {seq} of {what} {id} is missing")));
        };
        Ok(ops::said_from_bytes(&value, named).at(|| shown(&key))?)
    }
}

/// The first key after the one that a cursor names, which stands behind `prefix`.
fn after(prefix: &[u8], cursor: &str) -> Result<Vec<u8>, JournalError> {
    let wrong = |_| JournalError::Invalid(format!("cursor {cursor:?} is not one of ours"));
    let mut key = keys::at(prefix, cursor.parse().map_err(wrong)?);
    key.push(0);
    Ok(key)
}
