//! Files: pictures, videos, models, documents. One that is gone is uploaded again from the bytes that
//! were kept, and has another id and another address then.

use backstock_proto::merge::FieldPath;
use backstock_proto::resource::gid_type;
use serde_json::{Value, json};

use super::step::{Step, is_unknown, list, send, text, until, written};
use super::{Around, WriteError, Written, look, publication, upload};

const RECENT: &str = include_str!("graphql/files_recent.graphql");
const CREATE: &str = include_str!("graphql/file_create.graphql");
const UPDATE: &str = include_str!("graphql/file_update.graphql");
const DELETE: &str = include_str!("graphql/file_delete.graphql");
const STATUS: &str = include_str!("graphql/file_status.graphql");

/// Brings a file from one state to another.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    match (now, want) {
        (None, None) => Ok(Written::Unchanged),
        (Some(now), None) => delete(around, text(now, "id")).await,
        (Some(now), Some(want)) => {
            let Some(mut file) = changed(now, want) else { return Ok(Written::Unchanged) };
            let has_other_bytes = file.get("originalSource").is_some();
            upload::fill(around, &mut file).await?;
            send(around, Step::setting(UPDATE, json!({"files": [file]}))).await?;
            if has_other_bytes {
                replaced(around, text(now, "id")).await?;
            }
            Ok(Written::Updated { ids: [].into() })
        }
        (None, Some(want)) => {
            let gid = create(around, want).await?;
            let ids = [(text(want, "id").to_owned(), gid.clone())].into();
            Ok(Written::Created { gid, ids })
        }
    }
}

/// Why a field of a file cannot be written, if it cannot.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    match path.as_str() {
        "/alt" | "" | "/blob" | "/image/blob" => None,
        _ => Some("it follows from the file's content: replace the file by hand"),
    }
}

async fn delete(around: &dyn Around, gid: &str) -> Result<Written, WriteError> {
    match send(around, Step::setting(DELETE, json!({"fileIds": [gid]}))).await {
        Ok(_) => Ok(Written::Deleted),
        Err(error) => match publication::there(around, &[gid.to_owned()]).await?.is_empty() {
            true => Ok(Written::Deleted),
            false => Err(error),
        },
    }
}

/// The update that makes a file what it should be: its text, and its bytes where both are known.
fn changed(now: &Value, want: &Value) -> Option<Value> {
    let mut file = json!({"id": now["id"]});
    if want.get("alt").is_some_and(|alt| *alt != now["alt"]) {
        file["alt"] = written(&want["alt"]);
    }
    let both_kept = blob(now).is_some() && blob(want).is_some();
    if both_kept && blob(now) != blob(want) {
        file["originalSource"] = source(want)?;
    }
    file.as_object().is_some_and(|members| members.len() > 1).then_some(file)
}

/// Waits until the shop has worked through bytes that were put in the place of others. Until then it says
/// nothing of them, and takes no others.
pub(super) async fn replaced(around: &dyn Around, gid: &str) -> Result<(), WriteError> {
    let settled = |data: &Value| !is_at_work(&data["node"]);
    let data = until(around, STATUS, json!({"id": gid}), settled).await?;
    match text(&data["node"], "fileStatus") {
        "FAILED" => Err(WriteError::Refused(vec![format!(
            "the shop cannot read the bytes that {gid} had before: replace it by hand"
        )])),
        _ => Ok(()),
    }
}

fn blob(file: &Value) -> Option<&str> {
    file["blob"].as_str().or_else(|| file["image"]["blob"].as_str())
}

/// By what a file is recognised in another shop: its type, its name and its text.
pub(crate) fn likeness(file: &Value) -> Option<Vec<String>> {
    let of = gid_type(text(file, "id"))?;
    let name = upload::called(address(file));
    let name = name.or_else(|| file["originUrl"].as_str().map(str::to_owned))?;
    Some(vec![of.to_owned(), name, text(file, "alt").to_owned()])
}

/// Where a file is, or was.
fn address(file: &Value) -> &str {
    let nested = ["image", "originalSource"].iter().map(|member| text(&file[*member], "url"));
    let mut all = std::iter::once(text(file, "url")).chain(nested);
    all.find(|url| !url.is_empty()).unwrap_or_default()
}

fn content_type(file: &Value) -> &'static str {
    match gid_type(text(file, "id")) {
        Some("GenericFile") => "FILE",
        Some("Video") => "VIDEO",
        Some("Model3d") => "MODEL_3D",
        Some("ExternalVideo") => "EXTERNAL_VIDEO",
        _ => "IMAGE",
    }
}

fn source(file: &Value) -> Option<Value> {
    let content_type = content_type(file);
    if content_type == "EXTERNAL_VIDEO" {
        return Some(file["originUrl"].clone()).filter(Value::is_string);
    }
    let medium = json!({
        "url": address(file), "blob": blob(file), "mimeType": file["mimeType"],
    });
    upload::source(&medium, content_type)
}

/// Makes the file, or finds that an earlier try has made it. Answers its gid.
async fn create(around: &dyn Around, want: &Value) -> Result<String, WriteError> {
    if let Some(gid) = ours(around, want).await? {
        return Ok(gid);
    }
    let Some(source) = source(want) else {
        return Err(WriteError::Missing(
            "its bytes were not kept and it has no address to fetch them from: upload it by hand"
                .into(),
        ));
    };
    let file = json!({
        "originalSource": source, "contentType": content_type(want), "alt": written(&want["alt"]),
    });
    let mut variables = json!({"files": [file]});
    upload::fill(around, &mut variables).await?;
    let gid = match send(around, Step::making(CREATE, variables)).await {
        Ok(payload) => text(&payload["files"][0], "id").to_owned(),
        Err(error) if is_unknown(&error) => ours(around, want).await?.ok_or(error)?,
        Err(error) => return Err(error),
    };
    let settled = |data: &Value| !is_at_work(&data["node"]);
    let data = until(around, STATUS, json!({"id": gid}), settled).await?;
    if text(&data["node"], "fileStatus") == "FAILED" {
        send(around, Step::setting(DELETE, json!({"fileIds": [gid]}))).await?;
        return Err(WriteError::Missing(
            "its bytes were not kept, and the shop cannot fetch them from its old address: upload it \
             by hand"
                .into(),
        ));
    }
    Ok(gid)
}

/// A file of that name and text that was made since the job began, where an earlier try may have made
/// it: many are alike. A file has its address only once the shop has worked through it.
async fn ours(around: &dyn Around, want: &Value) -> Result<Option<String>, WriteError> {
    let query = format!("created_at:>='{}'", look::earliest(around));
    let is_like =
        |file: &&Value| look::is_since(around, file) && text(file, "alt") == text(want, "alt");
    let data = until(around, RECENT, json!({"query": query}), |data| {
        !list(&data["files"], "nodes").iter().filter(is_like).any(is_at_work)
    })
    .await?;
    let ours = list(&data["files"], "nodes").iter().filter(is_like);
    let named = ours.filter(|file| upload::is_named_after(address(file), address(want)));
    let named = named.map(|file| text(file, "id")).collect();
    Ok(look::first_ours(around, named).await)
}

fn is_at_work(file: &Value) -> bool {
    matches!(text(file, "fileStatus"), "UPLOADED" | "PROCESSING")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_sent() {
        let now = json!({"id": "gid://shopify/MediaImage/1", "alt": "a", "image": {"url": "u"}});
        assert_eq!(changed(&now, &now), None);
        let mut want = now.clone();
        want["alt"] = Value::Null;
        assert_eq!(changed(&now, &want), Some(json!({"id": now["id"], "alt": ""})));
    }

    #[test]
    fn bytes_are_replaced_where_both_are_known() {
        let of = |blob: Option<&str>| {
            let url = "https://cdn/mug.png";
            json!({"id": "gid://shopify/MediaImage/1", "image": {"url": url, "blob": blob}})
        };
        let sent = changed(&of(Some("bb")), &of(Some("aa"))).expect("an update");
        assert_eq!(sent["originalSource"]["$bytes"]["hash"], "aa");
        assert_eq!(changed(&of(None), &of(Some("aa"))), None);
        assert_eq!(changed(&of(Some("aa")), &of(Some("aa"))), None);
    }

    #[test]
    fn a_file_is_made_of_what_is_known_of_it() {
        let file = |kind: &str| json!({"id": format!("gid://shopify/{kind}/1"), "url": "https://cdn/a.pdf"});
        assert_eq!(source(&file("GenericFile")), Some("https://cdn/a.pdf".into()));
        assert_eq!(source(&file("Video")), None);
        let external =
            json!({"id": "gid://shopify/ExternalVideo/1", "originUrl": "https://youtu.be/x"});
        assert_eq!(source(&external), Some("https://youtu.be/x".into()));
    }
}
