//! What is normal in a shop: the most that ordinary change-sets did, so that its own sales, imports
//! and clear-outs are not taken for harm.

use std::collections::{BTreeMap, BTreeSet};

use crate::change_set::{ActorKind, ChangeSet, Harm};

/// What ordinary change-sets did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Normal {
    most: BTreeMap<(Harm, ActorKind), u64>,
    familiar: BTreeSet<Box<str>>,
}

impl Normal {
    /// Learns from a change-set that was nobody's worry.
    pub fn learn(&mut self, set: &ChangeSet) {
        for damage in &set.damage {
            let most = self.most.entry((damage.harm, set.actor.kind)).or_default();
            *most = (*most).max(damage.count);
        }
        let known = self.familiar.contains(set.actor.name.as_str());
        if set.actor.kind != ActorKind::Unknown && !known {
            self.familiar.insert(set.actor.name.as_str().into());
        }
    }

    /// The most harm of this sort that actors of this sort did.
    pub fn most(&self, harm: Harm, actor: ActorKind) -> u64 {
        self.most.get(&(harm, actor)).copied().unwrap_or_default()
    }

    /// Whether this actor has worked here before.
    pub fn knows(&self, actor: &str) -> bool {
        self.familiar.contains(actor)
    }
}
