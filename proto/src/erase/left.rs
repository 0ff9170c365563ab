//! What is left once a person is taken out.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::Erased;
use crate::kind::Personal;
use crate::{Kind, ResourceId, Timestamp};

/// Stands where a text of a record held something personal.
const GONE: &str = "[erased]";
/// Shortest text by which somebody is recognised, in bytes; of what somebody wrote into a field of no
/// known meaning, which may be any word.
const TELLING_BYTES_MIN: usize = 6;
const VALUE_BYTES_MIN: usize = 16;
/// Members that tell who somebody is or what was said to them.
const TELLING: &[&str] = &[
    "address1",
    "address2",
    "browser_ip",
    "clientIp",
    "contact_email",
    "displayName",
    "email",
    "emailAddress",
    "message",
    "multipassIdentifier",
    "multipass_identifier",
    "name",
    "note",
    "phone",
    "phoneNumber",
    "value",
];

/// Members that speak of people in what no kind's file knows.
const PEOPLE: &[&str] = &[
    "billing_address",
    "customer",
    "destination",
    "email",
    "phone",
    "recipient",
    "shipping_address",
];

impl Erased {
    /// What is left of a payload of a resource; `None` if it speaks of nobody who was erased.
    pub fn left(&self, kind: &Kind, id: &ResourceId, payload: &[u8]) -> Option<Value> {
        if self.is_empty() || !kind.may_speak_of_people() {
            return None;
        }
        self.left_of(kind, id, &serde_json::from_slice(payload).ok()?)
    }

    /// The same of a payload that is not written out yet.
    pub fn left_of(&self, kind: &Kind, id: &ResourceId, value: &Value) -> Option<Value> {
        if self.is_empty() || !kind.may_speak_of_people() {
            return None;
        }
        let speaks = self.has(kind, id) || self.is_named_in(kind, value);
        speaks.then(|| self.blanked(kind, value.clone()))
    }

    /// The same of a payload that is known to speak of somebody who was. It can be read as before,
    /// and says as much of everything else.
    pub fn blanked(&self, kind: &Kind, mut value: Value) -> Value {
        match kind.spec().map(|spec| spec.personal) {
            Some(Personal::None) => value,
            None => identity(value),
            Some(Personal::Subject) => match within(&mut value) {
                Some(nodes) => {
                    nodes.values_mut().for_each(|node| *node = identity(node.take()));
                    json!({"data": nodes})
                }
                None => identity(value),
            },
            Some(Personal::Mentions(pointers)) => {
                let telling = telling(kind, &value);
                let pointers = pointers.iter().copied().chain(["/metafields/*/value"]);
                for pointer in pointers {
                    let path: Vec<&str> = pointer.split('/').skip(1).collect();
                    self.blank(&mut value, &path);
                    let nodes = within(&mut value).into_iter().flat_map(|nodes| nodes.values_mut());
                    nodes.for_each(|node| self.blank(node, &path));
                }
                // What else tells who it was: a tag, a line's name.
                sweep(&mut value, &Self::default(), &telling);
                value
            }
        }
    }

    fn blank(&self, value: &mut Value, path: &[&str]) {
        match (path, value) {
            // An empty list says the same however it came.
            ([], value) if value.is_array() => *value = Value::Array(Vec::new()),
            ([], value) => *value = Value::Null,
            // A list of people, of whom one goes.
            (["@"], Value::Array(people)) => {
                let customer = Kind::parse(super::CUSTOMER);
                people.retain(|one| customer.as_ref().is_ok_and(|k| !self.is_named_in(k, one)));
            }
            (["*", rest @ ..], Value::Array(items)) => {
                items.iter_mut().for_each(|item| self.blank(item, rest));
            }
            // A connection, of which only Shopify's Events keep the form.
            (["*", rest @ ..], Value::Object(members)) => {
                if let Some(nodes) = members.get_mut("nodes") {
                    self.blank(nodes, path);
                }
                if let Some(edges) = members.get_mut("edges") {
                    self.blank(edges, &[&["*", "node"][..], rest].concat());
                }
            }
            ([name, rest @ ..], Value::Object(members)) => {
                if let Some(member) = members.get_mut(*name) {
                    self.blank(member, rest);
                }
            }
            _ => {}
        }
    }
}

/// The nodes within a delivery of Shopify's Events.
fn within(value: &mut Value) -> Option<&mut Map<String, Value>> {
    value.get_mut("data")?.as_object_mut()
}

/// What of a document says which one it is and when it was touched, and nothing else.
fn identity(value: Value) -> Value {
    let Value::Object(members) = value else { return Value::Object(Map::new()) };
    let is_plain = |value: &Value| match value {
        Value::Number(_) => true,
        Value::String(text) => {
            text.starts_with("gid://shopify/")
                || text.bytes().all(|b| b.is_ascii_digit())
                || Timestamp::parse(text).is_ok()
        }
        _ => false,
    };
    let names_it = |name: &str| {
        matches!(name, "id" | "admin_graphql_api_id" | "shop_id")
            || ["_id", "Id", "_at", "At"].iter().any(|end| name.ends_with(end))
    };
    members.into_iter().filter(|(name, value)| names_it(name) && is_plain(value)).collect()
}

/// The texts by which a person of whom a payload speaks can be recognised elsewhere: names in full,
/// addresses, numbers, what was noted.
pub fn telling(kind: &Kind, payload: &Value) -> BTreeSet<String> {
    let mut texts = BTreeSet::new();
    match kind.spec().map(|spec| spec.personal) {
        Some(Personal::None) => {}
        Some(Personal::Subject) => tell(payload, &mut texts),
        // Of what is not understood, only what is surely about people.
        None => {
            for pointer in PEOPLE {
                tell_at(payload, &[pointer], &mut texts);
            }
        }
        Some(Personal::Mentions(pointers)) => {
            let nodes = payload.get("data").and_then(Value::as_object).into_iter();
            let nodes = nodes.flat_map(|nodes| nodes.values());
            for document in std::iter::once(payload).chain(nodes) {
                for pointer in pointers {
                    let path: Vec<&str> = pointer.split('/').skip(1).collect();
                    tell_at(document, &path, &mut texts);
                }
            }
        }
    }
    texts
}

fn tell_at(value: &Value, path: &[&str], texts: &mut BTreeSet<String>) {
    match (path, value) {
        // One of several people, and nobody says which.
        (["@"], _) => {}
        (["*", rest @ ..], Value::Object(members)) => {
            if let Some(nodes) = members.get("nodes") {
                tell_at(nodes, path, texts);
            }
            let edges = members.get("edges").and_then(Value::as_array).into_iter().flatten();
            edges.for_each(|edge| tell_at(&edge["node"], rest, texts));
        }
        ([name], Value::Object(members)) => {
            let Some(member) = members.get(*name) else { return };
            match member {
                Value::String(text) if TELLING.contains(name) => keep(name, text, texts),
                other => tell(other, texts),
            }
        }
        (["*", rest @ ..], Value::Array(items)) => {
            items.iter().for_each(|item| tell_at(item, rest, texts));
        }
        ([name, rest @ ..], Value::Object(members)) => {
            if let Some(member) = members.get(*name) {
                tell_at(member, rest, texts);
            }
        }
        _ => {}
    }
}

fn tell(value: &Value, texts: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| tell(item, texts)),
        Value::Object(members) => {
            let text = |names: [&str; 2]| names.iter().find_map(|n| members.get(*n)?.as_str());
            let (first, last) =
                (text(["first_name", "firstName"]), text(["last_name", "lastName"]));
            if let (Some(first), Some(last)) = (first, last) {
                keep("name", &format!("{first} {last}"), texts);
            }
            // Other things than people have names as well.
            let is_person = last.is_some() || members.contains_key("address1");
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("name", Value::String(_)) if !is_person => {}
                    (name, Value::String(text)) if TELLING.contains(&name) => {
                        keep(name, text, texts);
                    }
                    (_, other) => tell(other, texts),
                }
            }
        }
        _ => {}
    }
}

fn keep(name: &str, text: &str, texts: &mut BTreeSet<String>) {
    let text = text.trim();
    let is_flag = text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    let bytes_min = if name == "value" { VALUE_BYTES_MIN } else { TELLING_BYTES_MIN };
    if text.len() >= bytes_min && !is_flag && !text.starts_with("gid://") {
        texts.insert(text.to_owned());
    }
}

/// Takes those who were erased out of a record: everything that is said of a resource that was, and
/// every text that holds one of `telling`. Answers whether there was something.
pub fn sweep(record: &mut Value, erased: &Erased, telling: &BTreeSet<String>) -> bool {
    match record {
        Value::String(text) => take_out(text, telling),
        Value::Array(items) => {
            items.iter_mut().fold(false, |any, item| sweep(item, erased, telling) | any)
        }
        Value::Object(members) => {
            let about = match (members.get("kind"), members.get("id")) {
                (Some(Value::String(kind)), Some(Value::String(id))) => erased.is_one(kind, id),
                _ => false,
            };
            let blanked = about && blank_about(members);
            members.values_mut().fold(blanked, |any, member| sweep(member, erased, telling) | any)
        }
        _ => false,
    }
}

/// Takes texts out of another, the longest first.
fn take_out(text: &mut String, telling: &BTreeSet<String>) -> bool {
    if text.starts_with("gid://") {
        return false;
    }
    let mut held: Vec<&String> = telling.iter().filter(|t| text.contains(t.as_str())).collect();
    held.sort_by_key(|telling| std::cmp::Reverse(telling.len()));
    for telling in &held {
        *text = text.replace(telling.as_str(), GONE);
    }
    !held.is_empty()
}

/// Takes out what is said about a resource: its values, and what people call it. A plan's row says
/// from then on that it cannot be done.
fn blank_about(members: &mut Map<String, Value>) -> bool {
    let mut any = false;
    let is_row = members.contains_key("action") && members.contains_key("cost");
    let writes = members.get("action").and_then(Value::as_str);
    if is_row && matches!(writes, Some("create" | "update" | "delete")) {
        members.insert("action".into(), "cannot".into());
        let why = "personal data was erased: nothing of it can be brought back";
        members.insert("notes".into(), vec![Value::from(why)].into());
        any = true;
    }
    for (name, member) in members.iter_mut() {
        any |= blank_said(name, member);
    }
    any
}

fn blank_said(name: &str, value: &mut Value) -> bool {
    match (name, value) {
        ("title" | "text" | "headline" | "label" | "reason" | "handle", Value::String(text)) => {
            let any = !text.is_empty();
            text.clear();
            any
        }
        ("also", Value::Array(words)) => {
            let any = !words.is_empty();
            words.clear();
            any
        }
        ("old" | "new" | "now" | "value" | "state" | "before" | "after" | "want", value)
            if !value.is_boolean() && !is_word(value) =>
        {
            let any = !value.is_null();
            *value = Value::Null;
            any
        }
        (_, Value::Array(items)) => {
            items.iter_mut().fold(false, |any, item| blank_said("", item) | any)
        }
        (_, Value::Object(members)) => {
            members.iter_mut().fold(false, |any, (name, member)| blank_said(name, member) | any)
        }
        _ => false,
    }
}

/// How something is, such as a row's `state`: `skipped`.
fn is_word(value: &Value) -> bool {
    const STATES: &[&str] = &[
        "pending",
        "created",
        "updated",
        "deleted",
        "skipped",
        "conflict",
        "failed",
        "queued",
        "running",
        "paused",
        "cancelled",
        "done",
    ];
    value.as_str().is_some_and(|text| STATES.contains(&text))
}
