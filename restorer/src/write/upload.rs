//! Bytes on their way to the shop: a staged upload for each, whose address then stands where a
//! document wants a source, or which a bulk mutation takes its variables from.

use std::time::{Duration, Instant};

use backstock_proto::admin::{AdminError, Call, Client, Repeat};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::step::{Step, list, send, text};
use super::{Around, WriteError};

const STAGE: &str = include_str!("graphql/staged_uploads_create.graphql");

/// The member by which a place-holder for bytes is known.
const BYTES: &str = "$bytes";
/// One upload may take so long.
const DEADLINE: Duration = Duration::from_secs(600);
/// How much of all that is on its way may be in memory, in KiB, whichever rows and shops it is of. What
/// is larger has it to itself.
const KIB_MAX: u32 = 64 << 10;
static ROOM: Semaphore = Semaphore::const_new(KIB_MAX as usize);
/// Between the parts of a form. Nothing in it depends on what it holds, so it only must not occur.
const BOUNDARY: &str = "-----------------------------backstock-8f3d1c5a9e7b4260";

/// Where the bytes of a medium or a file come from: what we kept of them, else the address that they
/// had. `None` where there is neither.
pub(super) fn source(medium: &Value, content_type: &str) -> Option<Value> {
    let url = Some(text(medium, "url")).filter(|url| !url.is_empty());
    let blob = Some(text(medium, "blob")).filter(|blob| !blob.is_empty());
    // The address of anything but a picture is that of its preview.
    let fallback = url.filter(|_| matches!(content_type, "IMAGE" | "FILE"));
    match (blob, fallback) {
        (Some(hash), fallback) => {
            let filename = filename(url.unwrap_or_default()).unwrap_or_else(|| hash.into());
            let mime = text(medium, "mimeType");
            let mime = if mime.is_empty() { mime_of(&filename, content_type) } else { mime };
            Some(json!({BYTES: {
                "hash": hash, "filename": filename, "mimeType": mime, "resource": content_type,
                "url": fallback,
            }}))
        }
        (None, Some(url)) => Some(url.into()),
        (None, None) => None,
    }
}

/// The name of a file, from its address.
pub(super) fn filename(url: &str) -> Option<String> {
    let name = url.split(['?', '#']).next()?.rsplit('/').next()?;
    (name.contains('.') && !name.starts_with('.')).then(|| name.to_owned())
}

/// Whether a file was made of another's bytes, as far as its address tells: the name is the same, but
/// for what Shopify puts to it where that name is taken.
pub(crate) fn is_named_after(url: &str, former: &str) -> bool {
    let (Some(is), Some(was)) = (stem(url), stem(former)) else { return false };
    is.strip_prefix(&was)
        .is_some_and(|rest| rest.is_empty() || rest.strip_prefix('_').is_some_and(is_uuid))
}

/// What a file was called before Shopify put anything to its name, as far as its address tells.
pub(super) fn called(url: &str) -> Option<String> {
    let mut name = stem(url)?;
    let put =
        |name: &str| name.rsplit_once('_').filter(|(_, put)| is_uuid(put)).map(|(is, _)| is.len());
    while let Some(end) = put(&name) {
        name.truncate(end);
    }
    Some(name)
}

/// The name of a file without what tells its type.
fn stem(url: &str) -> Option<String> {
    let name = filename(url)?.to_lowercase();
    Some(name.rsplit_once('.')?.0.to_owned())
}

fn is_uuid(text: &str) -> bool {
    text.len() >= 32 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

fn mime_of(filename: &str, content_type: &str) -> &'static str {
    let extension = filename.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    match extension.as_str() {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        "heic" => "image/heic",
        "mp4" => "video/mp4",
        "mov" => "video/quicktime",
        "glb" => "model/gltf-binary",
        "usdz" => "model/vnd.usdz+zip",
        "pdf" => "application/pdf",
        _ if content_type == "IMAGE" => "image/jpeg",
        _ => "application/octet-stream",
    }
}

/// Puts addresses in the place of bytes, wherever they stand, after the bytes are there.
pub(super) async fn fill(around: &dyn Around, variables: &mut Value) -> Result<(), WriteError> {
    let mut wanted = Vec::new();
    find(variables, &mut wanted);
    if wanted.is_empty() {
        return Ok(());
    }
    let mut kept: Vec<(Value, u64)> = Vec::new();
    let mut addresses: Vec<(Value, Value)> = Vec::new();
    for place in wanted {
        match around.blob_length(text(&place, "hash")).await {
            Some(length) => kept.push((place, length)),
            None => {
                let url = former(&place)?;
                addresses.push((place, url));
            }
        }
    }
    for kept in kept.chunks(100) {
        let targets = stage(around, kept).await?;
        for ((place, length), target) in kept.iter().zip(&targets) {
            let _room = room(*length).await;
            let address = match around.blob(text(place, "hash")).await {
                Some(bytes) => {
                    put(around.admin(), target, place, bytes).await?;
                    target["resourceUrl"].clone()
                }
                None => former(place)?,
            };
            addresses.push((place.clone(), address));
        }
    }
    replace(variables, &addresses);
    Ok(())
}

/// Waits for room for so many bytes, and for the form that they are sent in.
async fn room(bytes: u64) -> Option<SemaphorePermit<'static>> {
    let kib = u32::try_from(2 * bytes.div_ceil(1 << 10)).unwrap_or(KIB_MAX);
    // It is never closed.
    ROOM.acquire_many(kib.clamp(1, KIB_MAX)).await.ok()
}

/// The address that something had of which no bytes are there.
fn former(place: &Value) -> Result<Value, WriteError> {
    match &place["url"] {
        Value::Null => Err(WriteError::Missing(format!(
            "the bytes of {} were not kept, and it has no address to fetch them from",
            text(place, "filename")
        ))),
        url => Ok(url.clone()),
    }
}

/// Uploads bytes that stand in no place-holder; the address that they then have.
pub(super) async fn address(
    around: &dyn Around,
    filename: &str,
    mime: &str,
    bytes: Bytes,
) -> Result<String, WriteError> {
    let place = json!({"resource": "FILE", "filename": filename, "mimeType": mime});
    let kept = [(place, bytes.len() as u64)];
    let targets = stage(around, &kept).await?;
    let ([(place, _)], Some(target)) = (&kept, targets.first()) else {
        return Err(lost(around.admin(), format!("{filename} got no address")).into());
    };
    put(around.admin(), target, place, bytes).await?;
    Ok(text(target, "resourceUrl").to_owned())
}

/// Uploads what a bulk mutation takes its variables from, a JSON object a line; the path by which it is
/// told of them. <https://shopify.dev/docs/api/usage/bulk-operations/imports>
pub(crate) async fn variables(client: &Client, lines: Bytes) -> Result<String, AdminError> {
    let place = json!({
        "resource": "BULK_MUTATION_VARIABLES", "filename": "variables.jsonl",
        "mimeType": "text/jsonl", "httpMethod": "POST",
    });
    // A staged target that nobody uses goes by itself.
    let call =
        Call { repeat: Repeat::Safe, ..Call::write(STAGE, json!({"input": [place.clone()]})) };
    let answer = client.ask(call).await?;
    let target = &answer.data["stagedUploadsCreate"]["stagedTargets"][0];
    let key = list(target, "parameters").iter().find(|parameter| parameter["name"] == "key");
    let Some(key) = key else {
        let refused = answer.user_errors().join("; ");
        return Err(lost(client, format!("variables have no place to go to: {refused}")));
    };
    put(client, target, &place, lines).await?;
    Ok(text(key, "value").to_owned())
}

/// Each once, however often it stands there: the variants of a product share its pictures.
fn find(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Object(members) => match members.get(BYTES) {
            Some(place) if found.contains(place) => {}
            Some(place) => found.push(place.clone()),
            None => members.values().for_each(|value| find(value, found)),
        },
        Value::Array(items) => items.iter().for_each(|value| find(value, found)),
        _ => {}
    }
}

fn replace(value: &mut Value, addresses: &[(Value, Value)]) {
    match value {
        Value::Object(members) => match members.get(BYTES) {
            Some(place) => {
                let address = addresses.iter().find(|(known, _)| known == place);
                *value = address.map(|(_, address)| address.clone()).unwrap_or_default();
            }
            None => members.values_mut().for_each(|value| replace(value, addresses)),
        },
        Value::Array(items) => items.iter_mut().for_each(|value| replace(value, addresses)),
        _ => {}
    }
}

async fn stage(around: &dyn Around, kept: &[(Value, u64)]) -> Result<Vec<Value>, WriteError> {
    let input: Vec<Value> = kept
        .iter()
        .map(|(place, length)| {
            json!({
                "resource": place["resource"], "filename": place["filename"],
                "mimeType": place["mimeType"], "fileSize": length.to_string(),
                "httpMethod": "POST",
            })
        })
        .collect();
    // A staged target that nobody uses goes by itself.
    let payload = send(around, Step::setting(STAGE, json!({"input": input}))).await?;
    let targets = list(&payload, "stagedTargets").to_vec();
    match targets.len() == kept.len() {
        true => Ok(targets),
        false => {
            Err(lost(around.admin(), "there is not an upload target for each file".into()).into())
        }
    }
}

/// Uploads as a form: the parameters that the shop gave, then the bytes.
async fn put(
    client: &Client,
    target: &Value,
    place: &Value,
    bytes: Bytes,
) -> Result<(), AdminError> {
    let mut form = Vec::with_capacity(bytes.len() + 4096);
    for parameter in list(target, "parameters") {
        let (name, value) = (text(parameter, "name"), text(parameter, "value"));
        form.extend_from_slice(
            format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            )
            .as_bytes(),
        );
    }
    let named = |name: &str| text(place, name).replace(['"', '\r', '\n'], "_");
    let (filename, mime) = (named("filename"), named("mimeType"));
    form.extend_from_slice(
        format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; \
             filename=\"{filename}\"\r\nContent-Type: {mime}\r\n\r\n"
        )
        .as_bytes(),
    );
    form.extend_from_slice(&bytes);
    drop(bytes);
    form.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    let begun = Instant::now();
    let sent = client
        .http()
        .post(text(target, "url"))
        .header("Content-Type", format!("multipart/form-data; boundary={BOUNDARY}"))
        .timeout(DEADLINE)
        .body(form)
        .send()
        .await;
    match sent {
        Ok(response) if response.status().is_success() => Ok(()),
        Ok(response) => {
            let (status, shop) = (response.status(), client.access().shop.clone());
            let last = format!("{filename} was not accepted: {status}");
            match status.as_u16() {
                408 | 429 | 500.. => {
                    Err(AdminError::Unavailable { shop, waited: begun.elapsed(), last })
                }
                _ => Err(lost(client, last)),
            }
        }
        // Bytes that nothing was made of yet can go once more.
        Err(error) => {
            let shop = client.access().shop.clone();
            let last = format!("{filename} was not uploaded: {}", error.without_url());
            Err(AdminError::Unavailable { shop, waited: begun.elapsed(), last })
        }
    }
}

fn lost(client: &Client, detail: String) -> AdminError {
    AdminError::Garbled { shop: client.access().shop.clone(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_bytes_come_before_the_old_address() {
        let url = "https://cdn/s/files/mug.jpg";
        let kept = json!({"blob": "ab", "url": url});
        let place = source(&kept, "IMAGE").expect("a source");
        assert_eq!(place[BYTES]["filename"], "mug.jpg");
        assert_eq!(place[BYTES]["mimeType"], "image/jpeg");
        assert_eq!(place[BYTES]["url"], url);
        assert_eq!(source(&json!({"url": url}), "IMAGE"), Some(url.into()));
        assert_eq!(source(&json!({"url": url}), "VIDEO"), None, "that is only its preview");
        assert_eq!(source(&json!({"url": null}), "IMAGE"), None);
    }

    #[test]
    fn a_file_is_called_as_before_shopify_put_anything_to_its_name() {
        let called = |name: &str| called(&format!("https://cdn/s/files/{name}?v=1"));
        let uuid = "0f8fad5b-d9cb-469f-a165-70867728950e";
        assert_eq!(called("Mug_front.jpg").as_deref(), Some("mug_front"));
        assert_eq!(called(&format!("Mug_{uuid}_{uuid}.jpg")).as_deref(), Some("mug"));
        assert_eq!(called("mug"), None);
    }

    #[test]
    fn addresses_take_the_place_of_bytes_wherever_they_stand() {
        let place = json!({"hash": "ab"});
        let mut variables = json!({"files": [{"originalSource": {BYTES: place}}, {"id": 1}]});
        let mut found = Vec::new();
        find(&variables, &mut found);
        assert_eq!(found, std::slice::from_ref(&place));
        let (a, b) = (json!({BYTES: {"hash": "a"}}), json!({BYTES: {"hash": "b"}}));
        let mut shared = Vec::new();
        find(&json!([a, b, a, b]), &mut shared);
        assert_eq!(shared, [a[BYTES].clone(), b[BYTES].clone()], "each is uploaded once");
        replace(&mut variables, &[(place, "https://up".into())]);
        assert_eq!(variables, json!({"files": [{"originalSource": "https://up"}, {"id": 1}]}));
    }
}
