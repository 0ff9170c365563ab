//! A full pull of one kind: everything that the shop has of it, compared with everything that history
//! has, and the differences published.
//!
//! Nothing is concluded from what was not read whole. What a pull does not see is asked for by its
//! id before it counts as gone, and many at once need a person's word.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstock_proto::admin::ask::Asker;
use backstock_proto::blob::Blobs;
use backstock_proto::erase::Erased;
use backstock_proto::journal::{Drift, Journal, PULL, PullReport, PullState};
use backstock_proto::kind::Spec;
use backstock_proto::kind::pull::{Pull, Way};
use backstock_proto::publish::Publisher;
use backstock_proto::stream::EVENT_BYTES_MAX;
use backstock_proto::time::Clock;
use backstock_proto::witness::Witness;
use backstock_proto::{Facet, Kind, ResourceId, ResourceKey, Shop, Timestamp};
use tokio::sync::mpsc;

use crate::media::{Editions, look};
use crate::metrics::Metrics;
use crate::reconcile::{self, Gone, Window};
use crate::room::Room;
use crate::rounds::Rounds;
use crate::turns::Turn;

mod compare;
mod correct;
mod entries;
mod error;
mod few;
mod gone;
mod nodes;
mod operation;
mod some;
mod witness;

use compare::{Compared, Found, compare_all};
pub(crate) use correct::IN_FLIGHT;
pub(crate) use error::{PullError, caught};
pub(crate) use some::QUESTIONS;
use witness::Deposition;

/// What was found and waits to be published.
const FOUND_AHEAD: usize = 64;
/// How often its progress is put on record.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Pulls kinds of one shop.
#[derive(Clone)]
pub(crate) struct Puller {
    pub(crate) shop: Shop,
    pub(crate) asker: Asker,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) publisher: Publisher,
    /// Where corrections are published.
    pub(crate) corrections: Rounds,
    /// Where they wait for that.
    pub(crate) room: Room,
    pub(crate) clock: Arc<dyn Clock>,
    /// Where lines are put aside.
    pub(crate) scratch: PathBuf,
    pub(crate) metrics: Arc<Metrics>,
    /// Who looks after the media of what was pulled.
    pub(crate) media: look::Sender,
    /// Where the lists of what was seen are kept.
    pub(crate) blobs: Blobs,
}

/// Why and how a pull is made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Order {
    /// Gaps of the stream that it makes good.
    pub(crate) healed_gaps: Vec<(u64, u64)>,
    /// Many deletions at once are meant.
    pub(crate) confirm_deletions: bool,
    /// It speaks of the shop as it is from then on, and does not go on with what a pull had begun that a
    /// kill ended.
    pub(crate) afresh: bool,
    /// Somebody waits for it.
    pub(crate) ordered: bool,
}

/// What one run of a pull has found so far.
struct Run {
    spec: &'static Spec,
    kind: Kind,
    report: PullReport,
    /// When the last pull began after which history knew the kind whole: differences are drift.
    whole_since: Option<Timestamp>,
    drifted: BTreeSet<(ResourceId, &'static str)>,
    /// How many resources did not give which facet.
    left_out: BTreeMap<Facet, u64>,
    /// Of how many resources which facet is more than the stream takes.
    too_large: BTreeMap<Facet, u64>,
    stages: Stages,
    reported: Instant,
    begun: Instant,
    /// Who was erased before it began.
    erased: Arc<Erased>,
    /// What it has seen of the editions of media.
    editions: Option<Editions>,
    /// The turn that it takes, if it takes one.
    turn: Option<Turn>,
}

/// How far a pull is: it asks in one way after the other.
#[derive(Clone, Copy, Debug, Default)]
struct Stages {
    all: usize,
    over: usize,
    /// Resources that were compared in the present one, and how many there are, once that is known.
    compared: u64,
    of: Option<u64>,
}

impl Stages {
    /// The present one is over.
    fn end(&mut self) {
        *self = Self { all: self.all, over: self.over + 1, ..Self::default() };
    }

    /// How much is done, from 0 to 1.
    fn done(&self) -> f64 {
        let of = self.of.filter(|of| *of > 0).map(|of| (self.compared as f64 / of as f64).min(1.0));
        (self.over as f64 + of.unwrap_or(0.0)) / self.all.max(1) as f64
    }
}

/// What the shop has of a kind, as far as a pull saw.
struct Census {
    /// Its ids, where there is more to ask by them.
    ids: Option<Vec<ResourceId>>,
    living: usize,
    /// What history has and the shop may no longer have.
    suspects: Vec<Gone>,
}

impl Puller {
    /// Pulls one kind whole, in a turn unless somebody waits for it. What is put on record at the end is
    /// also the answer.
    pub(crate) async fn kind(
        &self,
        spec: &'static Spec,
        order: &Order,
        turn: Option<Turn>,
    ) -> Result<PullReport, PullError> {
        let mut run = Run { turn, ..self.begin(spec, order).await? };
        // After a panic it rests as after any failure.
        let ended = caught(self.read_all(&mut run, order)).await;
        let mut report = run.report.clone();
        // Whatever it found is dated before its end, by whichever clock.
        report.finished_at = Some(self.clock.now().max(self.now()));
        report.eta_seconds = None;
        match ended {
            Ok(ref witness) => {
                report.state = PullState::Complete;
                report.operations.clear();
                report.progress = Some(1.0);
                report.tries = 0;
                report.failing_since = None;
                report.denied = false;
                report.witness.clone_from(witness);
            }
            Err(ref error) => {
                report.state = PullState::Failed;
                report.healed_gaps.clear();
                report.operations.clear();
                report.tries = report.tries.saturating_add(1);
                report.failing_since = report.failing_since.or(Some(report.started_at));
                report.denied = error.is_denial();
                report.reason = Some(error.to_string());
            }
        }
        let recorded = self.publisher.record(&self.shop, PULL, spec.name, &report).await?;
        self.media.pulled(&run.kind, recorded, run.editions.take());
        self.metrics
            .pull_seconds
            .with_label_values(&[spec.name])
            .observe(run.begun.elapsed().as_secs_f64());
        ended.map(|_| report)
    }

    async fn begin(&self, spec: &'static Spec, order: &Order) -> Result<Run, PullError> {
        let kind = Kind::of(spec);
        let (newest, whole_since) = self.before(spec).await?;
        let resumes = |newest: &PullReport| {
            let healed = |gap| newest.healed_gaps.contains(gap);
            let ended = newest.state != PullState::Running || newest.operations.is_empty();
            !order.afresh && !ended && order.healed_gaps.iter().all(healed)
        };
        let failed = newest.as_ref().filter(|newest| newest.state != PullState::Complete);
        let fresh = PullReport {
            kind: kind.clone(),
            state: PullState::Running,
            started_at: self.clock.now(),
            finished_at: None,
            objects: 0,
            drift: Drift::default(),
            healed_gaps: order.healed_gaps.clone(),
            progress: None,
            eta_seconds: None,
            tries: failed.map_or(0, |failed| failed.tries),
            failing_since: failed.map(|failed| failed.failing_since.unwrap_or(failed.started_at)),
            denied: failed.is_some_and(|failed| failed.denied),
            reason: None,
            operations: Vec::new(),
            witness: None,
        };
        let report = match newest.filter(resumes) {
            Some(newest) => PullReport {
                started_at: newest.started_at,
                healed_gaps: newest.healed_gaps,
                operations: newest.operations,
                ..fresh
            },
            None => fresh,
        };
        self.publisher.record(&self.shop, PULL, spec.name, &report).await?;
        Ok(Run {
            spec,
            kind,
            report,
            whole_since: whole_since.map(|at| self.shops_time(at)),
            drifted: BTreeSet::new(),
            left_out: BTreeMap::new(),
            too_large: BTreeMap::new(),
            stages: Stages::default(),
            reported: Instant::now(),
            begun: Instant::now(),
            erased: Arc::new(self.journal.erased(&self.shop).await?),
            editions: None,
            turn: None,
        })
    }

    /// What the newest pull of a kind says of itself, and when the newest complete one began.
    async fn before(
        &self,
        spec: &Spec,
    ) -> Result<(Option<PullReport>, Option<Timestamp>), PullError> {
        let status = self.journal.status(&self.shop).await?;
        let mut kinds = status.into_iter().flat_map(|status| status.kinds);
        let known = kinds.find(|known| known.kind.as_str() == spec.name);
        Ok(known.map_or((None, None), |known| {
            (known.pull, known.last_complete_pull.map(|pull| pull.started_at))
        }))
    }

    /// Reads everything, and corrects what differs. Answers where it is kept what was seen.
    async fn read_all(&self, run: &mut Run, order: &Order) -> Result<Option<Witness>, PullError> {
        let spec = run.spec;
        let since = run.report.started_at;
        let mut deposition = Deposition::new(&self.scratch, since)?;
        let mut editions = Editions::of(&run.kind, &self.scratch, self.shops_time(since))?;
        let heads = Arc::new(self.heads(&run.kind).await?);
        let (by_id, whole): (Vec<&Pull>, Vec<&Pull>) =
            spec.pulls.iter().partition(|pull| matches!(pull.way, Way::ById { .. }));
        let covered: Vec<Facet> =
            whole.iter().flat_map(|pull| pull.facets.iter().copied()).collect();
        let further = |pull: &Pull| -> Vec<Facet> {
            pull.facets.iter().copied().filter(|facet| !covered.contains(facet)).collect()
        };
        let needs_ids = by_id.iter().any(|pull| !further(pull).is_empty());
        let ids = needs_ids.then(Vec::new);
        let mut census = Census { ids, living: 0, suspects: Vec::new() };
        let asked = by_id.iter().filter(|pull| !further(pull).is_empty()).count();
        run.stages.all = whole.len() + asked;
        for pull in &whole {
            let pull: &'static Pull = pull;
            let (nodes, window) = self.nodes(run, pull).await?;
            deposition.began(window.started);
            let (send, found) = mpsc::channel(FOUND_AHEAD);
            let (kind, erased) = (run.kind.clone(), run.erased.clone());
            let (heads, room) = (heads.clone(), self.room.clone());
            let comparing = tokio::task::spawn_blocking(move || {
                let (kind, nodes, heads, erased) = (&kind, &nodes, &heads, &*erased);
                let all = Compared { spec, kind, pull, nodes, heads, window, erased, room: &room };
                if let Err(error) = compare_all(&all, &mut deposition, &mut editions, &send) {
                    let _nobody_listens = send.blocking_send(Found::Broken(error));
                }
                (deposition, editions)
            });
            self.take(run, window, found, &mut census).await?;
            (deposition, editions) = comparing.await?;
            run.stages.end();
        }
        run.editions = editions;
        let Census { ids, living, suspects } = census;
        let mut ids = ids.unwrap_or_default();
        ids.sort();
        ids.dedup();
        for pull in by_id {
            let further = further(pull);
            if !further.is_empty() {
                match self.by_id(run, pull, &further, &ids, &heads, &mut deposition).await {
                    // The rest of the kind is none the worse for it.
                    Err(error) if error.is_denial() => {
                        run.leaves_out(&further, &error.to_string());
                    }
                    read => read?,
                }
                run.stages.end();
            }
        }
        run.tells_what_was_left_out();
        self.settle_suspects(run, suspects, living, order, &mut deposition).await?;
        let kept = deposition.keep(&self.blobs, &self.shop, &run.kind).await;
        // History is as complete without it; it only cannot be held against what was seen.
        let kept = kept.inspect_err(|error| {
            let (shop, kind) = (&self.shop, &run.kind);
            tracing::warn!(%shop, %kind, %error, "what was seen is not kept");
        });
        Ok(kept.ok())
    }

    /// Puts on record how far it is, now and then.
    async fn progress(&self, run: &mut Run, lines: u64) -> Result<(), PullError> {
        match run.reported.elapsed() < REPORT_EVERY {
            true => Ok(()),
            false => self.put_on_record(run, lines).await,
        }
    }

    async fn put_on_record(&self, run: &mut Run, lines: u64) -> Result<(), PullError> {
        run.reported = Instant::now();
        let (done, elapsed) = (run.stages.done(), run.begun.elapsed().as_secs_f64());
        let report = PullReport {
            objects: run.report.objects.max(lines),
            progress: Some(done),
            eta_seconds: (done > 0.0).then(|| elapsed * (1.0 - done) / done),
            ..run.report.clone()
        };
        self.publisher.record(&self.shop, PULL, run.spec.name, &report).await?;
        Ok(())
    }

    /// What the shop's clock says now: it dates what a window is held against.
    pub(crate) fn now(&self) -> Timestamp {
        self.shops_time(self.clock.now())
    }

    /// What the shop's clock says when ours says `ours`.
    pub(crate) fn shops_time(&self, ours: Timestamp) -> Timestamp {
        self.asker.client.shops_time(ours)
    }

    /// When something is read at the earliest that is asked now, because of what happened at an instant,
    /// by the shop's clock.
    pub(crate) fn read_at(&self, because_of: Option<Timestamp>) -> Timestamp {
        reconcile::read_at(self.now(), because_of)
    }

    pub(crate) fn key(&self, kind: &Kind, id: &ResourceId) -> ResourceKey {
        ResourceKey { shop: self.shop.clone(), kind: kind.clone(), id: id.clone() }
    }
}

impl Run {
    /// Of a part of it that is read from `started` on.
    fn window(&self, started: Timestamp) -> Window {
        Window { missing_since: self.whole_since, ..Window::at(started) }
    }

    /// Some facets could not be read.
    fn leaves_out(&mut self, facets: &[Facet], why: &str) {
        let names: Vec<&str> = facets.iter().map(|facet| facet.as_str()).collect();
        self.report.reason = Some(format!("{} could not be read: {why}", names.join(", ")));
    }

    /// Says of how many resources something was not given, or is too much: what history has of that stays
    /// as it was.
    fn tells_what_was_left_out(&mut self) {
        if self.report.reason.is_none() {
            self.report.reason = left_out(&self.left_out, &self.too_large);
        }
    }

    /// Counts a difference that a webhook should have told of.
    fn drifted(&mut self, id: ResourceId, facet: Facet, found: &'static str) {
        let told = !self.spec.topics.is_empty() && self.spec.told.contains(&facet);
        if self.whole_since.is_none() || !told || !self.drifted.insert((id, found)) {
            return;
        }
        match found {
            "missed" => self.report.drift.missed += 1,
            "changed" => self.report.drift.changed += 1,
            _ => self.report.drift.extra += 1,
        }
    }
}

/// What is said of facets that were not given, and of those that are more than the stream takes, each of so
/// many resources.
fn left_out(not_given: &BTreeMap<Facet, u64>, too_large: &BTreeMap<Facet, u64>) -> Option<String> {
    let mib = EVENT_BYTES_MAX >> 20;
    let whys = [
        (not_given, "could not be read to the end".to_owned()),
        (too_large, format!("could not be kept, with more than {mib} MiB each")),
    ];
    let said = whys.into_iter().filter(|(of_each, _)| !of_each.is_empty()).map(|(of_each, why)| {
        let of_each = of_each.iter().map(|(facet, n)| format!("{} of {n}", facet.as_str()));
        format!("{} {why}", of_each.collect::<Vec<_>>().join(", "))
    });
    Some(said.collect::<Vec<_>>().join("; ")).filter(|said| !said.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_given_or_is_too_much_is_told_with_how_often() {
        let of = |facet: Facet, n: u64| BTreeMap::from([(facet, n)]);
        let none = BTreeMap::new();
        assert_eq!(left_out(&none, &none), None);
        let not_given = left_out(&of(Facet::Core, 1), &none);
        assert_eq!(not_given.as_deref(), Some("core of 1 could not be read to the end"));
        let both = left_out(&of(Facet::Core, 1), &of(Facet::Variants, 2));
        let expected = "core of 1 could not be read to the end; variants of 2 could not be kept, with \
                        more than 16 MiB each";
        assert_eq!(both.as_deref(), Some(expected));
    }

    #[test]
    fn how_far_a_pull_is_is_told_by_what_was_compared_of_what_there_is() {
        let mut stages = Stages { all: 4, ..Stages::default() };
        assert_eq!(stages.done(), 0.0);
        (stages.compared, stages.of) = (500, Some(1_000));
        assert_eq!(stages.done(), 0.125);
        stages.end();
        assert_eq!(stages.done(), 0.25);
        // More than the shop said; or nothing at all.
        (stages.compared, stages.of) = (7, Some(5));
        assert_eq!(stages.done(), 0.5);
        (stages.compared, stages.of) = (0, Some(0));
        assert_eq!(stages.done(), 0.25);
    }
}
