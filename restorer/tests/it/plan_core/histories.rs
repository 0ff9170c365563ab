//! Random histories: everything of the app's is undone, everything that others did stays, and every
//! conflict is listed.

use std::collections::{BTreeMap, BTreeSet};

use backstock_proto::merge::{self, OnConflict};
use backstock_restorer::plan::row::{Policy, Verdict, verdict};
use backstock_restorer::plan::undo::{Run, undo};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{base, subject};

/// One edit of a product.
#[derive(Clone, Debug)]
struct Edit {
    by_app: bool,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    /// A text member, by its number.
    Text(u8),
    /// The price of a variant, by its number.
    Price(u8),
    /// A tag is added, or taken out if it is there.
    Tag(u8),
}

const TEXTS: [&str; 3] = ["title", "vendor", "descriptionHtml"];

/// The state after an edit, which writes what nobody wrote before.
fn edited(state: &Value, edit: &Edit, n: usize) -> Value {
    let mut state = state.clone();
    match edit.what {
        What::Text(member) => {
            state[TEXTS[usize::from(member)]] = json!(format!("{n} by {}", edit.by_app));
        }
        What::Price(variant) => {
            state["variants"][usize::from(variant)]["price"] = n.to_string().into()
        }
        What::Tag(tag) => {
            let tag = format!("{}", char::from(b'a' + tag));
            let tags =
                state["tags"].as_array().expect("tags").iter().map(|t| t.as_str().expect("text"));
            let mut tags: BTreeSet<String> = tags.map(str::to_owned).collect();
            if !tags.remove(&tag) {
                tags.insert(tag);
            }
            state["tags"] = tags.into_iter().collect();
        }
    }
    state
}

/// What is edited, as one name.
fn name(what: &What) -> String {
    format!("{what:?}")
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let what = prop_oneof![
        (0..3u8).prop_map(What::Text),
        (0..3u8).prop_map(What::Price),
        (0..3u8).prop_map(What::Tag)
    ];
    let edit = (any::<bool>(), what).prop_map(|(by_app, what)| Edit { by_app, what });
    proptest::collection::vec(edit, 0..24)
}

/// The states of a history, first to last, and the app's stretches, newest first.
fn told(edits: &[Edit]) -> (Vec<Value>, Vec<Run>) {
    let mut states = vec![base()];
    for (n, edit) in edits.iter().enumerate() {
        let next = edited(&states[n], edit, n + 1);
        states.push(next);
    }
    let mut runs: Vec<Run> = Vec::new();
    let mut neighbour = false;
    for (n, edit) in edits.iter().enumerate().rev() {
        if edit.by_app {
            match runs.last_mut().filter(|_| neighbour) {
                Some(run) => run.before = states[n].clone(),
                None => runs.push(Run { before: states[n].clone(), after: states[n + 1].clone() }),
            }
        }
        neighbour = edit.by_app;
    }
    (states, runs)
}

proptest! {
    /// A history without the app's edits is what is left when they are taken back.
    #[test]
    fn the_app_is_undone_and_everybody_else_stays(edits in edits()) {
        let (states, runs) = told(&edits);
        let now = states.last().expect("a state").clone();
        let undone = undo(&now, &runs, OnConflict::Keep, |_| true);
        // A tag that somebody toggled is judged by whether it is there, not by who said so last.
        let tags = edits.iter().any(|edit| matches!(edit.what, What::Tag(_)));
        let mut last: BTreeMap<String, (usize, bool)> = BTreeMap::new();
        let mut want = base();
        for (n, edit) in edits.iter().enumerate() {
            last.insert(name(&edit.what), (n, edit.by_app));
            if !edit.by_app && !matches!(edit.what, What::Tag(_)) {
                want = edited(&want, edit, n + 1);
            }
        }
        want["tags"] = undone.state["tags"].clone();
        prop_assert_eq!(&undone.state, &want);
        for tag in 0..3u8 {
            let is_there = |state: &Value| {
                let name = json!(char::from(b'a' + tag).to_string());
                state["tags"].as_array().is_some_and(|tags| tags.contains(&name))
            };
            let toggled = |by_app: bool| {
                let of = |e: &Edit| e.by_app == by_app && matches!(e.what, What::Tag(t) if t == tag);
                edits.iter().any(of)
            };
            match (toggled(true), toggled(false)) {
                (true, true) => {}
                (true, false) => prop_assert_eq!(is_there(&undone.state), is_there(&base())),
                (false, _) => prop_assert_eq!(is_there(&undone.state), is_there(&now)),
            }
        }
        if !tags {
            let conflicts = last.iter().filter(|(what, (n, by_app))| {
                let app_before = |e: &Edit| e.by_app && name(&e.what) == **what;
                !by_app && edits[..*n].iter().any(app_before)
            });
            // Also where the app wrote over others, who had written over the app.
            let over: BTreeSet<String> = edits.iter().enumerate().filter_map(|(n, edit)| {
                let what = name(&edit.what);
                let earlier = |e: &Edit| e.by_app && name(&e.what) == what;
                (!edit.by_app && edits[..n].iter().any(earlier)).then(|| what.clone())
            }).collect();
            prop_assert!(conflicts.count() <= undone.kept.len());
            prop_assert_eq!(undone.kept.len(), over.len(), "{:?}", undone.kept);
        }
    }

    /// Whatever the rows say makes the state that is wanted of the one that is there.
    #[test]
    fn the_fields_of_a_row_make_what_is_wanted(edits in edits()) {
        let (states, runs) = told(&edits);
        let now = states.last().expect("a state").clone();
        let want = undo(&now, &runs, OnConflict::Keep, |_| true).state;
        let mut made = now.clone();
        match verdict(&subject(now.clone(), runs), &Policy::default()) {
            Verdict::Row(row) => {
                for field in &row.fields {
                    prop_assert_eq!(
                        merge::get(&now, &field.path).unwrap_or(&Value::Null), &field.old
                    );
                    merge::set(&mut made, &field.path, field.new.clone());
                }
            }
            other => prop_assert_eq!(other, Verdict::Same),
        }
        prop_assert_eq!(made, want);
    }

    /// Overwriting leaves nothing of the app's, and asks nobody.
    #[test]
    fn overwriting_keeps_nothing(edits in edits()) {
        let (states, _) = told(&edits);
        let now = states.last().expect("a state").clone();
        let all = vec![Run { before: base(), after: now.clone() }];
        let undone = undo(&now, &all, OnConflict::Overwrite, |_| true);
        prop_assert_eq!(undone.state, base());
        prop_assert!(undone.kept.is_empty());
    }
}
