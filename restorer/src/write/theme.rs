//! Themes. One that was deleted comes back as a new, unpublished theme, made of all its files at
//! once: that takes no exemption of Shopify's, and nobody sees it before the merchant publishes it.

use std::collections::BTreeMap;
use std::io::Write as _;

use backstock_proto::ResourceId;
use backstock_proto::merge::FieldPath;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use rawzip::{CompressionMethod, ZipArchiveWriter};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::crud::{self, created, id_of};
use super::{Around, WriteError, Written, look, send, step, theme_file, upload};

const FIND: &str = include_str!("graphql/theme_find.graphql");
const CREATE: &str = include_str!("graphql/theme_create.graphql");
const STATUS: &str = include_str!("graphql/theme_status.graphql");
const UPDATE: &str = include_str!("graphql/theme_update.graphql");
const PUBLISH: &str = include_str!("graphql/theme_publish.graphql");
const DELETE: &str = include_str!("graphql/theme_delete.graphql");

/// Without it Shopify takes no theme.
const LAYOUT: &str = "layout/theme.liquid";

/// Makes one theme what it should be.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    match (now, want) {
        (None, None) => Ok(Written::Unchanged),
        (Some(now), None) => delete(around, now).await,
        (None, Some(want)) => create(around, want).await,
        (Some(now), Some(want)) => update(around, now, want).await,
    }
}

/// Why a field stays as it is.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    match path.member() {
        "processing" => Some("Shopify is at work on a theme, or it is not"),
        _ => None,
    }
}

/// Why a role stays as it is.
pub(super) fn unwritable_to(path: &FieldPath, new: &Value) -> Option<&'static str> {
    (path.member() == "role" && *new != "MAIN").then_some(
        "a theme ends to be the published one when another is published: publish that one",
    )
}

async fn update(around: &dyn Around, now: &Value, want: &Value) -> Result<Written, WriteError> {
    let id = id_of(now)?;
    let mut sent = false;
    let name = crud::differing(now, want, &["name"]);
    if !name.is_empty() {
        send::set(around, UPDATE, json!({"id": id, "input": name})).await?;
        sent = true;
    }
    match (now["role"].as_str(), want["role"].as_str()) {
        (Some(was), Some("MAIN")) if was != "MAIN" => {
            send::set(around, PUBLISH, json!({"id": id})).await?;
            sent = true;
        }
        (Some("MAIN"), Some(role)) if role != "MAIN" => around.note(
            "a theme ends to be the published one when another is published: publish that one"
                .into(),
        ),
        _ => {}
    }
    match sent {
        true => Ok(Written::Updated { ids: BTreeMap::new() }),
        false => Ok(Written::Unchanged),
    }
}

async fn delete(around: &dyn Around, now: &Value) -> Result<Written, WriteError> {
    if now["role"] == "MAIN" {
        return Err(WriteError::Unwritable(
            "Shopify does not delete the published theme: publish another one first".into(),
        ));
    }
    let id = id_of(now)?;
    let Err(error) = send::set(around, DELETE, json!({"id": id})).await else {
        return Ok(Written::Deleted);
    };
    let status = send::ask(around, STATUS, json!({"id": id})).await?;
    match (&error, status["theme"].is_null()) {
        (WriteError::Refused(_), true) => Ok(Written::Deleted),
        _ => Err(error),
    }
}

/// Makes it under a name that no other theme has, so that it is found again when an answer is lost,
/// and gives it its own name last.
async fn create(around: &dyn Around, want: &Value) -> Result<Written, WriteError> {
    let name = want["name"].as_str().unwrap_or("Theme");
    let gid = match finished(around, name).await? {
        Some(gid) => gid,
        None => {
            let gid = made(around, &id_of(want)?, &interim(name, want)).await?;
            send::set(around, UPDATE, json!({"id": gid, "input": {"name": name}})).await?;
            gid
        }
    };
    around.note(format!(
        "the theme came back unpublished: look at “{name}” in the theme library, then publish it"
    ));
    Ok(created(gid, want, BTreeMap::new()))
}

/// The name of a theme while it is made. Names have at most 50 letters.
fn interim(name: &str, want: &Value) -> String {
    let number = want["id"].as_str().and_then(|gid| ResourceId::parse(gid).ok());
    let number = number.map(|id| id.to_string()).unwrap_or_default();
    let short: String = name.chars().take(20).collect();
    format!("{short} ({number})")
}

/// A theme that has its own name already, and that an earlier try may have made: nobody heard that it was done.
async fn finished(around: &dyn Around, name: &str) -> Result<Option<String>, WriteError> {
    let themes = named(around, name).await?;
    let is_new = |theme: &&Value| theme["role"] == "UNPUBLISHED" && look::is_since(around, theme);
    let new = themes.iter().filter(is_new).filter_map(|theme| theme["id"].as_str()).collect();
    Ok(look::first_ours(around, new).await)
}

async fn find(around: &dyn Around, name: &str) -> Result<Option<String>, WriteError> {
    named(around, name).await?.first().map(id_of).transpose()
}

/// The themes of a name.
async fn named(around: &dyn Around, name: &str) -> Result<Vec<Value>, WriteError> {
    let data = send::ask(around, FIND, json!({"names": [name]})).await?;
    let themes = step::list(&data["found"], "nodes").iter();
    Ok(themes.filter(|theme| theme["name"] == name).cloned().collect())
}

/// The theme as it was, laid beside the one that is there: its name in the theme library. `None`: its
/// files are not known.
pub(super) async fn beside(around: &dyn Around, gid: &str) -> Result<Option<String>, WriteError> {
    // Many files of a theme are refused at once, and one theme is to come of it.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
    let _turn = ONE_AT_A_TIME.lock().await;
    let status = send::ask(around, STATUS, json!({"id": gid})).await?;
    let name: String =
        status["theme"]["name"].as_str().unwrap_or("Theme").chars().take(20).collect();
    let at: String = around.began_at().to_string().chars().take(19).collect();
    let name = format!("{name}, restored {at}");
    match made(around, gid, &name).await {
        Ok(_) => Ok(Some(name)),
        Err(WriteError::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A theme of the files that belonged to another, under a name that none has before.
async fn made(around: &dyn Around, of: &str, name: &str) -> Result<String, WriteError> {
    let gid = match find(around, name).await? {
        Some(gid) => gid,
        None => make(around, of, name).await?,
    };
    let is_over = |data: &Value| data["theme"]["processing"] != true;
    let status = step::until(around, STATUS, json!({"id": gid}), is_over).await?;
    if status["theme"]["processingFailed"] == true {
        return Err(WriteError::Refused(vec![format!(
            "it could not make a theme of the files: look at “{name}” in the theme library"
        )]));
    }
    Ok(gid)
}

async fn make(around: &dyn Around, of: &str, name: &str) -> Result<String, WriteError> {
    let files = around.parts(of).await?;
    if !files.iter().any(|file| file["filename"] == LAYOUT) {
        return Err(WriteError::Missing(
            "the theme's files are not among what is restored: choose themes and theme files \
             together"
                .into(),
        ));
    }
    let archive = archive(around, &files).await?;
    let source = upload::address(around, "theme.zip", "application/zip", archive).await?;
    let variables = json!({"source": source, "name": name});
    match send::once(around, CREATE, variables, "make a theme").await {
        Ok(answered) => id_of(&answered["theme"]),
        Err(error) if send::is_unknown(&error) => find(around, name).await?.ok_or(error),
        Err(error) => Err(error),
    }
}

/// The files as one archive. Those whose bytes were not kept are left out, and are told of.
async fn archive(around: &dyn Around, files: &[Value]) -> Result<Bytes, WriteError> {
    let mut missing = Vec::new();
    let mut archive = ZipArchiveWriter::new(Vec::new());
    let damaged = |error: &dyn std::fmt::Display| {
        WriteError::Missing(format!("no archive can be made of the theme: {error}"))
    };
    for file in files {
        let name = theme_file::filename(file)?;
        match theme_file::bytes(around, file).await {
            Some(bytes) => add(&mut archive, name, &bytes).map_err(|error| damaged(&error))?,
            None => missing.push(name.to_owned()),
        }
    }
    if !missing.is_empty() {
        around.note(format!("not kept, and so not in the theme: {}", missing.join(", ")));
    }
    archive.finish().map(Bytes::from).map_err(|error| damaged(&error))
}

fn add(
    archive: &mut ZipArchiveWriter<Vec<u8>>,
    name: &str,
    bytes: &[u8],
) -> Result<(), rawzip::Error> {
    let file = archive.new_file(name).compression_method(CompressionMethod::DEFLATE);
    let (mut entry, config) = file.start()?;
    let mut writer = config.wrap(DeflateEncoder::new(&mut entry, Compression::default()));
    writer.write_all(bytes)?;
    let (encoder, descriptor) = writer.finish()?;
    encoder.finish()?;
    entry.finish(descriptor)?;
    Ok(())
}
