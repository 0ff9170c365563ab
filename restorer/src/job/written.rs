//! What jobs wrote: by it, what was made anew is found under its new id, and our own writes are told
//! from what others do.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use backstock_proto::journal::{Journal, JournalError, List, Page, Record};
use backstock_proto::kind::Spec;
use backstock_proto::merge::Field;
use backstock_proto::resource::gid_type;
use backstock_proto::{Kind, Op, ResourceId, Shop, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::book::{BEHIND_MICROS, Book, SETTLES_MICROS, STEPS_MAX};
use super::gid;
use crate::change_set::Trace;
use crate::gids::{Gids, Short};
use crate::record::RecordError;

/// What a record of written resources stands under.
pub const WRITTEN: &str = "written";

/// Records that are read together: each may be large.
const TOGETHER: usize = 8;

/// One resource that a job wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wrote {
    /// The job.
    pub job: String,
    /// What sort of thing.
    pub kind: Kind,
    /// Which one, by the id that the shop knows.
    pub id: ResourceId,
    /// The id that it had before it was made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<ResourceId>,
    /// Old gid → new gid of it and of what it owns.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ids: BTreeMap<String, String>,
    /// When it began.
    pub from: Timestamp,
    /// When the last mutation was answered.
    pub to: Timestamp,
    /// BLAKE3 of the state that was wanted, hexadecimal; none for what was deleted, or of which nobody
    /// knows whether all of it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// What its fields were made, where only some were written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made: Vec<u32>,
}

/// Several of them, on record together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Batch {
    pub(super) rows: Vec<Wrote>,
}

/// What jobs wrote in one shop, as far as it has been read.
#[derive(Debug, Default)]
pub struct Written {
    read: RwLock<Book>,
    /// One reads on at a time.
    reading: tokio::sync::Mutex<()>,
}

/// What jobs wrote, by shop. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Books {
    shops: Arc<Mutex<HashMap<Shop, Arc<Written>>>>,
}

impl Books {
    /// What was written in a shop, up to now.
    pub(crate) async fn of(
        &self,
        journal: &dyn Journal,
        shop: &Shop,
    ) -> Result<Arc<Written>, RecordError> {
        let written = {
            let mut shops = self.shops.lock().unwrap_or_else(PoisonError::into_inner);
            shops.entry(shop.clone()).or_default().clone()
        };
        written.read_on(journal, shop).await?;
        Ok(written)
    }
}

impl Written {
    /// The gid that something has now; `None` if it is the one given.
    pub fn now(&self, gid: &str) -> Option<String> {
        let read = self.lock();
        read.follow(gid, |gid| read.now.get(&gid).copied())
    }

    /// The gid that something had first; `None` if it is the one given.
    pub fn first(&self, gid: &str) -> Option<String> {
        let read = self.lock();
        read.follow(gid, |gid| Some(read.made.get(&gid)?.was))
    }

    /// Every gid that was given to what had one of these first.
    pub(crate) fn since(&self, firsts: &Gids) -> Vec<String> {
        let read = self.lock();
        let firsts: HashSet<Short> =
            firsts.iter().filter_map(|gid| read.beginnings.find(&gid)).collect();
        let is_of = |gid: &Short| {
            let first = read.lead(*gid, |gid| Some(read.made.get(&gid)?.was));
            first.is_some_and(|first| firsts.contains(&first))
        };
        let of = read.made.keys().copied().filter(is_of);
        of.map(|gid| read.beginnings.text(gid)).collect()
    }

    /// Whether a job made what has this gid.
    pub fn is_made_by(&self, job: &str, gid: &str) -> bool {
        let read = self.lock();
        read.made_of(gid).is_some_and(|made| Some(made.by) == read.beginnings.find(job))
    }

    /// The id by which the shop knows a resource now.
    pub fn id_now(&self, spec: &'static Spec, id: &ResourceId) -> ResourceId {
        let of = |gid_type: &str, number: &str| {
            let gid = self.now(&format!("gid://shopify/{gid_type}/{number}"));
            gid.and_then(|gid| ResourceId::parse(&gid).ok())
        };
        let part = |gid_type: &str, number: &str| {
            of(gid_type, number).map_or_else(|| number.to_owned(), |id| id.as_str().to_owned())
        };
        let composed = match (spec.name, id.as_str().split_once('-')) {
            ("inventory_level", Some((item, location))) => {
                Some(format!("{}-{}", part("InventoryItem", item), part("Location", location)))
            }
            ("theme_file", Some((theme, file))) => {
                Some(format!("{}-{file}", part("OnlineStoreTheme", theme)))
            }
            ("translation", Some((of, rest))) => rest
                .split_once('-')
                .map(|(number, text)| format!("{of}-{}-{text}", part(of, number))),
            _ => None,
        };
        let composed = composed.and_then(|text| ResourceId::parse(&text).ok());
        let asked = gid_type_of(spec, id);
        let mut types = std::iter::once(asked.as_str()).chain(spec.also_gid_types.iter().copied());
        composed
            .or_else(|| types.find_map(|gid_type| of(gid_type, id.as_str())))
            .unwrap_or_else(|| id.clone())
    }

    /// The ids that a resource had before, the last one first.
    pub fn ids_before(&self, spec: &'static Spec, id: &ResourceId) -> Vec<ResourceId> {
        let read = self.lock();
        let mut gid = format!("gid://shopify/{}/{id}", gid_type_of(spec, id));
        let mut ids = Vec::new();
        for _ in 0..STEPS_MAX {
            let Some(made) = read.made_of(&gid) else { break };
            gid = read.beginnings.text(made.was);
            ids.extend(ResourceId::parse(&gid).ok());
        }
        ids
    }

    /// Gives every gid in a state the one that it has now.
    pub fn rewrite(&self, state: &mut Value) {
        gid::rewrite(state, &|gid| self.now(gid));
    }

    /// The same for a field, and its path.
    pub fn rewrite_field(&self, field: &mut Field) {
        gid::rewrite_field(field, &|gid| self.now(gid));
    }

    /// The job whose write made a resource what it was at an instant, if that is what it was.
    pub fn job_at(&self, kind: &Kind, id: &ResourceId, at: Timestamp) -> Option<String> {
        let read = self.lock();
        let window = read.windows(kind, id).find(|window| window.has(at))?;
        Some(read.beginnings.text(window.job))
    }

    /// Whether a change is what a job wrote: at that time, and of the fields that it wrote.
    pub fn is_ours(&self, trace: &Trace) -> bool {
        let read = self.lock();
        read.windows(&trace.kind, &trace.id).any(|window| {
            let is_part = !window.made.is_empty() && trace.may_be_by(&window.made);
            window.has(trace.at) && (is_part || window.is_whole(trace.op))
        })
    }

    /// Whether something is made of what a job did with all of it at that time, or until so many
    /// microseconds later: it made it anew, or deleted it.
    pub(crate) fn wrote_all(
        &self,
        (kind, id, op): (&Kind, &ResourceId, Op),
        at: Timestamp,
        later: u64,
    ) -> bool {
        self.lock().windows(kind, id).any(|window| {
            let begun = window.from.micros_since(at) <= BEHIND_MICROS;
            begun && window.is_whole(op) && at.micros_since(window.to) <= SETTLES_MICROS + later
        })
    }

    /// Whether any job made what has this gid.
    pub(crate) fn is_made(&self, gid: &str) -> bool {
        self.lock().made_of(gid).is_some()
    }

    /// From when to when a job wrote a resource, if it did.
    pub fn when(&self, job: &str, kind: &Kind, id: &ResourceId) -> Option<(Timestamp, Timestamp)> {
        let read = self.lock();
        let job = read.beginnings.find(job)?;
        let mut of_job = read.windows(kind, id).filter(|window| window.job == job);
        let last = of_job.next()?;
        Some((of_job.last().unwrap_or(last).from, last.to))
    }

    /// Whether a job wrote a resource at an instant or later, which history may not have heard of yet.
    pub fn wrote_since(&self, kind: &Kind, id: &ResourceId, at: Timestamp) -> bool {
        let read = self.lock();
        read.windows(kind, id).any(|w| at.micros_since(w.to) <= SETTLES_MICROS)
    }

    /// Takes up what was just put on record.
    pub(super) fn add(&self, rows: &[Wrote]) {
        let mut read = self.read.write().unwrap_or_else(PoisonError::into_inner);
        rows.iter().for_each(|wrote| read.add(wrote));
    }

    /// Reads the records that came since it was last asked.
    async fn read_on(&self, journal: &dyn Journal, shop: &Shop) -> Result<(), RecordError> {
        let _one = self.reading.lock().await;
        let known = self.lock().seq;
        let from = (journal, shop, known);
        // Oldest first: what was made anew twice is found under its last id. All of it may be much, so
        // it is read twice, and only where it begins is held.
        let newest = some(from, None).await?;
        let (mut cursors, mut next) = (Vec::new(), newest.next.clone());
        while let Some(cursor) = next {
            next = some(from, Some(cursor.clone())).await?.next;
            cursors.push(cursor);
        }
        while let Some(cursor) = cursors.pop() {
            self.take(some(from, Some(cursor)).await?.items)?;
        }
        let seq = newest.items.first().map_or(known, |record| record.seq);
        self.take(newest.items)?;
        self.read.write().unwrap_or_else(PoisonError::into_inner).seq = seq;
        Ok(())
    }

    /// Takes up records, the newest of which comes first.
    fn take(&self, records: Vec<Record>) -> Result<(), RecordError> {
        for Record { id, payload, .. } in records.into_iter().rev() {
            let batch: Batch = serde_json::from_value(payload)
                .map_err(|e| RecordError::unreadable(WRITTEN, &id, &e))?;
            self.add(&batch.rows);
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::RwLockReadGuard<'_, Book> {
        self.read.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Some of the records behind sequence `known`, newest first.
async fn some(
    (journal, shop, known): (&dyn Journal, &Shop, u64),
    cursor: Option<String>,
) -> Result<List<Record>, JournalError> {
    // Mostly there is nothing new, and one tells.
    let limit = if cursor.is_none() { 1 } else { TOGETHER };
    let page = Page { limit, cursor };
    let mut list = journal.records(shop, WRITTEN, None, &page).await?;
    let new = list.items.partition_point(|record| record.seq > known);
    if new < list.items.len() {
        list.items.truncate(new);
        list.next = None;
    }
    Ok(list)
}

/// The type in a resource's gid: of a file, the kind knows only one of several.
fn gid_type_of(spec: &'static Spec, id: &ResourceId) -> String {
    let asked = (spec.ask_for)(id);
    gid_type(&asked).unwrap_or(spec.gid_type).to_owned()
}

#[cfg(test)]
mod tests {
    use backstock_proto::publish::Records as _;

    use super::*;

    fn wrote(old: &str, new: &str, from: &str, to: &str) -> Wrote {
        let instant = |text: &str| Timestamp::parse(text).expect("an instant");
        let gid = |n: &str| format!("gid://shopify/Page/{n}");
        Wrote {
            job: format!("job-{new}"),
            kind: Kind::parse("page").expect("a kind"),
            id: ResourceId::parse(new).expect("an id"),
            was: ResourceId::parse(old).ok(),
            ids: BTreeMap::from([(gid(old), gid(new))]),
            from: instant(from),
            to: instant(to),
            hash: Some("00".into()),
            made: Vec::new(),
        }
    }

    #[test]
    fn what_was_made_anew_twice_is_found_both_ways() {
        let written = Written::default();
        written.add(&[
            wrote("1", "2", "2026-11-20T10:00:00Z", "2026-11-20T10:00:01Z"),
            wrote("2", "3", "2026-11-21T10:00:00Z", "2026-11-21T10:00:01Z"),
        ]);
        assert_eq!(written.now("gid://shopify/Page/1").as_deref(), Some("gid://shopify/Page/3"));
        assert_eq!(written.first("gid://shopify/Page/3").as_deref(), Some("gid://shopify/Page/1"));
        assert_eq!(written.now("gid://shopify/Page/3"), None);
        assert!(written.is_made_by("job-3", "gid://shopify/Page/3"));
        assert!(!written.is_made_by("job-2", "gid://shopify/Page/3"));
        assert!(!written.is_made_by("job-2", "gid://shopify/Page/1"));
        let spec = Kind::parse("page").expect("a kind").spec().expect("known");
        let id = |text: &str| ResourceId::parse(text).expect("an id");
        assert_eq!(written.id_now(spec, &id("1")), id("3"));
        assert_eq!(written.id_now(spec, &id("7")), id("7"));
        let translation = Kind::parse("translation").expect("a kind").spec().expect("known");
        let text = |page: u8| id(&format!("Page-{page}-pt-BR-title"));
        assert_eq!(written.id_now(translation, &text(1)), text(3));
        assert_eq!(written.ids_before(spec, &id("3")), [id("2"), id("1")]);
        assert_eq!(written.ids_before(spec, &id("1")), []);
        let gid = |n: u8| format!("gid://shopify/Page/{n}");
        let gids = |all: &[String]| {
            let mut gids = Gids::default();
            gids.extend(all);
            gids
        };
        let mut since = written.since(&gids(&[gid(1)]));
        since.sort();
        assert_eq!(since, [gid(2), gid(3)]);
        assert_eq!(written.since(&gids(&[gid(2), gid(7)])), [""; 0]);
    }

    #[test]
    fn what_is_of_another_type_than_most_is_found_as_well() {
        let written = Written::default();
        let gid = |n: u8| format!("gid://shopify/GenericFile/{n}");
        let mut wrote = wrote("1", "2", "2026-11-20T10:00:00Z", "2026-11-20T10:00:01Z");
        wrote.ids = BTreeMap::from([(gid(1), gid(2))]);
        written.add(&[wrote]);
        let spec = Kind::parse("file").expect("a kind").spec().expect("known");
        let id = |text: &str| ResourceId::parse(text).expect("an id");
        assert_eq!(written.id_now(spec, &id("1")), id("2"));
    }

    #[tokio::test]
    async fn records_are_read_from_the_oldest_on_and_each_once() {
        let journal = crate::fake::Fake::default();
        let shop = crate::fake::shop("acme");
        let put = async |old: usize, new: usize| {
            let at = "2026-11-20T10:00:00Z";
            let rows = vec![wrote(&old.to_string(), &new.to_string(), at, at)];
            let payload = serde_json::to_value(Batch { rows }).expect("JSON");
            let put = journal.put(&shop, WRITTEN, &format!("job.{old}.{new}"), &payload).await;
            put.expect("on record");
        };
        let books = Books::default();
        let now = async || {
            let written = books.of(&journal, &shop).await.expect("read");
            written.now("gid://shopify/Page/1")
        };
        let gid = |n: usize| Some(format!("gid://shopify/Page/{n}"));
        // What comes later goes before it, on whichever page it stands.
        put(1, 900).await;
        for n in 1..=TOGETHER * 2 {
            put(n, n + 1).await;
        }
        assert_eq!(now().await, gid(TOGETHER * 2 + 1));
        put(TOGETHER * 2 + 1, 901).await;
        assert_eq!(now().await, gid(901));
        put(1, 902).await;
        assert_eq!(now().await, gid(902));
    }

    #[test]
    fn our_own_writes_are_told_by_when_they_were() {
        let written = Written::default();
        written.add(&[wrote("1", "2", "2026-11-20T10:00:00Z", "2026-11-20T10:00:01Z")]);
        let page = Kind::parse("page").expect("a kind");
        let id = ResourceId::parse("2").expect("an id");
        let job = |at: &str| written.job_at(&page, &id, Timestamp::parse(at).expect("an instant"));
        assert_eq!(job("2026-11-20T10:00:01Z").as_deref(), Some("job-2"));
        assert_eq!(job("2026-11-20T10:00:05Z").as_deref(), Some("job-2"));
        assert_eq!(job("2026-11-20T09:59:50Z"), None);
        assert_eq!(job("2026-11-20T10:05:00Z"), None);
        // It was tried again: whoever does that counts from when it first began.
        written.add(&[wrote("1", "2", "2026-11-20T10:00:00Z", "2026-11-20T10:05:01Z")]);
        assert_eq!(job("2026-11-20T10:05:00Z").as_deref(), Some("job-2"));
    }
}
