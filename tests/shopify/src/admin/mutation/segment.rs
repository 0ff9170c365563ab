//! Customer segments: a name and a query.

use serde_json::{Value, json};

use super::{Call, UserError, answer};
use crate::admin::session::Outcome;
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::link;

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    match call.name {
        "segmentCreate" | "segmentUpdate" => Some(Ok(write(shop, call))),
        "segmentDelete" => Some(Ok(delete(shop, call))),
        _ => None,
    }
}

fn find(shop: &Shop, call: &Call<'_>) -> Option<Gid> {
    call.args.gid("id").filter(|gid| gid.type_name() == "Segment" && shop.store.get(*gid).is_some())
}

fn missing(result: &str) -> Value {
    answer(result, Value::Null, vec![UserError::new(&["id"], "Segment does not exist")])
}

fn write(shop: &mut Shop, call: &Call<'_>) -> Value {
    let known = find(shop, call);
    if call.name == "segmentUpdate" && known.is_none() {
        return missing("segment");
    }
    let name = call.args.text("name");
    let taken = name.is_some_and(|name| {
        shop.store.live("Segment").any(|(gid, other)| Some(gid) != known && other["name"] == *name)
    });
    if taken {
        let error = UserError::new(&["name"], "Name has already been taken");
        return answer("segment", Value::Null, vec![error]);
    }
    let gid = known.unwrap_or_else(|| shop.store.fresh("Segment"));
    let now = shop.now_text();
    let mut state = known.and_then(|gid| shop.store.get(gid)).map_or_else(
        || json!({ "__typename": "Segment", "id": gid.to_string(), "creationDate": now }),
        |state| (*state).clone(),
    );
    for field in ["name", "query"] {
        if let Some(value) = call.args.get(field) {
            state[field] = value.clone();
        }
    }
    state["lastEditDate"] = json!(now);
    shop.put(gid, state);
    shop.announce(if known.is_some() { "segments/update" } else { "segments/create" }, gid);
    answer("segment", link(gid), vec![])
}

fn delete(shop: &mut Shop, call: &Call<'_>) -> Value {
    let Some(gid) = find(shop, call) else { return missing("deletedSegmentId") };
    shop.remove(gid);
    shop.announce("segments/delete", gid);
    answer("deletedSegmentId", json!(gid.to_string()), vec![])
}
