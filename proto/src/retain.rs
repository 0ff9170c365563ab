//! How long history is kept: versions thinned by the journal, and the bytes that no version names any
//! more.

use std::collections::HashSet;

use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::blob::{BlobError, BlobHash, Blobs, Kept};
use crate::journal::{Journal, JournalError, PAGE_LIMIT_MAX, Page, Raw, Retention, Span, Thinned};
use crate::{Facet, Kind, Mode, ResourceKey, Shop, Timestamp, kind, media};

/// The `what` of records of what was no longer kept: [`Retained`], of one id only.
pub const RETENTION: &str = "retention";
/// The `what` of records that have everything kept: while any says `{"on": true}`, nothing goes.
pub const HOLD: &str = "hold";
/// The id of both sorts of records as far as they are ours.
pub const ALL: &str = "all";

/// How many days checkpoints are kept: what was erased must not outlive its thirty days in one.
pub const CHECKPOINTS_KEPT_DAYS: u64 = 28;

const DAY: u64 = 24 * 3600 * 1_000_000;
/// For how long bytes are kept from when they were stored: whoever stored them may be about to name
/// them.
const STORED_KEPT: u64 = 7 * DAY;
/// For how long bytes are kept that nothing names: a checkpoint from before may still come back, or a
/// journal that was lost and does not know yet what it knew.
const UNNAMED_KEPT: u64 = CHECKPOINTS_KEPT_DAYS * DAY;

/// What is no longer kept, or would not be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Retained {
    /// When.
    pub at: Timestamp,
    /// Versions and records.
    pub thinned: Thinned,
    /// Blobs that no version names.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Somebody wants everything kept: nothing goes.
    pub held: bool,
}

/// Why it was not done, or not wholly. What was done stands; the next time does the rest.
#[derive(Debug, thiserror::Error)]
pub enum RetainError {
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The storage of blobs failed.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// Keeps no longer what need not be kept of a shop, or only says how much that would be.
pub async fn retain(
    (journal, blobs): (&dyn Journal, &Blobs),
    shop: &Shop,
    (retention, now): (Retention, Timestamp),
    mode: Mode,
) -> Result<Retained, RetainError> {
    let held = is_held(journal, shop).await?;
    let thinned = journal.thin(shop, retention, now, mode).await?;
    let mut retained = Retained { at: now, thinned, blobs: 0, blob_bytes: 0, held };
    if held || is_at_work(journal, shop).await? {
        return Ok(retained);
    }
    for blob in forgettable((journal, blobs), shop, now, mode).await? {
        // It may have been stored once more since.
        if !mode.is_dry() && !blobs.delete_unless_newer(shop, &blob).await? {
            continue;
        }
        retained.blobs += 1;
        retained.blob_bytes += blob.bytes;
    }
    Ok(retained)
}

/// Whether somebody wants all of a shop's history kept.
pub async fn is_held(journal: &dyn Journal, shop: &Shop) -> Result<bool, JournalError> {
    let page = Page { limit: PAGE_LIMIT_MAX, cursor: None };
    let holds = journal.records(shop, HOLD, None, &page).await?.items;
    Ok(holds.iter().any(|hold| hold.payload["on"] == true))
}

/// Whether a restore is under way: it may be about to read bytes.
async fn is_at_work(journal: &dyn Journal, shop: &Shop) -> Result<bool, JournalError> {
    let page = Page { limit: PAGE_LIMIT_MAX, cursor: None };
    let jobs = journal.records(shop, "job", None, &page).await?.items;
    let over = ["done", "failed", "cancelled"];
    let at_work = |state: &str| !over.contains(&state);
    Ok(jobs.iter().filter_map(|job| job.payload["state"].as_str()).any(at_work))
}

/// The blobs that no kept version has named for long. Notes which ones those are that none names now.
async fn forgettable(
    (journal, blobs): (&dyn Journal, &Blobs),
    shop: &Shop,
    now: Timestamp,
    mode: Mode,
) -> Result<Vec<Kept>, RetainError> {
    // Listed before it is asked what is named: what is stored meanwhile is not among them.
    let mut kept: Vec<Kept> = blobs.list(shop).try_collect().await?;
    kept.retain(|kept| now.micros_since(kept.at) > STORED_KEPT);
    if kept.is_empty() {
        return Ok(kept);
    }
    let (named, unnamed) = (named(journal, shop).await?, blobs.unnamed(shop).await?);
    let mut forgettable = Vec::new();
    for blob in kept {
        match (named.contains(&blob.hash), unnamed.get(&blob.hash)) {
            (false, Some(since)) if now.micros_since(*since) > UNNAMED_KEPT => {
                forgettable.push(blob);
            }
            (false, None) if !mode.is_dry() => blobs.note_unnamed(shop, blob.hash).await?,
            (true, Some(_)) if !mode.is_dry() => blobs.note_named(shop, blob.hash).await?,
            _ => {}
        }
    }
    Ok(forgettable)
}

/// The blobs that versions name.
async fn named(journal: &dyn Journal, shop: &Shop) -> Result<HashSet<BlobHash>, JournalError> {
    let mut named = HashSet::new();
    for kind in kind::ALL.iter().map(|spec| Kind::of(spec)).filter(media::has_media) {
        let mut heads = journal.heads(shop, &kind, None).await?;
        while let Some(head) = heads.try_next().await? {
            if head.facet == Facet::Blobs {
                let key = ResourceKey { shop: shop.clone(), kind: kind.clone(), id: head.id };
                named_by(journal, &key, &mut named).await?;
            }
        }
    }
    Ok(named)
}

/// The blobs that any version of a resource names.
async fn named_by(
    journal: &dyn Journal,
    key: &ResourceKey,
    named: &mut HashSet<BlobHash>,
) -> Result<(), JournalError> {
    let mut page = Page { limit: PAGE_LIMIT_MAX, cursor: None };
    loop {
        let versions = journal.versions(key, Span::default(), &page).await?;
        // One that changed nothing names what the one before it does.
        let of_blobs = versions.items.iter().filter(|v| v.facet == Facet::Blobs && !v.unchanged);
        for version in of_blobs {
            if let Some(Raw::Bytes(bytes)) = journal.raw(key, version.seq).await? {
                let payload = serde_json::from_slice(&bytes).unwrap_or_default();
                let copies = media::copies(&payload).into_values();
                named.extend(copies.filter_map(|copy| copy.blob.parse::<BlobHash>().ok()));
            }
        }
        page.cursor = versions.next;
        if page.cursor.is_none() {
            return Ok(());
        }
    }
}
