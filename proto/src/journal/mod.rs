//! How history is asked for: the questions, the answers, and who answers them.
//!
//! The journal answers in process (`serve`) or over its internal HTTP API (split roles); readers
//! only know [`Journal`].

mod answer;
mod client;
mod media;
mod numbers;
mod pull;
mod rebuilt;
mod spread;
mod status;
mod touched;
mod upkeep;

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::erase::{Concerned, Erased, Erasure, Whom};
use crate::event::{Op, Source};
use crate::resource::{ResourceId, ResourceKey};
use crate::{Kind, Mode, Shop, Timestamp};

pub use answer::{Change, Head, List, Raw, Record, Resource, Summary, Version};
pub use client::{Client, Line, PATH, Question, SAME_AS};
pub use media::{MEDIA, MediaReport};
pub use numbers::Numbers;
pub use pull::{BulkRun, Drift, PULL, PullReport, PullState};
pub use rebuilt::Rebuilt;
pub use spread::Spread;
pub use status::{Gap, Healing, KindStatus, ShopStatus, ShopSummary};
pub use touched::{Began, Place, Touched};
pub use upkeep::{CheckpointReport, Retention, Thinned, VerifyReport};

/// Largest number of items in one page.
pub const PAGE_LIMIT_MAX: usize = 1_000;

/// Which instant a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AsOf {
    /// The newest version there is.
    Latest,
    /// The newest version with a valid time of at most this.
    At(Timestamp),
    /// This version and everything before it.
    Upto(Place),
    /// Everything before this version.
    Before(Place),
}

impl AsOf {
    /// The last place that counts.
    pub fn bound(self) -> Place {
        let all_of = |at| Place { valid_at: at, triggered_at: Timestamp::MAX, seq: u64::MAX };
        match self {
            Self::Latest => all_of(Timestamp::MAX),
            Self::At(at) => all_of(at),
            Self::Upto(place) => place,
            // Sequences are never 0.
            Self::Before(place) => Place { seq: place.seq.saturating_sub(1), ..place },
        }
    }
}

/// From (inclusive) one instant to (inclusive) another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The first instant that counts.
    pub from: Timestamp,
    /// The last instant that counts.
    pub to: Timestamp,
}

impl Default for Span {
    fn default() -> Self {
        Self { from: Timestamp::MIN, to: Timestamp::MAX }
    }
}

/// Which part of a long list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// At most so many items, from 1 to [`PAGE_LIMIT_MAX`].
    pub limit: usize,
    /// Where the page before ended, as [`List::next`] said.
    pub cursor: Option<String>,
}

impl Default for Page {
    fn default() -> Self {
        Self { limit: 100, cursor: None }
    }
}

/// Which resources a list holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceFilter {
    /// Only this kind.
    pub kind: Option<Kind>,
    /// Only those whose title, handle, id or further words hold this text, in any case.
    pub q: Option<String>,
    /// As of this instant; the latest by default.
    pub at: Option<Timestamp>,
    /// `Some(true)`: only deleted ones. `Some(false)`: only living ones. `None`: both.
    pub deleted: Option<bool>,
}

/// Which single changes a list holds, newest first. Without a kind, [logs](Kind::is_log) are left
/// out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeFilter {
    /// Within these instants, by valid time.
    pub span: Span,
    /// Only this kind.
    pub kind: Option<Kind>,
    /// Only this sort of event.
    pub op: Option<Op>,
    /// Only those learned in this way.
    pub source: Option<Source>,
    /// Without titles and fields, which are most of the work.
    #[serde(default)]
    pub bare: bool,
    /// With versions that changed nothing: without title and fields.
    #[serde(default)]
    pub unchanged: bool,
    /// Without what a pull saw when nothing was known of it: nothing happened in the shop.
    #[serde(default)]
    pub without_first_looks: bool,
}

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The question itself is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The stored bytes are damaged; nothing wrong is ever served.
    #[error("stored history is damaged: {0}")]
    Damaged(String),
    /// The journal cannot be reached or is not ready.
    #[error("the journal is not available: {0}")]
    Unavailable(String),
    /// The disk or RocksDB failed.
    #[error("reading the journal failed: {0}")]
    Storage(String),
}

impl JournalError {
    /// Whether asking again later may help.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Invalid(_) | Self::Damaged(_) | Self::Storage(_) => false,
        }
    }
}

/// Answers questions about history. Every answer is consistent in itself: it is read from one
/// snapshot of the store.
///
/// What is not there is `None` or an empty list, never an error. A page whose limit is out of bounds, or
/// whose cursor is none of ours, is [`JournalError::Invalid`]. Only [`Self::thin`] and [`Self::checkpoint`]
/// change anything.
#[async_trait]
pub trait Journal: Send + Sync {
    /// The shops that have any history, by name.
    async fn shops(&self) -> Result<Vec<ShopSummary>, JournalError>;

    /// One shop, per kind. `None` if it has no history.
    async fn status(&self, shop: &Shop) -> Result<Option<ShopStatus>, JournalError>;

    /// Lists and searches, ordered by kind and id.
    async fn resources(
        &self,
        shop: &Shop,
        filter: &ResourceFilter,
        page: &Page,
    ) -> Result<List<Summary>, JournalError>;

    /// One resource. `None` if it had never existed by then.
    async fn resource(&self, key: &ResourceKey, at: AsOf)
    -> Result<Option<Resource>, JournalError>;

    /// Some of a kind's resources, in the order in which they are named: as [`Self::resource`] tells
    /// each.
    async fn several(
        &self,
        shop: &Shop,
        kind: &Kind,
        ids: &[ResourceId],
        at: AsOf,
    ) -> Result<Vec<Option<Resource>>, JournalError>;

    /// A resource's versions, newest first. Empty if it never existed.
    async fn versions(
        &self,
        key: &ResourceKey,
        span: Span,
        page: &Page,
    ) -> Result<List<Version>, JournalError>;

    /// A version's bytes as received. `None` if there is no such version.
    async fn raw(&self, key: &ResourceKey, seq: u64) -> Result<Option<Raw>, JournalError>;

    /// Single changes, newest first; versions that changed nothing are left out. A page may hold less
    /// than was asked for, or nothing, and not be the last.
    async fn changes(
        &self,
        shop: &Shop,
        filter: &ChangeFilter,
        page: &Page,
    ) -> Result<List<Change>, JournalError>;

    /// The newest of these changes, if there is any.
    async fn newest_change(
        &self,
        shop: &Shop,
        filter: &ChangeFilter,
    ) -> Result<Option<Change>, JournalError> {
        let mut page = Page { limit: 1, cursor: None };
        loop {
            let List { items, next } = self.changes(shop, filter, &page).await?;
            match (items.into_iter().next(), next) {
                (None, Some(next)) => page.cursor = Some(next),
                (newest, _) => return Ok(newest),
            }
        }
    }

    /// Every living resource as of an instant, ordered by kind and id; without a kind, no
    /// [logs](Kind::is_log).
    async fn snapshot(
        &self,
        shop: &Shop,
        at: AsOf,
        kind: Option<&Kind>,
    ) -> Result<BoxStream<'static, Result<Resource, JournalError>>, JournalError>;

    /// The living resources of a kind as of an instant that may name something by one of some numbers, in
    /// which one stands or whose own it is, ordered by id. Of all others no state is read.
    async fn mentioning(
        &self,
        shop: &Shop,
        at: AsOf,
        kind: &Kind,
        numbers: &Numbers,
    ) -> Result<BoxStream<'static, Result<Resource, JournalError>>, JournalError>;

    /// The newest version of every facet of every resource of a kind, or of one of them, ended ones
    /// too, ordered by id, then facet.
    async fn heads(
        &self,
        shop: &Shop,
        kind: &Kind,
        id: Option<&ResourceId>,
    ) -> Result<BoxStream<'static, Result<Head, JournalError>>, JournalError>;

    /// Every resource of a kind that there had been by an instant, ended ones too, ordered by id, each
    /// read back from its bytes. One that is damaged says so and ends nothing.
    async fn rebuilt(
        &self,
        shop: &Shop,
        kind: &Kind,
        at: Timestamp,
    ) -> Result<BoxStream<'static, Result<Rebuilt, JournalError>>, JournalError>;

    /// The resources that have versions of a state within a span, ordered by kind and id; without a
    /// kind, no [logs](Kind::is_log). Reads no state.
    async fn touched(
        &self,
        shop: &Shop,
        span: Span,
        kind: Option<&Kind>,
    ) -> Result<BoxStream<'static, Result<Touched, JournalError>>, JournalError>;

    /// What was done. With an `id`: all records of it, newest first. Without: the newest record of
    /// each id, newest first.
    async fn records(
        &self,
        shop: &Shop,
        what: &str,
        id: Option<&str>,
        page: &Page,
    ) -> Result<List<Record>, JournalError>;

    /// What is erased, and what was: receipts, newest first; of all shops, where none is named.
    async fn erasures(&self, shop: Option<&Shop>) -> Result<Vec<Erasure>, JournalError>;

    /// What was erased in a shop and must not come back.
    async fn erased(&self, shop: &Shop) -> Result<Erased, JournalError>;

    /// What an erasure would reach. Reads everything that may speak of people.
    async fn concerned(
        &self,
        shop: &Shop,
        whom: &Whom,
        orders: &[ResourceId],
    ) -> Result<Concerned, JournalError>;

    /// Removes what need not be kept any longer as of `now`, or says how much that would be: both modes
    /// count the same. Of a shop that somebody wants kept, nothing. [`JournalError::Unavailable`] while
    /// history is being thinned already.
    async fn thin(
        &self,
        shop: &Shop,
        retention: Retention,
        now: Timestamp,
        mode: Mode,
    ) -> Result<Thinned, JournalError>;

    /// Copies the store of each partition into an object store: the configured one, or the one at the
    /// address `to`, which has to be among those configured. [`JournalError::Invalid`] where there is none.
    async fn checkpoint(&self, to: Option<&str>) -> Result<Vec<CheckpointReport>, JournalError>;

    /// Reads everything back and checks every digest and every invariant between families. What does not
    /// hold is in the report, and no error.
    async fn verify(&self) -> Result<VerifyReport, JournalError>;
}
