//! What was made anew is one thing, whichever of its ids something is told under.

use std::collections::HashMap;

use backstock_proto::{Kind, ResourceId};

use super::candidate::Candidate;
use super::gather::Gather;
use super::select::Selection;
use crate::gids::{Gids, name};

impl Gather<'_> {
    /// Whether a resource may be in a selection, by whichever of its ids.
    pub(super) fn is_selected(&self, selection: &Selection, kind: &Kind, id: &ResourceId) -> bool {
        let by_another = || {
            let Some(spec) = kind.spec().filter(|_| !selection.ids.is_empty()) else {
                return false;
            };
            let now = self.anew.id_now(spec, id);
            selection.has(kind, &now)
                || self.anew.ids_before(spec, &now).iter().any(|id| selection.has(kind, id))
        };
        selection.has(kind, id) || by_another()
    }

    /// Takes what was made anew for the thing itself: it is told under its old id as gone and under
    /// its new one as new, and is neither.
    pub(super) fn follow(&self, found: &mut Vec<Candidate>) {
        let is_new = |candidate: &Candidate| !candidate.before && candidate.after;
        if !found.iter().any(is_new) {
            return;
        }
        let gone = found.iter().filter(|candidate| candidate.before && !candidate.after);
        let mut continued = Gids::default();
        continued.extend(gone.map(|gone| name(&gone.kind, &self.anew.id_now(gone.spec, &gone.id))));
        found.retain(|one| !(is_new(one) && continued.contains(&name(&one.kind, &one.id))));
    }

    /// Takes versions under several ids of the same thing together: what was done to it before it was made
    /// anew and what was done since is taken back as one.
    pub(super) fn join(&self, found: &mut Vec<Candidate>) {
        let is_old = |one: &mut Candidate| self.anew.id_now(one.spec, &one.id) != one.id;
        let mut old: Vec<Candidate> = found.extract_if(.., is_old).collect();
        if old.is_empty() {
            return;
        }
        let mut places: HashMap<String, usize> =
            found.iter().enumerate().map(|(at, one)| (name(&one.kind, &one.id), at)).collect();
        old.sort_by_cached_key(|one| {
            let now = self.anew.id_now(one.spec, &one.id);
            let before = self.anew.ids_before(one.spec, &now);
            before.iter().position(|id| *id == one.id)
        });
        for one in old {
            let now = name(&one.kind, &self.anew.id_now(one.spec, &one.id));
            match places.get(&now) {
                Some(at) => found[*at].began_as(one),
                None => {
                    places.insert(now, found.len());
                    found.push(one);
                }
            }
        }
    }
}

impl Candidate {
    /// It is what another one was, under an id of before.
    fn began_as(&mut self, other: Self) {
        self.before = other.before;
        let mut earlier = std::mem::take(&mut self.earlier).into_vec();
        earlier.push((other.id, other.seqs));
        self.earlier = earlier.into();
    }
}

#[cfg(test)]
mod tests {
    use backstock_proto::kind::Spec;
    use backstock_proto::merge::Field;
    use serde_json::{Value, json};

    use super::*;
    use crate::change_set::Undone;
    use crate::fake::{self, Fake};
    use crate::plan::gather::{Anew, Scope};

    /// Page 1, which a job made anew as page 2.
    struct Once;

    impl Anew for Once {
        fn id_now(&self, _: &'static Spec, _: &ResourceId) -> ResourceId {
            page("2")
        }
        fn ids_before(&self, _: &'static Spec, id: &ResourceId) -> Vec<ResourceId> {
            if *id == page("2") { vec![page("1")] } else { Vec::new() }
        }
        fn first(&self, _: &str) -> Option<String> {
            None
        }
        fn since(&self, _: &Gids) -> Vec<String> {
            Vec::new()
        }
        fn rewrite(&self, state: &mut Value) {
            if state.is_object() {
                state["id"] = json!("gid://shopify/Page/2");
            }
        }
        fn rewrite_field(&self, _: &mut Field) {}
    }

    fn page(id: &str) -> ResourceId {
        ResourceId::parse(id).expect("an id")
    }

    #[tokio::test]
    async fn what_was_done_before_and_after_it_was_made_anew_is_taken_back_as_one() {
        let titled = |id: &str, title: &str| json!({"id": format!("gid://shopify/Page/{id}"), "title": title});
        let mut journal = Fake::default();
        journal.make("page", "1", "2026-11-20T10:00:00Z", &titled("1", "First"));
        journal.remember("page", "1", "2026-11-20T11:00:00Z", &titled("1", "Middle"));
        journal.forget("page", "1", "2026-11-20T12:00:00Z");
        journal.make("page", "2", "2026-11-20T13:00:00Z", &titled("2", "Middle"));
        journal.remember("page", "2", "2026-11-20T14:00:00Z", &titled("2", "Last"));
        let kind = Kind::parse("page").expect("a kind");
        let did = |id: &str, seq: u64| Undone {
            kind: kind.clone(),
            id: page(id),
            seqs: vec![seq],
            made: false,
            gone: false,
        };
        let scope = Scope::Versions(vec![did("1", 101), did("2", 104)]);
        let shop = fake::shop("acme");
        let gather = Gather { journal: &journal, anew: &Once, shop: &shop };
        let select = |id: &str| {
            let mut selection = Selection::default();
            selection.ids.insert((None, page(id)));
            selection
        };
        for named in ["1", "2"] {
            let mut found = gather.candidates(&scope, &select(named)).await.expect("read");
            assert_eq!(found.len(), 1, "it is one thing, by whichever id it is named");
            let subject = gather.subject(found.remove(0), &scope).await.expect("read");
            assert_eq!(subject.id, page("2"));
            let titles = subject.runs.iter().map(|run| (&run.before["title"], &run.after["title"]));
            let expected = [("Middle", "Last"), ("First", "Middle")]
                .map(|(before, after)| (json!(before), json!(after)));
            let expected = expected.iter().map(|(before, after)| (before, after));
            assert!(titles.eq(expected), "{:?}", subject.runs);
        }
        let other = gather.candidates(&scope, &select("3")).await.expect("read");
        assert!(other.is_empty());
    }
}
