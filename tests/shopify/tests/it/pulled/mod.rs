//! Pulls a kind out of a simulated shop by each of the ways that it knows, in memory.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use backstock_proto::ResourceId;
use backstock_proto::kind::Spec;
use backstock_proto::kind::pull::{Each, Pull, Values, Way, plain};
use serde_json::{Value, json};
use shopify::admin::bulk::Plan;
use shopify::admin::endpoint::Caller;
use shopify::shop::Actor;

use crate::client::{Client, schema};

/// Plain nodes by the resource that they are.
pub(crate) type Nodes = BTreeMap<ResourceId, Value>;

/// What a pull brings; by id, of the resources given.
pub(crate) fn nodes(client: &mut Client, spec: &Spec, pull: &Pull, ids: &[ResourceId]) -> Nodes {
    let found = match &pull.way {
        Way::Bulk { children, owner } => bulk(client, pull.document, children, *owner),
        Way::Pages { connection, more, each } => {
            let mut nodes = Vec::new();
            for variables in variables(client, each) {
                nodes.extend(pages(client, pull.document, variables, connection));
            }
            for node in &mut nodes {
                more.iter().for_each(|(member, document)| follow(client, node, member, document));
            }
            nodes
        }
        Way::Single { at } => {
            let data = client.ask(pull.document, json!({}));
            match data.pointer(at).cloned().unwrap_or_default() {
                Value::Array(objects) => objects,
                object => vec![object],
            }
        }
        Way::ById { list, ids_max, more, each } => {
            let mut nodes = Vec::new();
            for variables in variables(client, each) {
                for ids in ids.chunks(*ids_max) {
                    let gids = spec.gids(ids);
                    nodes.extend(by_id(
                        client,
                        pull.document,
                        variables.clone(),
                        &gids,
                        list,
                        more,
                    ));
                }
            }
            nodes
        }
    };
    let plain = found.into_iter().filter(|node| !node.is_null()).map(plain);
    // An id of another type than asked for leaves an object without members.
    let plain = plain.filter(|node| node.as_object().is_some_and(|members| !members.is_empty()));
    let exploded = plain.flat_map(|node| match pull.explode {
        Some(member) => explode(node, member),
        None => vec![node],
    });
    exploded.map(|node| ((spec.id)(&node).expect("the node says which it is"), node)).collect()
}

fn explode(mut node: Value, member: &str) -> Vec<Value> {
    let owner = json!({"id": node["id"]});
    let parts = node[member].take().as_array().cloned().unwrap_or_default();
    let owned = parts.into_iter().map(|mut part| {
        part["owner"] = owner.clone();
        part
    });
    owned.collect()
}

/// Every combination of the variables' values.
fn variables(client: &mut Client, each: &[Each]) -> Vec<Value> {
    let mut combinations = vec![json!({})];
    for Each { variable, values } in each {
        let values: Vec<String> = match values {
            Values::These(these) => these.iter().map(|value| (*value).into()).collect(),
            Values::Asked { document, read } => read(&client.ask(document, json!({}))),
        };
        let before = std::mem::take(&mut combinations);
        for value in &values {
            combinations.extend(before.iter().cloned().map(|mut variables| {
                variables[*variable] = json!(value);
                variables
            }));
        }
    }
    combinations
}

fn pages(
    client: &mut Client,
    document: &str,
    mut variables: Value,
    connection: &str,
) -> Vec<Value> {
    let mut found = Vec::new();
    variables["after"] = Value::Null;
    loop {
        let data = client.ask(document, variables.clone());
        let page = data.pointer(connection).expect("the connection");
        found.extend(page["nodes"].as_array().cloned().unwrap_or_default());
        if page["pageInfo"]["hasNextPage"] != true {
            return found;
        }
        variables["after"] = page["pageInfo"]["endCursor"].clone();
    }
}

fn by_id(
    client: &mut Client,
    document: &str,
    mut variables: Value,
    gids: &[String],
    list: &str,
    more: &[(&str, &str)],
) -> Vec<Value> {
    variables["ids"] = json!(gids);
    let mut data = client.ask(document, variables);
    let mut found = data.pointer_mut(list).map(Value::take).expect("a list");
    for node in found.as_array_mut().expect("a list").iter_mut().filter(|node| !node.is_null()) {
        for (member, document) in more {
            follow(client, node, member, document);
        }
    }
    found.as_array().cloned().unwrap_or_default()
}

/// Adds a connection's further pages to its first, or those of each element of another.
fn follow(client: &mut Client, node: &mut Value, member: &str, document: &str) {
    if let Some((list, member)) = member.split_once("/*/") {
        let elements = node.pointer_mut(&format!("/{list}/nodes")).and_then(Value::as_array_mut);
        for element in elements.into_iter().flatten() {
            follow(client, element, member, document);
        }
        return;
    }
    let id = node["id"].clone();
    let place = format!("/{member}");
    let has_more = |page: &&mut Value| page["pageInfo"]["hasNextPage"] == true;
    while let Some(page) = node.pointer_mut(&place).filter(has_more) {
        let after = page["pageInfo"]["endCursor"].clone();
        let data = client.ask(document, json!({"id": id, "after": after}));
        let next = data["node"].pointer(&place).expect("the connection");
        let further = next["nodes"].as_array().cloned().expect("nodes");
        page["nodes"].as_array_mut().expect("nodes").extend(further);
        page["pageInfo"] = next["pageInfo"].clone();
    }
}

fn bulk(
    client: &mut Client,
    document: &str,
    children: &[(&str, &str)],
    owner: Option<(&str, &str)>,
) -> Vec<Value> {
    let schema = schema(client.version);
    let plan = Plan::of(schema, document).expect("a bulk query");
    let caller = Caller {
        schema,
        version: client.version,
        actor: Actor::App("Backstock".into()),
        now: client.now,
    };
    let roots = plan.roots(&caller, &mut client.shop).expect("roots");
    let lines = plan.lines(&caller, &mut client.shop, &roots).expect("lines");
    let mut lines: Vec<Value> =
        lines.iter().map(|line| serde_json::from_str(&line.text()).expect("a line")).collect();
    // Siblings stay in order; everything else may come in any.
    lines.sort_by_cached_key(|line| {
        let mut hasher = DefaultHasher::new();
        line["__parentId"].to_string().hash(&mut hasher);
        hasher.finish()
    });
    assemble(lines, children, owner)
}

fn assemble(
    lines: Vec<Value>,
    children: &[(&str, &str)],
    owner: Option<(&str, &str)>,
) -> Vec<Value> {
    let mut of_parent: HashMap<String, Vec<Value>> = HashMap::new();
    let mut roots = Vec::new();
    for line in lines {
        match line["__parentId"].as_str().map(str::to_owned) {
            Some(parent) => of_parent.entry(parent).or_default().push(line),
            None => roots.push(line),
        }
    }
    let trees = roots.into_iter().map(|root| grow(root, &mut of_parent, children));
    let Some((pointer, member)) = owner else { return trees.collect() };
    let mut owners: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for tree in trees {
        let owner = tree.pointer(pointer).and_then(Value::as_str).expect("an owner").to_owned();
        owners.entry(owner).or_default().push(tree);
    }
    owners.into_iter().map(|(id, parts)| json!({"id": id, member: parts})).collect()
}

fn grow(
    mut node: Value,
    of_parent: &mut HashMap<String, Vec<Value>>,
    children: &[(&str, &str)],
) -> Value {
    let id = node["id"].as_str().expect("an id").to_owned();
    let object = node.as_object_mut().expect("an object");
    object.remove("__parentId");
    let mut has = of_parent.remove(&id).unwrap_or_default();
    for (_, member) in children {
        object.entry(*member).or_insert_with(|| json!([]));
    }
    for child in has.drain(..) {
        let typename = child["__typename"].as_str().expect("a type").to_owned();
        let member = children.iter().find(|(name, _)| *name == typename);
        let (_, member) = member.unwrap_or_else(|| panic!("no member for {typename}"));
        let child = grow_child(child, of_parent, children);
        object[*member].as_array_mut().expect("a list").push(child);
    }
    node
}

/// A child has only the members that its own children give it.
fn grow_child(
    mut node: Value,
    of_parent: &mut HashMap<String, Vec<Value>>,
    children: &[(&str, &str)],
) -> Value {
    let has = node["id"].as_str().and_then(|id| of_parent.remove(id)).unwrap_or_default();
    let object = node.as_object_mut().expect("an object");
    object.remove("__parentId");
    for child in has {
        let typename = child["__typename"].as_str().expect("a type").to_owned();
        let member = children.iter().find(|(name, _)| *name == typename);
        let (_, member) = member.unwrap_or_else(|| panic!("no member for {typename}"));
        let child = grow_child(child, of_parent, children);
        let list = object.entry(*member).or_insert_with(|| json!([]));
        list.as_array_mut().expect("a list").push(child);
    }
    node
}
