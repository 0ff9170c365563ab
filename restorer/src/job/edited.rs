//! Whether somebody edited what is to be deleted: it would be lost with it.

use backstock_proto::journal::{AsOf, Page, Span};
use backstock_proto::merge::FieldPath;
use serde_json::Value;

use super::decide::differing;
use super::runner::{RunError, Runner};
use crate::plan::Row;
use crate::write;

impl Runner {
    /// Why something is not deleted: somebody changed it since the plan was made, or before and the plan
    /// did not know.
    pub(super) async fn edited(&self, row: &Row, live: &Value) -> Result<Option<String>, RunError> {
        let page = Page { limit: 50, cursor: None };
        let newest = self.tools.journal.versions(&self.key(row), Span::default(), &page).await?;
        let changed = newest.items.iter().find(|version| {
            let at = version.valid_at;
            let since = match row.seen {
                Some(seen) => version.seq > seen,
                None => at > self.plan.made_at,
            };
            let ours = || self.written.job_at(&row.kind, &row.id, at).is_some();
            since && !version.unchanged && version.facet.is_state() && !ours()
        });
        if let Some(version) = changed {
            let at = version.valid_at;
            let why = format!("it was changed at {at}, after the plan was made. Make a new plan");
            return Ok(Some(why));
        }
        let unheard = self.edited_unheard(row, live).await?;
        Ok(unheard
            .map(|path| format!("{path} was changed, and the plan did not know. Make a new plan")))
    }

    /// A field that is otherwise than history has it, if that is not our own doing.
    async fn edited_unheard(&self, row: &Row, live: &Value) -> Result<Option<FieldPath>, RunError> {
        let Some(spec) = row.kind.spec() else { return Ok(None) };
        let known = self.tools.journal.resource(&self.key(row), AsOf::Latest).await?;
        let Some(known) = known.filter(|known| !known.deleted) else { return Ok(None) };
        if self.written.wrote_since(&row.kind, &row.id, known.version.valid_at) {
            return Ok(None);
        }
        let (mut was, mut is) = (known.state, live.clone());
        spec.leave_out_beside(&mut was);
        spec.leave_out_beside(&mut is);
        let mut paths = differing(was, is);
        Ok(paths.find(|path| !write::incidental(spec, path, live) && !write::drifts(spec, path)))
    }
}
