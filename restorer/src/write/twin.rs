//! Parts that an earlier try made of something that is there, and did not live to tell of: each is what is
//! wanted under its id of before, and is not made once more.

use std::collections::BTreeMap;

use serde_json::Value;

use super::step::{list, text};
use super::{Around, Written};

/// Has a list of a wanted state name such parts by the ids that they have now. Old gid → new gid of them.
pub(super) async fn take_up(
    around: &dyn Around,
    now: &Value,
    want: &mut Value,
    (member, is_same): (&str, impl Fn(&Value, &Value) -> bool),
) -> BTreeMap<String, String> {
    let mut taken = BTreeMap::new();
    for (old, new) in twins(list(now, member), list(want, member), is_same) {
        if around.may_be_ours(&new).await {
            taken.insert(old, new);
        }
    }
    let wanted = want.get_mut(member).and_then(Value::as_array_mut);
    let Some(list) = wanted.filter(|_| !taken.is_empty()) else { return taken };
    list.retain(|one| !taken.values().any(|new| text(one, "id") == new));
    for one in list {
        if let Some(new) = taken.get(text(one, "id")) {
            one["id"] = new.as_str().into();
        }
    }
    taken
}

/// What is wanted and not there, each with something that is there, is to stay as it is, and is the same but for
/// its id: no plan knows of what nobody heard of. What is there and not wanted stands for it first.
fn twins(
    now: &[Value],
    want: &[Value],
    is_same: impl Fn(&Value, &Value) -> bool,
) -> Vec<(String, String)> {
    let (there, wanted) = (by_id(now), by_id(want));
    let becomes = |one: &Value| wanted.get(text(one, "id")).copied();
    let is_free = |one: &Value| becomes(one).is_none_or(|wanted| wanted == one);
    let mut left: Vec<&Value> = now.iter().filter(|one| is_free(one)).collect();
    left.sort_by_key(|one| becomes(one).is_some());
    let mut twins = Vec::new();
    for old in want.iter().filter(|one| !there.contains_key(text(one, "id"))) {
        let Some(at) = left.iter().position(|new| is_same(old, new)) else { continue };
        let new = left.remove(at);
        if becomes(new).is_some() {
            twins.push((text(old, "id").to_owned(), text(new, "id").to_owned()));
        }
    }
    twins
}

/// What became of something that is there, of which some parts were taken up.
pub(super) fn updated(
    sent: bool,
    mut ids: BTreeMap<String, String>,
    taken: BTreeMap<String, String>,
) -> Written {
    if !sent && taken.is_empty() {
        return Written::Unchanged;
    }
    ids.extend(taken);
    Written::Updated { ids }
}

fn by_id(list: &[Value]) -> BTreeMap<&str, &Value> {
    list.iter().map(|one| (text(one, "id"), one)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_wanted_twice_and_there_once_is_one_and_the_same() {
        let part = |id: &str, name: &str| json!({"id": id, "name": name});
        let found =
            |now: &[Value], want: &[Value]| twins(now, want, |old, new| old["name"] == new["name"]);
        let now = [part("a", "A"), part("new", "B")];
        let want = [part("a", "A"), part("new", "B"), part("old", "B")];
        assert_eq!(found(&now, &want), [("old".to_owned(), "new".to_owned())]);
        assert!(found(&now, &[part("a", "A"), part("old", "B")]).is_empty());
        assert!(found(&now, &[part("new", "B"), part("c", "C")]).is_empty());
        let more = [part("new", "B"), part("gone", "B")];
        assert!(found(&more, &want).is_empty(), "what is not wanted stands for it");
        assert!(found(&now, &now).is_empty());
        let renamed = [part("a", "A"), part("new", "C"), part("old", "B")];
        assert!(found(&now, &renamed).is_empty(), "it is to be another one");
    }
}
