//! The shop's policies. There is one of each type.

use serde_json::{Value, json};

use super::{Call, UserError, answer};
use crate::admin::session::Outcome;
use crate::shop::Shop;
use crate::store::link;

/// The longest body.
const BODY_MAX: usize = 512 * 1024;

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    (call.name == "shopPolicyUpdate").then(|| Ok(update(shop, call)))
}

fn update(shop: &mut Shop, call: &Call<'_>) -> Value {
    let given = call.args.get("shopPolicy").cloned().unwrap_or_default();
    if given["body"].as_str().is_some_and(|body| body.len() > BODY_MAX) {
        let error = UserError::new(&["shopPolicy", "body"], "Body is too big (maximum is 512 KB)");
        return answer("shopPolicy", Value::Null, vec![error.code("TOO_BIG")]);
    }
    let found = shop.store.live("ShopPolicy").find(|(_, policy)| policy["type"] == given["type"]);
    let Some((gid, _)) = found else {
        let error = UserError::new(&["shopPolicy", "type"], "Policy can't be found");
        return answer("shopPolicy", Value::Null, vec![error]);
    };
    shop.update(gid, |policy| policy["body"] = json!(given["body"].as_str().unwrap_or_default()));
    answer("shopPolicy", link(gid), vec![])
}
