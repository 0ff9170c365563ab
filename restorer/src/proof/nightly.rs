//! When proofs are made, and by whom. All about them is on record: one that a kill ended is made anew,
//! and of several restorers the one whose record the stream takes makes it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstock_proto::journal::{JournalError, Page};
use backstock_proto::publish::PutError;
use backstock_proto::{Shop, Timestamp};
use futures::FutureExt as _;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::prove::{ProveError, prove};
use super::{Config, NIGHTLY, PROOF, Proof, ProofState};
use crate::Desk;
use crate::audit::Deed;
use crate::record::{self, RecordError};

/// How often it looks whether a proof is due.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How often ages are brought up to date.
const AGE_EVERY: Duration = Duration::from_secs(5);
/// How often a proof under way shows that it is.
const BEAT_EVERY: Duration = Duration::from_secs(10);
/// After so long a silence another one takes it up, in microseconds.
const SILENT: u64 = 60 * 1_000_000;
/// When a night's proof that could not be made is tried again, in microseconds.
const AGAIN: u64 = 3600 * 1_000_000;
/// How far back proofs are looked at.
const LOOK_BACK: usize = 20;

/// A proof on record.
struct Known {
    proof: Proof,
    seq: u64,
    recorded_at: Timestamp,
}

/// Makes proofs when they are due, one after the other, until `stop`.
pub(crate) async fn run(desk: Arc<Desk>, stop: CancellationToken) {
    let rounds = async {
        loop {
            for shop in &desk.config.shops {
                match AssertUnwindSafe(look(&desk, shop).boxed()).catch_unwind().await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::warn!(%shop, %error, "cannot see whether a proof is due");
                    }
                    // No other shop is to go without one.
                    Err(_panic) => {
                        tracing::error!(%shop, "a proof ended in a panic; trying again");
                    }
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let ages = async {
        loop {
            desk.metrics.proofs.refresh(desk.clock.now());
            tokio::time::sleep(AGE_EVERY).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = Box::pin(rounds) => {}
        () = ages => {}
    }
}

/// Orders a proof and begins with it; answers the one that is under way, if there is one.
pub(crate) async fn order(desk: &Arc<Desk>, shop: &Shop, by: &str) -> Result<Proof, RecordError> {
    let now = desk.clock.now();
    let under_way = known(desk, shop).await?.into_iter().find(|known| known.is_at_work(now));
    if let Some(known) = under_way {
        return Ok(known.proof);
    }
    let proof = Proof::ordered(record::new_id(PROOF, now), by, now);
    let place = (PROOF, proof.id.as_str());
    let seq =
        record::put((desk.journal.as_ref(), desk.records.as_ref()), shop, place, &proof).await?;
    let (of, shop, ordered) = (desk.clone(), shop.clone(), proof.clone());
    tokio::spawn(async move { Claim::take(&of, &shop, ordered, seq).await });
    Ok(proof)
}

/// The newest proof that is over.
pub(crate) async fn last(desk: &Desk, shop: &Shop) -> Result<Option<Proof>, JournalError> {
    let over = known(desk, shop).await?.into_iter().map(|known| known.proof);
    Ok(over.filter(|proof| proof.state.is_over()).max_by_key(|proof| proof.finished_at))
}

/// The shop's latest proofs, as they are on record.
async fn known(desk: &Desk, shop: &Shop) -> Result<Vec<Known>, JournalError> {
    let page = Page { limit: LOOK_BACK, cursor: None };
    let records = desk.journal.records(shop, PROOF, None, &page).await?.items.into_iter();
    let known = records.filter_map(|record| {
        let proof = serde_json::from_value(record.payload).ok()?;
        Some(Known { proof, seq: record.seq, recorded_at: record.recorded_at })
    });
    Ok(known.collect())
}

impl Known {
    /// Whether somebody makes it.
    fn is_at_work(&self, now: Timestamp) -> bool {
        !self.proof.state.is_over() && now.micros_since(self.recorded_at) < SILENT
    }
}

/// Takes up a proof that nobody makes any more, or makes the one that is due.
async fn look(desk: &Desk, shop: &Shop) -> Result<(), RecordError> {
    let now = desk.clock.now();
    let known = known(desk, shop).await?;
    let told = known.iter().map(|known| &known.proof);
    let told = told.filter(|p| matches!(p.state, ProofState::Proved | ProofState::Refuted));
    if let Some(newest) = told.max_by_key(|proof| proof.finished_at) {
        desk.metrics.proofs.told(shop, newest);
    }
    if known.iter().any(|known| known.is_at_work(now)) {
        return Ok(());
    }
    let silent = |known: &&Known| !known.proof.state.is_over();
    if let Some(Known { proof, seq, .. }) = known.iter().rfind(silent) {
        Claim::take(desk, shop, proof.clone(), *seq).await;
        return Ok(());
    }
    let Some(due) = due_at(&desk.config.proof, shop, now) else { return Ok(()) };
    match known.iter().max_by_key(|known| known.proof.ordered_at) {
        Some(Known { proof, seq, .. }) if proof.ordered_at >= due => {
            let again = proof.state == ProofState::Failed
                && proof.by == NIGHTLY
                && proof.finished_at.is_none_or(|at| now.micros_since(at) > AGAIN);
            if again {
                Claim::take(desk, shop, proof.clone(), *seq).await;
            }
            return Ok(());
        }
        _ => {}
    }
    let Some(first) = first_pull(desk, shop).await? else { return Ok(()) };
    desk.metrics.proofs.possible(shop, first);
    // What is read for the first time is proved in the night after.
    if first > due {
        return Ok(());
    }
    // The same for every restorer: the stream takes it from one of them only.
    let id = format!("{PROOF}-{:012x}-0000", due.as_micros().max(0) / 1_000);
    let proof = Proof::ordered(id, NIGHTLY, now);
    match put(desk, shop, &proof, 0).await {
        Ok(seq) => Claim::take(desk, shop, proof, seq).await,
        Err(PutError::Moved(_)) => {}
        Err(PutError::Publish(error)) => return Err(error.into()),
    }
    Ok(())
}

/// When there was first something to compare with.
async fn first_pull(desk: &Desk, shop: &Shop) -> Result<Option<Timestamp>, JournalError> {
    let status = desk.journal.status(shop).await?;
    let kinds = status.map(|status| status.kinds).unwrap_or_default();
    let pulls = kinds.into_iter().filter_map(|kind| kind.last_complete_pull);
    let witnessed = pulls.filter(|pull| pull.witness.is_some());
    Ok(witnessed.map(|pull| pull.finished_at.unwrap_or(pull.started_at)).min())
}

/// The last time, up to now, at which a shop was due.
fn due_at(config: &Config, shop: &Shop, now: Timestamp) -> Option<Timestamp> {
    let cron = config.at.as_ref()?;
    Some(cron.last_of(shop, config.spread, now)).filter(|last| *last > Timestamp::MIN)
}

async fn put(desk: &Desk, shop: &Shop, proof: &Proof, after: u64) -> Result<u64, PutError> {
    let payload = serde_json::to_value(proof).unwrap_or_default();
    desk.records.put_after(shop, PROOF, &proof.id, &payload, after).await
}

/// A proof that is ours to make, as long as nobody else takes it up.
pub(super) struct Claim<'a> {
    pub(super) desk: &'a Desk,
    pub(super) shop: &'a Shop,
    pub(super) proof: Proof,
    /// The last record of it.
    seq: u64,
    beaten: Instant,
}

impl<'a> Claim<'a> {
    /// Makes a proof from its beginning to its end, unless somebody else does.
    async fn take(desk: &'a Desk, shop: &'a Shop, ordered: Proof, seq: u64) {
        let Ok(_permit) = desk.proofs.acquire().await else { return };
        let started = desk.clock.now();
        // Whatever an earlier try had found is found again.
        let Proof { id, by, ordered_at, .. } = ordered;
        let proof = Proof {
            state: ProofState::Running,
            started_at: Some(started),
            ..Proof::ordered(id, &by, ordered_at)
        };
        let mut claim = Self { desk, shop, proof, seq, beaten: Instant::now() };
        let outcome = match claim.put().await {
            Ok(()) => Box::pin(prove(&mut claim)).await,
            Err(error) => Err(error.into()),
        };
        match claim.end(started, outcome).await {
            Ok(()) => {}
            Err(PutError::Moved(_)) => tracing::info!(%shop, "another restorer makes the proof"),
            Err(PutError::Publish(error)) => {
                tracing::warn!(%shop, %error, "a proof is not on record, and is made again");
            }
        }
    }

    async fn put(&mut self) -> Result<(), PutError> {
        self.seq = put(self.desk, self.shop, &self.proof, self.seq).await?;
        self.beaten = Instant::now();
        Ok(())
    }

    /// Shows that it is still under way, and how far.
    pub(super) async fn beat(&mut self) -> Result<(), PutError> {
        if self.beaten.elapsed() < BEAT_EVERY { Ok(()) } else { self.put().await }
    }

    async fn end(
        mut self,
        started: Timestamp,
        outcome: Result<(), ProveError>,
    ) -> Result<(), PutError> {
        let now = self.desk.clock.now();
        self.proof.finished_at = Some(now);
        self.proof.seconds = now.seconds_since(started);
        match outcome {
            Ok(()) if self.proof.mismatches == 0 => self.proof.state = ProofState::Proved,
            Ok(()) => self.proof.state = ProofState::Refuted,
            Err(ProveError::Put(error)) => return Err(error),
            Err(error) => {
                self.proof.state = ProofState::Failed;
                self.proof.reason = Some(error.to_string());
            }
        }
        self.put().await?;
        self.tell();
        self.audit().await;
        Ok(())
    }

    fn tell(&self) {
        let Self { shop, proof, .. } = self;
        let Proof { compared, proved, moved, mismatches, seconds, .. } = *proof;
        match proof.state {
            ProofState::Proved => tracing::info!(
                %shop, compared, proved, moved, seconds, "proved restorable"
            ),
            ProofState::Refuted => {
                tracing::error!(%shop, compared, proved, mismatches, "not proved restorable");
                for wrong in proof.mismatched.iter().take(5) {
                    let (kind, id, why) = (&wrong.kind, &wrong.id, &wrong.why);
                    tracing::error!(%shop, %kind, %id, reason = %why, "not restorable as it was");
                }
            }
            _ => {
                let why = proof.reason.as_deref().unwrap_or_default();
                tracing::warn!(%shop, reason = %why, "a proof could not be made");
            }
        }
        if proof.state != ProofState::Failed {
            self.desk.metrics.proofs.told(shop, proof);
        }
    }

    async fn audit(&self) {
        let Self { desk, shop, proof, .. } = self;
        let deed = Deed {
            who: proof.by.clone(),
            from: String::new(),
            what: PROOF.into(),
            path: format!("/v1/shops/{}/proofs/{}", shop.domain(), proof.id),
            asked: json!({
                "state": proof.state, "compared": proof.compared, "proved": proof.proved,
                "mismatches": proof.mismatches,
            }),
            status: Some(200),
            of: None,
        };
        if let Err(error) = desk.audit.add(shop, deed).await {
            tracing::error!(%shop, %error, "the audit does not hold a proof");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shops_are_spread_over_the_night_each_at_its_time() {
        let config = Config { at: Some("0 5 * * *".parse().expect("cron")), ..Config::default() };
        let at = |text: &str| Timestamp::parse(text).expect("an instant");
        let (begin, end) = (at("2026-11-24T05:00:00Z"), at("2026-11-24T08:00:00Z"));
        let mut minutes = std::collections::BTreeSet::new();
        for n in 0..1_000 {
            let shop = Shop::from_name(&format!("shop-{n}")).expect("a shop");
            let due = due_at(&config, &shop, at("2026-11-24T12:00:00Z")).expect("due");
            assert!(begin <= due && due < end, "{due}");
            // Before its time it is the night before that counts.
            let just_before = Timestamp::from_micros(due.as_micros() - 1);
            let before = due_at(&config, &shop, just_before).expect("due");
            assert_eq!(due.seconds_since(before), 24.0 * 3600.0);
            minutes.insert(due.as_micros() / 60_000_000);
        }
        assert!(minutes.len() > 170, "{}", minutes.len());
        assert_eq!(due_at(&Config::default(), &Shop::from_name("a").expect("a shop"), end), None);
    }
}
