//! Files of themes, one by one. Shopify grants writing them app by app.

use std::collections::BTreeMap;

use backstock_proto::admin::AdminError;
use backstock_proto::merge::FieldPath;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use super::{Around, WriteError, Written, send, step, theme};

const FIND: &str = include_str!("graphql/theme_file_find.graphql");
const UPSERT: &str = include_str!("graphql/theme_files_upsert.graphql");
const DELETE: &str = include_str!("graphql/theme_files_delete.graphql");

/// Makes one file what it should be.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    match (now, want) {
        (None, None) => Ok(Written::Unchanged),
        (Some(now), None) => {
            let variables = json!({"theme": theme_of(now)?, "files": [filename(now)?]});
            send::set(around, DELETE, variables).await.map_err(explained)?;
            Ok(Written::Deleted)
        }
        (Some(now), Some(want)) if says(now) == says(want) => Ok(Written::Unchanged),
        (Some(_), Some(want)) => {
            upsert(around, want).await?;
            Ok(Written::Updated { ids: BTreeMap::new() })
        }
        (None, Some(want)) => create(around, want).await,
    }
}

/// Why a field stays as it is.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    match path.member() {
        "filename" | "theme" => Some("a file of a theme keeps its name; it is deleted and made"),
        "contentType" => Some("what sort of file it is follows from its name"),
        _ => None,
    }
}

/// What tells whether two states are of the same bytes. The address of a large file says nothing.
fn says(file: &Value) -> [&Value; 3] {
    [&file["body"]["content"], &file["body"]["contentBase64"], &file["checksumMd5"]]
}

/// A file that is there already as it should be came with its theme.
async fn create(around: &dyn Around, want: &Value) -> Result<Written, WriteError> {
    let (theme, filename) = (theme_of(want)?, filename(want)?);
    let variables = json!({"theme": theme, "files": [filename]});
    let data = send::ask(around, FIND, variables).await?;
    if data["theme"].is_null() {
        return Err(WriteError::Missing(format!(
            "the theme of {filename} is not there: bring back the theme together with its files"
        )));
    }
    if !is_as_wanted(&data["theme"]["files"]["nodes"][0], want) {
        upsert(around, want).await?;
    }
    let theme = theme.rsplit('/').next().unwrap_or_default();
    let gid = format!("gid://shopify/OnlineStoreThemeFile/{theme}-{filename}");
    Ok(Written::Created { gid, ids: BTreeMap::new() })
}

/// Whether what is there of a file is certainly as wanted: another one may be just as long, and what is
/// written once more does no harm.
fn is_as_wanted(there: &Value, want: &Value) -> bool {
    there["checksumMd5"].is_string() && there["checksumMd5"] == want["checksumMd5"]
}

/// A file's size: a number in a text in one of Shopify's shapes, a number in the other.
fn size(file: &Value) -> Option<u64> {
    let size = &file["size"];
    size.as_u64().or_else(|| size.as_str()?.parse().ok())
}

async fn upsert(around: &dyn Around, want: &Value) -> Result<(), WriteError> {
    let filename = filename(want)?;
    let Some(body) = body(around, want).await else {
        return Err(WriteError::Unwritable(format!(
            "the bytes of {filename} as they were are not kept: upload the file by hand in the \
             theme's code editor"
        )));
    };
    let files = json!([{"filename": filename, "body": body}]);
    let variables = json!({"theme": theme_of(want)?, "files": files});
    let step = step::Step::setting(UPSERT, variables);
    match step::patiently(around, step).await {
        Ok(_) => Ok(()),
        Err(error) if is_denied(&error) => match theme::beside(around, theme_of(want)?).await? {
            Some(name) => Err(WriteError::Unwritable(format!(
                "Shopify does not let this app write theme files in place without its exemption. \
                 The theme as it was is in the theme library as “{name}”: look at it, then publish \
                 it"
            ))),
            None => Err(explained(error)),
        },
        Err(error) => Err(error),
    }
}

/// A file's content as a mutation takes it: text as text, all else in Base64. `None`: it was not kept.
async fn body(around: &dyn Around, file: &Value) -> Option<Value> {
    if let Some(text) = file["body"]["content"].as_str() {
        return Some(json!({"type": "TEXT", "value": text}));
    }
    let bytes = bytes(around, file).await?;
    Some(match std::str::from_utf8(&bytes) {
        Ok(text) if is_text(file) => json!({"type": "TEXT", "value": text}),
        _ => json!({"type": "BASE64", "value": BASE64.encode(&bytes)}),
    })
}

/// A file's bytes: those that its state holds, or those that we kept, if they are the ones that it is
/// to have. A file without a body that has no bytes is an empty one.
pub(super) async fn bytes(around: &dyn Around, file: &Value) -> Option<Bytes> {
    let body = &file["body"];
    if let Some(text) = body["content"].as_str() {
        return Some(Bytes::copy_from_slice(text.as_bytes()));
    }
    if let Some(encoded) = body["contentBase64"].as_str() {
        return BASE64.decode(encoded).ok().map(Bytes::from);
    }
    if let Some(hash) = file["blob"].as_str().or_else(|| body["blob"].as_str()) {
        let bytes = around.blob(hash).await?;
        return are_of(&bytes, file).then_some(bytes);
    }
    (file["size"] == "0").then(Bytes::new)
}

/// Whether bytes are those of a file: by its checksum, or by its size where Shopify tells none.
fn are_of(bytes: &[u8], file: &Value) -> bool {
    match file["checksumMd5"].as_str() {
        Some(told) => {
            let found: String =
                Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            told == found
        }
        None => size(file) == u64::try_from(bytes.len()).ok(),
    }
}

fn is_text(file: &Value) -> bool {
    let kind = file["contentType"].as_str().unwrap_or_default();
    kind.starts_with("text/")
        || ["application/json", "application/javascript", "application/x-liquid"].contains(&kind)
}

fn theme_of(state: &Value) -> Result<&str, WriteError> {
    let theme = state["theme"]["id"].as_str();
    theme.ok_or_else(|| WriteError::Missing("the file belongs to no theme".into()))
}

/// A file's name within its theme.
pub(super) fn filename(state: &Value) -> Result<&str, WriteError> {
    let name = state["filename"].as_str();
    name.ok_or_else(|| WriteError::Missing("the file has no name".into()))
}

/// Whether it is refused for want of the exemption.
fn is_denied(error: &WriteError) -> bool {
    match error {
        WriteError::Admin(AdminError::Refused { status: 200, .. }) => true,
        WriteError::Refused(why) => why.iter().any(|why| why.contains("(ACCESS_DENIED)")),
        _ => false,
    }
}

/// A refusal for want of the exemption, with what to do.
fn explained(error: WriteError) -> WriteError {
    match is_denied(&error) {
        true => WriteError::Unwritable(
            "Shopify does not let this app write theme files in place: ask Shopify for the exemption \
             for themeFilesUpsert and install the app again, or change the file by hand in the \
             theme's code editor"
                .into(),
        ),
        false => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_known_by_their_checksum_or_else_by_their_size() {
        let of = |checksum: Value, size: &str| json!({"checksumMd5": checksum, "size": size});
        let abc = json!("900150983cd24fb0d6963f7d28e17f72");
        assert!(are_of(b"abc", &of(abc.clone(), "3")));
        assert!(!are_of(b"abd", &of(abc, "3")));
        assert!(are_of(b"abc", &of(Value::Null, "3")));
        assert!(!are_of(b"abcd", &of(Value::Null, "3")));
    }

    #[test]
    fn only_a_checksum_tells_that_a_file_is_as_wanted() {
        let of = |checksum: Value| json!({"checksumMd5": checksum, "size": "3"});
        assert!(!is_as_wanted(&Value::Null, &of(Value::Null)), "it is not there");
        assert!(!is_as_wanted(&of(Value::Null), &of(Value::Null)), "another one may be as long");
        assert!(!is_as_wanted(&of(json!("aa")), &of(Value::Null)));
        assert!(!is_as_wanted(&of(json!("aa")), &of(json!("bb"))));
        assert!(is_as_wanted(&of(json!("aa")), &of(json!("aa"))));
    }
}
