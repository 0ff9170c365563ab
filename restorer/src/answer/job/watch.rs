//! Somebody who watches a job, and what he is told as it gets on.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use backstock_proto::Shop;

use crate::Desk;
use crate::job::Job;
use crate::token::Token;

/// How often somebody who watches is told how far a job is.
const TELL_EVERY: Duration = Duration::from_millis(400);

/// Somebody who watches a job.
pub(super) struct Watch {
    pub(super) desk: Arc<Desk>,
    pub(super) shop: Shop,
    pub(super) id: String,
    pub(super) token: Option<Arc<Token>>,
    /// What he was told last.
    pub(super) told: Option<Job>,
    /// What he is told next, last first.
    pub(super) queue: Vec<Event>,
}

impl Watch {
    /// The next event, and himself as long as there is more to come.
    pub(super) async fn next(mut self) -> Option<(Result<Event, Infallible>, Option<Self>)> {
        loop {
            if let Some(event) = self.queue.pop() {
                let over = self.queue.is_empty()
                    && self.told.as_ref().is_some_and(|job| job.state.is_over());
                return Some((Ok(event), (!over).then_some(self)));
            }
            if self.told.is_some() {
                tokio::time::sleep(TELL_EVERY).await;
            }
            let valid = self.token.as_ref().is_some_and(|t| self.desk.tokens.still_valid(t));
            let job = match self.desk.jobs.find(&self.shop, &self.id).await {
                Ok(Some(job)) if valid => job,
                _ => return None,
            };
            if self.told.as_ref() == Some(&job) {
                continue;
            }
            let told = if job.state.is_over() { "end" } else { "progress" };
            self.queue.extend(Event::default().event(told).json_data(&job));
            let recent = self.desk.jobs.recent(&self.shop, &self.id, self.told.as_ref());
            let rows = recent.iter().rev();
            self.queue
                .extend(rows.filter_map(|row| Event::default().event("row").json_data(row).ok()));
            self.told = Some(job);
        }
    }
}
