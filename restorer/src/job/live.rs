//! What the shop has now, canonical: as history would keep it.

use std::collections::{HashMap, HashSet};

use backstock_proto::admin::ask::{AskError, Asker};
use backstock_proto::kind::Spec;
use backstock_proto::kind::pull::{Pull, Way};
use backstock_proto::{Facet, ResourceId, union};
use serde_json::Value;

/// Most resources that are asked for at once.
const TOGETHER_MAX: usize = 25;

/// How much of a resource is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Its core, and what the same question brings.
    Core,
    /// All of it.
    Whole,
}

/// How many resources of a kind are asked for together.
pub(super) fn together(spec: &'static Spec) -> usize {
    let of_core = by_id(spec, Extent::Core).next();
    let ids_max = of_core.map_or(TOGETHER_MAX, |pull| match pull.way {
        Way::ById { ids_max, .. } => ids_max,
        _ => TOGETHER_MAX,
    });
    ids_max.min(TOGETHER_MAX)
}

/// Some resources as they are now. What is not among them is not there.
pub(super) async fn read(
    asker: &Asker,
    spec: &'static Spec,
    ids: &[ResourceId],
    extent: Extent,
) -> Result<HashMap<ResourceId, Value>, AskError> {
    let mut found: HashMap<ResourceId, Value> = HashMap::new();
    let mut cores: HashSet<ResourceId> = HashSet::new();
    let mut any = false;
    for pull in by_id(spec, extent) {
        any = true;
        let Way::ById { ids_max, .. } = &pull.way else { continue };
        for some in ids.chunks(*ids_max) {
            for node in asker.by_id(spec, pull, some).await? {
                add((&mut found, &mut cores), spec, pull, &node)?;
            }
        }
    }
    if !any {
        // A kind that is only read as a whole.
        for pull in spec.pulls.iter().filter(|pull| !matches!(pull.way, Way::Bulk { .. })) {
            for node in asker.all(pull).await? {
                if (spec.id)(&node).is_some_and(|id| ids.contains(&id)) {
                    add((&mut found, &mut cores), spec, pull, &node)?;
                }
            }
        }
    }
    // Parts without a core are parts of nothing.
    found.retain(|id, _| cores.contains(id));
    Ok(found)
}

fn by_id(spec: &'static Spec, extent: Extent) -> impl Iterator<Item = &'static Pull> {
    spec.pulls.iter().filter(move |pull| {
        let by_id = matches!(pull.way, Way::ById { .. });
        by_id && (extent == Extent::Whole || pull.facets.contains(&Facet::Core))
    })
}

/// Adds what a node tells to what is known of its resource.
fn add(
    (found, cores): (&mut HashMap<ResourceId, Value>, &mut HashSet<ResourceId>),
    spec: &'static Spec,
    pull: &'static Pull,
    node: &Value,
) -> Result<(), AskError> {
    let Some(id) = (spec.id)(node) else { return Ok(()) };
    for members in spec.facets.iter().filter(|members| pull.facets.contains(&members.facet)) {
        let Some(part) = members.of(node) else { continue };
        if members.facet == Facet::Core {
            cores.insert(id.clone());
        }
        let state = (spec.node)(members.facet, &part)
            .map_err(|e| AskError::Fault(format!("{} {id} cannot be read: {e}", spec.name)))?;
        match found.get_mut(&id) {
            Some(there) => union::add(there, state),
            None => drop(found.insert(id.clone(), state)),
        }
    }
    Ok(())
}
