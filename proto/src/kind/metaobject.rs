//! Metaobjects: entries of types that the shop defines.

use serde_json::{Value, json};

use super::field::{self, Mapped, MappingError, instant, list, object, upper};
use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Coverage, Spec, rank};
use crate::event::Op;
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "metaobject",
    gid_type: "Metaobject",
    // All of them are asked for through their definitions.
    reads: &["read_metaobjects", "read_metaobject_definitions"],
    writes: &["write_metaobjects"],
    topics: &[
        ("metaobjects/create", Coverage::Core(Op::Create)),
        ("metaobjects/update", Coverage::Core(Op::Update)),
        ("metaobjects/delete", Coverage::Delete),
    ],
    events_topic: Some("Metaobject"),
    mapping: 3,
    core: Some(core),
    node,
    // A webhook tells no types, and of a field without a value perhaps nothing. That it spaces JSON as a
    // pull does nobody promises.
    beside: &["/fields/*/type", "/fields/*/~value", "/fields/?value"],
    facets: &[CORE, DETAIL],
    pulls: &[
        Pull {
            name: "bulk",
            document: include_str!("graphql/metaobject_bulk.graphql"),
            facets: &[Facet::Core, Facet::Detail],
            way: Way::Bulk { children: &[("Metaobject", "metaobjects")], owner: None },
            explode: Some("metaobjects"),
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/metaobject_by_id.graphql"),
            facets: &[Facet::Core, Facet::Detail],
            way: Way::ById { list: "/nodes", ids_max: 50, more: &[], each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/Metaobject/{id}"),
    natural_key: &["type", "handle"],
    rank: rank::METAOBJECTS,
    not_covered: "metaobjects of other apps cannot be read",
    ..PULLED
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &["type", "handle", "displayName", "capabilities", "fields"],
};

/// What no webhook tells: the template of its page.
const DETAIL: Members = Members { facet: Facet::Detail, members: &["capabilities"] };

fn core(body: &Value) -> Result<Value, MappingError> {
    let mut m = Mapped::of(body)?;
    m.same(&["id", "type", "handle"])
        .text("display_name", "displayName")
        .map("created_at", "createdAt", instant)
        .map("fields", "fields", |fields| {
            let fields = fields.as_object().into_iter().flatten();
            let fields = fields.map(|(key, value)| json!({"key": key, "value": text(value)}));
            field::sorted(fields.collect(), |item| item["key"].to_string())
        })
        .map("capabilities", "capabilities", |capabilities| {
            let status = capabilities.pointer("/publishable/status");
            json!({"publishable": status.map(|status| json!({"status": upper(status)}))})
        });
    Ok(m.done())
}

fn node(facet: Facet, node: &Value) -> Result<Value, MappingError> {
    let mut state = (PULLED.node)(facet, node)?;
    let capability = match facet {
        Facet::Core => "publishable",
        _ => "onlineStore",
    };
    let held = state["capabilities"][capability].take();
    state["capabilities"] = json!({capability: held});
    if let Some(fields) = state.get_mut("fields") {
        let written = list(fields, |item| {
            object(item, |m| {
                m.same(&["key", "type"]).map("value", "value", text);
            })
        });
        *fields = field::sorted(written, |item| item["key"].to_string());
    }
    Ok(state)
}

/// A value, which is a text whatever the type of its field.
fn text(value: &Value) -> Value {
    match value {
        Value::String(text) if text.is_empty() => Value::Null,
        Value::Null | Value::String(_) => value.clone(),
        other => other.to_string().into(),
    }
}
