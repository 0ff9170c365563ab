//! Translations. Each names the digest of the text that it translates, as that text is now: it is read when
//! one is written, once for those of a resource that are written within some moments, and anew for all of
//! them where the shop says that the text is another one.

use std::collections::BTreeMap;

use backstock_proto::ResourceId;
use backstock_proto::resource::gid_type;
use serde_json::{Value, json};

use super::{Around, WriteError, Written, send};

const FIND: &str = include_str!("graphql/translation_find.graphql");
const REGISTER: &str = include_str!("graphql/translations_register.graphql");
const REMOVE: &str = include_str!("graphql/translations_remove.graphql");

/// The shop's code for a digest that is not the text's.
/// <https://shopify.dev/docs/api/admin-graphql/latest/enums/TranslationErrorCode>
const OTHER_TEXT: &str = "INVALID_TRANSLATABLE_CONTENT";

/// Makes one translation what it should be.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    match (now, want) {
        (None, None) => Ok(Written::Unchanged),
        (Some(now), None) => {
            let variables = json!({
                "resource": resource(now)?, "keys": [now["key"]], "locales": [now["locale"]],
            });
            send::set(around, REMOVE, variables).await?;
            Ok(Written::Deleted)
        }
        (Some(now), Some(want)) if now["value"] == want["value"] => Ok(Written::Unchanged),
        (Some(_), Some(want)) => {
            register(around, want).await?;
            Ok(Written::Updated { ids: BTreeMap::new() })
        }
        (None, Some(want)) => {
            register(around, want).await?;
            Ok(Written::Created { gid: gid(want)?, ids: BTreeMap::new() })
        }
    }
}

async fn register(around: &dyn Around, want: &Value) -> Result<(), WriteError> {
    let resource = resource(want)?;
    let mut asked = around.asked(resource, None);
    loop {
        let was_known = asked.initialized();
        let known = asked.get_or_try_init(|| texts(around, resource)).await?;
        match put(around, want, known).await {
            Err(error) if was_known && may_be_old(&error) => {
                asked = around.asked(resource, Some(&asked));
            }
            done => return done,
        }
    }
}

/// The texts that a resource has now.
async fn texts(around: &dyn Around, resource: &str) -> Result<Value, WriteError> {
    send::ask(around, FIND, json!({"resource": resource})).await
}

/// Whether a text may have come or changed since it was asked for.
fn may_be_old(error: &WriteError) -> bool {
    match error {
        WriteError::Missing(_) | WriteError::Unwritable(_) => true,
        WriteError::Refused(why) => why.iter().any(|why| why.contains(OTHER_TEXT)),
        _ => false,
    }
}

/// Puts a translation to its text, as the resource's texts are known.
async fn put(around: &dyn Around, want: &Value, data: &Value) -> Result<(), WriteError> {
    let (resource, key, locale) = (resource(want)?, text(want, "key"), text(want, "locale"));
    if data["found"].is_null()
        && let Some(what) = untold(resource)
    {
        return Err(WriteError::Unwritable(format!(
            "{what} that it translates is not there under its id of then: it was deleted, and if it is \
             back, nobody can say as which one. Enter the translation by hand: {:?} in {locale}",
            text(want, "value")
        )));
    }
    let contents = data["found"]["translatableContent"].as_array().into_iter().flatten();
    let content = contents.into_iter().find(|content| content["key"] == key);
    let Some(digest) = content.and_then(|content| content["digest"].as_str()) else {
        return Err(WriteError::Missing(format!(
            "what “{key}” is translated of is not there: bring that back first"
        )));
    };
    let translation = json!({
        "key": key, "locale": locale, "value": text(want, "value"),
        "translatableContentDigest": digest,
    });
    let variables = json!({"resource": resource, "translations": [translation]});
    match send::set(around, REGISTER, variables).await {
        Err(WriteError::Refused(why)) if why.iter().any(|why| why.contains("LOCALE")) => {
            Err(WriteError::Refused(vec![format!(
                "the language {locale} is not one of the shop's: add it in Settings → Languages, \
                 then try again"
            )]))
        }
        other => other.map(drop),
    }
}

/// What is translated, where it has another id once it is back and no state says which.
fn untold(resource: &str) -> Option<&'static str> {
    match gid_type(resource)? {
        "Metafield" => Some("the metafield"),
        "ProductOptionValue" => Some("the value of an option"),
        _ => None,
    }
}

fn text<'a>(state: &'a Value, name: &str) -> &'a str {
    state[name].as_str().unwrap_or_default()
}

fn resource(state: &Value) -> Result<&str, WriteError> {
    let gid = state["resource"]["id"].as_str();
    gid.ok_or_else(|| WriteError::Missing("what is translated is not there".into()))
}

/// It is known by what is translated, the language and the key.
fn gid(state: &Value) -> Result<String, WriteError> {
    let owner = resource(state)?;
    let missing = || WriteError::Missing(format!("{owner} is not an id"));
    let of = gid_type(owner).ok_or_else(missing)?;
    let number = ResourceId::parse(owner).map_err(|_| missing())?;
    let (locale, key) = (text(state, "locale"), text(state, "key"));
    Ok(format!("gid://shopify/Translation/{of}-{number}-{locale}-{key}"))
}
