//! When pages and articles can be seen: one date says it, or its absence.

use serde_json::{Map, Value};

/// What is sent for `isPublished` and `publishedAt`: the date, be it past or to come; without one,
/// whether it can be seen at all.
pub(super) fn whole(want: &Value) -> Map<String, Value> {
    let mut fields = Map::new();
    match (&want["isPublished"], &want["publishedAt"]) {
        (_, Value::String(date)) => {
            fields.insert("publishDate".into(), date.as_str().into());
        }
        (Value::Bool(published), _) => {
            fields.insert("isPublished".into(), (*published).into());
        }
        _ => {}
    }
    fields
}

/// As [`whole`], where anything of it differs.
pub(super) fn changed(now: &Value, want: &Value) -> Map<String, Value> {
    let differs = |name: &&str| want.get(*name).is_some_and(|wanted| *wanted != now[*name]);
    match ["isPublished", "publishedAt"].iter().any(differs) {
        true => whole(want),
        false => Map::new(),
    }
}
