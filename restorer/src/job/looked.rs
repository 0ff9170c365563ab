//! What the shop has, looked at just before it is written.

use std::collections::HashMap;
use std::time::Instant;

use backstock_proto::admin::AdminError;
use backstock_proto::admin::ask::AskError;
use backstock_proto::journal::AsOf;
use backstock_proto::kind::Spec;
use backstock_proto::merge::{self, Field, FieldPath};
use backstock_proto::{ResourceId, ResourceKey, known};
use serde_json::Value;

use super::runner::{RunError, Runner, WAIT_FIRST, is_write};
use crate::plan::{Row, is_referred_to};
use crate::write;
use crate::write::look::{self, Extent};

/// What is known about a row before it is written.
pub(super) struct Looked {
    pub(super) now: Option<Value>,
    pub(super) extent: Extent,
    /// Why nothing is known.
    pub(super) fault: Option<String>,
    /// When it was asked for.
    pub(super) at: Instant,
}

impl Runner {
    /// What the shop has of some rows of the same kind.
    pub(super) async fn look_at(&self, rows: Vec<Row>) -> Result<Vec<(Row, Looked)>, RunError> {
        self.left_open(self.looked_at(rows).await)
    }

    async fn looked_at(&self, rows: Vec<Row>) -> Result<Vec<(Row, Looked)>, RunError> {
        self.gate()?;
        let spec = rows.first().filter(|row| is_write(row.action)).and_then(|row| row.kind.spec());
        let at = Instant::now();
        let looked = |now, fault| Looked { now, extent: Extent::Core, fault, at };
        let Some(spec) = spec else {
            return Ok(rows.into_iter().map(|row| (row, looked(None, None))).collect());
        };
        let (came, rows): (Vec<Row>, Vec<Row>) =
            rows.into_iter().partition(|row| self.came_whole(row));
        let mut all: Vec<_> = came.into_iter().map(|row| (row, looked(None, None))).collect();
        if rows.is_empty() {
            return Ok(all);
        }
        // What others refer to may be large, and is read when it is written.
        if rows.iter().all(|row| !is_referred_to(&row.kind)) {
            self.read_ahead(&rows).await?;
        }
        let ids: Vec<ResourceId> = rows.iter().map(|row| self.id_now(spec, row)).collect();
        match self.read(spec, &ids, Extent::Core).await? {
            Ok(mut found) => {
                let found = rows.into_iter().zip(ids).map(|(row, id)| {
                    let now = found.remove(&id);
                    (row, looked(now, None))
                });
                all.extend(found);
            }
            Err(fault) if rows.len() == 1 => {
                all.extend(rows.into_iter().map(|row| (row, looked(None, Some(fault.clone())))));
            }
            // One of them keeps all from being read.
            Err(_) => {
                for row in rows {
                    let looked = self.look_again(&row, Extent::Core).await?;
                    all.push((row, looked));
                }
            }
        }
        Ok(all)
    }

    /// What the shop has of one row.
    pub(super) async fn look_again(&self, row: &Row, extent: Extent) -> Result<Looked, RunError> {
        let at = Instant::now();
        let Some(spec) = row.kind.spec().filter(|_| is_write(row.action)) else {
            return Ok(Looked { now: None, extent, fault: None, at });
        };
        let id = self.id_now(spec, row);
        Ok(match self.read(spec, std::slice::from_ref(&id), extent).await? {
            Ok(mut found) => Looked { now: found.remove(&id), extent, fault: None, at },
            Err(fault) => Looked { now: None, extent, fault: Some(fault), at },
        })
    }

    /// What the shop has, with the bytes that history knows at the addresses whose bytes are to be
    /// replaced: the shop does not tell of those. `None` where there are none.
    pub(super) async fn with_bytes(
        &self,
        row: &Row,
        fields: &[Field],
        now: &Value,
    ) -> Result<Option<Value>, RunError> {
        let Some(spec) = row.kind.spec() else { return Ok(None) };
        let paths = fields.iter().map(|field| &field.path);
        let paths: Vec<&FieldPath> = paths.filter(|path| write::replaces(spec, path)).collect();
        if paths.is_empty() {
            return Ok(None);
        }
        let key = ResourceKey { id: self.id_now(spec, row), ..self.key(row) };
        let known = self.tools.journal.resource(&key, AsOf::Latest).await?;
        let Some(known) = known.filter(|known| !known.deleted) else { return Ok(None) };
        let mut with = now.clone();
        for path in paths {
            if let Some(bytes) = known::bytes_at(path, &known.state, now) {
                merge::set(&mut with, path, bytes.clone());
            }
        }
        Ok(Some(with))
    }

    /// Some resources as the shop has them, or why it does not say of these.
    pub(super) async fn read(
        &self,
        spec: &'static Spec,
        ids: &[ResourceId],
        extent: Extent,
    ) -> Result<Result<HashMap<ResourceId, Value>, String>, RunError> {
        let mut wait = WAIT_FIRST;
        loop {
            match look::read(&self.asker, spec, ids, extent).await {
                Ok(found) => return Ok(Ok(found)),
                Err(AskError::Admin(AdminError::Unavailable { last, .. })) => {
                    let (shop, job) = (&self.shop, &self.job);
                    tracing::warn!(%shop, %job, error = %last, "the shop does not answer");
                    self.gate()?;
                    self.sleep(&mut wait).await?;
                }
                Err(AskError::Admin(error)) if error.is_of_shop() => {
                    return Err(RunError::Stuck(error.to_string()));
                }
                Err(error @ AskError::FellForward(_)) => {
                    return Err(RunError::Stuck(error.to_string()));
                }
                Err(error) => return Ok(Err(error.to_string())),
            }
        }
    }
}
