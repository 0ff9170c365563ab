//! Media whose bytes are not kept yet: those of what a whole look at the shop brought, and those that
//! could not be had before. What came of it is on record, kind by kind.

use std::collections::BTreeSet;
use std::time::Duration;

use backstock_proto::journal::{AsOf, MEDIA, MediaReport, PULL, Page, Resource};
use backstock_proto::kind::pull::Way;
use backstock_proto::{Facet, Kind, ResourceKey, Timestamp, media};
use futures::{FutureExt, TryStreamExt};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Editions, Keeper, MediaError, Named, Outcome, edition};

/// Resources at once.
const RESOURCES: usize = 4;
/// How long a pull's end may take to be readable.
const READABLE_WITHIN: Duration = Duration::from_secs(600);
/// After failures: the first wait, and the longest.
const WAIT_FIRST: Duration = Duration::from_secs(60);
const WAIT_MAX: Duration = Duration::from_secs(3_600);
/// Resources that were read by their ids and wait: each is held whole.
const SEEN_MAX: usize = 256;
/// Most reasons that are put on record.
const REASONS_MAX: usize = 5;

/// A kind to be looked at.
#[derive(Debug)]
enum Wish {
    /// It was pulled whole; what that brought is readable when this record is. With the editions that
    /// were seen.
    Pulled(Kind, u64, Option<Editions>),
    /// Something of it failed.
    Failed(Kind),
}

/// A resource as the shop told it: its bytes may be others, at the same address.
#[derive(Debug)]
struct Seen {
    key: ResourceKey,
    node: Value,
    at: Timestamp,
}

/// Asks for a look. Clones ask the same looker.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    wishes: mpsc::UnboundedSender<Wish>,
    seen: mpsc::Sender<Seen>,
}

/// Where it is heard.
#[derive(Debug)]
pub(crate) struct Receiver {
    wishes: mpsc::UnboundedReceiver<Wish>,
    seen: mpsc::Receiver<Seen>,
}

pub(crate) fn wishes() -> (Sender, Receiver) {
    let (wishes, heard) = mpsc::unbounded_channel();
    let (seen, shown) = mpsc::channel(SEEN_MAX);
    (Sender { wishes, seen }, Receiver { wishes: heard, seen: shown })
}

impl Sender {
    /// A kind was pulled whole, and this record says so.
    pub(crate) fn pulled(&self, kind: &Kind, record: u64, editions: Option<Editions>) {
        if media::has_media(kind) {
            // Nobody listens at the end.
            let _ = self.wishes.send(Wish::Pulled(kind.clone(), record, editions));
        }
    }

    /// A resource was read by its id.
    pub(crate) fn seen(&self, key: ResourceKey, node: Value, at: Timestamp) {
        if media::has_media(&key.kind)
            && let Err(TrySendError::Full(Seen { key, .. })) =
                self.seen.try_send(Seen { key, node, at })
        {
            // Its bytes may be others by now, which the next such reading shows.
            self.later(&key.kind);
        }
    }

    /// Something of a kind is to be tried again in a while.
    pub(crate) fn later(&self, kind: &Kind) {
        let _ = self.wishes.send(Wish::Failed(kind.clone()));
    }
}

/// Looks at what is wished for, and again at what failed, until `shutdown`. What was just read by its
/// id waits for no look at a whole kind, which may take hours.
pub(crate) async fn run(keeper: Keeper, heard: Receiver, shutdown: CancellationToken) {
    let Receiver { wishes, seen } = heard;
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = look_at_kinds(&keeper, wishes) => {}
        () = look_at_all_seen(&keeper, seen) => {}
    }
}

async fn look_at_all_seen(keeper: &Keeper, mut all: mpsc::Receiver<Seen>) {
    while let Some(seen) = all.recv().await {
        if !look_at_seen(keeper, &seen).await {
            keeper.puller.media.later(&seen.key.kind);
        }
    }
}

async fn look_at_kinds(keeper: &Keeper, mut wishes: mpsc::UnboundedReceiver<Wish>) {
    let all = backstock_proto::kind::ALL.iter().map(|spec| Kind::of(spec));
    // What an earlier process left undone.
    let mut due: BTreeSet<Kind> = all.filter(media::has_media).collect();
    let mut failed: BTreeSet<Kind> = BTreeSet::new();
    let mut wait = WAIT_FIRST;
    // When to try again what failed, and since when nothing did. Wishes put neither off.
    let (mut again_at, mut quiet_since): (Option<Instant>, Option<Instant>) = (None, None);
    loop {
        look_at(keeper, std::mem::take(&mut due), &mut failed).await;
        if failed.is_empty() {
            again_at = None;
            quiet_since = Some(quiet_since.unwrap_or_else(Instant::now));
        } else {
            if quiet_since.take().is_some_and(|since| since.elapsed() > WAIT_MAX) {
                wait = WAIT_FIRST;
            }
            again_at = Some(again_at.unwrap_or_else(|| Instant::now() + wait));
        }
        let rest = async move {
            match again_at {
                None => std::future::pending().await,
                Some(at) => tokio::time::sleep_until(at).await,
            }
        };
        tokio::select! {
            wish = wishes.recv() => match wish {
                Some(Wish::Pulled(kind, record, editions)) => {
                    match is_readable(keeper, &kind, record).await {
                        true => look_at_editions(keeper, &kind, editions).await,
                        false => drop(failed.insert(kind.clone())),
                    }
                    due.insert(kind);
                }
                Some(Wish::Failed(kind)) => drop(failed.insert(kind)),
                None => return,
            },
            () = rest => {
                due.append(&mut failed);
                again_at = None;
                wait = (wait * 2).min(WAIT_MAX);
            }
        }
    }
}

/// Looks at what a pull saw in another edition than it is kept in. What fails is seen by the next one.
async fn look_at_editions(keeper: &Keeper, kind: &Kind, editions: Option<Editions>) {
    let Some(editions) = editions else { return };
    if let Err(error) = edition::look(keeper, kind, editions).await {
        let shop = &keeper.puller.shop;
        warn!(%shop, %kind, %error, "looking for other bytes of media failed until the next pull");
    }
}

/// Looks at some kinds, and notes which are to be tried again.
async fn look_at(keeper: &Keeper, kinds: BTreeSet<Kind>, failed: &mut BTreeSet<Kind>) {
    for kind in kinds {
        let again = match look(keeper, &kind).await {
            Ok(again) => again,
            Err(error) => {
                let shop = &keeper.puller.shop;
                warn!(%shop, %kind, %error, "looking for media failed; trying again");
                true
            }
        };
        match again {
            true => failed.insert(kind),
            false => failed.remove(&kind),
        };
    }
}

/// Looks whether a resource that was just read has other bytes than before, at the same addresses.
/// Whether all of them are kept.
async fn look_at_seen(keeper: &Keeper, Seen { key, node, at }: &Seen) -> bool {
    let known = keeper.puller.journal.resource(key, AsOf::Latest).await;
    let Ok(Some(known)) = known else { return known.is_ok() };
    if known.deleted {
        return true;
    }
    match keep(keeper, key, &known.state, node, (*at, *at)).await {
        Ok(outcome) => outcome.failures.is_empty(),
        Err(error) => {
            warn!(shop = %key.shop, kind = %key.kind, %error, "looking for media failed");
            false
        }
    }
}

/// Waits until the journal shows a pull's record, and with it everything before.
async fn is_readable(keeper: &Keeper, kind: &Kind, record: u64) -> bool {
    let newest = Page { limit: 1, cursor: None };
    let puller = &keeper.puller;
    let shown = async {
        loop {
            let records =
                puller.journal.records(&puller.shop, PULL, Some(kind.as_str()), &newest).await;
            if records.is_ok_and(|list| list.items.first().is_some_and(|r| r.seq >= record)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(READABLE_WITHIN, shown).await.is_ok()
}

/// Looks at every living resource of a kind. Whether trying again soon may bring more.
async fn look(keeper: &Keeper, kind: &Kind) -> Result<bool, MediaError> {
    let puller = &keeper.puller;
    let resources = puller.journal.snapshot(&puller.shop, AsOf::Latest, Some(kind)).await?;
    let outcomes =
        resources.map_err(MediaError::from).map_ok(|resource| one(keeper, resource).boxed());
    let mut outcomes = std::pin::pin!(outcomes.try_buffer_unordered(RESOURCES));
    let mut report = MediaReport::new(kind.clone(), puller.clock.now());
    let mut again = false;
    while let Some(outcome) = outcomes.try_next().await? {
        let Outcome { media, kept, failures, may_pass } = outcome;
        again |= may_pass;
        report.media += media;
        report.kept += kept;
        for reason in failures {
            if report.reasons.len() < REASONS_MAX && !report.reasons.contains(&reason) {
                report.reasons.push(reason);
            }
        }
    }
    let missing = report.media - report.kept;
    if missing > 0 {
        let (shop, reasons) = (&puller.shop, report.reasons.join("; "));
        let then = if again { "trying again" } else { "trying again after the next pull" };
        warn!(%shop, %kind, missing, "bytes of media are not kept: {reasons}; {then}");
    } else {
        info!(shop = %puller.shop, %kind, media = report.media, "the bytes of all media are kept");
    }
    put_on_record(keeper, &report).await?;
    Ok(again)
}

/// Says what came of it, if that is news.
async fn put_on_record(keeper: &Keeper, report: &MediaReport) -> Result<(), MediaError> {
    let (puller, id) = (&keeper.puller, report.kind.as_str());
    let newest = Page { limit: 1, cursor: None };
    let before = puller.journal.records(&puller.shop, MEDIA, Some(id), &newest).await?;
    let before = before.items.into_iter().next();
    let before = before.and_then(|r| serde_json::from_value::<MediaReport>(r.payload).ok());
    let same = before.is_some_and(|before| MediaReport { at: report.at, ..before } == *report);
    if !same {
        puller.publisher.record(&puller.shop, MEDIA, id, report).await?;
    }
    Ok(())
}

/// One resource: nothing to do, where every medium has its bytes, and they are as new as their address.
async fn one(keeper: &Keeper, resource: Resource) -> Result<Outcome, MediaError> {
    let media = media::sources(&resource.state, &Value::Null).len() as u64;
    let all_kept = Outcome { media, kept: media, ..Outcome::default() };
    let is_complete = media::is_complete(&resource.state);
    if media == 0 || (is_complete && !is_signed(&resource.kind)) {
        return Ok(all_kept);
    }
    let key =
        backstock_proto::ResourceKey { shop: resource.shop, kind: resource.kind, id: resource.id };
    let Some(core) = keeper.head(&key, Facet::Core).await? else { return Ok(Outcome::default()) };
    let blobs = keeper.head(&key, Facet::Blobs).await?;
    // What is signed has the same address when its bytes are others.
    if is_complete && blobs.as_ref().is_some_and(|blobs| blobs.valid_at >= core.valid_at) {
        return Ok(all_kept);
    }
    let said = keeper.said(&key, core.seq).await?.unwrap_or_default();
    // What is known of bytes that came later than the rest of it is not to be undone by what is older.
    let place = (core.valid_at, core.triggered_at);
    let (valid_at, triggered_at) =
        blobs.map_or(place, |blobs| place.max((blobs.valid_at, blobs.triggered_at)));
    let state = &resource.state;
    let mut outcome = keep(keeper, &key, state, &said, (valid_at, triggered_at)).await?;
    if outcome.failures.is_empty() || !is_signed(&key.kind) {
        return Ok(outcome);
    }
    // An address that was signed for a short while may have ended: it is asked for anew.
    match asked_anew(keeper, &key).await {
        Some(said) => keep(keeper, &key, state, &said, (valid_at, triggered_at)).await,
        None => {
            outcome.may_pass = true;
            Ok(outcome)
        }
    }
}

async fn keep(
    keeper: &Keeper,
    key: &ResourceKey,
    state: &Value,
    said: &Value,
    (valid_at, triggered_at): (Timestamp, Timestamp),
) -> Result<Outcome, MediaError> {
    keeper.resource(Named { key, state, said, valid_at, triggered_at, is_told: false }).await
}

/// Whether the addresses of a kind's media are signed for a short while.
pub(super) fn is_signed(kind: &Kind) -> bool {
    kind.as_str() == "theme_file"
}

/// A resource as the shop tells it now, where its addresses are signed.
async fn asked_anew(keeper: &Keeper, key: &ResourceKey) -> Option<Value> {
    let spec = key.kind.spec()?;
    let pull = spec.pulls.iter().find(|pull| matches!(pull.way, Way::ById { .. }))?;
    let nodes = keeper.puller.asker.by_id(spec, pull, std::slice::from_ref(&key.id)).await.ok()?;
    nodes.into_iter().find(|node| (spec.id)(node).as_ref() == Some(&key.id))
}
