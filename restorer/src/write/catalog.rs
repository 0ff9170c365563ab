//! Catalogs: which prices and products a market or a company's location gets.

use std::collections::BTreeMap;

use backstock_proto::merge::FieldPath;
use serde_json::{Map, Value, json};

use super::crud::unless_refused;
use super::step::{Step, ask, delete, is_unknown, list, patiently, send, text};
use super::{Around, WriteError, Written, assortment, look, publication};

const BY_TITLE: &str = include_str!("graphql/catalogs_by_title.graphql");
const CREATE: &str = include_str!("graphql/catalog_create.graphql");
const UPDATE: &str = include_str!("graphql/catalog_update.graphql");
const DELETE: &str = include_str!("graphql/catalog_delete.graphql");
const UPDATE_LIST: &str = include_str!("graphql/price_list_update.graphql");

/// Brings a catalog from one state to another.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    if [now, want].into_iter().flatten().any(|state| state["type"] == "AppCatalog") {
        return Err(WriteError::Unwritable("the catalog of an app is the app's own".into()));
    }
    match (now, want) {
        (None, None) => Ok(Written::Unchanged),
        (Some(now), None) => {
            let Some(list) = now["priceList"]["id"].as_str() else {
                return delete(around, DELETE, text(now, "id")).await;
            };
            let of = |catalog: &Value| {
                let variables = json!({"id": list, "input": {"catalogId": catalog}});
                Step::setting(UPDATE_LIST, variables)
            };
            // Otherwise Shopify deletes it with the catalog.
            patiently(around, of(&Value::Null)).await?;
            let gone = delete(around, DELETE, text(now, "id")).await;
            if matches!(gone, Err(WriteError::Refused(_))) {
                patiently(around, of(&now["id"])).await?;
            }
            gone
        }
        (Some(now), Some(want)) => {
            let input = changed(now, &present(around, want).await?);
            let mut written = !input.is_empty();
            if written {
                let variables = json!({"id": now["id"], "input": input});
                patiently(around, Step::setting(UPDATE, variables)).await?;
            }
            let mut ids = BTreeMap::new();
            if assortment::differs(now, want) {
                let (any, renamed) = assortment::bring(around, text(now, "id"), want).await?;
                (written, ids) = (written || any, renamed);
            }
            Ok(if written { Written::Updated { ids } } else { Written::Unchanged })
        }
        (None, Some(want)) => {
            let gid = create(around, &present(around, want).await?).await?;
            let mut ids: BTreeMap<String, String> =
                [(text(want, "id").to_owned(), gid.clone())].into();
            if assortment::is_known(want) {
                let brought = assortment::bring(around, &gid, want).await;
                let brought = unless_refused(around, "which products it shows", brought)?;
                ids.extend(brought.into_iter().flat_map(|(_, renamed)| renamed));
            }
            Ok(Written::Created { gid, ids })
        }
    }
}

/// Why a field of a catalog cannot be written, if it cannot.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    match path.member() {
        "apps" => Some("which apps a catalog is for is the apps' own affair"),
        "type" => {
            Some("what a catalog is for is decided when it is made: delete it and restore it")
        }
        _ => None,
    }
}

/// A wanted state without what it refers to and is not there any more.
async fn present(around: &dyn Around, want: &Value) -> Result<Value, WriteError> {
    let mut want = want.clone();
    let single = ["priceList", "publication"].iter().map(|member| text(&want[*member], "id"));
    let mut ids: Vec<String> = single.filter(|id| !id.is_empty()).map(str::to_owned).collect();
    for member in ["markets", "companyLocations"] {
        ids.extend(list(&want, member).iter().map(|entry| text(entry, "id").to_owned()));
    }
    let there = publication::there(around, &ids).await?;
    let is_missing = |entry: &Value| !there.iter().any(|id| id == text(entry, "id"));
    let mut missing = 0;
    let is_lost = want["publication"].is_object() && is_missing(&want["publication"]);
    if is_lost && !assortment::is_known(&want) {
        around.note(format!(
            "which products the catalog “{}” shows did not come back: its publication is not there \
             any more, and a catalog without one shows all products. Choose them in the Shopify admin, \
             on the catalog's page",
            text(&want, "title")
        ));
    }
    for member in ["priceList", "publication"] {
        if want[member].is_object() && is_missing(&want[member]) {
            // Left as it is: a price list that comes back later names its catalog itself, and a
            // publication is made for it.
            want.as_object_mut().map(|members| members.remove(member));
        }
    }
    for member in ["markets", "companyLocations"] {
        if let Some(entries) = want[member].as_array_mut() {
            let before = entries.len();
            entries.retain(|entry| !is_missing(entry));
            missing += before - entries.len();
        }
    }
    if missing > 0 {
        around.note(format!(
            "{missing} markets or locations that it was for are not there any more: restore them \
             first, then it"
        ));
    }
    Ok(want)
}

/// The fields that differ, as an input has them.
fn changed(now: &Value, want: &Value) -> Map<String, Value> {
    let mut input = Map::new();
    for name in ["title", "status"] {
        if let Some(value) = want.get(name).filter(|v| !v.is_null() && now.get(name) != Some(v)) {
            input.insert(name.into(), value.clone());
        }
    }
    for (member, name) in [("priceList", "priceListId"), ("publication", "publicationId")] {
        if want.get(member).is_some_and(|value| value["id"] != now[member]["id"]) {
            input.insert(name.into(), want[member]["id"].clone());
        }
    }
    let of = |member: &str, name: &str| {
        let ids: Vec<&Value> = list(want, member).iter().map(|entry| &entry["id"]).collect();
        (want[member].is_array() && want[member] != now[member]).then(|| json!({ name: ids }))
    };
    let context =
        of("markets", "marketIds").or_else(|| of("companyLocations", "companyLocationIds"));
    if let Some(context) = context {
        input.insert("context".into(), context);
    }
    input
}

/// Makes the catalog, or finds that an earlier try has made it.
async fn create(around: &dyn Around, want: &Value) -> Result<String, WriteError> {
    if let Some(gid) = titled(around, want).await? {
        return Ok(gid);
    }
    let mut input = changed(&json!({}), want);
    input.retain(|_, value| !value.is_null());
    input.entry("context").or_insert_with(|| json!({}));
    match send(around, Step::making(CREATE, json!({"input": input}))).await {
        Ok(payload) => Ok(text(&payload["catalog"], "id").to_owned()),
        Err(error) if is_unknown(&error) => titled(around, want).await?.ok_or(error),
        Err(error) => Err(error),
    }
}

/// A catalog with the title that has the wanted price list, or none, where an earlier try may have made it:
/// titles may be given twice.
async fn titled(around: &dyn Around, want: &Value) -> Result<Option<String>, WriteError> {
    let data = ask(around, BY_TITLE, json!({})).await?;
    let alike = list(&data["catalogs"], "nodes").iter().filter(|catalog| {
        catalog["title"] == want["title"]
            && catalog["type"] == want["type"]
            && catalog["priceList"]["id"] == want["priceList"]["id"]
            // One that is not there any more may have been made anew by then.
            && want.get("publication").is_none_or(|of| catalog["publication"]["id"] == of["id"])
    });
    let alike = alike.map(|catalog| text(catalog, "id")).collect();
    Ok(look::first_ours(around, alike).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_sent() {
        let now = json!({"id": "c", "title": "EU", "status": "ACTIVE", "markets": [{"id": "m"}], "priceList": {"id": "l"}});
        assert!(changed(&now, &now).is_empty());
        let mut want = now.clone();
        want["status"] = json!("DRAFT");
        assert_eq!(json!(changed(&now, &want)), json!({"status": "DRAFT"}));
        want["markets"] = json!([{"id": "m"}, {"id": "n"}]);
        assert_eq!(changed(&now, &want)["context"], json!({"marketIds": ["m", "n"]}));
    }
}
