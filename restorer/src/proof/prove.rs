//! One proof: a shop's kinds one after the other, of each its resources one after the other, history and
//! what was seen side by side. Of a resource nothing stays but what is counted.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use backstock_proto::blob::{BlobError, BlobHash};
use backstock_proto::erase::Erased;
use backstock_proto::journal::{JournalError, PullReport, Rebuilt};
use backstock_proto::kind::{ALL, Spec};
use backstock_proto::publish::PutError;
use backstock_proto::witness::{Seen, Witness};
use backstock_proto::{Kind, ResourceId, Timestamp};
use futures::StreamExt as _;

use super::follow::Follow;
use super::held::{Held, hold};
use super::media::Look;
use super::nightly::Claim;
use super::restorable::{Restorable, restorable};
use super::seen::List;
use super::{KindProof, NIGHTLY};
use crate::plan;

/// How long it works before it rests as long, where nobody waits.
const WORK: Duration = Duration::from_millis(20);
const DAY: u64 = 24 * 3600 * 1_000_000;

/// Why a proof was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProveError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error("reading what was seen broke off: {0}")]
    List(#[from] io::Error),
    #[error(transparent)]
    Put(#[from] PutError),
    #[error("{0}")]
    Nothing(String),
}

/// What a kind is compared with.
struct Ground {
    witness: Witness,
    list: BlobHash,
    /// When the pull began to read.
    since: Timestamp,
    /// When it ended.
    at: Timestamp,
}

/// A kind under comparison.
#[derive(Clone, Copy)]
struct Of<'a> {
    spec: &'static Spec,
    kind: &'a Kind,
    ground: &'a Ground,
}

/// Makes a proof. What it finds is in the claim, also while it goes on.
pub(super) async fn prove(claim: &mut Claim<'_>) -> Result<(), ProveError> {
    let (desk, shop) = (claim.desk, claim.shop);
    let status = desk.journal.status(shop).await?;
    let kinds = status.map(|status| status.kinds).unwrap_or_default();
    let mut pulls: BTreeMap<Kind, PullReport> =
        kinds.into_iter().filter_map(|of| Some((of.kind, of.last_complete_pull?))).collect();
    let specs = ALL.iter().copied().filter(|spec| !spec.pulls.is_empty());
    let kinds = plan::in_order(specs.map(Kind::of).collect());
    let now = desk.clock.now();
    let grounds: Vec<(Kind, Result<Ground, String>)> = kinds
        .into_iter()
        .map(|kind| {
            let ground = ground(&kind, pulls.remove(&kind), claim.kept_since(now));
            (kind, ground)
        })
        .collect();
    let sure = || grounds.iter().filter_map(|(kind, ground)| Some((kind, ground.as_ref().ok()?)));
    let Some(oldest) = sure().map(|(_, ground)| ground.at).min() else {
        let why = format!(
            "no kind of {shop} was read whole yet: `backstock reconcile --shop {}` does that",
            shop.name()
        );
        return Err(ProveError::Nothing(why));
    };
    claim.proof.at = Some(oldest);
    let bytes = desk.config.proof.media_bytes;
    let mut prover = Prover {
        media: Look::begin(&desk.blobs, shop, bytes, now).await?,
        follow: Follow::new(sure().filter_map(|(kind, _)| kind.spec())),
        worked_since: Instant::now(),
        erased: desk.journal.erased(shop).await?,
        claim,
    };
    for (kind, ground) in &grounds {
        prover.kind(kind, ground).await?;
    }
    let Prover { media, follow, claim, .. } = prover;
    (claim.proof.media, claim.proof.references) = (media.finish(), follow.finish());
    // To have compared nothing proves nothing.
    let why = claim.proof.kinds.iter().map(|kind| kind.unproved.as_deref());
    match why.collect::<Option<Vec<_>>>().and_then(|whys| whys.last().copied()) {
        Some(why) => Err(ProveError::Nothing(format!("nothing could be compared: {why}"))),
        None => Ok(()),
    }
}

/// What a kind can be compared with, or why it cannot. `kept_since` is from when on history has every
/// version.
fn ground(kind: &Kind, pull: Option<PullReport>, kept_since: Timestamp) -> Result<Ground, String> {
    let pull = pull.ok_or("it was never read whole")?;
    let witness = pull.witness.ok_or("its last whole pull did not keep what it saw")?;
    let at = pull.finished_at.unwrap_or(pull.started_at);
    if witness.mapping != kind.mapping() {
        return Err("it is read in another way than when it was last pulled".into());
    }
    if at < kept_since {
        return Err("its last whole pull is so old that history of then is thinned".into());
    }
    let list = witness.list.parse::<BlobHash>().map_err(|error| error.to_string())?;
    Ok(Ground { list, since: witness.since, witness, at })
}

struct Prover<'a, 'd> {
    claim: &'a mut Claim<'d>,
    media: Look<'d>,
    follow: Follow,
    worked_since: Instant,
    /// What was erased.
    erased: Erased,
}

impl Prover<'_, '_> {
    async fn kind(
        &mut self,
        kind: &Kind,
        ground: &Result<Ground, String>,
    ) -> Result<(), ProveError> {
        let before = self.claim.proof.clone();
        let mut unproved = ground.as_ref().err().cloned();
        if let (Ok(ground), Some(spec)) = (ground, kind.spec()) {
            match self.compare(Of { spec, kind, ground }).await {
                Ok(true) => {}
                Ok(false) => unproved = Some("the list of what was seen is no longer kept".into()),
                Err(ProveError::List(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    unproved = Some(format!("the list of what was seen is damaged: {error}"));
                }
                Err(error) => return Err(error),
            }
        }
        if unproved.is_some() {
            self.claim.proof = before.clone();
        }
        let proof = &mut self.claim.proof;
        proof.kinds.push(KindProof {
            kind: kind.clone(),
            at: ground.as_ref().ok().map(|ground| ground.at),
            compared: proof.compared - before.compared,
            proved: proof.proved - before.proved,
            unproved,
        });
        Ok(())
    }

    /// Goes through history and what was seen side by side, in the order of ids. Whether there is
    /// anything to compare with.
    async fn compare(&mut self, of: Of<'_>) -> Result<bool, ProveError> {
        let (desk, shop) = (self.claim.desk, self.claim.shop);
        let Some(reading) = desk.blobs.read(shop, of.ground.list).await? else { return Ok(false) };
        let mut list = List::open(reading).await?;
        let mut history = desk.journal.rebuilt(shop, of.kind, of.ground.at).await?.fuse();
        let mut rebuilt = history.next().await;
        // Why there is no more of history, where it should go on.
        let mut broken = None;
        loop {
            let here = match rebuilt.take().transpose() {
                Err(JournalError::Damaged(why)) => {
                    broken = Some(format!("history cannot be read on to it: {why}"));
                    None
                }
                here => here?,
            };
            let id = match (list.id(), here.as_ref().map(|here| &here.id)) {
                (None, None) => break,
                (Some(seen), Some(here)) => seen.min(here).clone(),
                (Some(only), None) | (None, Some(only)) => only.clone(),
            };
            let seen = list.of(&id).await?;
            let (here, ahead) = match here {
                Some(here) if here.id == id => (Some(here), None),
                ahead => (None, ahead),
            };
            let read_on = ahead.is_none() && broken.is_none();
            match (broken.clone(), here) {
                (Some(why), None) => {
                    self.claim.proof.compared += 1;
                    self.claim.proof.mismatch(of.kind, &id, why);
                }
                (_, here) => self.resource(of, &id, &seen, here).await?,
            }
            rebuilt = if read_on { history.next().await } else { ahead.map(Ok) };
            self.rest().await?;
        }
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "its digest is another");
        if list.is(&of.ground.witness) { Ok(true) } else { Err(ProveError::List(damaged())) }
    }

    async fn resource(
        &mut self,
        of: Of<'_>,
        id: &ResourceId,
        seen: &[Seen],
        rebuilt: Option<Rebuilt>,
    ) -> Result<(), ProveError> {
        if self.erased.has(of.kind, id) {
            // What was seen of somebody who was erased is not to be found again.
            self.claim.proof.moved += 1;
            return Ok(());
        }
        let held = hold(seen, rebuilt.as_ref(), of.ground.since);
        let mut wrong = Vec::new();
        if let Some(state) = rebuilt.and_then(|rebuilt| rebuilt.state) {
            self.follow.add(of.spec, of.kind, id, &state);
            wrong = self.media.of(&state).await?;
            let proof = &mut self.claim.proof;
            match restorable(of.spec, (of.kind, id), state, of.ground.at) {
                Restorable::Anew(cost) => {
                    proof.restorable += 1;
                    proof.cost += cost;
                }
                Restorable::Archive(why) => proof.archive(of.kind, why),
                Restorable::Not(why) => wrong.push(why),
            }
        }
        let proof = &mut self.claim.proof;
        match held {
            Held::Absent => proof.absent += 1,
            Held::Moved => proof.moved += 1,
            Held::Same => {
                proof.compared += 1;
                proof.proved += u64::from(wrong.is_empty());
            }
            Held::Differs(why) => {
                proof.compared += 1;
                wrong.insert(0, why);
            }
        }
        if !wrong.is_empty() {
            proof.mismatch(of.kind, id, wrong.join("; "));
        }
        Ok(())
    }

    /// Makes way for others now and then, and shows that it is still at work.
    async fn rest(&mut self) -> Result<(), ProveError> {
        let worked = self.worked_since.elapsed();
        if worked < WORK {
            return Ok(());
        }
        match self.claim.proof.by == NIGHTLY {
            true => tokio::time::sleep(worked).await,
            false => tokio::task::yield_now().await,
        }
        self.claim.beat().await?;
        self.worked_since = Instant::now();
        Ok(())
    }
}

impl Claim<'_> {
    /// From when on history has every version.
    fn kept_since(&self, now: Timestamp) -> Timestamp {
        let days = u64::from(self.desk.config.retention.keep_all_days);
        let kept = i64::try_from(days * DAY).unwrap_or(i64::MAX);
        Timestamp::from_micros(now.as_micros().saturating_sub(kept))
    }
}
