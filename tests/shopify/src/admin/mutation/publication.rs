//! Where products and collections are to be seen, and the publications of catalogs.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Call, Input, UserError, done, failed};
use crate::admin::session::{Outcome, not_simulated};
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::{link, target};

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    match call.name {
        "publishablePublish" => Some(set(shop, call, true)),
        "publishableUnpublish" => Some(set(shop, call, false)),
        "publicationCreate" => Some(create(shop, call)),
        "publicationUpdate" => Some(update(shop, call)),
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
        if state["includedProducts"].is_array() {
            return Err(not_simulated(format_args!("{} to a catalog", call.name)));
        }
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

/// Most products in one update.
const UPDATE_MAX: usize = 50;

/// <https://shopify.dev/docs/api/admin-graphql/latest/enums/PublicationUserErrorCode>
fn refusal(field: &[&str], message: &str, code: &str) -> Value {
    failed("publication", vec![UserError::new(field, message).code(code)])
}

/// Makes the publication of a catalog that has none, without any products.
fn create(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = call.args.get("input").cloned().unwrap_or_default();
    let fields = ["autoPublish", "catalogId", "defaultState"];
    let input = Input::of("PublicationCreateInput", &given, &fields)?;
    if input.text("defaultState") == Some("ALL_PRODUCTS") {
        return Err(not_simulated("a publication of all products"));
    }
    let Some(catalog) = input.text("catalogId") else {
        return Err(not_simulated("a publication without a catalog"));
    };
    let catalog = catalog.parse::<Gid>().ok();
    let catalog = catalog.filter(|gid| gid.type_name().ends_with("Catalog"));
    let known = catalog.and_then(|gid| Some((gid, shop.store.get(gid)?)));
    let Some((catalog, state)) = known else {
        let message = "Catalog does not exist.";
        return Ok(refusal(&["input", "catalogId"], message, "CATALOG_NOT_FOUND"));
    };
    if target(&state["publication"]).is_some_and(|gid| shop.store.get(gid).is_some()) {
        return Ok(refusal(&["input", "catalogId"], "Catalog has already been taken", "TAKEN"));
    }
    let gid = shop.store.fresh("Publication");
    let publishes = input.get("autoPublish") == Some(&json!(true));
    shop.put(gid, of_catalog(gid, (catalog, &state["title"]), publishes, &[]));
    shop.update(catalog, |catalog| catalog["publication"] = link(gid));
    Ok(done("publication", link(gid)))
}

/// The publication of a catalog, as it is kept.
pub(crate) fn of_catalog(
    gid: Gid,
    (catalog, title): (Gid, &Value),
    publishes: bool,
    products: &[Gid],
) -> Value {
    let products: Vec<Value> = products.iter().copied().map(link).collect();
    json!({
        "__typename": "Publication", "id": gid.to_string(), "name": title,
        "autoPublish": publishes, "supportsFuturePublishing": false, "catalog": link(catalog),
        "includedProducts": products,
    })
}

/// Puts products into the publication of a catalog, and takes others out.
fn update(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = call.args.get("input").cloned().unwrap_or_default();
    let fields = ["autoPublish", "publishablesToAdd", "publishablesToRemove"];
    let input = Input::of("PublicationUpdateInput", &given, &fields)?;
    let gid = call.args.gid("id").filter(|gid| gid.type_name() == "Publication");
    let known = gid.and_then(|gid| Some((gid, shop.store.get(gid)?)));
    let Some((gid, state)) = known else {
        return Ok(refusal(&["id"], "Publication not found.", "PUBLICATION_NOT_FOUND"));
    };
    if !state["includedProducts"].is_array() {
        return Err(not_simulated("putting products into the publication of an app's catalog"));
    }
    let mut lists: [Vec<Gid>; 2] = Default::default();
    for (list, name) in lists.iter_mut().zip(["publishablesToAdd", "publishablesToRemove"]) {
        for (at, id) in input.list(name).unwrap_or_default().iter().enumerate() {
            let product = id.as_str().and_then(|id| id.parse::<Gid>().ok());
            let product = product.filter(|gid| shop.store.get(*gid).is_some());
            let Some(product) = product else {
                let (at, message) = (at.to_string(), "Publishable ID not found.");
                return Ok(refusal(&["input", name, &at], message, "INVALID_PUBLISHABLE_ID"));
            };
            if product.type_name() != "Product" {
                return Err(not_simulated(format_args!("publishing a {}", product.type_name())));
            }
            list.push(product);
        }
    }
    let [add, remove] = lists;
    if add.len() + remove.len() > UPDATE_MAX {
        let message = "The limit for simultaneous publication updates has been exceeded.";
        return Ok(refusal(&["input"], message, "PUBLICATION_UPDATE_LIMIT_EXCEEDED"));
    }
    shop.update(gid, |state| {
        input.copy(state, &[("autoPublish", "autoPublish")]);
        if let Some(products) = state["includedProducts"].as_array_mut() {
            products.retain(|product| !target(product).is_some_and(|gid| remove.contains(&gid)));
            for product in add.into_iter().map(link) {
                if !products.contains(&product) {
                    products.push(product);
                }
            }
        }
    });
    Ok(done("publication", link(gid)))
}
