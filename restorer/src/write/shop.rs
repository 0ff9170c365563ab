//! The shop itself: of it only the metafields are an app's to write.

use std::collections::BTreeMap;

use backstock_proto::merge::FieldPath;
use serde_json::Value;

use super::{Around, WriteError, Written, crud, metafield};

/// Makes the shop's metafields what they should be.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    let (Some(now), Some(want)) = (now, want) else {
        let shop = &around.admin().access().shop;
        return Err(WriteError::Unwritable(format!("{shop} itself is neither made nor deleted")));
    };
    if !want["metafields"].is_array() {
        return Ok(Written::Unchanged);
    }
    let gid = crud::id_of(now)?;
    Ok(match metafield::write(around, &gid, &now["metafields"], &want["metafields"]).await? {
        true => Written::Updated { ids: BTreeMap::new() },
        false => Written::Unchanged,
    })
}

/// Why a field stays as it is.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    match path.member() {
        "metafields" => None,
        _ => Some(
            "Shopify lets no app change a shop's settings: what they were is in history, and can be \
             entered by hand in Settings",
        ),
    }
}
