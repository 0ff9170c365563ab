//! Whether a plan would make a resource anew in a shop that has nothing.

use backstock_proto::kind::Spec;
use backstock_proto::{Kind, ResourceId, Timestamp};
use serde_json::Value;

use crate::plan::row::{Policy, Subject, Verdict, verdict};
use crate::plan::undo::Run;
use crate::plan::{Action, Modes};

/// What a plan says of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Restorable {
    /// It is made anew, at this cost.
    Anew(f64),
    /// It is kept only; why.
    Archive(String),
    /// No plan would bring it back as it was, and none says why.
    Not(String),
}

/// Plans a resource, as it was at an instant, into an empty shop.
pub(super) fn restorable(
    spec: &'static Spec,
    (kind, id): (&Kind, &ResourceId),
    state: Value,
    at: Timestamp,
) -> Restorable {
    let subject = Subject {
        spec,
        kind: kind.clone(),
        id: id.clone(),
        now: Value::Null,
        runs: vec![Run { before: state.clone(), after: Value::Null }],
        of: Some((at, state)),
        made_since: false,
        seen: None,
        taken_by: None,
        comes_along: false,
    };
    let everything = Policy {
        modes: Modes { create: true, update: true, delete_new: true },
        inventory: true,
        ..Policy::default()
    };
    match verdict(&subject, &everything) {
        Verdict::Row(row) if row.action == Action::Create && row.fields.is_empty() => {
            Restorable::Anew(row.cost)
        }
        Verdict::Row(row) if row.action == Action::Create => {
            let paths: Vec<String> =
                row.fields.iter().map(|field| field.path.to_string()).collect();
            Restorable::Not(format!("a plan would make it otherwise in {}", paths.join(", ")))
        }
        Verdict::Row(row) if row.action == Action::Cannot && !row.notes.is_empty() => {
            Restorable::Archive(row.notes.into_iter().next().unwrap_or_default())
        }
        _ => Restorable::Not("no plan would make it anew, and none says why".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backstock_proto::kind::ALL;
    use serde_json::json;

    #[test]
    fn every_kind_is_made_anew_or_says_why_not() {
        let id = ResourceId::parse("1").expect("an id");
        for spec in ALL.iter().filter(|spec| !spec.pulls.is_empty()) {
            let kind = Kind::of(spec);
            let state = json!({"id": kind.gid(&id), "title": "Mug", "handle": "mug"});
            let found = restorable(spec, (&kind, &id), state, Timestamp::MIN);
            match spec.writable.stays() {
                Some(why) => {
                    let said = matches!(&found, Restorable::Archive(said) if said.contains(why));
                    assert!(said, "{kind}: {found:?}");
                }
                None => assert!(matches!(found, Restorable::Anew(cost) if cost > 0.0), "{kind}"),
            }
        }
    }
}
