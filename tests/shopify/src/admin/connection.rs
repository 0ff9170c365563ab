//! Lists, a page at a time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::session::{Arguments, Mode, Outcome, refused};
use crate::gid::Gid;
use crate::store::{link, target};

/// The largest page.
const PAGE_MAX: u64 = 250;

/// Which part of a list is asked for.
pub(super) struct Page {
    first: Option<usize>,
    last: Option<usize>,
    after: Option<Cursor>,
    before: Option<Cursor>,
    reverse: bool,
}

/// A place in a list: after which element, and where that was.
struct Cursor {
    id: String,
    index: usize,
}

impl Page {
    /// The page that a field's arguments ask for. A bulk operation takes the whole list.
    pub(super) fn of(args: &Arguments, mode: Mode) -> Outcome<Self> {
        let reverse = args.flag("reverse").unwrap_or_default();
        if mode == Mode::Whole {
            return Ok(Self { first: None, last: None, after: None, before: None, reverse });
        }
        let size = |name: &str| match args.get(name).and_then(Value::as_i64) {
            None => Ok(None),
            Some(size) if size < 0 => {
                Err(refused(format!("{name} must be a non-negative integer")))
            }
            Some(size) if size.unsigned_abs() > PAGE_MAX => {
                Err(refused(format!("{name} cannot exceed {PAGE_MAX}")))
            }
            Some(size) => Ok(usize::try_from(size).ok()),
        };
        let (first, last) = (size("first")?, size("last")?);
        match (first, last) {
            (None, None) => Err(refused("you must provide one of first or last")),
            (Some(_), Some(_)) => Err(refused("providing both first and last is not supported")),
            _ => {
                let after = args.text("after").map(Cursor::parse).transpose()?;
                let before = args.text("before").map(Cursor::parse).transpose()?;
                Ok(Self { first, last, after, before, reverse })
            }
        }
    }

    /// The range of a list of so many elements, whose ids `id` tells.
    fn range(&self, length: usize, id: impl Fn(usize) -> String) -> std::ops::Range<usize> {
        let place = |cursor: &Cursor| {
            // Mostly it is where it was.
            (cursor.index..length)
                .take(1)
                .chain(0..length)
                .find(|at| id(*at) == cursor.id)
                .map_or((cursor.index, cursor.index), |at| (at, at + 1))
        };
        let start = self.after.as_ref().map_or(0, |cursor| place(cursor).1.min(length));
        let end = self.before.as_ref().map_or(length, |cursor| place(cursor).0.min(length));
        let end = end.max(start);
        match (self.first, self.last) {
            (Some(first), _) => start..end.min(start + first),
            (_, Some(last)) => end.saturating_sub(last).max(start)..end,
            _ => start..end,
        }
    }
}

impl Cursor {
    fn parse(text: &str) -> Outcome<Self> {
        let invalid = || refused("Invalid cursor for current pagination sort.");
        let bytes = STANDARD.decode(text).map_err(|_| invalid())?;
        let cursor: Value = serde_json::from_slice(&bytes).map_err(|_| invalid())?;
        let id = cursor["last_id"].as_str().ok_or_else(invalid)?.to_owned();
        let index = cursor["at"].as_u64().and_then(|at| usize::try_from(at).ok());
        Ok(Self { id, index: index.ok_or_else(invalid)? })
    }

    fn text(id: &str, index: usize) -> String {
        STANDARD.encode(json!({ "last_id": id, "at": index }).to_string())
    }
}

/// A page of a list that a document holds.
pub(super) fn of_values(type_name: &str, values: Value, page: &Page) -> Value {
    let Value::Array(mut values) = values else { return Value::Null };
    if page.reverse {
        values.reverse();
    }
    let id = |at: usize| identity(&values[at], at);
    let range = page.range(values.len(), id);
    build(type_name, values.len(), range, |at| (id(at), values[at].clone()))
}

/// A page of resources.
pub(super) fn of_resources(type_name: &str, gids: &[Gid], page: &Page) -> Value {
    of_each(type_name, gids, page, link)
}

/// A page of what `node` makes of each resource.
pub(super) fn of_each(
    type_name: &str,
    gids: &[Gid],
    page: &Page,
    node: impl Fn(Gid) -> Value,
) -> Value {
    let id = |at: usize| gids[at].to_string();
    let range = page.range(gids.len(), id);
    build(type_name, gids.len(), range, |at| (id(at), node(gids[at])))
}

/// What tells an element of a list from the others.
fn identity(value: &Value, at: usize) -> String {
    match target(value) {
        Some(gid) => gid.to_string(),
        None => value["id"].as_str().map_or_else(|| at.to_string(), str::to_owned),
    }
}

fn build(
    type_name: &str,
    length: usize,
    range: std::ops::Range<usize>,
    element: impl Fn(usize) -> (String, Value),
) -> Value {
    let edge = type_name.strip_suffix("Connection").unwrap_or(type_name).to_owned() + "Edge";
    let mut nodes = Vec::with_capacity(range.len());
    let mut edges = Vec::with_capacity(range.len());
    for at in range.clone() {
        let (id, node) = element(at);
        edges.push(json!({ "__typename": edge, "cursor": Cursor::text(&id, at), "node": node }));
        nodes.push(node);
    }
    let cursor = |edge: Option<&Value>| edge.map_or(Value::Null, |edge| edge["cursor"].clone());
    json!({
        "__typename": type_name,
        "pageInfo": {
            "__typename": "PageInfo",
            "hasNextPage": range.end < length,
            "hasPreviousPage": range.start > 0 && length > 0,
            "startCursor": cursor(edges.first()),
            "endCursor": cursor(edges.last()),
        },
        "edges": edges,
        "nodes": nodes,
        // Only that of a theme's files has any.
        "userErrors": [],
    })
}
