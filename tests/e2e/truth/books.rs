//! History held against the shop: as it is at the end, and as it was at every instant.

use std::collections::{BTreeMap, BTreeSet};

use backstock_proto::Timestamp;
use backstock_proto::kind::Spec;
use serde_json::Value;

use super::{Days, LOG, about, carried};
use crate::backstock::text;
use crate::likeness::{self, Likeness};
use crate::pulls::{SHOP, pulled_kinds};
use crate::told::{bare, instant};

impl Days {
    /// Everything of some kinds as history has it at an instant, or now.
    async fn known(&self, kind: &str, at: Option<Timestamp>) -> BTreeMap<String, Value> {
        let lines = self.backstock.snapshot(SHOP, kind, at).await;
        lines.iter().map(|line| (text(line, "id").to_owned(), line["state"].clone())).collect()
    }

    /// Everything of a kind as it really was at an instant, or is now.
    async fn really(&self, spec: &Spec, at: Option<Timestamp>) -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        for of in likeness::types(spec) {
            for truth in self.documents(of, at).await {
                all.insert(likeness::id(spec, &truth), likeness::named(spec, truth));
            }
        }
        all
    }

    /// The simulator's documents of a type.
    async fn documents(&self, of: &str, at: Option<Timestamp>) -> Vec<Value> {
        let at = at.map(|at| format!("&at={at}")).unwrap_or_default();
        self.simulator.lines(&format!("truth?kind={of}{at}")).await
    }

    /// The gids of what others list, and which goes from their lists without a word when it is deleted.
    async fn listed(&self, at: Option<Timestamp>) -> BTreeSet<String> {
        let mut there = BTreeSet::new();
        for of in likeness::LISTED {
            there.extend(self.documents(of, at).await.iter().map(|listed| bare(&listed["id"])));
        }
        there
    }

    /// Every resource of every kind is known as it is.
    pub(super) async fn assert_known_as_it_is(&self) {
        let (mut books, listed) = (Books::default(), self.listed(None).await);
        for spec in pulled_kinds().filter(|spec| spec.name != LOG) {
            let (known, mut really) =
                (self.known(spec.name, None).await, self.really(spec, None).await);
            assert!(!really.is_empty(), "the shop has no {}", spec.name);
            really.values_mut().for_each(|truth| likeness::leave_out_gone(truth, &listed));
            for id in known.keys().chain(really.keys()).collect::<BTreeSet<_>>() {
                books.hold(spec, id, (known.get(id), really.get(id)), "at the end");
            }
        }
        books.close("at the end");
    }

    /// At every instant, or at as many as there are to be, what all webhooks told of is as it was: what
    /// they carry at the end of every second, the rest at moments when it was asked for.
    pub(super) async fn assert_known_as_it_was(&self, instants: usize) {
        let log = self.log().await;
        let lost: BTreeSet<String> = log
            .iter()
            .filter(|line| line["outcome"] != "accepted")
            .flat_map(|line| about(line).map(|(_, gid)| gid).collect::<Vec<_>>())
            .collect();
        let seconds: BTreeSet<i64> =
            log.iter().map(|line| instant(&line["triggered_at"]).as_micros() / 1_000_000).collect();
        let step = (seconds.len() / instants).max(1);
        let ends =
            seconds.iter().step_by(step).map(|s| Timestamp::from_micros(s * 1_000_000 + 999_999));
        let mut books = Books::default();
        for at in ends {
            self.hold_at(at, &lost, carried, &mut books).await;
        }
        for at in &self.moments {
            let told = |spec: &Spec| !spec.topics.is_empty();
            self.hold_at(*at, &lost, told, &mut books).await;
        }
        books.close("at every instant");
    }

    async fn hold_at(
        &self,
        at: Timestamp,
        lost: &BTreeSet<String>,
        which: impl Fn(&Spec) -> bool,
        books: &mut Books,
    ) {
        let listed = self.listed(Some(at)).await;
        for spec in pulled_kinds().filter(|spec| which(spec)) {
            let (mut known, mut really) =
                (self.known(spec.name, Some(at)).await, self.really(spec, Some(at)).await);
            for state in known.values_mut().chain(really.values_mut()) {
                likeness::leave_out_gone(state, &listed);
            }
            for id in known.keys().chain(really.keys()).collect::<BTreeSet<_>>() {
                let (ours, truth) = (known.get(id), really.get(id));
                let gid = ours.or(truth).map(|state| bare(&state["id"])).unwrap_or_default();
                // What only a question tells was not told at the time by a webhook that came late.
                let asked = !carried(spec) || spec.name == "inventory_level";
                if lost.contains(&gid) || asked && self.late.contains(&gid) {
                    continue;
                }
                // Of variants that a webhook has no room for, only a question tells.
                let variants =
                    truth.or(ours).map_or(0, |p| p["variants"].as_array().map_or(0, Vec::len));
                // The stock of a new item is first told of by a question.
                let unsaid = ours.is_none() && spec.name == "inventory_level";
                if spec.name == "product" && variants > 100 || unsaid {
                    continue;
                }
                let told = |state: Option<&Value>| Some(likeness::told_of(spec, state?.clone()));
                books.hold(spec, id, (told(ours).as_ref(), truth), &at.to_string());
            }
        }
    }
}

/// What was compared, and what was not as it should be.
#[derive(Default)]
struct Books {
    resources: BTreeMap<&'static str, u64>,
    values: u64,
    wrong: Vec<String>,
}

impl Books {
    fn hold(
        &mut self,
        spec: &Spec,
        id: &str,
        (ours, truth): (Option<&Value>, Option<&Value>),
        when: &str,
    ) {
        let name = spec.name;
        *self.resources.entry(name).or_default() += 1;
        match (ours, truth) {
            (Some(ours), Some(truth)) => {
                let likeness = Likeness::of(ours, truth);
                self.values += likeness.compared;
                let wrong = likeness.unlike.into_iter();
                self.wrong.extend(wrong.map(|unlike| format!("{name} {id} {when}: {unlike}")));
            }
            (Some(_), None) => self.wrong.push(format!("{name} {id} {when}: is not really there")),
            (None, Some(_)) => self.wrong.push(format!("{name} {id} {when}: is not known")),
            (None, None) => {}
        }
    }

    fn close(self, what: &str) {
        let states: u64 = self.resources.values().sum();
        println!(
            "{what}: {states} states of {} kinds, {} values",
            self.resources.len(),
            self.values
        );
        let some: Vec<&String> = self.wrong.iter().take(60).collect();
        assert!(self.wrong.is_empty(), "{what}: {} are wrong: {some:#?}", self.wrong.len());
        assert!(states > 0, "{what}: nothing was compared");
    }
}
