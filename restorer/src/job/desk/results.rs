//! What became of a job's rows, told with what its plan says of them.

use backstock_proto::Shop;

use super::Jobs;
use crate::job::ledger::{self, Standing};
use crate::job::outcome::Ended;
use crate::job::{Job, RowResult, RowState, rows};
use crate::plan::store;
use crate::record::RecordError;

impl Jobs {
    /// What became of a job's rows, from row `from` on.
    pub(crate) async fn rows(
        &self,
        shop: &Shop,
        job: &Job,
        (from, state, limit): (u64, Option<RowState>, usize),
    ) -> Result<Vec<RowResult>, RecordError> {
        if state == Some(RowState::Pending) {
            return self.pending(shop, job, from, limit).await;
        }
        let ended = match self.running(shop, &job.id) {
            Some(run) => run.some(from, state, limit),
            None => self.standing(shop, job).await?.over.some(from, state, limit),
        };
        self.told(shop, job, ended).await
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

    /// What became of rows, told with what the plan says of them.
    async fn told(
        &self,
        shop: &Shop,
        job: &Job,
        ended: Vec<Ended>,
    ) -> Result<Vec<RowResult>, RecordError> {
        let journal = self.tools.journal.as_ref();
        let mut told = Vec::with_capacity(ended.len());
        let Some(plan) = store::get(journal, shop, &job.plan).await? else { return Ok(told) };
        let piece = |ended: &Ended| plan.piece_of(ended.n);
        for some in ended.chunk_by(|a, b| piece(a) == piece(b)) {
            let Some(n) = some.first().map(piece) else { continue };
            let rows = rows::on_record(journal, shop, &job.plan, n).await?;
            let mut some = some.iter().peekable();
            for row in rows {
                let of_row = some.next_if(|ended| ended.n == row.n);
                told.extend(of_row.map(|ended| ended.clone().of(row)));
            }
        }
        Ok(told)
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
        job: &Job,
        from: u64,
        limit: usize,
    ) -> Result<Vec<RowResult>, RecordError> {
        let run = self.running(shop, &job.id);
        let standing = match run {
            Some(_) => Standing::default(),
            None => self.standing(shop, job).await?,
        };
        let is_over = |n: u64| match &run {
            Some(run) => run.state(n).is_some(),
            None => standing.over.state(n).is_some(),
        };
        let mut found = Vec::new();
        let journal = self.tools.journal.as_ref();
        let Some(plan) = store::get(journal, shop, &job.plan).await? else { return Ok(found) };
        for n in plan.piece_of(from)..plan.pieces().end {
            let rows = rows::on_record(journal, shop, &job.plan, n).await?;
            let open = rows.into_iter().filter(|row| row.n >= from && !is_over(row.n));
            found.extend(open.map(|row| RowResult {
                n: row.n,
                kind: row.kind,
                id: row.id,
                title: row.title,
                state: RowState::Pending,
                reason: None,
                new_gid: None,
            }));
            if found.len() >= limit {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    }
}
