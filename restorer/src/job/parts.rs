//! What belongs to a resource and is written for itself: the files that a theme is made of.

use std::collections::BTreeMap;

use backstock_proto::journal::AsOf;
use backstock_proto::{Kind, ResourceId};
use futures::TryStreamExt;
use serde_json::Value;

use super::decide::{Change, change};
use super::runner::{RunError, Runner};
use crate::plan::Action;

impl Runner {
    /// The files of a theme as the plan wants them: those that it has, and what the plan makes of
    /// them.
    pub(super) async fn parts(&self, gid: &str) -> Result<Vec<Value>, RunError> {
        let Some(kind) = Kind::parse("theme_file").ok() else { return Ok(Vec::new()) };
        let theme = gid.rsplit('/').next().unwrap_or_default();
        let is_of = |id: &ResourceId| id.as_str().split('-').next() == Some(theme);
        let mut files: BTreeMap<ResourceId, Value> = BTreeMap::new();
        let journal = &self.tools.journal;
        let mut there = journal.snapshot(&self.shop, AsOf::Latest, Some(&kind)).await?;
        while let Some(file) = there.try_next().await? {
            if is_of(&file.id) {
                files.insert(file.id, file.state);
            }
        }
        let mut n = 0;
        while let Some(rows) = self.piece(n).await? {
            n += 1;
            for row in rows.iter().filter(|row| row.kind == kind && is_of(&row.id)) {
                match row.action {
                    Action::Create => {
                        let state = self.as_it_was(row).await?;
                        files.extend(state.map(|state| (row.id.clone(), state)));
                    }
                    Action::Update => {
                        if let Some(state) = files.get_mut(&row.id)
                            && let Change::Make(want) = change(state, &row.fields)
                        {
                            *state = want;
                        }
                    }
                    Action::Delete => drop(files.remove(&row.id)),
                    Action::Keep | Action::Cannot => {}
                }
            }
        }
        Ok(files.into_values().collect())
    }
}
