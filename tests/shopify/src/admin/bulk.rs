//! Bulk operations: what may run, and how a tree of answers becomes lines.

use apollo_compiler::ExecutableDocument;
use apollo_compiler::executable::{Field, Selection, SelectionSet};
use apollo_compiler::response::JsonMap;
use apollo_compiler::validation::Valid;
use serde_json::{Map, Value, json};

use super::document;
use super::endpoint::{self, Caller};
use super::read;
use super::schema::Schema;
use super::session::{Arguments, Mode, Session};
use crate::gid::Gid;
use crate::shop::Shop;

/// So many operations of a kind may run at once.
pub(crate) const CONCURRENT: usize = 5;
const CONNECTIONS_MAX: usize = 5;
const DEPTH_MAX: usize = 2;
/// Root objects that are answered under one lock.
pub const BATCH: usize = 100;
/// Selected beside what was asked for, so that children can name their parent.
const KEY: &str = "bulkKey__";

/// A query that may run in bulk.
pub struct Plan {
    root: String,
    node: String,
    arguments: Value,
    batch: Valid<ExecutableDocument>,
    fields: SelectionSet,
}

/// A line of a result, and whether it is a child of another.
pub struct Line {
    /// The JSON object.
    pub object: Map<String, Value>,
    /// It has a `__parentId`.
    pub child: bool,
}

impl Plan {
    /// Checks a query against the rules for bulk operations.
    ///
    /// # Errors
    /// What Shopify says against it.
    pub fn of(schema: &Schema, query: &str) -> Result<Self, String> {
        let document = document::parse(schema, query).map_err(|errors| {
            let first = errors.first().and_then(|error| error["message"].as_str());
            format!("Invalid bulk query: {}", first.unwrap_or_default())
        })?;
        let operation =
            document.operations.get(None).map_err(|error| error.message().to_string())?;
        let roots: Vec<&Selection> = operation.selection_set.selections.iter().collect();
        let [Selection::Field(root)] = roots.as_slice() else {
            return Err("Bulk queries must contain exactly one top-level field.".into());
        };
        if matches!(root.name.as_str(), "node" | "nodes") {
            return Err("Bulk queries cannot contain a top-level `node` or `nodes` field.".into());
        }
        if !is_connection(root) {
            return Err("Bulk queries must contain at least one connection.".into());
        }
        let (connections, depth) = measure(&document, &operation.selection_set);
        if connections > CONNECTIONS_MAX {
            return Err(format!(
                "Bulk queries cannot contain more than {CONNECTIONS_MAX} connections."
            ));
        }
        if depth > DEPTH_MAX + 1 {
            return Err(format!(
                "Bulk queries cannot contain connections with a nesting depth greater than {DEPTH_MAX}."
            ));
        }
        let fields =
            node_fields(root).ok_or("Bulk queries must select the nodes of a connection.")?;
        let node = fields.ty.to_string();
        let text = format!(
            "query Batch($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on {node} {} }} }}",
            print(schema, &document, fields, true)
        );
        let batch = document::parse(schema, &text)
            .map_err(|errors| format!("not simulated: {}", json!(errors)))?;
        let arguments = root.arguments.iter().map(|argument| {
            (argument.name.to_string(), document::constant(&argument.value, &JsonMap::new()))
        });
        let inlined = fields_of_batch(&batch).ok_or("no fields")?;
        Ok(Self {
            root: root.name.to_string(),
            node,
            arguments: Value::Object(arguments.collect()),
            fields: inlined,
            batch,
        })
    }

    /// The ids of the root objects, in order.
    ///
    /// # Errors
    /// What is not simulated, or refused.
    pub fn roots(&self, caller: &Caller<'_>, shop: &mut Shop) -> Result<Vec<Gid>, String> {
        let variables = JsonMap::new();
        let session = Session::of(caller, shop, &variables, Mode::Whole);
        let Value::Object(arguments) = self.arguments.clone() else { return Ok(Vec::new()) };
        read::resources(&session, &self.root, &self.node, &Arguments::from(arguments))
            .map_err(|error| error.message)
    }

    /// The lines of some root objects, parents before their children.
    ///
    /// # Errors
    /// What is not simulated, or refused.
    pub fn lines(
        &self,
        caller: &Caller<'_>,
        shop: &mut Shop,
        roots: &[Gid],
    ) -> Result<Vec<Line>, String> {
        let ids: Vec<Value> = roots.iter().map(|gid| json!(gid.to_string())).collect();
        let variables: JsonMap =
            serde_json::from_value(json!({ "ids": ids })).map_err(|error| error.to_string())?;
        let variables = Valid::assume_valid(variables);
        let run = endpoint::execute(caller, shop, &self.batch, None, &variables, Mode::Whole);
        let mut body = endpoint::body(run.response);
        if let Some(error) = body["errors"][0]["message"].as_str() {
            return Err(error.to_owned());
        }
        let mut lines = Vec::new();
        if let Value::Array(nodes) = body["data"]["nodes"].take() {
            nodes.into_iter().for_each(|node| flatten(node, &self.fields, None, &mut lines));
        }
        Ok(lines)
    }
}

fn is_connection(field: &Field) -> bool {
    field.ty().inner_named_type().ends_with("Connection")
}

/// The fields that a connection asks of its nodes, be it by `edges` or `nodes`.
fn node_fields(connection: &Field) -> Option<&SelectionSet> {
    connection.selection_set.fields().find_map(|field| match field.name.as_str() {
        "nodes" => Some(&field.selection_set),
        "edges" => {
            let node = field.selection_set.fields().find(|field| field.name == "node")?;
            Some(&node.selection_set)
        }
        _ => None,
    })
}

/// How many connections there are, and how deep they are nested.
pub(super) fn measure(document: &ExecutableDocument, set: &SelectionSet) -> (usize, usize) {
    let mut connections = 0;
    let mut depth = 0;
    for selection in &set.selections {
        let (inner, own) = match selection {
            Selection::Field(field) => (&field.selection_set, usize::from(is_connection(field))),
            Selection::InlineFragment(fragment) => (&fragment.selection_set, 0),
            Selection::FragmentSpread(spread) => match spread.fragment_def(document) {
                Some(fragment) => (&fragment.selection_set, 0),
                None => continue,
            },
        };
        let (below, deeper) = measure(document, inner);
        connections += own + below;
        depth = depth.max(own + deeper);
    }
    (connections, depth)
}

/// The selection again as text, with fragments in place, and with a key for each node.
fn print(schema: &Schema, document: &ExecutableDocument, set: &SelectionSet, node: bool) -> String {
    let mut text = String::from("{ ");
    if node && has_id(schema, set.ty.as_str()) {
        text.push_str(&format!("{KEY}: id "));
    }
    for selection in &set.selections {
        match selection {
            Selection::Field(field) => {
                if let Some(alias) = &field.alias {
                    text.push_str(&format!("{alias}: "));
                }
                text.push_str(field.name.as_str());
                if !field.arguments.is_empty() {
                    let arguments: Vec<String> = field
                        .arguments
                        .iter()
                        .map(|argument| format!("{}: {}", argument.name, argument.value))
                        .collect();
                    text.push_str(&format!("({})", arguments.join(", ")));
                }
                if !field.selection_set.selections.is_empty() {
                    let nodes = matches!(field.name.as_str(), "node" | "nodes")
                        && (set.ty.ends_with("Edge") || set.ty.ends_with("Connection"));
                    text.push(' ');
                    text.push_str(&print(schema, document, &field.selection_set, nodes));
                }
            }
            Selection::InlineFragment(fragment) => {
                let on = fragment.type_condition.as_ref().unwrap_or(&set.ty);
                let inner = print(schema, document, &fragment.selection_set, false);
                text.push_str(&format!("... on {on} {inner}"));
            }
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = spread.fragment_def(document) {
                    let inner = print(schema, document, &fragment.selection_set, false);
                    text.push_str(&format!("... on {} {inner}", fragment.type_condition()));
                }
            }
        }
        text.push(' ');
    }
    text.push('}');
    text
}

fn has_id(schema: &Schema, type_name: &str) -> bool {
    let graphql = &schema.graphql;
    graphql.get_object(type_name).is_some_and(|object| object.fields.contains_key("id"))
        || graphql.get_interface(type_name).is_some_and(|face| face.fields.contains_key("id"))
}

fn fields_of_batch(batch: &ExecutableDocument) -> Option<SelectionSet> {
    let operation = batch.operations.get(None).ok()?;
    let nodes = operation.selection_set.fields().next()?;
    match nodes.selection_set.selections.first()? {
        Selection::InlineFragment(fragment) => Some(fragment.selection_set.clone()),
        _ => None,
    }
}

/// One line for an object, and one for each node of each connection in it.
fn flatten(node: Value, fields: &SelectionSet, parent: Option<&Value>, lines: &mut Vec<Line>) {
    let Value::Object(mut object) = node else { return };
    let key = object.remove(KEY).or_else(|| parent.cloned()).unwrap_or_default();
    let mut children = Vec::new();
    detach(&mut object, fields, &mut children);
    if let Some(parent) = parent {
        object.insert("__parentId".into(), parent.clone());
    }
    lines.push(Line { object, child: parent.is_some() });
    for (child, fields) in children {
        flatten(child, fields, Some(&key), lines);
    }
}

/// Takes the connections out of an object, at any depth of plain objects.
fn detach<'a>(
    object: &mut Map<String, Value>,
    fields: &'a SelectionSet,
    children: &mut Vec<(Value, &'a SelectionSet)>,
) {
    for selection in &fields.selections {
        match selection {
            Selection::Field(field) if is_connection(field) => {
                let taken = object.remove(field.response_key().as_str());
                let (Some(mut taken), Some(of_node)) = (taken, node_fields(field)) else {
                    continue;
                };
                let mut list = |name: &str| match taken.get_mut(name).map(Value::take) {
                    Some(Value::Array(list)) => list,
                    _ => Vec::new(),
                };
                let edges = list("edges").into_iter().map(|mut edge| edge["node"].take());
                children.extend(edges.chain(list("nodes")).map(|node| (node, of_node)));
            }
            Selection::Field(field) if !field.selection_set.selections.is_empty() => {
                if let Some(Value::Object(inner)) = object.get_mut(field.response_key().as_str()) {
                    detach(inner, &field.selection_set, children);
                }
            }
            Selection::InlineFragment(fragment) => {
                detach(object, &fragment.selection_set, children)
            }
            _ => {}
        }
    }
}

impl Line {
    /// The line as Shopify writes it, with slashes escaped.
    #[must_use]
    pub fn text(&self) -> String {
        let text = serde_json::to_string(&self.object).unwrap_or_default();
        let mut text = text.replace('/', "\\/");
        text.push('\n');
        text
    }
}
