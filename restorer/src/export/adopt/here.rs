//! What there is in a shop, by its ids and by what it is recognised by.

use std::collections::{HashMap, HashSet, VecDeque};

use backstock_proto::kind::Spec;
use backstock_proto::{Kind, ResourceId};
use serde_json::Value;

use crate::export::name;

/// What names a resource in a shop: its kind, and what it is recognised by.
type Name = (Kind, Vec<String>);

/// What there is in a shop now.
#[derive(Default)]
pub(super) struct Here {
    ids: HashSet<(Kind, ResourceId)>,
    /// Gids of those that are of another type than most of their kind.
    typed: HashMap<(Kind, ResourceId), String>,
    names: HashMap<Name, ResourceId>,
    /// Of kinds that have no names, or may share them, what is alike.
    alike: HashMap<Name, VecDeque<ResourceId>>,
}

impl Here {
    pub(super) fn add(&mut self, kind: &Kind, id: &ResourceId, state: &Value) {
        self.ids.insert((kind.clone(), id.clone()));
        if let Some(gid) = kind.gid_of(id, state).filter(|gid| kind.gid(id).as_ref() != Some(gid)) {
            self.typed.insert((kind.clone(), id.clone()), gid);
        }
        let Some(spec) = kind.spec() else { return };
        let Some(name) = name::name(spec, state) else { return };
        let name = (kind.clone(), name);
        if name::is_shared(spec) {
            self.alike.entry(name.clone()).or_default().push_back(id.clone());
        }
        if !name::is_likeness(spec) {
            self.names.entry(name).or_insert_with(|| id.clone());
        }
    }

    pub(super) fn has(&self, kind: &Kind, id: &ResourceId) -> bool {
        self.ids.contains(&(kind.clone(), id.clone()))
    }

    pub(super) fn gid(&self, kind: &Kind, id: &ResourceId) -> Option<String> {
        let typed = self.typed.get(&(kind.clone(), id.clone())).cloned();
        typed.or_else(|| kind.gid(id))
    }

    /// What has the name of a state.
    pub(super) fn named(&self, (kind, spec): (&Kind, &Spec), state: &Value) -> Option<ResourceId> {
        match name::composed(spec, state) {
            Some(id) => Some(id).filter(|id| self.has(kind, id)),
            None => self.names.get(&(kind.clone(), name::name(spec, state)?)).cloned(),
        }
    }

    /// The first that is like a state, stands for nothing yet, and is by its gid no other one.
    pub(super) fn alike(
        &mut self,
        (kind, spec): (&Kind, &Spec),
        state: &Value,
        is_claimed: impl Fn(&ResourceId) -> bool,
        is_other: impl Fn(&str) -> bool,
    ) -> Option<ResourceId> {
        let name = (kind.clone(), name::name(spec, state)?);
        let alike = self.alike.get_mut(&name)?;
        while alike.front().is_some_and(&is_claimed) {
            alike.pop_front();
        }
        let is_other = |id: &ResourceId| self.gid(kind, id).is_some_and(|gid| is_other(&gid));
        let mut alike = self.alike.get(&name)?.iter();
        alike.find(|id| !is_claimed(id) && !is_other(id)).cloned()
    }
}
