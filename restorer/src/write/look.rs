//! Looks at what is in the shop: resources as they are now, canonical, as history would keep them.

use std::collections::{HashMap, HashSet};

use backstock_proto::admin::Client;
use backstock_proto::admin::ask::{AskError, Asker};
use backstock_proto::kind::Spec;
use backstock_proto::kind::pull::{Pull, Way};
use backstock_proto::{Facet, Kind, ResourceId, Timestamp, union};
use serde_json::Value;

use super::{Around, WriteError};

/// Most resources that are asked for at once.
const TOGETHER_MAX: usize = 25;

/// How much of a resource is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Its core, and what the same question brings.
    Core,
    /// All of it.
    Whole,
}

/// A resource as it is now, all of it; `None`: it is not there.
pub async fn state(
    client: &Client,
    spec: &'static Spec,
    id: &ResourceId,
) -> Result<Option<Value>, WriteError> {
    let asker = Asker { client: client.clone(), share: 1.0, urgent: false };
    let found = read(&asker, spec, std::slice::from_ref(id), Extent::Whole).await;
    Ok(found.map_err(asked)?.remove(id))
}

/// A resource as a plain node tells it, with a further facet that is asked for; `None`: the node does
/// not tell its core.
pub(super) async fn with(
    client: &Client,
    spec: &'static Spec,
    (node, told): (Value, &[Facet]),
    further: Option<Facet>,
) -> Result<Option<Value>, WriteError> {
    let asker = Asker { client: client.clone(), share: 1.0, urgent: false };
    let mut found = Found::default();
    found.add(spec, told, &node).map_err(asked)?;
    drop(node);
    let Some(id) = found.cores.iter().next().cloned() else { return Ok(None) };
    let pulls = by_id(spec, Extent::Whole);
    for pull in pulls.filter(|pull| further.is_some_and(|facet| pull.facets == [facet])) {
        let nodes = match asker.by_id(spec, pull, std::slice::from_ref(&id)).await {
            Err(AskError::Denied(_)) => continue,
            read => read.map_err(asked)?,
        };
        for node in nodes {
            found.add(spec, pull.facets, &node).map_err(asked)?;
        }
    }
    Ok(found.states.remove(&id))
}

/// How many resources of a kind are asked for together.
pub(crate) fn together(spec: &'static Spec) -> usize {
    let of_core = by_id(spec, Extent::Core).next();
    let ids_max = of_core.map_or(TOGETHER_MAX, |pull| match pull.way {
        Way::ById { ids_max, .. } => ids_max,
        _ => TOGETHER_MAX,
    });
    ids_max.min(TOGETHER_MAX)
}

/// Some resources as they are now. What is not among them is not there.
pub(crate) async fn read(
    asker: &Asker,
    spec: &'static Spec,
    ids: &[ResourceId],
    extent: Extent,
) -> Result<HashMap<ResourceId, Value>, AskError> {
    let mut found = Found::default();
    let mut any = false;
    let mut asked = ids.to_vec();
    for pull in by_id(spec, extent) {
        any = true;
        let Way::ById { ids_max, .. } = &pull.way else { continue };
        for some in asked.chunks(*ids_max) {
            let nodes = match asker.by_id(spec, pull, some).await {
                // What the app may not see of it is not known, and left alone.
                Err(AskError::Denied(_)) if !pull.facets.contains(&Facet::Core) => continue,
                read => read?,
            };
            for node in nodes {
                found.add(spec, pull.facets, &node)?;
            }
        }
        if pull.facets.contains(&Facet::Core) {
            asked.retain(|id| found.cores.contains(id));
        }
    }
    if !any {
        // A kind that is only read as a whole.
        for pull in spec.pulls.iter().filter(|pull| !matches!(pull.way, Way::Bulk { .. })) {
            let take = |nodes: Vec<Value>| {
                let asked_for = |node: &&Value| (spec.id)(node).is_some_and(|id| ids.contains(&id));
                let mut nodes = nodes.iter().filter(asked_for);
                nodes.try_for_each(|node| found.add(spec, pull.facets, node))
            };
            asker.all(pull, take).await?;
        }
    }
    found.of(spec, ids)
}

fn by_id(spec: &'static Spec, extent: Extent) -> impl Iterator<Item = &'static Pull> {
    spec.pulls.iter().filter(move |pull| {
        let by_id = matches!(pull.way, Way::ById { .. });
        by_id && (extent == Extent::Whole || pull.facets.contains(&Facet::Core))
    })
}

/// What nodes tell.
#[derive(Default)]
struct Found {
    states: HashMap<ResourceId, Value>,
    /// Those of which the core is told.
    cores: HashSet<ResourceId>,
    /// Those that were to tell it.
    named: HashSet<ResourceId>,
}

impl Found {
    /// Adds what a node tells to what is known of its resource.
    fn add(&mut self, spec: &'static Spec, facets: &[Facet], node: &Value) -> Result<(), AskError> {
        let Some(id) = (spec.id)(node) else { return Ok(()) };
        for members in spec.facets.iter().filter(|members| facets.contains(&members.facet)) {
            let is_core = members.facet == Facet::Core;
            if is_core {
                self.named.insert(id.clone());
            }
            let Some(part) = members.of(node) else { continue };
            if is_core {
                self.cores.insert(id.clone());
            }
            let state = (spec.node)(members.facet, &part)
                .map_err(|e| AskError::Fault(format!("{} {id} cannot be read: {e}", spec.name)))?;
            match self.states.get_mut(&id) {
                Some(there) => union::add(there, state),
                None => drop(self.states.insert(id.clone(), state)),
            }
        }
        Ok(())
    }

    /// The states, where all that was asked for is told as far as it is there.
    fn of(
        mut self,
        spec: &Spec,
        asked: &[ResourceId],
    ) -> Result<HashMap<ResourceId, Value>, AskError> {
        let Self { cores, named, .. } = &self;
        if let Some(id) = asked.iter().find(|id| named.contains(*id) && !cores.contains(*id)) {
            return Err(AskError::Fault(format!(
                "{} {id} is there, and the shop does not say what it is like, or not to this app: try \
                 again later",
                spec.name
            )));
        }
        // Parts without a core are parts of nothing.
        self.states.retain(|id, _| self.cores.contains(id));
        Ok(self.states)
    }
}

/// As [`state`], by a kind's name and a gid that is there.
pub(super) async fn by_gid(
    around: &dyn Around,
    kind: &str,
    gid: &str,
) -> Result<Value, WriteError> {
    let missing = || WriteError::Missing(format!("{gid} is not there any more"));
    let spec = Kind::parse(kind).ok().and_then(|kind| kind.spec());
    let (Some(spec), Ok(id)) = (spec, ResourceId::parse(gid)) else { return Err(missing()) };
    state(around.admin(), spec, &id).await?.ok_or_else(missing)
}

/// How much the shop's clock and ours may differ, and what whole seconds leave out.
const SKEW_S: i64 = 10;

/// The earliest moment at which the shop may say that something was made which this job made.
pub(super) fn earliest(around: &dyn Around) -> Timestamp {
    Timestamp::from_micros(around.began_at().as_micros() - SKEW_S * 1_000_000)
}

/// Whether a resource was made since the job began.
pub(super) fn is_since(around: &dyn Around, state: &Value) -> bool {
    let made = state["createdAt"].as_str().and_then(|at| Timestamp::parse(at).ok());
    made.is_some_and(|made| made >= earliest(around))
}

/// The first of some that an earlier try of this row may have made.
pub(super) async fn first_ours(around: &dyn Around, gids: Vec<&str>) -> Option<String> {
    for gid in gids {
        if around.may_be_ours(gid).await {
            return Some(gid.to_owned());
        }
    }
    None
}

fn asked(error: AskError) -> WriteError {
    match error {
        AskError::Admin(error) => WriteError::Admin(error),
        other => WriteError::Refused(vec![other.to_string()]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_that_could_not_be_read_is_not_taken_for_gone() {
        let spec = Kind::parse("theme_file").expect("a kind").spec().expect("understood");
        let id = |name: &str| ResourceId::parse(&format!("7-assets/{name}")).expect("an id");
        let read = |asked: &str| {
            let mut found = Found::default();
            let owner = json!({"id": "gid://shopify/OnlineStoreTheme/7"});
            let late = json!({"filename": "assets/late.js", "owner": owner});
            let whole = json!({
                "filename": "assets/app.js", "owner": owner, "checksumMd5": "00", "size": "1",
                "contentType": "text/javascript", "body": {"content": "x"},
            });
            for node in [&late, &whole] {
                found.add(spec, &[Facet::Core], node).expect("read");
            }
            found.of(spec, &[id(asked)])
        };
        let fault = read("late.js").expect_err("it is there").to_string();
        assert!(fault.contains("theme_file 7-assets/late.js is there"), "{fault}");
        let gone = read("gone.js").expect("nothing is wrong with that");
        assert_eq!(gone.keys().collect::<Vec<_>>(), [&id("app.js")]);
    }
}
