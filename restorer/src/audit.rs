//! Who had what done: every request that changes something, as a chain in which each entry holds the
//! hash of the one before, so that none can be changed or taken out without its being seen.
//!
//! An entry is on record before what it tells of is done, and a second one tells how that ended. Of
//! several who write at once, each stands after the other: the stream takes an entry only behind the
//! one that it was made for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backstock_proto::journal::{Journal, PAGE_LIMIT_MAX, Page, Record};
use backstock_proto::publish::{PutError, Records};
use backstock_proto::time::Clock;
use backstock_proto::{Shop, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::record::RecordError;

/// What an entry stands under.
pub(crate) const AUDIT: &str = "audit";
/// The id of a shop's only chain.
const CHAIN: &str = "chain";
/// The hash that the first entry holds.
const BEGINNING: &str = "";
/// How often an entry is tried behind another one.
const TRIES_MAX: u32 = 200;
/// How long until the journal is asked again for an entry that the stream has.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Longest text of what was asked.
const TEXT_CHARS_MAX: usize = 200;
/// Longest list of what was asked.
const LIST_MAX: usize = 50;

/// What somebody had done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Deed {
    /// The token's name.
    pub(crate) who: String,
    /// The address that it was asked from.
    pub(crate) from: String,
    /// What was asked for, as the API names it: `apply`, `cancel`, `reconcile`, ….
    pub(crate) what: String,
    /// Of what: the request's path.
    pub(crate) path: String,
    /// What was said with it, shortened.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(crate) asked: Value,
    /// How it was answered; absent while that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// The entry that was made before it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) of: Option<u64>,
}

/// An entry of the chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Entry {
    /// Its place, from 1.
    pub(crate) n: u64,
    /// When.
    pub(crate) at: Timestamp,
    /// What was done, and by whom.
    pub(crate) deed: Deed,
    /// The hash of the entry before.
    pub(crate) before: String,
    /// BLAKE3 over all of the above, hexadecimal.
    pub(crate) hash: String,
    /// Whether a person was taken out of it, so that it is no longer what its hash is of; its place
    /// in the chain holds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) erased: bool,
}

/// Whether a chain holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Chain {
    /// Whether every entry is what its hash says, and follows the one before.
    pub(crate) whole: bool,
    /// Entries looked at.
    pub(crate) entries: u64,
    /// The first that does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) broken_at: Option<u64>,
}

/// Writes the chains.
pub(crate) struct Audit {
    journal: Arc<dyn Journal>,
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    shops: Mutex<HashMap<Shop, Arc<tokio::sync::Mutex<Option<End>>>>>,
}

/// The end of a chain.
#[derive(Clone, Debug, Default)]
struct End {
    /// The stream's sequence of the last entry.
    seq: u64,
    n: u64,
    hash: String,
}

impl Audit {
    pub(crate) fn new(
        journal: Arc<dyn Journal>,
        records: Arc<dyn Records>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { journal, records, clock, shops: Mutex::default() }
    }

    /// Adds to a shop's chain; durable when this returns. Answers the entry's place.
    pub(crate) async fn add(&self, shop: &Shop, deed: Deed) -> Result<u64, RecordError> {
        let chain = {
            let mut shops = self.shops.lock().unwrap_or_else(PoisonError::into_inner);
            shops.entry(shop.clone()).or_default().clone()
        };
        let mut held = chain.lock().await;
        for _ in 0..TRIES_MAX {
            let end = match &*held {
                Some(end) => end.clone(),
                None => self.end(shop).await?,
            };
            let entry = Entry::after(&end, self.clock.now(), deed.clone());
            let payload = serde_json::to_value(&entry)
                .map_err(|e| RecordError::unreadable(AUDIT, CHAIN, &e))?;
            match self.records.put_after(shop, AUDIT, CHAIN, &payload, end.seq).await {
                Ok(seq) => {
                    let n = entry.n;
                    *held = Some(End { seq, n, hash: entry.hash });
                    return Ok(n);
                }
                Err(PutError::Moved(_)) => {
                    *held = None;
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                Err(PutError::Publish(error)) => {
                    // It may stand there all the same.
                    *held = None;
                    return Err(error.into());
                }
            }
        }
        Err(RecordError::Lagging { what: AUDIT.into(), id: CHAIN.into() })
    }

    async fn end(&self, shop: &Shop) -> Result<End, RecordError> {
        let newest = Page { limit: 1, cursor: None };
        let found = self.journal.records(shop, AUDIT, Some(CHAIN), &newest).await?;
        let Some(record) = found.items.into_iter().next() else { return Ok(End::default()) };
        let seq = record.seq;
        let entry = read(record)?;
        Ok(End { seq, n: entry.n, hash: entry.hash })
    }
}

/// A part of a shop's chain, newest first.
pub(crate) async fn page(
    journal: &dyn Journal,
    shop: &Shop,
    page: &Page,
) -> Result<(Vec<Entry>, Option<String>), RecordError> {
    let list = journal.records(shop, AUDIT, Some(CHAIN), page).await?;
    let entries = list.items.into_iter().map(read).collect::<Result<_, _>>()?;
    Ok((entries, list.next))
}

/// Whether a shop's chain holds, from its first entry to its last.
pub(crate) async fn check(journal: &dyn Journal, shop: &Shop) -> Result<Chain, RecordError> {
    let mut part = Page { limit: PAGE_LIMIT_MAX, cursor: None };
    let mut chain = Chain { whole: true, entries: 0, broken_at: None };
    let mut after: Option<Entry> = None;
    loop {
        let (entries, next) = page(journal, shop, &part).await?;
        for entry in entries {
            chain.entries += 1;
            let follows = after.as_ref().is_none_or(|after| after.follows(&entry));
            if !follows {
                chain.broken_at = after.as_ref().map(|after| after.n);
            } else if !entry.erased && entry.hash != entry.computed() {
                chain.broken_at = Some(entry.n);
            }
            after = Some(entry);
        }
        match next {
            Some(next) => part.cursor = Some(next),
            None => break,
        }
    }
    let begins = after.is_none_or(|first| {
        let is_first = first.n == 1 && first.before == BEGINNING;
        if !is_first {
            chain.broken_at = Some(first.n);
        }
        is_first
    });
    chain.whole = begins && chain.broken_at.is_none();
    Ok(chain)
}

impl Entry {
    fn after(end: &End, at: Timestamp, deed: Deed) -> Self {
        let mut entry = Self {
            n: end.n + 1,
            at,
            deed,
            before: end.hash.clone(),
            hash: String::new(),
            erased: false,
        };
        entry.hash = entry.computed();
        entry
    }

    fn follows(&self, before: &Self) -> bool {
        self.n == before.n + 1 && self.before == before.hash
    }

    /// The hash that its other members have: over their JSON, members by name.
    pub(crate) fn computed(&self) -> String {
        let said = serde_json::json!([self.n, self.at, self.deed, self.before]);
        blake3::hash(said.to_string().as_bytes()).to_hex().to_string()
    }
}

/// What was said with a request, without anything long: who reads the chain sees what was asked for,
/// not whole documents. A search's text may name a person, and is left out.
pub(crate) fn shortened(body: &[u8]) -> Value {
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    short(asked)
}

fn short(value: Value) -> Value {
    match value {
        Value::String(text) => match text.char_indices().nth(TEXT_CHARS_MAX) {
            Some((end, _)) => Value::String(format!("{}…", &text[..end])),
            None => Value::String(text),
        },
        Value::Array(items) => items.into_iter().take(LIST_MAX).map(short).collect(),
        Value::Object(members) => {
            let told = members.into_iter().filter(|(name, _)| {
                !matches!(name.as_str(), "q" | "token" | "secret" | "password" | "email" | "phone")
            });
            told.map(|(name, value)| (name, short(value))).collect::<serde_json::Map<_, _>>().into()
        }
        other => other,
    }
}

fn read(record: Record) -> Result<Entry, RecordError> {
    serde_json::from_value(record.payload).map_err(|e| RecordError::unreadable(AUDIT, CHAIN, &e))
}
