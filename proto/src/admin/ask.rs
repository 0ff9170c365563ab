//! Asks the Admin API for a kind by each of the ways that the kind knows, and gives plain nodes.

use serde_json::{Map, Value, json};

use super::{AdminError, Answer, Call, Client};
use crate::kind::Spec;
use crate::kind::pull::{Each, Pull, Values, Way, is_cut, plain, unread};
use crate::{ResourceId, Timestamp};

/// Why a kind could not be read as a whole.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There was no answer.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The answer is not one, or not whole.
    #[error("{0}")]
    Fault(String),
    /// The app may not see what was asked for.
    #[error("{0}")]
    Denied(String),
    /// Another version of the API answered.
    #[error(
        "API version {0} answered instead of the one asked for; nothing is concluded from it. Set \
         shop.api_version to one that is supported"
    )]
    FellForward(String),
}

/// Asks one shop within a part of its cost budget.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The shop.
    pub client: Client,
    /// The part of the budget, 0 to 1.
    pub share: f64,
    /// Whether its questions go before others.
    pub urgent: bool,
}

impl Asker {
    /// The data of an answer without what may not be seen.
    async fn data(&self, document: &str, variables: Value) -> Result<Value, AskError> {
        let Self { share, urgent, .. } = *self;
        let call = Call { share, urgent, ..Call::read(document, variables) };
        let mut answer: Answer = self.client.ask(call).await?;
        if let Some(version) = answer.fell_forward_to {
            return Err(AskError::FellForward(version));
        }
        answer.drop_redacted();
        match answer.fault() {
            Some(fault) => {
                let why = format!("{} at {:?}", fault.message, fault.path);
                Err(match fault.is_denial() {
                    true => AskError::Denied(why),
                    false => AskError::Fault(why),
                })
            }
            None => Ok(answer.data),
        }
    }

    /// The answer to a question without variables, as it came: see [`Spec::glimpse`].
    pub async fn glimpse(&self, document: &str) -> Result<Value, AskError> {
        self.data(document, json!({})).await
    }

    /// Everything of a kind, by pages or as a single object: some at a time, as they are read.
    pub async fn all<E: From<AskError>>(
        &self,
        pull: &Pull,
        mut take: impl FnMut(Vec<Value>) -> Result<(), E> + Send,
    ) -> Result<(), E> {
        match &pull.way {
            Way::Pages { connection, more, each } => {
                for mut variables in self.variables(each).await? {
                    let mut goes_on = true;
                    while goes_on {
                        let page = self.page(pull.document, connection, &mut variables).await?;
                        let (mut nodes, more_pages) = page;
                        self.follow_all(&mut nodes, more).await?;
                        take(finished(nodes, pull))?;
                        goes_on = more_pages;
                    }
                }
                Ok(())
            }
            Way::Single { at } => {
                let mut data = self.data(pull.document, json!({})).await?;
                let nodes = match data.pointer_mut(at).map(Value::take).unwrap_or_default() {
                    Value::Array(objects) => objects,
                    object => vec![object],
                };
                take(finished(nodes, pull))
            }
            Way::Bulk { .. } | Way::ById { .. } => Ok(()),
        }
    }

    /// Every combination of the variables' values; of none at all, the one without any.
    async fn variables(&self, each: &[Each]) -> Result<Vec<Value>, AskError> {
        let mut combinations = vec![json!({})];
        for Each { variable, values } in each {
            let values: Vec<String> = match values {
                Values::These(these) => these.iter().map(|value| (*value).into()).collect(),
                Values::Asked { document, read } => read(&self.data(document, json!({})).await?),
            };
            let with = |before: &Value, value: &String| {
                let mut variables = before.clone();
                variables[*variable] = value.as_str().into();
                variables
            };
            combinations = combinations
                .iter()
                .flat_map(|before| values.iter().map(move |value| with(before, value)))
                .collect();
        }
        Ok(combinations)
    }

    /// Every node of a connection, page by page: the document takes `$after: String` besides the
    /// given variables.
    pub async fn pages(
        &self,
        document: &str,
        connection: &str,
        mut variables: Value,
    ) -> Result<Vec<Value>, AskError> {
        let mut found = Vec::new();
        loop {
            let (nodes, more_pages) = self.page(document, connection, &mut variables).await?;
            found.extend(nodes);
            if !more_pages {
                return Ok(found);
            }
        }
    }

    /// The page of a connection that the variables name, and whether there are more: then they name
    /// the next one.
    async fn page(
        &self,
        document: &str,
        connection: &str,
        variables: &mut Value,
    ) -> Result<(Vec<Value>, bool), AskError> {
        let mut data = self.data(document, variables.clone()).await?;
        let mut page = data.pointer_mut(connection).map(Value::take).unwrap_or_default();
        let Value::Array(nodes) = page["nodes"].take() else {
            return Err(AskError::Fault(format!("there are no nodes at {connection}")));
        };
        let goes_on = has_more(&page);
        variables["after"] = page["pageInfo"]["endCursor"].take();
        // Asked without it, the first page would come again, for ever.
        if goes_on && variables["after"].is_null() {
            return Err(AskError::Fault(format!("{connection} goes on and does not say where")));
        }
        Ok((nodes, goes_on))
    }

    /// Some resources by their ids: what was found, and when it was read at the latest. What is not
    /// among it is not there.
    pub async fn by_id(
        &self,
        spec: &Spec,
        pull: &Pull,
        ids: &[ResourceId],
    ) -> Result<Vec<Value>, AskError> {
        let Way::ById { list, more, each, .. } = &pull.way else { return Ok(Vec::new()) };
        let gids = spec.gids(ids);
        let mut nodes = Vec::new();
        for mut variables in self.variables(each).await? {
            variables["ids"] = json!(gids);
            let mut data = self.data(pull.document, variables).await?;
            let Some(Value::Array(found)) = data.pointer_mut(list).map(Value::take) else {
                return Err(AskError::Fault(format!("there is no list at {list}")));
            };
            // One entry an id, `null` for what is not there: a shorter list says nothing of the rest.
            if *list == "/nodes" && found.len() != gids.len() {
                let (found, asked) = (found.len(), gids.len());
                return Err(AskError::Fault(format!("{found} answers to {asked} ids")));
            }
            nodes.extend(found);
        }
        self.follow_all(&mut nodes, more).await?;
        Ok(finished(nodes, pull))
    }

    /// Adds the further pages of some connections to each node.
    async fn follow_all(&self, nodes: &mut [Value], more: &[(&str, &str)]) -> Result<(), AskError> {
        for node in nodes.iter_mut() {
            for (member, document) in more {
                if node.is_object() {
                    self.follow(node, member, document).await?;
                }
            }
        }
        Ok(())
    }

    /// Adds a connection's further pages to its first, or those of each element of another.
    async fn follow(&self, node: &mut Value, member: &str, document: &str) -> Result<(), AskError> {
        let Some((list, member)) = member.split_once("/*") else {
            return self.follow_one(node, member, document).await;
        };
        let Some(member) = member.strip_prefix('/') else {
            return self.follow_parts(node, (list, member), document).await;
        };
        let elements = node.pointer_mut(&format!("/{list}/nodes")).and_then(Value::as_array_mut);
        for element in elements.into_iter().flatten() {
            self.follow_one(element, member, document).await?;
        }
        Ok(())
    }

    /// Reads a connection of each element of a plain list anew, where something of it goes on: `named` is
    /// `c/b`, the member that the elements are known by, and the connection.
    async fn follow_parts(
        &self,
        node: &mut Value,
        (list, named): (&str, &str),
        document: &str,
    ) -> Result<(), AskError> {
        let id = node["id"].clone();
        let (known_by, member) = named.split_once('/').unwrap_or((named, ""));
        let missing = || AskError::Fault(format!("{id} has no {member} nodes"));
        let parts = node.get_mut(list).and_then(Value::as_array_mut);
        for part in parts.into_iter().flatten().filter(|part| is_cut(&part[member])) {
            let of = part[known_by]["id"].clone();
            let (mut all, mut after) = (Vec::new(), Value::Null);
            loop {
                let variables = json!({"id": id, "of": of, "after": after});
                let mut data = self.data(document, variables).await?;
                let there = data.pointer_mut(&format!("/node/{list}"));
                let mut there = there.and_then(Value::as_array_mut).into_iter().flatten();
                let part = there.find(|part| part[known_by]["id"] == of);
                let mut page = part.map(|part| part[member].take()).ok_or_else(missing)?;
                let Value::Array(nodes) = page["nodes"].take() else { return Err(missing()) };
                all.extend(nodes);
                if !has_more(&page) {
                    break;
                }
                after = page["pageInfo"]["endCursor"].take();
                if after.is_null() {
                    return Err(missing());
                }
            }
            part[member] = json!({"nodes": all});
        }
        Ok(())
    }

    async fn follow_one(
        &self,
        node: &mut Value,
        member: &str,
        document: &str,
    ) -> Result<(), AskError> {
        let id = node["id"].clone();
        let place = format!("/{member}");
        let missing = || AskError::Fault(format!("{id} has no {member} nodes"));
        while let Some(page) = node.pointer_mut(&place).filter(|page| has_more(page)) {
            let after = page["pageInfo"]["endCursor"].clone();
            if after.is_null() {
                return Err(missing());
            }
            let mut data = self.data(document, json!({"id": id, "after": after})).await?;
            let next = data["node"].pointer_mut(&place).ok_or_else(missing)?;
            let (Some(all), Value::Array(further)) =
                (page["nodes"].as_array_mut(), next["nodes"].take())
            else {
                return Err(missing());
            };
            all.extend(further);
            all.extend(unread(&next["userErrors"]));
            page["pageInfo"] = next["pageInfo"].take();
        }
        Ok(())
    }
}

fn has_more(page: &Value) -> bool {
    page["pageInfo"]["hasNextPage"] == true
}

/// Plain nodes, one a resource.
pub fn finished(nodes: Vec<Value>, pull: &Pull) -> Vec<Value> {
    let nodes = nodes.into_iter().filter(|node| node.is_object());
    let plain = nodes.map(|node| plain(uncut(node, pull.explode)));
    // An id of another type than asked for leaves an object without members.
    let plain = plain.filter(|node| node.as_object().is_some_and(|members| !members.is_empty()));
    match pull.explode {
        None => plain.collect(),
        Some(member) => plain.flat_map(|node| exploded(node, member)).collect(),
    }
}

/// A node without the members that were not read to their end: what is beyond would look as if it were
/// gone. The elements of `exploded` are resources of their own.
fn uncut(mut node: Value, exploded: Option<&str>) -> Value {
    if let Some(members) = node.as_object_mut() {
        let short = short(members);
        members.retain(|name, value| {
            exploded == Some(name.as_str()) || !(short.contains(name) || is_cut(value))
        });
    }
    node
}

/// The plain lists of which there is more than was given. They have no pages; where the node says besides how
/// many there are (`fulfillmentsCount` of `fulfillments`), it shows.
fn short(members: &Map<String, Value>) -> Vec<String> {
    let counted = members.iter().filter_map(|(name, value)| {
        let given = value.as_array()?.len() as u64;
        let there = members.get(&format!("{name}Count"))?["count"].as_u64()?;
        (given < there).then(|| name.clone())
    });
    counted.collect()
}

fn exploded(mut node: Value, member: &str) -> Vec<Value> {
    let owner = json!({"id": node["id"].take()});
    let Value::Array(parts) = node[member].take() else { return Vec::new() };
    let owned = parts.into_iter().map(|mut part| {
        part["owner"] = owner.clone();
        part
    });
    owned.collect()
}

/// When a plain node says that it was last changed.
pub fn dated(node: &Value) -> Option<Timestamp> {
    Timestamp::parse(node.get("updatedAt")?.as_str()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_read_to_its_end_was_not_given() {
        let spec = crate::kind::ALL.iter().find(|spec| spec.name == "product").expect("a kind");
        let pull = spec.pulls.iter().find(|pull| pull.name == "variants_by_id").expect("a way");
        let node = |goes_on: bool| {
            let metafields = json!({"nodes": [], "pageInfo": {"hasNextPage": goes_on}});
            json!({"id": "1", "variantDetails": {"nodes": [{"id": "v", "metafields": metafields}]}})
        };
        let whole = finished(vec![node(false)], pull);
        assert_eq!(whole, [json!({"id": "1", "variantDetails": [{"id": "v", "metafields": []}]})]);
        assert_eq!(finished(vec![node(true)], pull), [json!({"id": "1"})]);
    }

    #[test]
    fn a_list_without_pages_that_is_shorter_than_it_says_was_not_given() {
        let spec = crate::kind::ALL.iter().find(|spec| spec.name == "order").expect("a kind");
        let pull = spec.pulls.iter().find(|pull| pull.name == "by_id").expect("a way");
        let given = |there: Value| {
            let parcels = json!([{"id": "f1"}, {"id": "f2"}]);
            let node = json!({"id": "1", "fulfillments": parcels, "fulfillmentsCount": there});
            finished(vec![node], pull)[0].get("fulfillments").is_some()
        };
        assert!(given(json!({"count": 2})));
        assert!(!given(json!({"count": 3})), "what is beyond would look as if it were gone");
        // A count may be behind, and there may be none.
        assert!(given(json!({"count": 1})) && given(Value::Null));
    }

    #[test]
    fn a_file_that_could_not_be_read_is_there_and_says_nothing() {
        let spec = crate::kind::ALL.iter().find(|spec| spec.name == "theme_file").expect("a kind");
        let pull = spec.pulls.iter().find(|pull| pull.name == "by_id").expect("a way");
        let error = |code: &str, name: &str| json!({"code": code, "filename": name});
        let errors = [error("TIMEOUT", "assets/late.js"), error("NOT_FOUND", "assets/gone.js")];
        let files = json!({"nodes": [], "pageInfo": {"hasNextPage": false}, "userErrors": errors});
        let theme = json!({"id": "gid://shopify/OnlineStoreTheme/7", "files": files});
        let found = finished(vec![theme], pull);
        let ids: Vec<String> = found.iter().filter_map(spec.id).map(|id| id.to_string()).collect();
        assert_eq!(ids, ["7-assets/late.js"]);
        assert!(spec.facets.iter().all(|facet| !facet.is_given(&found[0])));
    }
}
