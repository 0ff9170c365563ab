//! What jobs wrote in one shop, in few bytes each.

use std::collections::HashMap;

use backstock_proto::{Kind, Op, ResourceId, Timestamp};

use super::written::Wrote;
use crate::gids::{Beginnings, Short, name};
use crate::write;

/// How long after the last mutation Shopify may date what it did.
pub(super) const SETTLES_MICROS: u64 = 10_000_000;
/// How far Shopify's clock may be behind ours.
pub(super) const BEHIND_MICROS: u64 = 5_000_000;
/// How many steps from an old id to the one of now; more would be a circle.
pub(super) const STEPS_MAX: usize = 64;

/// Held as long as the process runs, for everything that jobs ever wrote: so in few bytes.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// The newest record that was read.
    pub(super) seq: u64,
    /// What gids, jobs and names of resources begin with.
    pub(super) beginnings: Beginnings,
    /// Old gid → new gid.
    pub(super) now: HashMap<Short, Short>,
    /// By the new gid.
    pub(super) made: HashMap<Short, Made>,
    /// By a resource's name, the place of its newest window.
    newest: HashMap<Short, u32>,
    windows: Vec<Window>,
}

/// Where something with a new gid comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made {
    /// The gid that it had.
    pub(super) was: Short,
    /// The job that made it.
    pub(super) by: Short,
}

/// When a job wrote a resource.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) job: Short,
    /// The place of the resource's window before; `u32::MAX` if this is the first.
    before: u32,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) made: Box<[u32]>,
    /// Whether the job deleted it.
    deleted: bool,
}

impl Window {
    /// Whether this can be what the job did with all of it.
    pub(super) fn is_whole(&self, op: Op) -> bool {
        let may_be = match op {
            Op::Delete => self.deleted,
            Op::Create => !self.deleted,
            Op::Update => true,
        };
        may_be && self.made.is_empty()
    }

    pub(super) fn has(&self, at: Timestamp) -> bool {
        self.from.micros_since(at) <= BEHIND_MICROS && at.micros_since(self.to) <= SETTLES_MICROS
    }
}

impl Book {
    pub(super) fn add(&mut self, wrote: &Wrote) {
        let job = self.beginnings.add(&wrote.job);
        // A level is found by its item and its place.
        let is_stock = wrote.kind.spec().is_some_and(write::is_stock);
        for (old, new) in wrote.ids.iter().filter(|(old, new)| !is_stock && old != new) {
            let (was, new) = (self.beginnings.add(old), self.beginnings.add(new));
            self.now.insert(was, new);
            self.made.insert(new, Made { was, by: job });
        }
        // A row that is tried again begins when it first did.
        let is_same =
            |window: &Window| (window.job, window.from, window.to) == (job, wrote.from, wrote.to);
        if self.windows(&wrote.kind, &wrote.id).any(is_same) {
            return;
        }
        let place = u32::try_from(self.windows.len()).unwrap_or(u32::MAX);
        let name = self.beginnings.add(&name(&wrote.kind, &wrote.id));
        let before = self.newest.insert(name, place).unwrap_or(u32::MAX);
        let (from, to, made) = (wrote.from, wrote.to, wrote.made.as_slice().into());
        let deleted = wrote.made.is_empty() && wrote.hash.is_none();
        self.windows.push(Window { job, before, from, to, made, deleted });
    }

    /// When jobs wrote a resource, the last time first.
    pub(super) fn windows(&self, kind: &Kind, id: &ResourceId) -> impl Iterator<Item = &Window> {
        let name = self.beginnings.find(&name(kind, id));
        let newest = name.and_then(|name| self.newest.get(&name)).copied();
        let windows = &self.windows;
        let at = move |place: u32| windows.get(place as usize);
        std::iter::successors(newest.and_then(at), move |window| at(window.before))
    }

    pub(super) fn made_of(&self, gid: &str) -> Option<Made> {
        self.made.get(&self.beginnings.find(gid)?).copied()
    }

    /// Goes from a gid as far as it leads; `None` if it leads nowhere.
    pub(super) fn follow(
        &self,
        gid: &str,
        step: impl Fn(Short) -> Option<Short>,
    ) -> Option<String> {
        let last = self.lead(self.beginnings.find(gid)?, step)?;
        Some(self.beginnings.text(last))
    }

    pub(super) fn lead(&self, from: Short, step: impl Fn(Short) -> Option<Short>) -> Option<Short> {
        let mut at = step(from)?;
        for _ in 0..STEPS_MAX {
            match step(at) {
                Some(next) if next != from => at = next,
                _ => break,
            }
        }
        Some(at)
    }
}
