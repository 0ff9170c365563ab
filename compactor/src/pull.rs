//! A full pull of one kind: everything that the shop has of it, compared with everything that history
//! has, and the differences published.
//!
//! Nothing is concluded from what was not read whole. What a pull does not see is asked for by its
//! id before it counts as gone, and many at once need a person's word.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstock_proto::admin::{AdminError, bulk};
use backstock_proto::canonical::Hash;
use backstock_proto::journal::{
    AsOf, Drift, Head, Journal, JournalError, PULL, Page, PullReport, PullState, Span,
};
use backstock_proto::kind::pull::{Pull, Way};
use backstock_proto::kind::{Arrival, Spec};
use backstock_proto::time::Clock;
use backstock_proto::{Event, Facet, Kind, Op, ResourceId, ResourceKey, Shop, Source, Timestamp};
use futures::{FutureExt, StreamExt, TryStreamExt};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::metrics::Metrics;
use crate::reconcile::{self, Finding, Gone, Seen, Since, Window};
use crate::spill::{BUCKETS, Buckets, Spill, bucket_of, lines};
use crate::tree::{Grown, TreeError, Trees};
use backstock_proto::admin::ask::{AskError, Asker, dated, finished};
use backstock_proto::publish::{PublishError, Publisher};

/// Corrections on their way to the stream at once.
const IN_FLIGHT: usize = 128;
/// Questions by id at once.
const QUESTIONS: usize = 4;
/// Bulk lines that are handed on together.
const LINES_TOGETHER: usize = 2_000;
/// How often a running operation is asked how far it is: at first, and at the longest.
const POLL_FIRST: Duration = Duration::from_millis(200);
const POLL_MAX: Duration = Duration::from_secs(30);
/// How often its progress is put on record.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// How far back a resource's versions are looked through for the newest of each facet.
const HISTORY_MAX: usize = 200;
/// Days after which Shopify hides an order from an app without `read_all_orders`, less one.
const ORDERS_SEEN_DAYS: i64 = 59;

/// Why a pull ended before everything was read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PullError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("putting heads aside failed: {0}")]
    Io(#[from] std::io::Error),
    #[error("the bulk operation ended as {0:?}{1}")]
    Operation(bulk::State, String),
    #[error("reading a bulk result broke off: {0}")]
    Lines(std::io::Error),
    #[error("{0}")]
    Unreadable(String),
    #[error(
        "{gone} of {living} are no longer in the shop. So many at once are not taken for deleted \
         before somebody says so: `backstock reconcile --kind {kind} --confirm-deletions`"
    )]
    Held { kind: &'static str, gone: usize, living: usize },
}

impl From<AdminError> for PullError {
    fn from(error: AdminError) -> Self {
        Self::Ask(error.into())
    }
}

/// Pulls kinds of one shop.
#[derive(Clone)]
pub(crate) struct Puller {
    pub(crate) shop: Shop,
    pub(crate) asker: Asker,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) publisher: Publisher,
    pub(crate) clock: Arc<dyn Clock>,
    /// Where lines are put aside.
    pub(crate) scratch: PathBuf,
    pub(crate) metrics: Arc<Metrics>,
}

/// Why and how a pull is made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Order {
    /// Gaps of the stream that it makes good.
    pub(crate) healed_gaps: Vec<(u64, u64)>,
    /// Many deletions at once are meant.
    pub(crate) confirm_deletions: bool,
}

/// A difference to be published.
struct Correction {
    id: ResourceId,
    facet: Facet,
    hash: String,
    dated: Option<Timestamp>,
    payload: Vec<u8>,
    since: Since,
    missed: bool,
}

impl Correction {
    fn pulled(self, key: ResourceKey, source: Source, read_at: Timestamp) -> Pulled {
        let Self { facet, payload, since, missed, .. } = self;
        let op = if missed && facet == Facet::Core { Op::Create } else { Op::Update };
        Pulled { key, facet, op, source, since, read_at, payload }
    }
}

/// What a pull has to say.
struct Pulled {
    key: ResourceKey,
    facet: Facet,
    op: Op,
    source: Source,
    since: Since,
    read_at: Timestamp,
    payload: Vec<u8>,
}

/// Heads by resource and facet.
type Heads = HashMap<(ResourceId, Facet), Head>;

/// What one run of a pull has found so far.
struct Run {
    spec: &'static Spec,
    kind: Kind,
    report: PullReport,
    /// History knew the kind whole before: differences are drift.
    counts_drift: bool,
    drifted: BTreeSet<(ResourceId, &'static str)>,
    reported: Instant,
    begun: Instant,
}

/// What a bucket gave.
enum Found {
    Correction(Correction),
    Resource(ResourceId),
    /// In history, not in the shop as far as this pull saw.
    Suspect(Gone),
    Living,
    Broken(PullError),
}

impl Puller {
    /// Pulls one kind whole. What is put on record at the end is also the answer.
    pub(crate) async fn kind(
        &self,
        spec: &'static Spec,
        order: &Order,
    ) -> Result<PullReport, PullError> {
        let mut run = self.begin(spec, order).await?;
        let ended = self.read_all(&mut run, order).await;
        let mut report = run.report.clone();
        report.finished_at = Some(self.clock.now());
        report.eta_seconds = None;
        match ended {
            Ok(()) => {
                report.state = PullState::Complete;
                report.progress = Some(1.0);
            }
            Err(ref error) => {
                report.state = PullState::Failed;
                report.healed_gaps.clear();
                report.reason = Some(error.to_string());
            }
        }
        self.publisher.record(&self.shop, PULL, spec.name, &report).await?;
        self.metrics
            .pull_seconds
            .with_label_values(&[spec.name])
            .observe(run.begun.elapsed().as_secs_f64());
        ended.map(|()| report)
    }

    async fn begin(&self, spec: &'static Spec, order: &Order) -> Result<Run, PullError> {
        let kind = Kind::of(spec);
        let first_page = Page { limit: 50, cursor: None };
        let before = self.journal.records(&self.shop, PULL, Some(spec.name), &first_page).await?;
        let complete = before.items.iter().any(|record| record.payload["state"] == "complete");
        let report = PullReport {
            kind: kind.clone(),
            state: PullState::Running,
            started_at: self.clock.now(),
            finished_at: None,
            objects: 0,
            drift: Drift::default(),
            healed_gaps: order.healed_gaps.clone(),
            progress: None,
            eta_seconds: None,
            reason: None,
        };
        self.publisher.record(&self.shop, PULL, spec.name, &report).await?;
        Ok(Run {
            spec,
            kind,
            report,
            counts_drift: complete,
            drifted: BTreeSet::new(),
            reported: Instant::now(),
            begun: Instant::now(),
        })
    }

    async fn read_all(&self, run: &mut Run, order: &Order) -> Result<(), PullError> {
        let spec = run.spec;
        let heads = Arc::new(self.heads(&run.kind).await?);
        let mut ids = Vec::new();
        let mut suspects = Vec::new();
        let mut living = 0;
        let (by_id, whole): (Vec<&Pull>, Vec<&Pull>) =
            spec.pulls.iter().partition(|pull| matches!(pull.way, Way::ById { .. }));
        for pull in &whole {
            let pull: &'static Pull = pull;
            // A bulk operation has everything from before it was started.
            let window = Window { started: self.clock.now() };
            let nodes = Arc::new(self.nodes(run, pull).await?);
            let (send, found) = mpsc::channel(IN_FLIGHT);
            let kind = run.kind.clone();
            let heads = heads.clone();
            let comparing = tokio::task::spawn_blocking(move || {
                let compared = compare_all(spec, &kind, pull, &nodes, &heads, window, &send);
                if let Err(error) = compared {
                    let _nobody_listens = send.blocking_send(Found::Broken(error));
                }
            });
            self.take(run, window, found, &mut ids, &mut suspects, &mut living).await?;
            comparing.await.map_err(|e| PullError::Unreadable(e.to_string()))?;
        }
        ids.sort();
        ids.dedup();
        let covered: Vec<Facet> =
            whole.iter().flat_map(|pull| pull.facets.iter().copied()).collect();
        for pull in by_id {
            let further: Vec<Facet> =
                pull.facets.iter().copied().filter(|facet| !covered.contains(facet)).collect();
            if !further.is_empty() {
                self.by_id(run, pull, &further, &ids, &heads).await?;
            }
        }
        self.settle_suspects(run, suspects, living, order).await
    }

    /// Everything that history has of the kind, put aside by resource.
    async fn heads(&self, kind: &Kind) -> Result<Buckets, PullError> {
        let spec = kind.spec();
        let mut spill = Spill::new(&self.scratch)?;
        let mut heads = self.journal.heads(&self.shop, kind).await?;
        while let Some(head) = heads.try_next().await? {
            let key = spec.map_or_else(|| head.id.to_string(), |spec| (spec.ask_for)(&head.id));
            let line = serde_json::to_vec(&head)
                .map_err(|e| PullError::Unreadable(format!("a head cannot be written: {e}")))?;
            spill.put(&key, &line)?;
        }
        Ok(spill.finish()?)
    }

    /// Asks for everything and puts it aside.
    async fn nodes(&self, run: &mut Run, pull: &'static Pull) -> Result<Nodes, PullError> {
        let Way::Bulk { children, owner } = &pull.way else {
            let nodes = self.asker.all(pull).await?;
            return Ok(Nodes::few(run.spec, nodes));
        };
        let operation = self.operation(run, pull).await?;
        let mut trees = Trees::new(&self.scratch, children, *owner)?;
        let Some(url) = &operation.url else {
            // Nothing was found, which is no error.
            return Ok(Nodes::Grown(trees.finish(&self.scratch, operation.lines())?));
        };
        let lines = bulk::lines(&self.asker.client, url).await?;
        let mut together = lines.ready_chunks(LINES_TOGETHER);
        let (send, mut receive) = mpsc::channel::<Vec<String>>(4);
        let (scratch, expected) = (self.scratch.clone(), operation.lines());
        let growing = tokio::task::spawn_blocking(move || {
            while let Some(lines) = receive.blocking_recv() {
                lines.iter().try_for_each(|line| trees.line(line))?;
            }
            Ok::<_, TreeError>((trees, scratch, expected))
        });
        while let Some(chunk) = together.next().await {
            let chunk = chunk.into_iter().collect::<Result<Vec<_>, _>>();
            if send.send(chunk.map_err(PullError::Lines)?).await.is_err() {
                break;
            }
        }
        drop(send);
        let ended = |e: tokio::task::JoinError| PullError::Unreadable(e.to_string());
        let (trees, scratch, expected) = growing.await.map_err(ended)??;
        let (spec, pull) = (run.spec, pull);
        let grown = tokio::task::spawn_blocking(move || {
            let grown = trees.finish(&scratch, expected)?;
            match pull.explode {
                Some(_) => Nodes::exploded(spec, pull, &grown, &scratch),
                None => Ok(Nodes::Grown(grown)),
            }
        });
        grown.await.map_err(ended)?
    }

    /// Runs a bulk operation to its end, or takes up one that an earlier process began.
    async fn operation(&self, run: &mut Run, pull: &Pull) -> Result<bulk::Operation, PullError> {
        let share = self.asker.share;
        let mut wait = POLL_FIRST;
        let mut operation = loop {
            match bulk::start(&self.asker.client, pull.document, share).await? {
                bulk::Started::Running(operation) => break operation,
                bulk::Started::TooMany => {
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(POLL_MAX);
                }
            }
        };
        wait = POLL_FIRST;
        while !operation.status.is_over() {
            tokio::time::sleep(wait).await;
            wait = wait.mul_f64(1.5).min(POLL_MAX);
            let polled = bulk::poll(&self.asker.client, &operation.id, share).await?;
            operation = polled.ok_or_else(|| {
                PullError::Operation(bulk::State::Expired, ": the shop knows nothing of it".into())
            })?;
            self.progress(run, operation.lines().unwrap_or(0)).await?;
        }
        match operation.status {
            bulk::State::Completed => Ok(operation),
            status => {
                let code = operation.error_code.map(|code| format!(": {code}"));
                Err(PullError::Operation(status, code.unwrap_or_default()))
            }
        }
    }

    /// Puts on record how far it is, now and then.
    async fn progress(&self, run: &mut Run, lines: u64) -> Result<(), PullError> {
        if run.reported.elapsed() < REPORT_EVERY {
            return Ok(());
        }
        run.reported = Instant::now();
        let report = PullReport { objects: run.report.objects.max(lines), ..run.report.clone() };
        self.publisher.record(&self.shop, PULL, run.spec.name, &report).await?;
        Ok(())
    }

    /// Publishes corrections as they are found.
    async fn take(
        &self,
        run: &mut Run,
        window: Window,
        found: mpsc::Receiver<Found>,
        ids: &mut Vec<ResourceId>,
        suspects: &mut Vec<Gone>,
        living: &mut usize,
    ) -> Result<(), PullError> {
        let found = futures::stream::unfold(found, async |mut found| {
            found.recv().await.map(|one| (one, found))
        });
        let (kind, drift) = (run.kind.clone(), run.counts_drift);
        let settled = found.map(|one| {
            let kind = &kind;
            async move {
                match one {
                    Found::Correction(correction) => {
                        self.correct(kind, correction, window, drift).await
                    }
                    other => Ok(Settled::Other(other)),
                }
            }
            .boxed()
        });
        let mut settled = std::pin::pin!(settled.buffer_unordered(IN_FLIGHT));
        while let Some(one) = settled.next().await {
            match one? {
                Settled::Published { id, facet, missed } => {
                    run.drifted(id, facet, if missed { "missed" } else { "changed" });
                }
                Settled::KnownMeanwhile => {}
                Settled::Other(Found::Resource(id)) => {
                    run.report.objects += 1;
                    ids.push(id);
                }
                Settled::Other(Found::Suspect(gone)) => suspects.push(gone),
                Settled::Other(Found::Living) => *living += 1,
                Settled::Other(Found::Broken(error)) => return Err(error),
                Settled::Other(Found::Correction(_)) => {}
            }
        }
        self.progress(run, 0).await
    }

    /// Publishes one difference, unless history has learned it since the heads were read.
    async fn correct(
        &self,
        kind: &Kind,
        correction: Correction,
        window: Window,
        look_again: bool,
    ) -> Result<Settled, PullError> {
        let key = self.key(kind, &correction.id);
        if look_again {
            let head = self.head(&key, correction.facet).await?;
            let seen = Seen { hash: &correction.hash, dated: correction.dated };
            let finding = reconcile::compare(&seen, head.as_ref(), window);
            if matches!(finding, Finding::Same | Finding::Newer) {
                return Ok(Settled::KnownMeanwhile);
            }
        }
        let (id, facet, missed) = (correction.id.clone(), correction.facet, correction.missed);
        self.publish(correction.pulled(key, Source::Reconcile, window.started)).await?;
        Ok(Settled::Published { id, facet, missed })
    }

    async fn publish(&self, pulled: Pulled) -> Result<u64, PublishError> {
        let Pulled { key, facet, op, source, since, read_at, payload } = pulled;
        let topic = format!("{}/pulled", key.kind).into();
        let event = Event {
            key,
            facet,
            op,
            source,
            topic,
            api_version: Some(self.asker.client.access().api_version.as_str().into()),
            webhook_id: None,
            event_id: None,
            triggered_at: Some(read_at),
            received_at: self.clock.now(),
            valid_at: Some(since.valid_at),
            earliest_at: since.earliest_at,
            payload: payload.into(),
        };
        self.publisher.event(event).await
    }

    /// Asks for some resources by id, because webhooks left something open about them, and publishes
    /// what history does not have. The core only of those that `core` names: of the others a webhook
    /// has told it.
    pub(crate) async fn some(
        &self,
        spec: &'static Spec,
        pull: &'static Pull,
        ids: &[ResourceId],
        core: impl Fn(&ResourceId) -> bool,
    ) -> Result<(), PullError> {
        let kind = Kind::of(spec);
        let read_at = self.clock.now();
        for node in self.asker.by_id(spec, pull, ids).await? {
            let Some(id) = (spec.id)(&node) else { continue };
            let facets: Vec<Facet> =
                pull.facets.iter().copied().filter(|f| *f != Facet::Core || core(&id)).collect();
            let key = self.key(&kind, &id);
            let heads = self.heads_now(&key).await?;
            let window = Window { started: read_at };
            for found in differences(spec, &kind, &facets, &id, &node, &heads, window)? {
                self.publish(found.pulled(key.clone(), Source::Pull, read_at)).await?;
            }
        }
        Ok(())
    }

    /// Reads facets that only a question by id brings.
    async fn by_id(
        &self,
        run: &mut Run,
        pull: &'static Pull,
        facets: &[Facet],
        ids: &[ResourceId],
        heads: &Buckets,
    ) -> Result<(), PullError> {
        let Way::ById { ids_max, .. } = &pull.way else { return Ok(()) };
        let spec = run.spec;
        let mut of_bucket: Vec<Vec<ResourceId>> = vec![Vec::new(); BUCKETS];
        for id in ids {
            of_bucket[bucket_of(&(spec.ask_for)(id))].push(id.clone());
        }
        for (bucket, ids) in of_bucket.iter().enumerate() {
            if ids.is_empty() {
                continue;
            }
            let heads = heads_of(heads, bucket, facets)?;
            let window = Window { started: self.clock.now() };
            let some: Vec<Vec<ResourceId>> = ids.chunks(*ids_max).map(<[_]>::to_vec).collect();
            let asked = futures::stream::iter(some)
                .map(|ids| async move { self.asker.by_id(spec, pull, &ids).await }.boxed());
            let mut asked = std::pin::pin!(asked.buffer_unordered(QUESTIONS));
            while let Some(nodes) = asked.next().await {
                for node in nodes? {
                    let Some(id) = (spec.id)(&node) else { continue };
                    for correction in
                        differences(spec, &run.kind, facets, &id, &node, &heads, window)?
                    {
                        let drift = run.counts_drift;
                        let settled = self.correct(&run.kind, correction, window, drift).await?;
                        if let Settled::Published { id, facet, missed } = settled {
                            run.drifted(id, facet, if missed { "missed" } else { "changed" });
                        }
                    }
                }
            }
            self.progress(run, 0).await?;
        }
        Ok(())
    }

    /// Asks for what was not seen, and takes for gone what is.
    async fn settle_suspects(
        &self,
        run: &mut Run,
        suspects: Vec<Gone>,
        living: usize,
        order: &Order,
    ) -> Result<(), PullError> {
        let window = Window { started: run.report.started_at };
        let mut gone = self.confirmed(run.spec, suspects).await?;
        if run.spec.name == "order" && !gone.is_empty() && !self.sees_all_orders().await? {
            gone = self.young_enough(&run.kind, gone).await?;
        }
        if reconcile::is_suspicious(gone.len(), living + gone.len()) && !order.confirm_deletions {
            let (gone, living) = (gone.len(), living + gone.len());
            return Err(PullError::Held { kind: run.spec.name, gone, living });
        }
        for one in gone {
            let key = self.key(&run.kind, &one.id);
            // It may have been deleted, or touched, by webhook meanwhile.
            let head = self.head(&key, Facet::Core).await?;
            if head.is_none_or(|head| !reconcile::is_suspect(&head, window)) {
                continue;
            }
            let gid = key.kind.gid(&key.id).unwrap_or_default();
            let payload = serde_json::json!({"id": gid}).to_string().into_bytes();
            let gone = Pulled {
                key,
                facet: Facet::Core,
                op: Op::Delete,
                source: Source::Reconcile,
                since: reconcile::gone_since(one.last_seen, window),
                read_at: window.started,
                payload,
            };
            self.publish(gone).await?;
            run.drifted(one.id, Facet::Core, "extra");
        }
        Ok(())
    }

    /// Those of the suspects that the shop says are not there.
    async fn confirmed(
        &self,
        spec: &'static Spec,
        suspects: Vec<Gone>,
    ) -> Result<Vec<Gone>, PullError> {
        if suspects.is_empty() {
            return Ok(suspects);
        }
        let by_id = spec.pulls.iter().find_map(|pull| match &pull.way {
            Way::ById { ids_max, .. } if pull.facets.contains(&Facet::Core) => {
                Some((pull, *ids_max))
            }
            _ => None,
        });
        let mut there = BTreeSet::new();
        match by_id {
            Some((pull, ids_max)) => {
                for some in suspects.chunks(ids_max) {
                    let ids: Vec<ResourceId> = some.iter().map(|gone| gone.id.clone()).collect();
                    let nodes = self.asker.by_id(spec, pull, &ids).await?;
                    there.extend(nodes.iter().filter_map(spec.id));
                }
            }
            // Where nothing can be asked for by id, it must be missing from a second list as well.
            None => {
                for pull in spec.pulls {
                    there.extend(self.asker.all(pull).await?.iter().filter_map(spec.id));
                }
            }
        }
        Ok(suspects.into_iter().filter(|gone| !there.contains(&gone.id)).collect())
    }

    /// Whether orders of any age are shown to this app.
    async fn sees_all_orders(&self) -> Result<bool, PullError> {
        let scopes = crate::scope::granted(&self.asker).await?;
        Ok(scopes.iter().any(|scope| scope == "read_all_orders"))
    }

    /// Those that Shopify would show if they were there.
    async fn young_enough(&self, kind: &Kind, gone: Vec<Gone>) -> Result<Vec<Gone>, PullError> {
        let day = 24 * 3600 * 1_000_000;
        let oldest = Timestamp::from_micros(self.clock.now().as_micros() - ORDERS_SEEN_DAYS * day);
        let mut young = Vec::new();
        for one in gone {
            let known = self.journal.resource(&self.key(kind, &one.id), AsOf::Latest).await?;
            let created = known.as_ref().and_then(|known| known.state["createdAt"].as_str());
            if created.and_then(|at| Timestamp::parse(at).ok()).is_some_and(|at| at > oldest) {
                young.push(one);
            }
        }
        Ok(young)
    }

    /// The newest version of a facet as history has it now.
    async fn head(&self, key: &ResourceKey, facet: Facet) -> Result<Option<Head>, PullError> {
        Ok(self.heads_now(key).await?.remove(&(key.id.clone(), facet)))
    }

    /// The newest version of every facet of a resource as history has it now.
    async fn heads_now(&self, key: &ResourceKey) -> Result<Heads, PullError> {
        let page = Page { limit: HISTORY_MAX, cursor: None };
        let versions = self.journal.versions(key, Span::default(), &page).await?.items;
        let mut heads = Heads::new();
        for version in versions {
            heads.entry((key.id.clone(), version.facet)).or_insert_with(|| Head {
                id: key.id.clone(),
                facet: version.facet,
                deleted: version.op == Op::Delete,
                source: version.source,
                hash: version.hash,
                valid_at: version.valid_at,
                triggered_at: version.triggered_at.unwrap_or(version.valid_at),
                seq: version.seq,
            });
        }
        Ok(heads)
    }

    fn key(&self, kind: &Kind, id: &ResourceId) -> ResourceKey {
        ResourceKey { shop: self.shop.clone(), kind: kind.clone(), id: id.clone() }
    }
}

/// What became of something found.
enum Settled {
    Published { id: ResourceId, facet: Facet, missed: bool },
    KnownMeanwhile,
    Other(Found),
}

impl Run {
    /// Counts a difference that a webhook should have told of.
    fn drifted(&mut self, id: ResourceId, facet: Facet, found: &'static str) {
        let told = facet == Facet::Core && !self.spec.topics.is_empty();
        if !self.counts_drift || !told || !self.drifted.insert((id, found)) {
            return;
        }
        match found {
            "missed" => self.report.drift.missed += 1,
            "changed" => self.report.drift.changed += 1,
            _ => self.report.drift.extra += 1,
        }
    }
}

/// What was read of a kind, by bucket.
enum Nodes {
    Grown(Grown),
    /// Elements of what was read, put aside once more: they go by other ids.
    Exploded(Buckets),
    Few(Vec<Vec<Value>>),
}

impl Nodes {
    fn few(spec: &Spec, nodes: Vec<Value>) -> Self {
        let mut buckets = vec![Vec::new(); BUCKETS];
        for node in nodes {
            let key = (spec.id)(&node).map(|id| (spec.ask_for)(&id)).unwrap_or_default();
            buckets[bucket_of(&key)].push(node);
        }
        Self::Few(buckets)
    }

    fn exploded(
        spec: &Spec,
        pull: &Pull,
        grown: &Grown,
        scratch: &Path,
    ) -> Result<Self, PullError> {
        let mut spill = Spill::new(scratch)?;
        for bucket in 0..BUCKETS {
            for node in finished(grown.nodes(bucket)?, pull) {
                let key = (spec.id)(&node).map(|id| (spec.ask_for)(&id)).unwrap_or_default();
                spill.put(&key, node.to_string().as_bytes())?;
            }
        }
        Ok(Self::Exploded(spill.finish()?))
    }

    fn bucket(&self, pull: &Pull, bucket: usize) -> Result<Vec<Value>, PullError> {
        match self {
            Self::Exploded(buckets) => {
                let read = |line| {
                    serde_json::from_slice(line).map_err(|e| PullError::Unreadable(e.to_string()))
                };
                lines(&buckets.read(bucket)?).map(read).collect()
            }
            Self::Grown(grown) => Ok(finished(grown.nodes(bucket)?, pull)),
            Self::Few(buckets) => Ok(buckets[bucket].clone()),
        }
    }
}

/// The heads of some facets in a bucket.
fn heads_of(heads: &Buckets, bucket: usize, facets: &[Facet]) -> Result<Heads, PullError> {
    let bytes = heads.read(bucket)?;
    let read = |line| {
        serde_json::from_slice::<Head>(line)
            .map_err(|e| PullError::Unreadable(format!("a head cannot be read: {e}")))
    };
    let mut of_bucket = Heads::new();
    for line in lines(&bytes) {
        let head = read(line)?;
        if facets.contains(&head.facet) {
            of_bucket.insert((head.id.clone(), head.facet), head);
        }
    }
    Ok(of_bucket)
}

/// Compares bucket by bucket, until nobody listens.
fn compare_all(
    spec: &'static Spec,
    kind: &Kind,
    pull: &Pull,
    nodes: &Nodes,
    heads: &Buckets,
    window: Window,
    send: &mpsc::Sender<Found>,
) -> Result<(), PullError> {
    let finds_gone = pull.facets.contains(&Facet::Core);
    for bucket in 0..BUCKETS {
        let mut heads = heads_of(heads, bucket, pull.facets)?;
        for node in nodes.bucket(pull, bucket)? {
            let Some(id) = (spec.id)(&node) else {
                return Err(PullError::Unreadable(format!("a {kind} does not say which it is")));
            };
            if bucket_of(&(spec.ask_for)(&id)) != bucket {
                return Err(PullError::Unreadable(format!("{kind} {id} came with another's id")));
            }
            for correction in differences(spec, kind, pull.facets, &id, &node, &heads, window)? {
                if send.blocking_send(Found::Correction(correction)).is_err() {
                    return Ok(());
                }
            }
            if finds_gone {
                let _known = heads.remove(&(id.clone(), Facet::Core));
                let _nobody_listens = send.blocking_send(Found::Living);
                let _nobody_listens = send.blocking_send(Found::Resource(id));
            }
        }
        for ((id, _), head) in heads.into_iter().filter(|((_, facet), _)| *facet == Facet::Core) {
            if finds_gone && reconcile::is_suspect(&head, window) {
                let gone = Gone { id, last_seen: head.valid_at };
                let _nobody_listens = send.blocking_send(Found::Suspect(gone));
            }
        }
    }
    Ok(())
}

/// The facets of a node that history has not, or has otherwise. A facet of which a member is
/// missing was not given, and says nothing.
fn differences(
    spec: &Spec,
    kind: &Kind,
    facets: &[Facet],
    id: &ResourceId,
    node: &Value,
    heads: &Heads,
    window: Window,
) -> Result<Vec<Correction>, PullError> {
    let mut corrections = Vec::new();
    for members in spec.facets.iter().filter(|members| facets.contains(&members.facet)) {
        let facet = members.facet;
        let Some(part) = members.of(node) else { continue };
        let payload = part.to_string().into_bytes();
        let arrival = Arrival { source: Source::Reconcile, facet, op: Op::Update };
        let document = kind
            .read(arrival, id, &payload)
            .map_err(|e| PullError::Unreadable(format!("{kind} {id}: {e}")))?;
        let hash = Hash::of(document.state.as_ref()).to_hex();
        let dated = dated(node);
        let seen = Seen { hash: &hash, dated };
        let head = heads.get(&(id.clone(), facet));
        let (since, missed) = match reconcile::compare(&seen, head, window) {
            Finding::Same | Finding::Newer => continue,
            Finding::Missed(since) => (since, true),
            Finding::Changed(since) => (since, false),
        };
        corrections.push(Correction { id: id.clone(), facet, hash, dated, payload, since, missed });
    }
    Ok(corrections)
}
