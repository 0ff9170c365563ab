//! How the Admin API is asked for a kind: which document, which parts of a resource it brings, and
//! how what comes back becomes one plain JSON object a resource.
//!
//! A plain node is a GraphQL object with its connections as arrays. Bulk results, pages and reads by
//! id all give the same plain node for the same state, and a facet's payload is that node's members
//! which belong to the facet.

use serde_json::{Map, Value, json};

use crate::resource::{Facet, ResourceId};

/// One GraphQL document and what it brings.
pub struct Pull {
    /// Names it within its kind, such as `bulk`.
    pub name: &'static str,
    /// The document, from a `.graphql` file beside the kind's.
    pub document: &'static str,
    /// Which facets it brings, each as a whole.
    pub facets: &'static [Facet],
    /// How it is asked.
    pub way: Way,
    /// The member of each node whose elements are the resources, where the nodes are not: a theme's
    /// `files`. Each element gets the node's id as `owner`.
    pub explode: Option<&'static str>,
}

/// How a document is asked, and where its nodes are.
pub enum Way {
    /// By a bulk operation. The document takes no variables and selects `__typename` and `id` of
    /// everything.
    Bulk {
        /// `__typename` → the member of its parent under which a line's object stands.
        children: &'static [(&'static str, &'static str)],
        /// Where the lines at the top are parts of a resource: a JSON pointer to the owner's gid,
        /// and the owner's member that they become elements of.
        owner: Option<(&'static str, &'static str)>,
    },
    /// All of a kind in pages: the document takes `$after: String` and selects `pageInfo`.
    Pages {
        /// JSON pointer to the connection within `data`.
        connection: &'static str,
        /// As for [`Self::ById`].
        more: &'static [(&'static str, &'static str)],
        /// For each value of these variables it is asked once more.
        each: &'static [Each],
    },
    /// One object, such as the shop itself.
    Single {
        /// JSON pointer to it within `data`; an array is as many objects.
        at: &'static str,
    },
    /// Some, by id: the document takes `$ids: [ID!]!` and answers with a list.
    ById {
        /// JSON pointer to the list within `data`: `/nodes`.
        list: &'static str,
        /// Most ids in one question.
        ids_max: usize,
        /// For each connection that may be longer than its first page: the member (`a/b` is `b`
        /// within `a`, `a/*/b` is `b` of each element of `a`), and the document that takes `$id: ID!`
        /// and `$after: String` and answers with `node` and further elements. What stands before `b`
        /// comes first, and each of its elements is asked for by its own id. `a/*c/b` is `b` of each
        /// element of a plain list, which has no id but that of its `c`: the document takes that as
        /// `$of: ID!`, and `b` is read anew, so that it may be asked for more of what is within.
        more: &'static [(&'static str, &'static str)],
        /// As for [`Self::Pages`].
        each: &'static [Each],
    },
}

/// A variable of a document that is asked with one value after the other.
pub struct Each {
    /// Its name.
    pub variable: &'static str,
    /// Its values.
    pub values: Values,
}

/// What a variable may be.
pub enum Values {
    /// These.
    These(&'static [&'static str]),
    /// What the answer to a question of its own says.
    Asked {
        /// The question, which takes no variables.
        document: &'static str,
        /// The values, from the answer's `data`.
        read: fn(&Value) -> Vec<String>,
    },
}

/// The members of a plain node that make up a facet. `id`, `updatedAt`, `createdAt`, `owner` and
/// `__typename` go with each.
pub struct Members {
    /// Which facet.
    pub facet: Facet,
    /// Its members. One that begins with `?` is of some types only.
    pub members: &'static [&'static str],
}

/// For kinds with media, whose bytes we keep ourselves: see [`crate::media`]. No node has it, so that
/// [`Members::of`] never finds it.
pub(super) const BLOBS: Members = Members { facet: Facet::Blobs, members: &["blobs, not pulled"] };

/// Members that every facet's payload has, where the node has them.
const EVERYWHERE: [&str; 5] = ["__typename", "createdAt", "id", "owner", "updatedAt"];

impl Members {
    /// The part of a plain node that is this facet; `None` if a member was not asked for or not
    /// given, so that what is missing never looks like what is gone.
    pub fn of(&self, node: &Value) -> Option<Value> {
        let node = node.as_object()?;
        let mut part = Map::new();
        for name in self.members {
            match name.strip_prefix('?') {
                Some(name) => {
                    let value = node.get(name).cloned();
                    part.extend(value.map(|value| (name.to_owned(), value)));
                }
                None => drop(part.insert((*name).into(), node.get(*name)?.clone())),
            }
        }
        part.extend(given(node, &EVERYWHERE));
        Some(Value::Object(part))
    }

    /// The same, moved out of the node until it is [given back](Self::give_back): of a product with many
    /// variants, copying takes as long as reading it.
    pub fn lend(&self, node: &mut Value) -> Option<Value> {
        if !self.is_given(node) {
            return None;
        }
        let node = node.as_object_mut()?;
        let mut part: Map<String, Value> = given(node, &EVERYWHERE).collect();
        for name in self.names() {
            if let Some(value) = node.get_mut(name) {
                part.insert(name.to_owned(), value.take());
            }
        }
        Some(Value::Object(part))
    }

    /// Puts back what a node had lent.
    pub fn give_back(&self, mut part: Value, node: &mut Value) {
        for name in self.names() {
            if let (Some(lent), Some(place)) = (part.get_mut(name), node.get_mut(name)) {
                *place = lent.take();
            }
        }
    }

    /// Whether a plain node has all of this facet.
    pub fn is_given(&self, node: &Value) -> bool {
        self.members.iter().all(|name| name.starts_with('?') || node.get(*name).is_some())
    }

    /// What a node has of this facet, whatever is missing.
    pub(super) fn within(&self, node: &Value) -> Value {
        let Some(node) = node.as_object() else { return Value::Null };
        let names: Vec<&str> = self.names().chain(EVERYWHERE).collect();
        Value::Object(given(node, &names).collect())
    }

    /// Its members, of whichever types.
    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.members.iter().map(|name| name.strip_prefix('?').unwrap_or(name))
    }
}

/// Those of some members that a node has.
fn given(node: &Map<String, Value>, names: &[&str]) -> impl Iterator<Item = (String, Value)> {
    names.iter().filter_map(move |name| Some(((*name).to_owned(), node.get(*name)?.clone())))
}

/// Turns every connection within a GraphQL object (`{nodes: […]}`, `{edges: [{node}]}`) into an
/// array.
pub fn plain(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(mut members) => match connection(&mut members) {
            Some(nodes) => nodes.into_iter().map(plain).collect(),
            None => {
                members.values_mut().for_each(|value| *value = plain(value.take()));
                Value::Object(members)
            }
        },
        scalar => scalar,
    }
}

/// Whether every connection within a GraphQL object is given to its end, and says so.
pub(super) fn is_whole(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().all(is_whole),
        Value::Object(members) => {
            let ends = || members.get("pageInfo").is_some_and(|page| page["hasNextPage"] == false);
            (!is_connection(members) || ends()) && members.values().all(is_whole)
        }
        _ => true,
    }
}

/// Whether some connection within a GraphQL object says that it goes on beyond what is given.
pub(crate) fn is_cut(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(is_cut),
        Value::Object(members) => {
            let goes_on = members.get("pageInfo").is_some_and(|page| page["hasNextPage"] == true);
            goes_on || members.values().any(is_cut)
        }
        _ => false,
    }
}

/// What a connection says that it could not read, such as files of a theme: it is there, and nothing more
/// is known of it.
pub(crate) fn unread(errors: &Value) -> impl Iterator<Item = Value> {
    let errors = errors.as_array().into_iter().flatten();
    let there = errors.filter(|error| error["code"] != "NOT_FOUND" && error["code"] != "SUCCESS");
    there.map(|error| json!({"filename": error["filename"]}))
}

/// Whether an object is a connection: it then has no other members than these.
fn is_connection(members: &Map<String, Value>) -> bool {
    let only = |name: &String| {
        matches!(name.as_str(), "nodes" | "edges" | "pageInfo" | "userErrors" | "__typename")
    };
    let has = |name: &str| members.get(name).is_some_and(Value::is_array);
    members.keys().all(only) && (has("nodes") || has("edges"))
}

/// The elements of a connection, if the object is one.
fn connection(members: &mut Map<String, Value>) -> Option<Vec<Value>> {
    if !is_connection(members) {
        return None;
    }
    if let Some(Value::Array(mut nodes)) = members.remove("nodes") {
        nodes.extend(members.get("userErrors").into_iter().flat_map(unread));
        return Some(nodes);
    }
    let Some(Value::Array(edges)) = members.remove("edges") else { return None };
    Some(edges.into_iter().filter_map(|mut edge| Some(edge.get_mut("node")?.take())).collect())
}

/// An address as a canonical state has it: without the part that changes when nothing else does.
pub(crate) fn address(url: &str) -> String {
    match super::field::url(&url.into()) {
        Value::String(url) => url,
        _ => url.into(),
    }
}

/// The resource that a plain node is, by the number in its gid.
pub(super) fn by_gid(node: &Value) -> Option<ResourceId> {
    ResourceId::parse(node.get("id")?.as_str()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_either_form_become_arrays() {
        let node = json!({
            "id": "gid://shopify/Product/1",
            "variants": {"nodes": [{"id": "a", "media": {"edges": [{"node": {"id": "m"}}]}}],
                         "pageInfo": {"hasNextPage": false, "endCursor": null}},
            "seo": {"title": null},
        });
        let expected = json!({
            "id": "gid://shopify/Product/1",
            "variants": [{"id": "a", "media": [{"id": "m"}]}],
            "seo": {"title": null},
        });
        assert_eq!(plain(node), expected);
    }

    #[test]
    fn what_does_not_say_that_it_ends_is_not_whole() {
        let page =
            |info: Value| json!({"id": "1", "lines": {"nodes": [{"id": "l"}], "pageInfo": info}});
        assert!(is_whole(&page(json!({"hasNextPage": false}))));
        assert!(!is_whole(&page(json!({"hasNextPage": true}))));
        assert!(!is_whole(&page(Value::Null)));
        assert!(!is_whole(&json!({"a": [{"lines": {"edges": []}}]})));
        assert!(is_whole(&json!({"id": "1", "tags": ["a"], "seo": {"title": null}})));
    }

    #[test]
    fn a_part_that_was_not_given_whole_is_not_given() {
        let facet = Members { facet: Facet::Detail, members: &["seo", "handle"] };
        let node = json!({"id": "1", "seo": null, "handle": "mug", "title": "Mug"});
        assert_eq!(facet.of(&node), Some(json!({"id": "1", "seo": null, "handle": "mug"})));
        assert_eq!(facet.of(&json!({"id": "1", "seo": null})), None);
        assert!(facet.is_given(&node) && !facet.is_given(&json!({"id": "1", "seo": null})));
    }

    #[test]
    fn what_a_node_lends_is_its_part_and_comes_back() {
        let facet = Members { facet: Facet::Detail, members: &["seo", "?image", "createdAt"] };
        let seo = json!({"title": "Mug"});
        for node in [
            json!({"id": "1", "seo": seo, "createdAt": "2026", "title": "Mug"}),
            json!({"id": "1", "seo": null, "image": {"url": "u"}, "createdAt": "2026"}),
        ] {
            let mut lending = node.clone();
            let lent = facet.lend(&mut lending).expect("a part");
            assert_eq!(Some(&lent), facet.of(&node).as_ref());
            facet.give_back(lent, &mut lending);
            assert_eq!(lending, node);
        }
        let mut without = json!({"id": "1", "seo": seo});
        assert_eq!(facet.lend(&mut without), None);
        assert_eq!(without, json!({"id": "1", "seo": seo}));
    }

    #[test]
    fn what_only_some_types_have_may_be_missing() {
        let facet = Members { facet: Facet::Core, members: &["alt", "?image"] };
        let picture = json!({"id": "1", "alt": "a", "image": {"url": "u"}});
        assert_eq!(facet.of(&picture), Some(picture.clone()));
        let document = json!({"id": "1", "alt": "a"});
        assert_eq!(facet.of(&document), Some(document.clone()));
        assert!(facet.is_given(&document));
    }
}
