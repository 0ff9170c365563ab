//! The jobs of all shops: begun, looked at, stopped, taken up.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use backstock_proto::admin::Client;
use backstock_proto::blob::Blobs;
use backstock_proto::journal::{Journal, PAGE_LIMIT_MAX, Page};
use backstock_proto::lease::Leases;
use backstock_proto::publish::{PutError, Records};
use backstock_proto::pulls::Pulls;
use backstock_proto::time::Clock;
use backstock_proto::trace;
use backstock_proto::{Shop, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::ledger::Place;
use super::run::{JOB_ORDER, Run, Want, Wanted};
use super::written::Books;
use super::{Approval, JOB, Job, JobState, RowCounts, worker};
use crate::metrics::JobMetrics;
use crate::plan::Plan;
use crate::record::{self, RecordError};

mod results;

pub(crate) use results::Told;

/// What jobs work with.
pub(crate) struct Tools {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) records: Arc<dyn Records>,
    pub(crate) pulls: Arc<dyn Pulls>,
    pub(crate) blobs: Blobs,
    pub(crate) leases: Arc<dyn Leases>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) books: Books,
    pub(crate) metrics: JobMetrics,
    /// Names this process among those that share a shop.
    pub(crate) holder: String,
}

/// The jobs of all shops.
pub(crate) struct Jobs {
    pub(crate) tools: Arc<Tools>,
    shops: BTreeMap<Shop, (Client, Arc<Notify>)>,
    running: Mutex<HashMap<String, Arc<Run>>>,
    /// How each job is, as far as this process knows.
    states: Mutex<HashMap<(Shop, String), JobState>>,
}

/// What is asked for when a plan is applied.
#[derive(Clone, Debug)]
pub(crate) struct Apply {
    pub(crate) plan: Plan,
    pub(crate) deselected: Vec<u64>,
    pub(crate) by: String,
    /// What the caller calls this request, so that asking twice is asking once.
    pub(crate) key: Option<String>,
    pub(crate) undoes: Option<String>,
    /// Whether another person has to say yes first.
    pub(crate) needs_approval: bool,
}

/// Why a job is not begun, or not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Missing(String),
    #[error("{0}")]
    Forbidden(String),
}

impl JobError {
    /// A key names one request only.
    pub(crate) fn other_request() -> Self {
        let why = "this Idempotency-Key was used for another request; use a new one";
        Self::Conflict(why.into())
    }
}

impl From<PutError> for JobError {
    fn from(error: PutError) -> Self {
        match error {
            PutError::Moved(_) => {
                Self::Conflict("somebody changed the job at the same time; look at it again".into())
            }
            PutError::Publish(error) => Self::Record(error.into()),
        }
    }
}

impl Jobs {
    pub(crate) fn new(tools: Tools, admins: &BTreeMap<Shop, Client>) -> Self {
        let shop = |(shop, client): (&Shop, &Client)| {
            (shop.clone(), (client.clone(), Arc::new(Notify::new())))
        };
        Self {
            tools: Arc::new(tools),
            shops: admins.iter().map(shop).collect(),
            running: Mutex::default(),
            states: Mutex::default(),
        }
    }

    /// Works at jobs until `stop`, each shop for itself.
    pub(crate) async fn work(self: Arc<Self>, stop: CancellationToken) {
        let mut workers = tokio::task::JoinSet::new();
        for (shop, (client, wake)) in &self.shops {
            let (shop, client, wake) = (shop.clone(), client.clone(), wake.clone());
            workers.spawn(worker::work(self.clone(), shop, client, wake, stop.clone()));
        }
        while workers.join_next().await.is_some() {}
    }

    /// Puts a job on record and has somebody begin with it.
    pub(crate) async fn apply(&self, shop: &Shop, apply: Apply) -> Result<Job, JobError> {
        let now = self.tools.clock.now();
        let id = match &apply.key {
            Some(key) => keyed(shop, &apply.by, key),
            None => record::new_id("job", now),
        };
        let total = apply.plan.counts.rows();
        let job = Job {
            id: id.clone(),
            plan: apply.plan.id.clone(),
            state: JobState::Queued,
            by: apply.by,
            started_at: now,
            finished_at: None,
            counts: RowCounts { pending: total, ..RowCounts::default() },
            eta_seconds: Some(apply.plan.eta_seconds),
            cost: 0.0,
            granted: 0.0,
            in_bulk: None,
            began_at: None,
            digest: apply.plan.digest,
            attempt: 0,
            deselected: apply.deselected,
            approval: apply.needs_approval.then(Approval::default),
            undoes: apply.undoes,
            resume_at: None,
            reason: None,
            traceparent: trace::current().filter(|trace| trace.is_sampled()),
        };
        match self.put_after(shop, &job, 0).await {
            Ok(_) => {}
            Err(JobError::Conflict(_)) if apply.key.is_some() => {
                return self.same_as(shop, &job).await;
            }
            Err(error) => return Err(error),
        }
        self.note(shop, &job);
        self.wake(shop);
        Ok(job)
    }

    /// The job that somebody began with this key, if he did.
    pub(crate) async fn begun(
        &self,
        shop: &Shop,
        by: &str,
        key: &str,
    ) -> Result<Option<Job>, JobError> {
        Ok(self.find(shop, &keyed(shop, by, key)).await?)
    }

    /// The job that the same key began before, if it was for the same.
    async fn same_as(&self, shop: &Shop, job: &Job) -> Result<Job, JobError> {
        let there = self.find(shop, &job.id).await?;
        match there {
            Some(there) if there.plan == job.plan && there.deselected == job.deselected => {
                Ok(there)
            }
            _ => Err(JobError::other_request()),
        }
    }

    /// One job as it is now.
    pub(crate) async fn find(&self, shop: &Shop, id: &str) -> Result<Option<Job>, RecordError> {
        if let Some(run) = self.running(shop, id) {
            return Ok(Some(run.job()));
        }
        let journal = self.tools.journal.as_ref();
        let Some(mut job) = record::get::<Job>(journal, shop, (JOB, id)).await? else {
            return Ok(None);
        };
        self.heed(shop, &mut job).await?;
        Ok(Some(job))
    }

    /// One that waits and is to end is shown as ended.
    async fn heed(&self, shop: &Shop, job: &mut Job) -> Result<(), RecordError> {
        let waits = job.state == JobState::Queued && self.running(shop, &job.id).is_none();
        if waits && self.wanted(shop, &job.id).await? == Want::Cancel {
            job.state = JobState::Cancelled;
        }
        Ok(())
    }

    /// Jobs, newest first.
    pub(crate) async fn list(
        &self,
        shop: &Shop,
        page: &Page,
    ) -> Result<(Vec<Job>, Option<String>), RecordError> {
        let (listed, next) = self.listed(shop, page).await?;
        let jobs = listed.into_iter().map(|(job, _)| job).collect();
        Ok((self.newest_first(shop, jobs).await?, next))
    }

    /// The jobs of some plans, newest first, however many others there are. None of the plans was made before
    /// `since`.
    pub(crate) async fn of_plans(
        &self,
        shop: &Shop,
        plans: &BTreeSet<&str>,
        since: Timestamp,
    ) -> Result<Vec<Job>, RecordError> {
        let mut found = Vec::new();
        if plans.is_empty() {
            return Ok(found);
        }
        let mut page = Page { limit: PAGE_LIMIT_MAX, cursor: None };
        loop {
            let (listed, next) = self.listed(shop, &page).await?;
            // What was said last comes first: of the jobs that follow one that was over by then nothing was
            // said since.
            let over = |(job, _): &(Job, u64)| job.finished_at.is_some_and(|at| at < since);
            let next = next.filter(|_| !listed.iter().any(over));
            let jobs = listed.into_iter().map(|(job, _)| job);
            found.extend(jobs.filter(|job| plans.contains(job.plan.as_str())));
            if next.is_none() {
                return self.newest_first(shop, found).await;
            }
            page.cursor = next;
        }
    }

    /// Jobs as they are shown, by when they were asked for.
    async fn newest_first(&self, shop: &Shop, mut jobs: Vec<Job>) -> Result<Vec<Job>, RecordError> {
        jobs.sort_by(|a, b| b.started_at.cmp(&a.started_at).then_with(|| b.id.cmp(&a.id)));
        for job in &mut jobs {
            self.heed(shop, job).await?;
        }
        Ok(jobs)
    }

    /// Jobs as they are on record or running, each with where the record of it stands.
    async fn listed(
        &self,
        shop: &Shop,
        page: &Page,
    ) -> Result<(Vec<(Job, u64)>, Option<String>), RecordError> {
        let list = self.tools.journal.records(shop, JOB, None, page).await?;
        let mut jobs = Vec::with_capacity(list.items.len());
        for record in list.items {
            let job: Job = serde_json::from_value(record.payload)
                .map_err(|e| RecordError::unreadable(JOB, &record.id, &e))?;
            jobs.push((self.running(shop, &job.id).map_or(job, |run| run.job()), record.seq));
        }
        Ok((jobs, list.next))
    }

    /// Says what is wanted of a job: that it goes on, stands still, or ends.
    pub(crate) async fn order(
        &self,
        shop: &Shop,
        id: &str,
        (want, by): (Want, &str),
    ) -> Result<Job, JobError> {
        let job = self.existing(shop, id).await?;
        if job.state.is_over() {
            let state = job.state.as_str();
            return Err(JobError::Conflict(format!("job {id} of {shop} is {state} already")));
        }
        self.note_wanted(shop, id, (want, by)).await?;
        if let Some(run) = self.running(shop, id) {
            run.wants(want);
            self.note(shop, &run.job());
        } else if job.resume_at.is_some() && want != Want::Pause {
            // Somebody knows better than to wait.
            self.put(shop, &Job { resume_at: None, ..job }).await?;
        }
        self.wake(shop);
        self.existing(shop, id).await
    }

    /// Begins a job anew for the rows that failed.
    pub(crate) async fn retry(&self, shop: &Shop, id: &str, by: &str) -> Result<Job, JobError> {
        let mut job = self.existing(shop, id).await?;
        if !job.state.is_over() {
            let state = job.state.as_str();
            let why = format!("job {id} of {shop} is {state}: only what has ended can be retried");
            return Err(JobError::Conflict(why));
        }
        let seq = self.newest(shop, id).await?;
        self.note_wanted(shop, id, (Want::Run, by)).await?;
        job.attempt += 1;
        job.state = JobState::Queued;
        job.finished_at = None;
        (job.resume_at, job.reason) = (None, None);
        job.counts.pending += std::mem::take(&mut job.counts.failed);
        self.put_after(shop, &job, seq).await?;
        self.note(shop, &job);
        self.wake(shop);
        Ok(job)
    }

    /// Says yes to a job that somebody else asked for.
    pub(crate) async fn approve(&self, shop: &Shop, id: &str, by: &str) -> Result<Job, JobError> {
        let seq = self.newest(shop, id).await?;
        let mut job = self.existing(shop, id).await?;
        if !job.awaits_approval() {
            let why = format!("job {id} of {shop} waits for nobody's word");
            return Err(JobError::Conflict(why));
        }
        if job.by == by {
            let why = format!("job {id} of {shop} is yours: another person has to approve it");
            return Err(JobError::Forbidden(why));
        }
        job.approval = Some(Approval { by: Some(by.into()), at: Some(self.now()) });
        self.put_after(shop, &job, seq).await?;
        self.note(shop, &job);
        self.wake(shop);
        Ok(job)
    }

    /// Where the newest record of a job stands.
    async fn newest(&self, shop: &Shop, id: &str) -> Result<u64, RecordError> {
        let page = Page { limit: 1, cursor: None };
        let newest = self.tools.journal.records(shop, JOB, Some(id), &page).await?;
        Ok(newest.items.first().map_or(0, |record| record.seq))
    }

    pub(crate) async fn existing(&self, shop: &Shop, id: &str) -> Result<Job, JobError> {
        let found = self.find(shop, id).await?;
        found.ok_or_else(|| {
            let id: String = id.chars().take(100).collect();
            let list = format!("backstock jobs --shop {}", shop.name());
            JobError::Missing(format!("{shop} has no job {id:?}; `{list}` lists them"))
        })
    }

    /// Puts on record what is wanted of a job, and who wants it.
    async fn note_wanted(
        &self,
        shop: &Shop,
        id: &str,
        (want, by): (Want, &str),
    ) -> Result<(), RecordError> {
        let wanted = Wanted { want, by: by.into(), at: self.now() };
        let (journal, records) = (self.tools.journal.as_ref(), self.tools.records.as_ref());
        record::put((journal, records), shop, (JOB_ORDER, id), &wanted).await?;
        Ok(())
    }

    /// What is wanted of a job.
    pub(super) async fn wanted(&self, shop: &Shop, id: &str) -> Result<Want, RecordError> {
        let journal = self.tools.journal.as_ref();
        let wanted = record::get::<Wanted>(journal, shop, (JOB_ORDER, id)).await?;
        Ok(wanted.map(|wanted| wanted.want).unwrap_or_default())
    }

    /// The shop's oldest job that is not over, not put off, not to stand still, and waits for nobody's
    /// word; and where the record of it stands.
    pub(super) async fn next(&self, shop: &Shop) -> Result<Option<(Job, u64)>, RecordError> {
        let mut page = Page { limit: PAGE_LIMIT_MAX, cursor: None };
        let mut open: Vec<(Job, u64)> = Vec::new();
        let now = self.now();
        let is_due = |job: &Job| job.resume_at.is_none_or(|at| at <= now);
        loop {
            let (jobs, next) = self.listed(shop, &page).await?;
            self.note_all(shop, jobs.iter().map(|(job, _)| job));
            open.extend(jobs.into_iter().filter(|(job, _)| !job.state.is_over() && is_due(job)));
            page.cursor = next;
            if page.cursor.is_none() {
                break;
            }
        }
        open.sort_by(|(a, _), (b, _)| {
            a.started_at.cmp(&b.started_at).then_with(|| a.id.cmp(&b.id))
        });
        for (job, seq) in open {
            if job.state != JobState::Paused && !job.awaits_approval() {
                return Ok(Some((job, seq)));
            }
            // It may have been told otherwise since; one that nobody approved can still be ended.
            match self.wanted(shop, &job.id).await? {
                Want::Cancel => return Ok(Some((job, seq))),
                Want::Run if !job.awaits_approval() => return Ok(Some((job, seq))),
                Want::Run | Want::Pause => {}
            }
        }
        Ok(None)
    }

    /// Puts a job on record as it is, and waits until it is seen.
    pub(super) async fn put(&self, shop: &Shop, job: &Job) -> Result<u64, RecordError> {
        let (journal, records) = (self.tools.journal.as_ref(), self.tools.records.as_ref());
        self.note(shop, job);
        record::put((journal, records), shop, (JOB, &job.id), job).await
    }

    /// Puts a job on record, unless somebody else did since the record that stands there.
    pub(super) async fn put_after(
        &self,
        shop: &Shop,
        job: &Job,
        after: u64,
    ) -> Result<u64, JobError> {
        let journal = self.tools.journal.as_ref();
        let payload =
            serde_json::to_value(job).map_err(|e| RecordError::unreadable(JOB, &job.id, &e))?;
        let put = self.tools.records.put_after(shop, JOB, &job.id, &payload, after).await;
        let seq = match put {
            Ok(seq) => seq,
            // It may be there, and the journal does not show it yet.
            Err(PutError::Moved(_)) if after == 0 => {
                record::shown(journal, shop, (JOB, &job.id), 1).await?;
                return Err(JobError::Conflict(format!("there is a job {} already", job.id)));
            }
            Err(error) => return Err(error.into()),
        };
        match record::shown(journal, shop, (JOB, &job.id), seq).await {
            // It is on record, and begun all the same.
            Ok(_) | Err(RecordError::Lagging { .. }) => Ok(seq),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn place(&self, shop: &Shop, job: &Job) -> Place {
        Place {
            journal: self.tools.journal.clone(),
            records: self.tools.records.clone(),
            shop: shop.clone(),
            job: job.id.clone(),
            by: self.tools.holder.clone(),
            attempt: job.attempt,
        }
    }

    pub(super) fn running(&self, shop: &Shop, id: &str) -> Option<Arc<Run>> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.get(id).filter(|run| run.shop == *shop).cloned()
    }

    /// Shows a job as it runs here, as long as what this answers is kept.
    pub(super) fn runs(self: &Arc<Self>, run: &Arc<Run>) -> Shown {
        let id = run.job().id;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert(id.clone(), run.clone());
        Shown { jobs: self.clone(), id }
    }

    /// Counts a job as what it is now.
    pub(super) fn note(&self, shop: &Shop, job: &Job) {
        self.note_all(shop, std::iter::once(job));
    }

    fn note_all<'j>(&self, shop: &Shop, jobs: impl Iterator<Item = &'j Job>) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.extend(jobs.map(|job| ((shop.clone(), job.id.clone()), job.state)));
        self.tools.metrics.jobs(states.values().copied());
    }

    fn wake(&self, shop: &Shop) {
        if let Some((_, wake)) = self.shops.get(shop) {
            wake.notify_one();
        }
    }

    /// Now, by this process's clock.
    pub(super) fn now(&self) -> Timestamp {
        self.tools.clock.now()
    }
}

/// A job that runs in this process is asked how far it is, and not the records.
pub(super) struct Shown {
    jobs: Arc<Jobs>,
    id: String,
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.jobs.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// The id of the job that somebody begins with a key: the same whenever he asks again.
fn keyed(shop: &Shop, by: &str, key: &str) -> String {
    let named = format!("{}\n{by}\n{key}", shop.name());
    format!("job-{}", &blake3::hash(named.as_bytes()).to_hex()[..24])
}
