//! Takes up a shop's jobs, the oldest first, while it holds the shop's lease.

use std::collections::{BTreeMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use backstock_proto::admin::Client;
use backstock_proto::admin::ask::Asker;
use backstock_proto::pulls::Order;
use backstock_proto::trace::{self, Span, SpanKind};
use backstock_proto::{Kind, ResourceId, Shop, Timestamp};
use futures::FutureExt;
use prometheus::IntCounter;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::again::Again;
use super::ahead::Ahead;
use super::asked::Asked;
use super::begun::Begun;
use super::counted::Counted;
use super::desk::{JobError, Jobs};
use super::lane::Lane;
use super::ledger::{self, LedgerError};
use super::run::{Run, Want};
use super::runner::{RunError, Runner};
use super::{Job, JobState, RowState, rows};
use crate::gids::Gids;
use crate::plan::{PLAN, Plan};
use crate::record;
use crate::write;
use backstock_proto::lease::Held;

/// How often it looks for jobs that nobody told it of, those of a process that was killed: at first, and
/// where nothing has been to do for long.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const LOOK_SELDOM: Duration = Duration::from_secs(60);
/// Rest after a failure.
const REST: Duration = Duration::from_secs(3);
/// How often a running job's progress is put on record.
const REPORT_EVERY: Duration = Duration::from_secs(3);
/// Resources of a kind that are looked at one by one after a job.
const IDS_MAX: usize = 1_000;
/// How much later a job goes on of which the shop takes no more for now.
const PUT_OFF_MICROS: i64 = 3_600_000_000;
/// How long a process that is to end goes on keeping the lease, in which what runs has to end.
const ENDS_WITHIN: Duration = Duration::from_secs(30);
/// How often it is asked what is wanted of the job.
const ASK_EVERY: Duration = Duration::from_millis(1_000);

/// Works at one shop's jobs until `stop`.
pub(super) async fn work(
    jobs: Arc<Jobs>,
    shop: Shop,
    client: Client,
    wake: Arc<Notify>,
    stop: CancellationToken,
) {
    let (mut wait, mut idle) = (Duration::ZERO, LOOK_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = wake.notified() => idle = LOOK_EVERY,
            () = tokio::time::sleep(wait) => {}
        }
        let one = AssertUnwindSafe(one(&jobs, &shop, &client, &stop)).catch_unwind();
        let found = one.await;
        if !matches!(found, Ok(Ok(Found::Nothing))) {
            idle = LOOK_EVERY;
        }
        wait = match found {
            Ok(Ok(Found::Ours)) => Duration::ZERO,
            Ok(Ok(Found::Anothers)) => LOOK_EVERY,
            Ok(Ok(Found::Nothing)) => {
                let wait = idle;
                idle = LOOK_SELDOM.min(idle * 2);
                wait
            }
            Ok(Err(error)) => {
                tracing::warn!(%shop, %error, "a job does not go on; trying again");
                REST
            }
            // No other shop, and no later job of this one, is to suffer from it.
            Err(_) => {
                tracing::error!(%shop, "a job ended in a panic; trying again");
                REST
            }
        };
    }
}

/// What there was to do.
enum Found {
    /// Something, and there may be more.
    Ours,
    /// Something that another restorer does.
    Anothers,
    Nothing,
}

/// Takes up the oldest job, if this is the one to do it.
async fn one(
    jobs: &Arc<Jobs>,
    shop: &Shop,
    client: &Client,
    stop: &CancellationToken,
) -> Result<Found, RunError> {
    let Some((job, _)) = jobs.next(shop).await? else { return Ok(Found::Nothing) };
    let holder = &jobs.tools.holder;
    let leases = &jobs.tools.leases;
    let held = Held::new(Instant::now());
    if !leases.take(shop, holder).await? {
        return Ok(Found::Anothers);
    }
    // Between the look and the lease somebody else may have ended it.
    let outcome = match jobs.next(shop).await {
        Ok(Some((again, seq))) if again.id == job.id => {
            let mut span = Span::begin("restorer job", SpanKind::Internal, again.traceparent);
            span.set("shop", shop);
            span.set("job", &again.id);
            let running = run(jobs, (shop, held), client, (again, seq), stop);
            let ran = span.context().scope(running).await;
            span.went(ran)
        }
        Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = leases.release(shop, holder).await {
        tracing::warn!(%shop, %error, "the lease is not given back; it ends by itself");
    }
    outcome.map(|()| Found::Ours)
}

/// One job, until it is over or this process is to stop.
async fn run(
    jobs: &Arc<Jobs>,
    (shop, held): (&Shop, Held),
    client: &Client,
    (mut job, seq): (Job, u64),
    stop: &CancellationToken,
) -> Result<(), RunError> {
    let want = jobs.wanted(shop, &job.id).await?;
    let ending = want == Want::Cancel && was_left(jobs, shop, &job).await?;
    if want != Want::Run && !ending {
        if want == Want::Cancel {
            (job.state, job.finished_at) = (JobState::Cancelled, Some(jobs.now()));
            (job.resume_at, job.reason) = (None, None);
        } else {
            job.state = JobState::Paused;
        }
        return match jobs.put_after(shop, &job, seq).await {
            Ok(_) => {
                jobs.note(shop, &job);
                Ok(())
            }
            // Somebody has begun it anew meanwhile, or approved it: it is looked at again.
            Err(JobError::Conflict(_)) => Ok(()),
            Err(JobError::Record(error)) => Err(error.into()),
            Err(error) => Err(RunError::Stuck(error.to_string())),
        };
    }
    let spent = IntCounter::new("spent", "Points.").map_err(|e| RunError::Stuck(e.to_string()))?;
    let client = client.counting(spent.clone());
    job.state = JobState::Running;
    (job.resume_at, job.reason) = (None, None);
    let run = Arc::new(Run::new(shop.clone(), job.clone(), spent, want));
    run.began(jobs.now());
    jobs.put(shop, &run.job()).await?;
    let shown = jobs.runs(&run);
    let (held, beats_until) = (Arc::new(held), CancellationToken::new());
    let until = (beats_until.clone(), stop.clone());
    let beats = beat(jobs.clone(), (run.clone(), held.clone()), client.clone(), until);
    let (beats, ends) = (tokio::spawn(beats), beats_until.drop_guard());
    let job = (&job, ending);
    let applied = held.during(applied(jobs, &run, client.clone(), job, stop.clone())).await;
    drop(ends);
    let _beats_do_not_fail = beats.await;
    // Nothing is put on record by whom somebody else may have followed.
    let ended = match applied {
        Some(outcome) if !held.is_lost() => end(jobs, &run, &client, outcome).await,
        _ => Err(RunError::Lost),
    };
    drop(shown);
    ended
}

/// Whether whoever had a job left rows in the middle, as by a kill: what was begun may have been made, and
/// is in no book.
async fn was_left(jobs: &Jobs, shop: &Shop, job: &Job) -> Result<bool, LedgerError> {
    Ok(!ledger::standing(&jobs.place(shop, job)).await?.unfinished.is_empty())
}

async fn applied(
    jobs: &Arc<Jobs>,
    run: &Arc<Run>,
    client: Client,
    (job, ending): (&Job, bool),
    stop: CancellationToken,
) -> Result<(), RunError> {
    let (tools, shop) = (&jobs.tools, &run.shop);
    let plan = record::get::<Plan>(tools.journal.as_ref(), shop, (PLAN, &job.plan)).await?;
    let Some(plan) = plan else {
        let why = format!("plan {} of {shop} is no longer on record; make a new one", job.plan);
        return Err(RunError::Stuck(why));
    };
    let (ledger, standing) = ledger::take_up(jobs.place(shop, job)).await?;
    let written = tools.books.of(tools.journal.as_ref(), shop).await?;
    let mut runner = Runner {
        tools: tools.clone(),
        run: run.clone(),
        shop: shop.clone(),
        job: job.id.clone(),
        plan,
        began_at: run.began(jobs.now()),
        deselected: job.deselected.iter().copied().collect::<HashSet<u64>>(),
        asker: Asker { client, share: 1.0, urgent: false },
        ledger,
        standing,
        begun: Begun::default(),
        written,
        stop,
        products: 0.0,
        lane: None,
        ending,
        anew: Gids::default(),
        missing: Mutex::default(),
        first_locations: tokio::sync::OnceCell::new(),
        counted: Counted::default(),
        rest: Mutex::default(),
        ahead: Ahead::default(),
        asked: Asked::default(),
        again: Again::default(),
        later: Mutex::default(),
        stuck: Mutex::default(),
        left: AtomicBool::new(false),
    };
    runner.survey().await?;
    runner.lane = Lane::open(&runner).await?;
    match ending {
        true => runner.finish_begun().await,
        false => runner.apply().await,
    }
}

/// Says how the job ended, if it did.
async fn end(
    jobs: &Arc<Jobs>,
    run: &Run,
    client: &Client,
    outcome: Result<(), RunError>,
) -> Result<(), RunError> {
    let ratio = run.reckon(client.granted());
    jobs.tools.metrics.budget(ratio);
    let (now, counts) = (jobs.now(), run.job().counts);
    let (state, why) = match outcome {
        Ok(()) if counts.of(RowState::Failed) > 0 => (JobState::Failed, None),
        Ok(()) => (JobState::Done, None),
        Err(RunError::Cancelled) => (JobState::Cancelled, None),
        Err(RunError::Stuck(why)) => (JobState::Failed, Some(why)),
        // Shopify does not say until when: it is asked again.
        Err(RunError::Later(why)) => {
            let until = Timestamp::from_micros(now.as_micros() + PUT_OFF_MICROS);
            run.put_off(format!("{why}; the rest is tried again at {until}"), until);
            jobs.put(&run.shop, &run.job()).await?;
            return Ok(());
        }
        // Whoever takes it up next goes on.
        Err(RunError::Stopped) => {
            jobs.put(&run.shop, &run.job()).await?;
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let job = run.as_ended(state, why, now);
    jobs.put(&run.shop, &job).await?;
    run.ended(job.clone());
    tracing::info!(
        shop = %run.shop, job = %job.id,
        trace_id = trace::current().map(|trace| tracing::field::display(trace.trace_id())),
        state = state.as_str(), created = counts.created,
        updated = counts.updated, deleted = counts.deleted, skipped = counts.skipped,
        conflict = counts.conflict, failed = counts.failed, points = job.cost,
        granted = job.granted, "a job ended"
    );
    look(jobs, run).await;
    Ok(())
}

/// Has what was written and no webhook tells of looked at, so that history shows it now.
async fn look(jobs: &Jobs, run: &Run) {
    let (tools, shop) = (&jobs.tools, &run.shop);
    let Ok(written) = tools.books.of(tools.journal.as_ref(), shop).await else { return };
    let mut silent: BTreeMap<Kind, Vec<ResourceId>> = BTreeMap::new();
    let is_written = |n| {
        let state = run.state(n);
        matches!(state, Some(RowState::Created | RowState::Updated | RowState::Deleted))
    };
    let journal = tools.journal.as_ref();
    let plan = match record::get::<Plan>(journal, shop, (PLAN, &run.job().plan)).await {
        Ok(Some(plan)) => plan,
        Ok(None) => return,
        Err(error) => {
            tracing::warn!(%shop, %error, "what was written is seen at the next whole look");
            return;
        }
    };
    for n in plan.pieces() {
        let rows = match rows::on_record(journal, shop, &plan.id, n).await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(%shop, %error, "what was written is seen at the next whole look");
                break;
            }
        };
        for row in rows {
            // Nor does one tell of bytes that were replaced.
            let bytes = row.fields.iter().any(|field| write::names_bytes(&field.path));
            let silently = row.kind.spec().filter(|spec| spec.topics.is_empty() || bytes);
            if let Some(spec) = silently.filter(|_| is_written(row.n)) {
                silent.entry(row.kind).or_default().push(written.id_now(spec, &row.id));
            }
        }
    }
    for (kind, ids) in silent {
        // By their ids only: a look at everything that believes many deletions at once would also
        // believe those of others.
        for some in ids.chunks(IDS_MAX) {
            let (shop, kinds, ids) = (shop.clone(), vec![kind.clone()], some.to_vec());
            let order = Order { shop, kinds, ids, confirm_deletions: false };
            if let Err(error) = tools.pulls.order(order).await {
                let shop = &run.shop;
                tracing::warn!(%shop, %error, "what was written is seen at the next whole look");
            }
        }
    }
}

/// While a job runs: keeps the lease, tells how far it is, and hears what is wanted of it. Once the
/// process is to end, for a while only.
async fn beat(
    jobs: Arc<Jobs>,
    (run, held): (Arc<Run>, Arc<Held>),
    client: Client,
    (until, stop): (CancellationToken, CancellationToken),
) {
    let (leases, holder) = (&jobs.tools.leases, &jobs.tools.holder);
    let renews = held.keep(|| leases.take(&run.shop, holder), &until);
    // A journal that is slow to answer is not to cost the lease.
    let tells = tell(&jobs, (&run, &held), &client, &until);
    let too_long = async {
        stop.cancelled().await;
        tokio::time::sleep(ENDS_WITHIN).await;
    };
    tokio::select! {
        _ = futures::future::join(renews, tells) => {}
        () = too_long => {}
    }
}

/// Tells how far a job is, and hears what is wanted of it.
async fn tell(jobs: &Jobs, (run, held): (&Run, &Held), client: &Client, stop: &CancellationToken) {
    let id = run.job().id;
    let mut report =
        tokio::time::interval_at(tokio::time::Instant::now() + REPORT_EVERY, REPORT_EVERY);
    let mut ask = tokio::time::interval(ASK_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = report.tick() => {
                jobs.tools.metrics.budget(run.reckon(client.granted()));
                let job = run.job();
                let payload = serde_json::to_value(&job).unwrap_or_default();
                if !held.is_lost() {
                    // The next report makes up for a lost one.
                    let _lost = jobs.tools.records.put(&run.shop, super::JOB, &id, &payload).await;
                }
            }
            _ = ask.tick() => {
                if let Ok(want) = jobs.wanted(&run.shop, &id).await {
                    run.wants(want);
                    jobs.note(&run.shop, &run.job());
                }
            }
        }
    }
}
