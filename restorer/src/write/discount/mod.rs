//! Discounts, by code and automatic, of every sort. How often one was used starts anew; one that an
//! app calculates needs that app.

use std::collections::BTreeSet;

use backstock_proto::ResourceId;
use backstock_proto::merge::FieldPath;
use serde_json::{Value, json};

use super::crud::{self, Crud, Find, id_of};
use super::{Around, WriteError, Written, send, step};

mod input;

/// The documents of one sort.
struct Sort {
    name: &'static str,
    create: &'static str,
    update: &'static str,
}

macro_rules! sort {
    ($name:literal, $file:literal) => {
        Sort {
            name: $name,
            create: include_str!(concat!("../graphql/discount_", $file, "_create.graphql")),
            update: include_str!(concat!("../graphql/discount_", $file, "_update.graphql")),
        }
    };
}

const SORTS: [Sort; 8] = [
    sort!("DiscountCodeBasic", "code_basic"),
    sort!("DiscountCodeBxgy", "code_bxgy"),
    sort!("DiscountCodeFreeShipping", "code_free_shipping"),
    sort!("DiscountCodeApp", "code_app"),
    sort!("DiscountAutomaticBasic", "automatic_basic"),
    sort!("DiscountAutomaticBxgy", "automatic_bxgy"),
    sort!("DiscountAutomaticFreeShipping", "automatic_free_shipping"),
    sort!("DiscountAutomaticApp", "automatic_app"),
];

const CODES_ADD: &str = include_str!("../graphql/discount_codes_add.graphql");
const CODES_ADDED: &str = include_str!("../graphql/discount_codes_added.graphql");

/// Most codes in one mutation.
const CODES_MAX: usize = 100;

/// Makes one discount what it should be.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    let Some(any) = want.or(now) else { return Ok(Written::Unchanged) };
    let sort = SORTS.iter().find(|sort| any["type"] == sort.name).ok_or_else(|| {
        WriteError::Unwritable(format!("a discount of the sort {} cannot be written", any["type"]))
    })?;
    if let (Some(now), Some(want)) = (now, want)
        && now["type"] != want["type"]
    {
        return Err(WriteError::Unwritable("a discount is of one sort for ever".into()));
    }
    match (now, want) {
        (None, Some(want)) => restorable(want)?,
        // What else differs is put right all the same.
        (Some(now), Some(want)) if now["context"] != want["context"] => {
            if let Err(error) = restorable(want) {
                around.note(error.to_string());
            }
        }
        _ => {}
    }
    let written =
        crud(sort).write(around, now, want).await.map_err(|error| explained(error, any))?;
    match (want, written) {
        (Some(want), written) if sort.name.starts_with("DiscountCode") => {
            codes(around, now, want, written).await
        }
        (_, written) => Ok(written),
    }
}

/// Why a field stays as it is.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    match path.member() {
        "type" => Some("a discount is of one sort for ever"),
        "appDiscountType" => Some("which app calculates a discount is for ever"),
        _ => None,
    }
}

fn crud(sort: &Sort) -> Crud {
    let by_code = sort.name.starts_with("DiscountCode");
    let code = Find {
        document: include_str!("../graphql/discount_code_find.graphql"),
        variables: |want| Some(json!({"code": want["codes"][0]["code"].as_str()?})),
        is: |node, _| node["id"].is_string(),
        refuses_second: true,
    };
    let automatic = Find {
        document: include_str!("../graphql/discount_automatic_find.graphql"),
        variables: |want| want["title"].is_string().then(|| json!({})),
        // What a mutation answers says nothing but the id.
        is: |node, want| {
            let there = &node["automaticDiscount"];
            let same = ["type", "title", "startsAt"].iter().all(|name| there[*name] == want[*name]);
            there.is_null() || same
        },
        refuses_second: false,
    };
    Crud {
        kind: "discount",
        gid_type: Some(if by_code { "DiscountCodeNode" } else { "DiscountAutomaticNode" }),
        called: "discount",
        create: sort.create,
        update: sort.update,
        delete: match by_code {
            true => include_str!("../graphql/discount_code_delete.graphql"),
            false => include_str!("../graphql/discount_automatic_delete.graphql"),
        },
        result: "node",
        find: if by_code { code } else { automatic },
        made: |want| json!({"discount": input::made(want)}),
        changed: |now, want| {
            let discount = input::changed(now, want);
            (!discount.is_empty()).then(|| json!({"discount": discount}))
        },
        children: crud::childless,
    }
}

/// Whether all that a discount is limited by is known: one that was for some markets, or for people of whom
/// none is there any more, must not come back for everybody.
fn restorable(want: &Value) -> Result<(), WriteError> {
    let limited = ["all", "customers", "segments"].iter().any(|by| !want["context"][*by].is_null());
    if want["context"].is_object() && !limited {
        return Err(WriteError::Unwritable(
            "the discount was for certain markets only, and which ones is not kept: set it up again \
             in the Shopify admin"
                .into(),
        ));
    }
    let is_empty = |by: &str| want["context"][by].as_array().is_some_and(Vec::is_empty);
    if is_empty("customers") || is_empty("segments") {
        return Err(WriteError::Missing(
            "none of those that the discount was for is there any more: set it up again in the \
             Shopify admin, for others"
                .into(),
        ));
    }
    Ok(())
}

/// The further codes of a discount: those that are missing are added. Those that are too many stay,
/// and are told of.
async fn codes(
    around: &dyn Around,
    now: Option<&Value>,
    want: &Value,
    written: Written,
) -> Result<Written, WriteError> {
    let list = |state: &Value| -> BTreeSet<String> {
        let codes = state["codes"].as_array().into_iter().flatten();
        codes.filter_map(|code| code["code"].as_str().map(str::to_owned)).collect()
    };
    let wanted = list(want);
    let (gid, there) = match (&written, now) {
        (Written::Created { gid, .. }, _) => {
            let made_with = want["codes"][0]["code"].as_str().map(str::to_owned);
            (gid.clone(), made_with.into_iter().collect())
        }
        (_, Some(now)) => (id_of(now)?, list(now)),
        _ => return Ok(written),
    };
    if want.get("codes").is_none() || (there.len() == 1 && wanted.len() == 1) {
        return Ok(written);
    }
    let missing: Vec<Value> = wanted.difference(&there).map(|code| json!({"code": code})).collect();
    let too_many: Vec<&str> = there.difference(&wanted).map(String::as_str).collect();
    if !too_many.is_empty() {
        around.note(format!(
            "codes that were not there then stay: take them out by hand in the discount's list of \
             codes ({})",
            too_many.join(", ")
        ));
    }
    let number = ResourceId::parse(&gid).map_err(|_| WriteError::Missing(gid.clone()))?;
    let id = format!("gid://shopify/DiscountCodeNode/{number}");
    for codes in missing.chunks(CODES_MAX) {
        // A code that is there already is refused for itself.
        let answered = send::set(around, CODES_ADD, json!({"id": id, "codes": codes})).await?;
        let run = json!({"id": answered["bulkCreation"]["id"]});
        let is_over = |data: &Value| data["found"]["done"] != false;
        let over = step::until(around, CODES_ADDED, run, is_over).await?;
        if over["found"]["failedCount"].as_u64().is_some_and(|failed| failed > 0) {
            around.note("some codes belong to another discount now, and were not added".into());
        }
    }
    Ok(match written {
        Written::Unchanged if !missing.is_empty() => Written::Updated { ids: Default::default() },
        written => written,
    })
}

fn explained(error: WriteError, want: &Value) -> WriteError {
    let code = want["codes"][0]["code"].as_str();
    if let (WriteError::Taken(_), Some(code)) = (&error, code) {
        return WriteError::Taken(format!(
            "another discount has the code “{code}” now: give that one another code, or delete it, \
             then try again"
        ));
    }
    let WriteError::Refused(why) = &error else { return error };
    if want["type"].as_str().is_some_and(|sort| sort.ends_with("App")) {
        let app = want["appDiscountType"]["title"].as_str().unwrap_or("its app");
        return WriteError::Refused(vec![format!(
            "the discount is calculated by “{app}”, and Shopify may let nobody else write it: have that \
             app installed, and set it up again there ({})",
            why.join("; ")
        )]);
    }
    error
}
