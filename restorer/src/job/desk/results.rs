//! What became of a job's rows, told with what its plan says of them.

use backstock_proto::Shop;
use backstock_proto::journal::List;

use super::Jobs;
use crate::job::ledger::{self, Standing};
use crate::job::outcome::Ended;
use crate::job::{Job, RowResult, RowState, rows};
use crate::plan::{Plan, Row, store};
use crate::record::RecordError;

/// What became of some of a job's rows.
pub(crate) struct Told {
    pub(crate) rows: List<RowResult>,
    /// Why some are not among them, where the plan is not whole on record any more.
    pub(crate) untold: Option<String>,
}

impl Jobs {
    /// What became of a job's rows, from row `from` on.
    pub(crate) async fn rows(
        &self,
        shop: &Shop,
        job: &Job,
        (from, state, limit): (u64, Option<RowState>, usize),
    ) -> Result<Told, RecordError> {
        let Some(plan) = store::get(self.tools.journal.as_ref(), shop, &job.plan).await? else {
            let untold = format!("plan {} of {shop} is not on record any more", job.plan);
            let rows = List { items: Vec::new(), next: None };
            return Ok(Told { rows, untold: Some(untold) });
        };
        if state == Some(RowState::Pending) {
            return self.pending(shop, (job, &plan), from, limit).await;
        }
        let mut ended = match self.running(shop, &job.id) {
            Some(run) => run.some(from, state, limit + 1),
            None => self.standing(shop, job).await?.over.some(from, state, limit + 1),
        };
        let next = ended.get(limit).map(|ended| ended.n.to_string());
        ended.truncate(limit);
        let (items, untold) = self.told(shop, &plan, ended).await?;
        Ok(Told { rows: List { items, next }, untold })
    }

    /// How far a job is that does not run in this process.
    async fn standing(&self, shop: &Shop, job: &Job) -> Result<Standing, RecordError> {
        let standing = ledger::standing(&self.place(shop, job)).await;
        standing.map_err(|e| RecordError::Unreadable {
            what: ledger::JOB_STEPS.into(),
            id: job.id.clone(),
            reason: e.to_string(),
        })
    }

    /// What became of rows, told with what the plan says of them; and why some are not told.
    async fn told(
        &self,
        shop: &Shop,
        plan: &Plan,
        ended: Vec<Ended>,
    ) -> Result<(Vec<RowResult>, Option<String>), RecordError> {
        let (mut told, mut untold) = (Vec::with_capacity(ended.len()), None);
        let piece = |ended: &Ended| plan.piece_of(ended.n);
        for some in ended.chunk_by(|a, b| piece(a) == piece(b)) {
            let Some(n) = some.first().map(piece) else { continue };
            let rows = self.piece(shop, plan, n, &mut untold).await?;
            let mut some = some.iter().peekable();
            for row in rows {
                let of_row = some.next_if(|ended| ended.n == row.n);
                told.extend(of_row.map(|ended| ended.clone().of(row)));
            }
        }
        Ok((told, untold))
    }

    /// The rows of a piece of a plan; none of one that is gone, and why.
    async fn piece(
        &self,
        shop: &Shop,
        plan: &Plan,
        n: u64,
        untold: &mut Option<String>,
    ) -> Result<Vec<Row>, RecordError> {
        match rows::on_record(self.tools.journal.as_ref(), shop, &plan.id, n).await {
            Err(error @ RecordError::Missing { .. }) => {
                tracing::warn!(%shop, %error, "rows of a job cannot be told");
                untold.get_or_insert_with(|| error.to_string());
                Ok(Vec::new())
            }
            read => read,
        }
    }

    /// Rows that ended since a job was seen like this, at most some, where it runs in this process.
    pub(crate) fn recent(&self, shop: &Shop, id: &str, seen: Option<&Job>) -> Vec<RowResult> {
        let over = |job: &Job| job.counts.total() - job.counts.pending;
        match (self.running(shop, id), seen) {
            (Some(run), Some(seen)) => run.recent(over(&run.job()).saturating_sub(over(seen))),
            _ => Vec::new(),
        }
    }

    /// Rows that are still to be done.
    async fn pending(
        &self,
        shop: &Shop,
        (job, plan): (&Job, &Plan),
        from: u64,
        limit: usize,
    ) -> Result<Told, RecordError> {
        let run = self.running(shop, &job.id);
        let standing = match run {
            Some(_) => Standing::default(),
            None => self.standing(shop, job).await?,
        };
        let is_over = |n: u64| match &run {
            Some(run) => run.state(n).is_some(),
            None => standing.over.state(n).is_some(),
        };
        let (mut items, mut untold): (Vec<RowResult>, _) = (Vec::new(), None);
        for n in plan.piece_of(from)..plan.pieces().end {
            let rows = self.piece(shop, plan, n, &mut untold).await?;
            let open = rows.into_iter().filter(|row| row.n >= from && !is_over(row.n));
            items.extend(open.map(|row| RowResult {
                n: row.n,
                kind: row.kind,
                id: row.id,
                title: row.title,
                state: RowState::Pending,
                reason: None,
                new_gid: None,
            }));
            if items.len() > limit {
                break;
            }
        }
        let next = items.get(limit).map(|row| row.n.to_string());
        items.truncate(limit);
        Ok(Told { rows: List { items, next }, untold })
    }
}
