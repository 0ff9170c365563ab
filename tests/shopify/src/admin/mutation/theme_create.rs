//! Themes out of a zip archive that was uploaded.

use std::io::Read as _;

use flate2::bufread::DeflateDecoder;
use rawzip::{CompressionMethod, ZipArchive};
use serde_json::{Value, json};

use super::theme::{THEMES_MAX, file_of};
use super::{Call, JOB_TIME, UserError, answer};
use crate::admin::session::{Outcome, not_simulated};
use crate::shop::Shop;
use crate::store::link;

/// The largest archive.
const ZIP_MAX: usize = 50 * 1024 * 1024;

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    (call.name == "themeCreate").then(|| create(shop, call))
}

fn create(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let refuse = |field: &str, message: &str, code: Option<&str>| {
        let error = UserError::new(&[field], message);
        let error = code.map(|code| UserError::new(&[field], message).code(code)).unwrap_or(error);
        Ok(answer("theme", Value::Null, vec![error]))
    };
    let role = call.args.text("role").unwrap_or("UNPUBLISHED");
    if !["UNPUBLISHED", "DEVELOPMENT"].contains(&role) {
        let message = "Invalid theme role for theme creation";
        return refuse("role", message, Some("INVALID_THEME_ROLE_FOR_THEME_CREATION"));
    }
    if shop.store.live_ids("OnlineStoreTheme").count() >= THEMES_MAX {
        return refuse("source", &format!("You can't have more than {THEMES_MAX} themes"), None);
    }
    let source = call.args.text("source").unwrap_or_default();
    let Some(key) = source.strip_prefix(&format!("{}/_uploads/", shop.base())) else {
        return Err(not_simulated("themeCreate from a foreign address"));
    };
    let Some(bytes) = shop.uploads.get(key).cloned() else {
        return refuse("source", "Must be a zip file", Some("INVALID_ZIP"));
    };
    if bytes.len() > ZIP_MAX {
        let message = "May not be used to fetch a file bigger than 50MB";
        return refuse("source", message, Some("ZIP_TOO_LARGE"));
    }
    let now = shop.now_text();
    let Some(mut files) = unpacked(&bytes, &now) else {
        return refuse("source", "Must be a zip file", Some("INVALID_ZIP"));
    };
    if files.is_empty() {
        return refuse("source", "Zip is empty", Some("ZIP_IS_EMPTY"));
    }
    files.sort_by_key(|file| file["filename"].as_str().unwrap_or_default().to_owned());
    // An archive without it is taken, and then no theme comes of it.
    let whole = files.iter().any(|file| file["filename"] == "layout/theme.liquid");
    let gid = shop.store.fresh("OnlineStoreTheme");
    let ready = shop.later(JOB_TIME);
    shop.put(
        gid,
        json!({
            "__typename": "OnlineStoreTheme", "id": gid.to_string(),
            "name": call.args.text("name").unwrap_or("Theme"), "role": role, "prefix": "t/1",
            "processing": false, "processingFailed": !whole, "themeStoreId": null, "_files": files,
            "_readyAt": ready, "createdAt": now, "updatedAt": now,
        }),
    );
    shop.announce("themes/create", gid);
    Ok(answer("theme", link(gid), vec![]))
}

/// The files of an archive; nothing, when it is none.
fn unpacked(bytes: &[u8], at: &str) -> Option<Vec<Value>> {
    let archive = ZipArchive::from_slice(bytes).ok()?;
    let mut entries = archive.entries();
    let mut files = Vec::new();
    while let Some(entry) = entries.next_entry().ok()? {
        if entry.is_dir() {
            continue;
        }
        let name = entry.file_path().try_normalize().ok()?.as_ref().to_owned();
        let held = archive.get_entry(entry.wayfinder()).ok()?;
        let mut content = Vec::new();
        if entry.compression_method() == CompressionMethod::STORE {
            held.verifying_reader(held.data()).read_to_end(&mut content).ok()?;
        } else {
            let inflated = DeflateDecoder::new(held.data());
            held.verifying_reader(inflated).read_to_end(&mut content).ok()?;
        }
        files.push(file_of(&name, &content, at));
    }
    Some(files)
}
