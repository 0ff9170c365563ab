//! In which order rows are written: what is referred to before what refers, and what goes after what
//! referred to it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use backstock_proto::journal::AsOf;
use backstock_proto::kind::{ALL, Spec};
use backstock_proto::{Kind, ResourceId};
use serde_json::Value;

use super::candidate::Candidate;
use super::gather::{Gather, Scope, just_before};
use super::row::Policy;
use super::{PlanError, Row};
use crate::write;

/// Puts candidates in the order of their rows: first what has to go before anything else, then by
/// rank. It depends on nothing but the candidates.
pub(crate) fn order(candidates: &mut [Candidate]) {
    candidates.sort_by(|a, b| {
        let frees = b.frees.cmp(&a.frees);
        let kind = place(a.spec).cmp(&place(b.spec));
        let kind = if a.frees { kind.reverse() } else { kind };
        frees.then(kind).then_with(|| by_number(&a.id, &b.id))
    });
}

/// Kinds that go with what they are a part of, if that goes.
const PARTS: [&str; 2] = ["inventory_level", "theme_file"];

/// Puts rows that delete in order: what refers goes before what is referred to, and parts come last,
/// when they may have gone with the whole.
pub(crate) fn order_deletes(rows: &mut [Row]) {
    let place = |row: &Row| (!PARTS.contains(&row.kind.as_str()), row.kind.spec().map(place));
    rows.sort_by(|a, b| place(b).cmp(&place(a)).then_with(|| by_number(&a.id, &b.id)));
}

/// Kinds in the order in which they are written; those that are only kept as received last.
pub(crate) fn in_order(mut kinds: Vec<Kind>) -> Vec<Kind> {
    kinds.sort_by_key(|kind| (kind.spec().map_or((u8::MAX, usize::MAX), place), kind.clone()));
    kinds
}

/// By rank, and within a rank in the order in which kinds are listed: a blog before its articles.
fn place(spec: &Spec) -> (u8, usize) {
    (spec.rank, ALL.iter().position(|known| known.name == spec.name).unwrap_or(usize::MAX))
}

/// Shorter numbers are smaller ones.
pub(super) fn by_number(a: &ResourceId, b: &ResourceId) -> Ordering {
    let key = |id: &ResourceId| id.as_str().len();
    key(a).cmp(&key(b)).then_with(|| a.cmp(b))
}

/// Candidates in order, up to stock, and from there on.
pub(crate) fn until_stock(mut candidates: Vec<Candidate>) -> (Vec<Candidate>, Vec<Candidate>) {
    let stock = ALL.iter().copied().find(|spec| write::is_stock(spec)).map(place);
    let at = candidates.partition_point(|c| c.frees || Some(place(c.spec)) < stock);
    let rest = candidates.split_off(at);
    candidates.shrink_to_fit();
    (candidates, rest)
}

/// Finds what is new and has the natural key of something that is to be made anew: it has to go
/// first, or the other one is not made at all.
pub(crate) async fn find_taken(
    gather: &Gather<'_>,
    scope: &Scope,
    candidates: &mut [Candidate],
    policy: &Policy,
) -> Result<(), PlanError> {
    let is_new = |c: &Candidate| !c.before && c.after && !c.spec.natural_key.is_empty();
    let new: BTreeSet<Kind> =
        candidates.iter().filter(|c| is_new(c)).map(|c| c.kind.clone()).collect();
    let gone = |c: &Candidate| c.before && !c.after && new.contains(&c.kind);
    let mut keys: BTreeMap<(Kind, Vec<String>), usize> = BTreeMap::new();
    for n in (0..candidates.len()).filter(|n| gone(&candidates[*n])) {
        let candidate = &candidates[n];
        let key = gather.key(&candidate.kind, &candidate.id);
        let state = match scope {
            Scope::Span(span) => gather.state(&key, AsOf::At(just_before(span.from))).await?,
            Scope::Versions(_) | Scope::Ours(_) => gather.last(&key).await?,
        };
        if let Some(natural) = natural_key(candidate.spec, &state) {
            keys.insert((candidate.kind.clone(), natural), n);
        }
    }
    let kinds: BTreeSet<Kind> = keys.keys().map(|(kind, _)| kind.clone()).collect();
    for n in 0..candidates.len() {
        if !is_new(&candidates[n]) || !kinds.contains(&candidates[n].kind) {
            continue;
        }
        let Candidate { kind, id, spec, did, .. } = candidates[n].clone();
        let mut state = gather.state(&gather.key(&kind, &id), AsOf::Latest).await?;
        // History may not have heard yet of what a job of ours made: it was made like what it had been.
        if let Some(did) = did.filter(|_| state.is_null()) {
            state = gather.last(&gather.key(&kind, &did.row.id)).await?;
        }
        let Some(natural) = natural_key(spec, &state) else { continue };
        let stays = !policy.modes.delete_new || policy.spares(&kind);
        if let Some(gone) = keys.get(&(kind, natural)) {
            candidates[n].frees = policy.modes.create && !stays;
            if stays {
                candidates[*gone].taken_by = Some(Box::new(id));
            }
        }
    }
    Ok(())
}

/// What resources belong to that are named within that only: an article's handle is one among its
/// blog's.
const OWNERS: [(&str, &str); 3] =
    [("article", "/blog/id"), ("company_location", "/company/id"), ("theme_file", "/theme/id")];

/// What no two of a kind have, and its word. Where it is given, it names the resource, whatever that is
/// called.
const UNIQUE: [(&str, &str, &str); 3] = [
    ("company", "/externalId", "external id"),
    ("company_location", "/externalId", "external id"),
    ("discount", "/codes/0/code", "code"),
];

/// What of it a resource has, and the word for that.
fn unique<'a>(spec: &Spec, state: &'a Value) -> Option<(&'a str, &'static str)> {
    let (_, pointer, word) = UNIQUE.iter().find(|(kind, ..)| *kind == spec.name)?;
    let given = state.pointer(pointer)?.as_str().filter(|text| !text.is_empty())?;
    Some((given, *word))
}

/// The words for what a resource's natural key is made of.
pub(super) fn key_words(spec: &Spec, state: &Value) -> String {
    unique(spec, state).map_or_else(|| spec.natural_key.join(" and "), |(_, word)| word.to_owned())
}

/// What names a resource in its shop beside its id, what it belongs to first; `None` where nothing
/// does.
pub(crate) fn natural_key(spec: &Spec, state: &Value) -> Option<Vec<String>> {
    if let Some((given, _)) = unique(spec, state) {
        return Some(vec![String::new(), given.to_lowercase()]);
    }
    let text = |name: &&str| state.get(*name).and_then(Value::as_str).map(str::to_lowercase);
    let parts: Vec<Option<String>> = spec.natural_key.iter().map(text).collect();
    let known = parts.iter().any(|part| part.as_ref().is_some_and(|text| !text.is_empty()));
    let owner = OWNERS.iter().find(|(kind, _)| *kind == spec.name);
    let owner = owner.and_then(|(_, pointer)| state.pointer(pointer)?.as_str().map(str::to_owned));
    known.then(|| {
        owner.into_iter().chain(parts.into_iter().map(Option::unwrap_or_default)).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Action;
    use serde_json::json;

    #[test]
    fn what_is_named_within_its_owner_is_known_with_it() {
        let key = |kind: &str, state: Value| {
            let spec = Kind::parse(kind).expect("kind").spec().expect("understood");
            natural_key(spec, &state)
        };
        let article = |blog: &str| key("article", json!({"handle": "Hello", "blog": {"id": blog}}));
        assert_eq!(article("a"), Some(vec!["a".to_owned(), "hello".to_owned()]));
        assert_ne!(article("a"), article("b"));
        let company = json!({"name": "Acme", "externalId": null, "mainContact": {"id": "c"}});
        assert_eq!(key("company", company), Some(vec!["acme".to_owned(), String::new()]));
        assert_eq!(key("article", json!({"blog": {"id": "a"}})), None);
        let called = |name: &str| key("company", json!({"name": name, "externalId": "C-1"}));
        assert_eq!(called("Acme"), called("Acme Ltd"), "an external id is given once");
        let code =
            |code: &str| key("discount", json!({"title": "Welcome", "codes": [{"code": code}]}));
        assert_ne!(code("TEN"), code("FIVE"), "many codes may have one title");
    }

    #[test]
    fn what_is_taken_is_called_what_it_is() {
        let words = |kind: &str, state: Value| {
            let spec = Kind::parse(kind).expect("kind").spec().expect("understood");
            key_words(spec, &state)
        };
        assert_eq!(words("discount", json!({"title": "A", "codes": [{"code": "TEN"}]})), "code");
        assert_eq!(words("discount", json!({"title": "A"})), "title");
        assert_eq!(words("company", json!({"name": "A", "externalId": "C-1"})), "external id");
        assert_eq!(words("product", json!({"handle": "a"})), "handle");
    }

    #[test]
    fn what_refers_goes_first_and_parts_last() {
        let row = |kind: &str| {
            let (kind, id) =
                (Kind::parse(kind).expect("kind"), ResourceId::parse("1").expect("id"));
            Row::of(&kind, &id, Action::Delete, &Value::Null)
        };
        let mut rows = ["theme_file", "inventory_level", "product", "theme", "menu"].map(row);
        order_deletes(&mut rows);
        let kinds = rows.each_ref().map(|row| row.kind.as_str());
        assert_eq!(kinds, ["theme", "menu", "product", "theme_file", "inventory_level"]);
    }

    #[test]
    fn what_is_referred_to_comes_first() {
        let candidate = |kind: &str, id: &str| {
            let (kind, id) = (Kind::parse(kind).expect("kind"), ResourceId::parse(id).expect("id"));
            Candidate::new(kind, id).expect("understood")
        };
        let mut candidates = vec![
            candidate("article", "1"),
            candidate("blog", "9"),
            candidate("menu", "8"),
            candidate("product", "10"),
            candidate("product", "9"),
            candidate("metaobject_definition", "3"),
            Candidate { frees: true, ..candidate("product", "50") },
        ];
        order(&mut candidates);
        let shown: Vec<String> =
            candidates.iter().map(|c| format!("{} {}", c.kind, c.id)).collect();
        let definition = "metaobject_definition 3";
        assert_eq!(
            shown,
            ["product 50", definition, "product 9", "product 10", "blog 9", "article 1", "menu 8"]
        );
    }
}
