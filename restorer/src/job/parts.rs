//! What belongs to a resource and is written for itself: the files that a theme is made of, the
//! location that a company is made with, what is counted of a variant.

use std::collections::{BTreeMap, HashMap};

use backstock_proto::journal::AsOf;
use backstock_proto::resource::gid_type;
use backstock_proto::{Kind, ResourceId};
use futures::TryStreamExt;
use serde_json::Value;

use super::decide::{Change, change};
use super::runner::{RunError, Runner};
use crate::plan::{Action, Row};

impl Runner {
    /// What is written for itself and is needed to make something anew.
    pub(super) async fn parts(&self, gid: &str) -> Result<Vec<Value>, RunError> {
        match gid_type(gid) {
            Some("Company") => {
                let first = self.first_locations.get_or_try_init(|| self.locations_to_come());
                Ok(first.await?.get(gid).cloned().into_iter().collect())
            }
            Some("InventoryItem") => {
                let counted = self.counted(&[gid]).await?.into_iter().flatten();
                Ok(counted.map(|(_, state)| state).collect())
            }
            _ => self.files(gid).await,
        }
    }

    /// The first of the locations that the plan makes anew, of each company.
    async fn locations_to_come(&self) -> Result<HashMap<String, Value>, RunError> {
        let mut first: HashMap<String, Value> = HashMap::new();
        for n in self.plan.pieces() {
            let rows = self.piece_on_record(n).await?;
            let is_made = |row: &&Row| {
                row.kind.as_str() == "company_location"
                    && row.action == Action::Create
                    && !self.deselected.contains(&row.n)
            };
            for row in rows.iter().filter(is_made) {
                let Some(location) = self.as_it_was(row).await? else { continue };
                let Some(company) = location["company"]["id"].as_str() else { continue };
                first.entry(company.to_owned()).or_insert(location);
            }
        }
        Ok(first)
    }

    /// The files of a theme as the plan wants them: those that it has, or had under an id of before, and what
    /// the plan makes of them.
    async fn files(&self, gid: &str) -> Result<Vec<Value>, RunError> {
        let Some(kind) = Kind::parse("theme_file").ok() else { return Ok(Vec::new()) };
        let Some(spec) = kind.spec() else { return Ok(Vec::new()) };
        let theme = gid.rsplit('/').next().unwrap_or_default();
        let is_of = |id: &ResourceId| id.as_str().split('-').next() == Some(theme);
        let mut files: BTreeMap<ResourceId, Value> = BTreeMap::new();
        let journal = &self.tools.journal;
        let mut there = journal.snapshot(&self.shop, AsOf::Latest, Some(&kind)).await?;
        while let Some(file) = there.try_next().await? {
            let now = self.written.id_now(spec, &file.id);
            if is_of(&file.id) {
                files.insert(now, file.state);
            } else if is_of(&now) {
                files.entry(now).or_insert(file.state);
            }
        }
        for n in self.plan.pieces() {
            let rows = self.piece_on_record(n).await?;
            for row in rows.iter().filter(|row| row.kind == kind) {
                let id = self.id_now(spec, row);
                if !is_of(&id) {
                    continue;
                }
                match row.action {
                    Action::Create => {
                        let state = self.as_it_was(row).await?;
                        files.extend(state.map(|state| (id, state)));
                    }
                    Action::Update => {
                        if let Some(state) = files.get_mut(&id)
                            && let Change::Make(want) =
                                change(state, state, &row.fields, &|_| false, &|_| true)
                        {
                            *state = want;
                        }
                    }
                    Action::Delete => drop(files.remove(&id)),
                    Action::Keep | Action::Cannot => {}
                }
            }
        }
        Ok(files.into_values().collect())
    }
}
