//! Scripts that an app puts into the online store.

use serde_json::{Value, json};

use super::{Call, Input, UserError, answer};
use crate::admin::session::Outcome;
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::link;

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    match call.name {
        "scriptTagCreate" | "scriptTagUpdate" => Some(write(shop, call)),
        "scriptTagDelete" => Some(Ok(delete(shop, call))),
        _ => None,
    }
}

fn find(shop: &Shop, call: &Call<'_>) -> Option<Gid> {
    let is_one = |gid: &Gid| gid.type_name() == "ScriptTag" && shop.store.get(*gid).is_some();
    call.args.gid("id").filter(is_one)
}

fn missing(result: &str) -> Value {
    answer(result, Value::Null, vec![UserError::new(&["id"], "Script tag does not exist")])
}

fn write(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let known = find(shop, call);
    if call.name == "scriptTagUpdate" && known.is_none() {
        return Ok(missing("scriptTag"));
    }
    let given = call.args.get("input").cloned().unwrap_or_default();
    let input = Input::of("ScriptTagInput", &given, &["src", "displayScope", "cache"])?;
    if known.is_none() && input.text("src").is_none_or(|src| !src.starts_with("https://")) {
        let error = UserError::new(&["input", "src"], "Source is invalid");
        return Ok(answer("scriptTag", Value::Null, vec![error]));
    }
    let gid = known.unwrap_or_else(|| shop.store.fresh("ScriptTag"));
    if known.is_none() {
        let now = shop.now_text();
        shop.put(
            gid,
            json!({
                "__typename": "ScriptTag", "id": gid.to_string(), "cache": false,
                "displayScope": "ONLINE_STORE", "src": "", "createdAt": now, "updatedAt": now,
            }),
        );
    }
    shop.update(gid, |state| {
        input.copy(state, &[("src", "src"), ("displayScope", "displayScope")]);
        // The schema's own default, on an update too.
        state["cache"] = json!(input.get("cache") == Some(&json!(true)));
    });
    Ok(answer("scriptTag", link(gid), vec![]))
}

fn delete(shop: &mut Shop, call: &Call<'_>) -> Value {
    let Some(gid) = find(shop, call) else { return missing("deletedScriptTagId") };
    shop.remove(gid);
    answer("deletedScriptTagId", json!(gid.to_string()), vec![])
}
