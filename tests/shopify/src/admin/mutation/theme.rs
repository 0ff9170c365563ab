//! Themes and their files. Writing files takes an exemption that Shopify grants app by app.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use super::{Call, UserError, answer};
use crate::admin::session::{Outcome, not_simulated, refused};
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::link;

const FILES_MAX: usize = 50;
pub(super) const THEMES_MAX: usize = 20;

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "themeFilesUpsert" => upsert(shop, call),
        "themeFilesDelete" => delete_files(shop, call),
        "themePublish" => Ok(publish(shop, call)),
        "themeDuplicate" => Ok(duplicate(shop, call)),
        "themeUpdate" => Ok(rename(shop, call)),
        "themeDelete" => Ok(delete(shop, call)),
        _ => return None,
    })
}

/// A file of text as a theme keeps it.
pub(crate) fn file(filename: &str, content: &str, at: &str) -> Value {
    file_of(filename, content.as_bytes(), at)
}

/// A file as a theme keeps it: what is no text is shown in Base64.
pub(crate) fn file_of(filename: &str, content: &[u8], at: &str) -> Value {
    let checksum: String = Md5::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    let (kind, is_text) = match filename.rsplit('.').next() {
        Some("json") => ("application/json", true),
        Some("css") => ("text/css", true),
        Some("js") => ("application/javascript", true),
        Some("svg") => ("image/svg+xml", true),
        Some("png") => ("image/png", false),
        Some("jpg" | "jpeg") => ("image/jpeg", false),
        Some("woff2") => ("font/woff2", false),
        _ => ("application/x-liquid", true),
    };
    let body = match std::str::from_utf8(content) {
        Ok(text) if is_text => {
            json!({ "__typename": "OnlineStoreThemeFileBodyText", "content": text })
        }
        _ => json!({
            "__typename": "OnlineStoreThemeFileBodyBase64", "contentBase64": BASE64.encode(content),
        }),
    };
    json!({
        "__typename": "OnlineStoreThemeFile", "filename": filename, "checksumMd5": checksum,
        "contentType": kind, "size": content.len().to_string(), "createdAt": at, "updatedAt": at,
        "body": body,
    })
}

fn exempt(shop: &Shop, name: &str) -> Outcome<()> {
    if shop.theme_exemption {
        return Ok(());
    }
    Err(refused(format!(
        "Access denied for {name} field. Required access: The user needs write_themes and an \
         exemption from Shopify to modify theme files."
    )))
}

fn theme(shop: &Shop, call: &Call<'_>, argument: &str) -> Option<Gid> {
    call.args
        .gid(argument)
        .filter(|gid| gid.type_name() == "OnlineStoreTheme" && shop.store.get(*gid).is_some())
}

fn missing(result: &str) -> Value {
    let error = UserError::new(&["themeId"], "Theme not found").code("NOT_FOUND");
    let mut refusal = answer(result, Value::Null, vec![error]);
    refusal["userErrors"][0]["filename"] = Value::Null;
    refusal["job"] = Value::Null;
    refusal
}

fn upsert(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    exempt(shop, call.name)?;
    let result = "upsertedThemeFiles";
    let Some(gid) = theme(shop, call, "themeId") else { return Ok(missing(result)) };
    let given = call.args.get("files").and_then(Value::as_array).cloned().unwrap_or_default();
    if given.len() > FILES_MAX {
        let message = format!("Files length must be less than or equal to {FILES_MAX}.");
        let error = UserError::new(&["files"], message).code("LESS_THAN_OR_EQUAL_TO");
        return Ok(answer(result, Value::Null, vec![error]));
    }
    let now = shop.now_text();
    let mut written = Vec::new();
    for entry in &given {
        let value = entry["body"]["value"].as_str().unwrap_or_default();
        let filename = entry["filename"].as_str().unwrap_or_default();
        let content = match entry["body"]["type"].as_str() {
            Some("TEXT") => Some(value.as_bytes().to_vec()),
            Some("BASE64") => BASE64.decode(value).ok(),
            _ => return Err(not_simulated("theme files by address")),
        };
        let is_json = filename.rsplit('.').next() == Some("json");
        let valid =
            |content: &Vec<u8>| !is_json || serde_json::from_slice::<Value>(content).is_ok();
        let Some(content) = content.filter(valid) else {
            let error = UserError::new(&["files"], "Invalid JSON").code("FILE_VALIDATION_ERROR");
            let mut refusal = answer(result, Value::Null, vec![error]);
            refusal["userErrors"][0]["filename"] = json!(filename);
            refusal["job"] = Value::Null;
            return Ok(refusal);
        };
        written.push(file_of(filename, &content, &now));
    }
    // A change of files is no change of the theme that anybody is told of.
    shop.write_theme_files(gid, &written);
    let results: Vec<Value> = written.iter().map(operation_result).collect();
    let mut done = answer(result, json!(results), vec![]);
    done["job"] = super::job(shop);
    Ok(done)
}

fn operation_result(file: &Value) -> Value {
    json!({
        "__typename": "OnlineStoreThemeFileOperationResult", "filename": file["filename"],
        "checksumMd5": file["checksumMd5"], "size": file["size"],
        "createdAt": file["createdAt"], "updatedAt": file["updatedAt"],
    })
}

fn delete_files(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    exempt(shop, call.name)?;
    let result = "deletedThemeFiles";
    let Some(gid) = theme(shop, call, "themeId") else { return Ok(missing(result)) };
    let names = call.args.get("files").and_then(Value::as_array).cloned().unwrap_or_default();
    let state = shop.store.get(gid).unwrap_or_default();
    let files = state["_files"].as_array().cloned().unwrap_or_default();
    let (gone, kept): (Vec<Value>, Vec<Value>) =
        files.into_iter().partition(|file| names.contains(&file["filename"]));
    let mut state = (*state).clone();
    state["_files"] = json!(kept);
    shop.put(gid, state);
    let results: Vec<Value> = gone.iter().map(operation_result).collect();
    Ok(answer(result, json!(results), vec![]))
}

fn publish(shop: &mut Shop, call: &Call<'_>) -> Value {
    let Some(gid) = theme(shop, call, "id") else { return missing("theme") };
    let mains: Vec<Gid> = shop
        .store
        .live("OnlineStoreTheme")
        .filter(|(other, state)| *other != gid && state["role"] == "MAIN")
        .map(|(other, _)| other)
        .collect();
    for main in mains {
        shop.update(main, |state| state["role"] = json!("UNPUBLISHED"));
        shop.announce("themes/update", main);
    }
    shop.update(gid, |state| state["role"] = json!("MAIN"));
    shop.announce("themes/publish", gid);
    answer("theme", link(gid), vec![])
}

fn duplicate(shop: &mut Shop, call: &Call<'_>) -> Value {
    let Some(gid) = theme(shop, call, "id") else { return missing("newTheme") };
    if shop.store.live_ids("OnlineStoreTheme").count() >= THEMES_MAX {
        let message = format!("You can't have more than {THEMES_MAX} themes");
        return answer("newTheme", Value::Null, vec![UserError::new(&["id"], message)]);
    }
    let copy = shop.store.fresh("OnlineStoreTheme");
    let now = shop.now_text();
    let mut state = shop.store.get(gid).map(|state| (*state).clone()).unwrap_or_default();
    let name = format!("Copy of {}", state["name"].as_str().unwrap_or_default());
    state["id"] = json!(copy.to_string());
    state["name"] = json!(call.args.text("name").unwrap_or(&name));
    state["role"] = json!("UNPUBLISHED");
    state["createdAt"] = json!(now);
    state["updatedAt"] = json!(now);
    shop.put(copy, state);
    shop.announce("themes/create", copy);
    answer("newTheme", link(copy), vec![])
}

fn rename(shop: &mut Shop, call: &Call<'_>) -> Value {
    let Some(gid) = theme(shop, call, "id") else { return missing("theme") };
    let name = call.args.get("input").map(|input| input["name"].clone()).unwrap_or_default();
    shop.update(gid, |state| state["name"] = name);
    shop.announce("themes/update", gid);
    answer("theme", link(gid), vec![])
}

fn delete(shop: &mut Shop, call: &Call<'_>) -> Value {
    let result = "deletedThemeId";
    let Some(gid) = theme(shop, call, "id") else { return missing(result) };
    if shop.store.get(gid).is_some_and(|state| state["role"] == "MAIN") {
        let error = UserError::new(&["id"], "You can't delete your published theme");
        return answer(result, Value::Null, vec![error.code("INVALID")]);
    }
    shop.remove(gid);
    shop.announce("themes/delete", gid);
    answer(result, json!(gid.to_string()), vec![])
}
