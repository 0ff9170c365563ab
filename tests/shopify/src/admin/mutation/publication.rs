//! Where products and collections are to be seen.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Call, UserError, done, failed};
use crate::admin::session::{Outcome, not_simulated};
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::{link, target};

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    match call.name {
        "publishablePublish" => Some(set(shop, call, true)),
        "publishableUnpublish" => Some(set(shop, call, false)),
        _ => None,
    }
}

fn set(shop: &mut Shop, call: &Call<'_>, publish: bool) -> Outcome<Value> {
    let gid = call.args.gid("id").filter(|gid| shop.store.get(*gid).is_some());
    let Some(gid) = gid else {
        let error = UserError::new(&["id"], "Resource does not exist");
        return Ok(failed("publishable", vec![error]));
    };
    if !matches!(gid.type_name(), "Product" | "Collection") {
        return Err(not_simulated(format_args!("publishing a {}", gid.type_name())));
    }
    let inputs = call.args.get("input").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut wanted = Vec::new();
    for (at, input) in inputs.iter().enumerate() {
        let at = at.to_string();
        let publication = input["publicationId"].as_str().and_then(|id| id.parse::<Gid>().ok());
        let known = publication.and_then(|gid| Some((gid, shop.store.get(gid)?)));
        let Some((publication, state)) = known else {
            let error =
                UserError::new(&["input", &at, "publicationId"], "Publication does not exist");
            return Ok(failed("publishable", vec![error]));
        };
        let date = input["publishDate"].as_str();
        let future =
            date.and_then(|at| at.parse::<Timestamp>().ok()).is_some_and(|at| at > shop.now());
        if future && state["supportsFuturePublishing"] != true {
            let message = "Publish date can only be set for the online store channel";
            let error = UserError::new(&["input", &at, "publishDate"], message);
            return Ok(failed("publishable", vec![error]));
        }
        wanted.push((publication, date.map(str::to_owned), future));
    }
    let now = shop.now_text();
    shop.update(gid, |state| {
        let mut entries = state["resourcePublicationsV2"].as_array().cloned().unwrap_or_default();
        for (publication, date, future) in wanted {
            entries.retain(|entry| target(&entry["publication"]) != Some(publication));
            if publish {
                entries.push(json!({
                    "__typename": "ResourcePublicationV2", "publication": link(publication),
                    "publishDate": date.as_ref().unwrap_or(&now), "isPublished": !future,
                }));
            }
            let online = publication == Gid::nth("Publication", 0);
            if online && state.get("publishedAt").is_some_and(|at| at.is_null() == publish) {
                state["publishedAt"] = match publish && !future {
                    true => json!(date.as_ref().unwrap_or(&now)),
                    false => Value::Null,
                };
            }
        }
        state["resourcePublicationsV2"] = json!(entries);
    });
    let topic = if gid.type_name() == "Product" { "products/update" } else { "collections/update" };
    shop.announce(topic, gid);
    Ok(done("publishable", link(gid)))
}
