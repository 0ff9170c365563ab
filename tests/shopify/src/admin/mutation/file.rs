//! Files and the uploads that they come from. A file takes its time to be ready.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Call, Input, JOB_TIME, UserError, answer, product_media};
use crate::admin::session::{Outcome, not_simulated};
use crate::catalog::image;
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::{link, targets};

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "stagedUploadsCreate" => Ok(stage(shop, call)),
        "fileCreate" => create(shop, call),
        "fileUpdate" => update(shop, call),
        "fileDelete" => Ok(delete(shop, call)),
        _ => return None,
    })
}

fn list(call: &Call<'_>, name: &str) -> Vec<Value> {
    call.args.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn stage(shop: &mut Shop, call: &Call<'_>) -> Value {
    let mut targets = Vec::new();
    for (at, input) in list(call, "input").iter().enumerate() {
        let kind = input["resource"].as_str().unwrap_or_default();
        if matches!(kind, "VIDEO" | "MODEL_3D") && input["fileSize"].is_null() {
            let at = at.to_string();
            let error = UserError::new(&["input", &at, "fileSize"], "file size is required");
            return answer("stagedTargets", Value::Null, vec![error]);
        }
        let filename = input["filename"].as_str().unwrap_or_default();
        let key = format!("tmp-{}-{filename}", shop.token());
        let base = shop.base().to_owned();
        shop.expected_uploads.insert(key.clone());
        let parameter = |name: &str, value: &str| {
            json!({
                "__typename": "StagedUploadParameter", "name": name, "value": value,
            })
        };
        let put = input["httpMethod"] != "POST";
        targets.push(json!({
            "__typename": "StagedMediaUploadTarget",
            "url": if put { format!("{base}/_uploads/{key}") } else { format!("{base}/_uploads") },
            "resourceUrl": format!("{base}/_uploads/{key}"),
            "parameters": if put {
                json!([parameter("content_type", input["mimeType"].as_str().unwrap_or_default())])
            } else {
                json!([
                    parameter("key", &key),
                    parameter("Content-Type", input["mimeType"].as_str().unwrap_or_default()),
                    parameter("success_action_status", "201"),
                ])
            },
        }));
    }
    answer("stagedTargets", json!(targets), vec![])
}

/// The bytes behind a source: an upload's, those of a file that is still there, or none that we know
/// for a foreign address.
pub(super) fn source(shop: &Shop, url: &str) -> Result<Option<Bytes>, ()> {
    let staged = format!("{}/_uploads/", shop.base());
    let own = format!("{}/cdn/", shop.base());
    if let Some(path) = url.strip_prefix(&own) {
        let path = path.split('?').next().unwrap_or_default();
        return shop.file_at(path).map(|(_, bytes)| Some(bytes)).ok_or(());
    }
    match url.strip_prefix(&staged) {
        Some(key) => shop.uploads.get(key).cloned().map(Some).ok_or(()),
        None if url.starts_with("http") => Ok(None),
        None => Err(()),
    }
}

/// The name that an upload was given, without what staging put before it.
pub(super) fn staged_name(name: &str) -> String {
    let given = name.strip_prefix("tmp-").and_then(|rest| rest.split_once('-'));
    given.map_or(name, |(_, name)| name).to_owned()
}

/// A file of a source; it fails when nothing was uploaded there.
pub(super) fn add(shop: &mut Shop, given: &Value) -> Outcome<Gid> {
    let url = given["originalSource"].as_str().unwrap_or_default();
    let name = given["filename"].as_str().map(str::to_owned).unwrap_or_else(|| {
        url.split('?').next().and_then(|url| url.rsplit('/').next()).unwrap_or("file").to_owned()
    });
    let name = staged_name(&name);
    let extension = name.rsplit_once('.').map_or("bin", |(_, extension)| extension);
    let picture = match given["contentType"].as_str() {
        Some("IMAGE") => true,
        Some("FILE") => false,
        None => matches!(extension, "jpg" | "jpeg" | "png" | "gif" | "webp"),
        Some(other) => return Err(not_simulated(format_args!("files of type {other}"))),
    };
    let bytes = source(shop, url);
    let kind = if picture { "MediaImage" } else { "GenericFile" };
    let gid = shop.store.fresh(kind);
    let now = shop.now_text();
    let at = shop.new_address(gid, "", &name);
    let alt = given["alt"].as_str().unwrap_or_default();
    let mut state = if picture {
        image(gid, &at, alt, &now)
    } else {
        json!({
            "__typename": "GenericFile", "id": gid.to_string(), "alt": alt, "url": at,
            "fileStatus": "READY", "fileErrors": [], "mimeType": "application/octet-stream",
            "originalFileSize": bytes.as_ref().ok().and_then(|b| b.as_ref().map(Bytes::len)),
            "preview": null, "createdAt": now, "updatedAt": now,
        })
    };
    state["_readyAt"] = json!(shop.later(JOB_TIME));
    state["_filename"] = json!(name);
    match bytes {
        Ok(Some(bytes)) => {
            shop.blobs.insert(gid, bytes);
        }
        Ok(None) => {}
        Err(()) => {
            state["fileStatus"] = json!("FAILED");
            state["status"] = json!("FAILED");
            state["fileErrors"] = json!([{
                "__typename": "FileError", "code": "UNKNOWN", "message": "Image upload failed.",
                "details": null,
            }]);
        }
    }
    shop.put(gid, state);
    Ok(gid)
}

fn create(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let fields = ["alt", "contentType", "filename", "originalSource", "duplicateResolutionMode"];
    let mut created = Vec::new();
    for given in list(call, "files") {
        let input = Input::of("FileCreateInput", &given, &fields)?;
        if input.text("duplicateResolutionMode").is_some_and(|mode| mode != "APPEND_UUID") {
            return Err(not_simulated("duplicateResolutionMode other than APPEND_UUID"));
        }
        created.push(link(add(shop, &given)?));
    }
    Ok(answer("files", json!(created), vec![]))
}

/// Whether a file has become ready.
pub(super) fn is_ready(shop: &Shop, state: &Value) -> bool {
    let at = state["_readyAt"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
    state["fileStatus"] == "READY" && at.is_none_or(|at| at <= shop.now())
}

fn update(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let fields = ["id", "alt", "originalSource", "referencesToAdd", "referencesToRemove"];
    let mut updated = Vec::new();
    for (at, given) in list(call, "files").iter().enumerate() {
        let at = at.to_string();
        let input = Input::of("FileUpdateInput", given, &fields)?;
        let found = input.text("id").and_then(|id| id.parse::<Gid>().ok());
        let found = found.and_then(|gid| Some((gid, shop.store.get(gid)?)));
        let Some((gid, state)) = found else {
            let error = UserError::new(&["files", &at, "id"], "File id does not exist.");
            return Ok(answer("files", Value::Null, vec![error.code("FILE_DOES_NOT_EXIST")]));
        };
        if !is_ready(shop, &state) {
            let error = UserError::new(&["files", &at, "id"], "Non-ready files cannot be updated.");
            return Ok(answer("files", Value::Null, vec![error.code("NON_READY_STATE")]));
        }
        for product in input.list("referencesToAdd").into_iter().flatten() {
            let product = product.as_str().and_then(|id| id.parse::<Gid>().ok());
            let error = product.and_then(|product| product_media::too_many(shop, product, 1));
            if let Some(error) = error {
                return Ok(answer("files", Value::Null, vec![error]));
            }
        }
        if let Some(url) = input.text("originalSource") {
            match source(shop, url) {
                Ok(Some(bytes)) => {
                    let size = dimensions(&bytes);
                    shop.blobs.insert(gid, bytes);
                    renew_edition(shop, gid, size);
                }
                Ok(None) => {}
                Err(()) => {
                    let error =
                        UserError::new(&["files", &at, "originalSource"], "Invalid source.");
                    return Ok(answer("files", Value::Null, vec![error.code("INVALID")]));
                }
            }
        }
        shop.update(gid, |state| {
            input.copy(state, &[("alt", "alt")]);
        });
        for (field, add) in [("referencesToAdd", true), ("referencesToRemove", false)] {
            for product in input.list(field).into_iter().flatten() {
                let Some(product) = product.as_str().and_then(|id| id.parse().ok()) else {
                    continue;
                };
                refer(shop, product, gid, add);
            }
        }
        updated.push(link(gid));
    }
    Ok(answer("files", json!(updated), vec![]))
}

/// The address of other bytes differs in its edition only. A picture may have other dimensions by then.
fn renew_edition(shop: &mut Shop, gid: Gid, size: Option<(u32, u32)>) {
    let version = shop.now().as_second();
    let renewed = |url: &mut Value| {
        if let Some(path) = url.as_str().and_then(|url| url.split('?').next()) {
            *url = json!(format!("{path}?v={version}"));
        }
    };
    shop.update(gid, |state| {
        for pointer in ["/image/url", "/preview/image/url", "/originalSource/url", "/url"] {
            if let Some(url) = state.pointer_mut(pointer) {
                renewed(url);
            }
        }
        let Some((width, height)) = size else { return };
        for pointer in ["/image", "/preview/image"] {
            if let Some(image) = state.pointer_mut(pointer).filter(|image| image.is_object()) {
                image["width"] = json!(width);
                image["height"] = json!(height);
            }
        }
    });
}

/// The width and the height with which a PNG begins.
fn dimensions(bytes: &[u8]) -> Option<(u32, u32)> {
    let header = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")?;
    let at = |n: usize| Some(u32::from_be_bytes(header.get(n..n + 4)?.try_into().ok()?));
    Some((at(0)?, at(4)?))
}

fn refer(shop: &mut Shop, product: Gid, file: Gid, add: bool) {
    shop.edit_product(product, |state| {
        let mut media: Vec<Gid> = targets(state, "media").filter(|other| *other != file).collect();
        if add {
            media.push(file);
        }
        state["media"] = media.into_iter().map(link).collect();
    });
}

/// A file goes, and with it its place on products and variants.
fn delete(shop: &mut Shop, call: &Call<'_>) -> Value {
    let ids = list(call, "fileIds");
    let gids: Vec<Gid> = ids.iter().filter_map(|id| id.as_str()?.parse().ok()).collect();
    if gids.len() != ids.len() || gids.iter().any(|gid| shop.store.get(*gid).is_none()) {
        let error = UserError::new(&["fileIds"], "File id does not exist.");
        return answer("deletedFileIds", Value::Null, vec![error.code("FILE_DOES_NOT_EXIST")]);
    }
    for gid in &gids {
        let holders: Vec<Gid> = ["Product", "ProductVariant"]
            .into_iter()
            .flat_map(|kind| shop.store.live(kind))
            .filter(|(_, state)| targets(state, "media").any(|media| media == *gid))
            .map(|(holder, _)| holder)
            .collect();
        for holder in holders {
            let cleared = |state: &mut Value| {
                let kept: Vec<Value> =
                    targets(state, "media").filter(|other| other != gid).map(link).collect();
                state["media"] = json!(kept);
            };
            match holder.type_name() {
                "Product" => shop.edit_product(holder, cleared),
                _ => shop.edit_variant(holder, cleared),
            };
        }
        shop.remove(*gid);
        shop.blobs.remove(gid);
    }
    answer("deletedFileIds", json!(ids), vec![])
}
