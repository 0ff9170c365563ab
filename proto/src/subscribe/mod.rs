//! What a shop is to tell us of, and how it comes to that: Shopify deletes a subscription whose
//! deliveries fail for hours, without a word.
//!
//! Subscriptions made here belong to the shop (`webhookSubscriptionCreate`) and carry our [`NAME`].
//! Those in an app's own configuration are not listed by the Admin API and cannot be healed; for them
//! [`app_toml`] says what to write there. An app that has both hears of everything twice, which costs
//! time and changes nothing.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;
use utoipa::ToSchema;

use crate::admin::{AdminError, Call, Client, Repeat};
use crate::journal::{AsOf, Journal, JournalError};
use crate::{Kind, Mode, Shop, Timestamp, kind};

mod app;

pub use app::app_toml;

/// The `what` of records of how subscriptions are: [`Subscriptions`], of one id only.
pub const SUBSCRIPTIONS: &str = "subscriptions";
/// The id of those records.
pub const ALL: &str = "all";

/// What ours are called.
const NAME: &str = "backstock";

const LIST: &str = include_str!("../admin/graphql/subscriptions.graphql");
const CREATE: &str = include_str!("../admin/graphql/subscription_create.graphql");
const UPDATE: &str = include_str!("../admin/graphql/subscription_update.graphql");
const DELETE: &str = include_str!("../admin/graphql/subscription_delete.graphql");
const TYPES: &str = include_str!("../admin/graphql/metaobject_types.graphql");

/// How a shop's subscriptions are, and what was or would be done about them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Subscriptions {
    /// When they were looked at.
    pub at: Timestamp,
    /// Where deliveries go.
    pub uri: String,
    /// How many there should be.
    pub wanted: usize,
    /// How many of them are as they should be, after what was done.
    pub good: usize,
    /// What was done, or would be: `create products/update`, ….
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<String>,
    /// What the shop refuses, topic by topic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
    /// Topics that come in another API version than asked for, though they were made anew: it is the
    /// app's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_version: Vec<String>,
}

/// A topic that cannot be subscribed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refused {
    /// Which one.
    pub topic: String,
    /// Why not.
    pub reason: String,
}

/// A subscription as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    topic: String,
    filter: Option<String>,
}

/// A subscription as the shop has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct There {
    id: String,
    topic: String,
    #[serde(default)]
    uri: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    format: Option<String>,
    #[serde(default)]
    filter: Option<String>,
    #[serde(default)]
    include_fields: Option<Vec<String>>,
    api_version: Version,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Version {
    handle: String,
}

/// What makes one as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Create(Wanted),
    Update(String, Wanted),
    /// Made anew, since nothing changes its API version.
    Replace(String, Wanted),
}

impl Subscriptions {
    /// The kinds that some of the subscriptions are about which had to be made: of what happened until then
    /// nothing told.
    pub fn untold(&self) -> BTreeSet<Kind> {
        let made: BTreeSet<&str> =
            self.done.iter().filter_map(|done| done.strip_prefix("create ")).collect();
        let all = kind::ALL.iter().copied();
        let untold = all.filter(|spec| spec.topics.iter().any(|(topic, _)| made.contains(topic)));
        untold.map(Kind::of).collect()
    }
}

/// What is asked of a shop's subscriptions.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Our public address, such as `https://backstock.example.com`.
    pub public_url: Url,
    /// The types of the shop's metaobjects: their topics are told type by type.
    pub metaobject_types: BTreeSet<String>,
    /// Topics known to come in another version whatever is done.
    pub other_version: Vec<String>,
}

/// Looks at a shop's subscriptions and mends them, or only says what it would do.
pub async fn heal(
    client: &Client,
    wish: &Wish,
    at: Timestamp,
    mode: Mode,
) -> Result<Subscriptions, AdminError> {
    let uri = webhooks_uri(&wish.public_url);
    let wanted = wanted(&wish.metaobject_types);
    let there = list(client).await?;
    let steps = steps(&there, &wanted, &uri, &client.access().api_version, &wish.other_version);
    let mut report = Subscriptions {
        at,
        uri,
        wanted: wanted.len(),
        good: wanted.len() - steps.len(),
        done: Vec::new(),
        refused: Vec::new(),
        other_version: wish.other_version.clone(),
    };
    for step in steps {
        if mode.is_dry() {
            report.done.push(step.told());
            continue;
        }
        match take(client, &step, &report.uri).await? {
            Ok(other_version) => {
                report.good += 1;
                report.done.push(step.told());
                if other_version {
                    report.other_version.push(step.wanted().topic.clone());
                }
            }
            Err(reason) => {
                report.refused.push(Refused { topic: step.wanted().topic.clone(), reason });
            }
        }
    }
    report.other_version.sort();
    report.other_version.dedup();
    Ok(report)
}

/// The types of metaobjects that history knows of, without those of other apps.
pub async fn metaobject_types(
    journal: &dyn Journal,
    shop: &Shop,
) -> Result<BTreeSet<String>, JournalError> {
    let Ok(kind) = Kind::parse("metaobject_definition") else { return Ok(BTreeSet::new()) };
    let mut definitions = journal.snapshot(shop, AsOf::Latest, Some(&kind)).await?;
    let mut types = BTreeSet::new();
    while let Some(definition) = definitions.try_next().await? {
        let name = definition.state["type"].as_str().unwrap_or_default();
        types.extend(is_told(name).then(|| name.to_owned()));
    }
    Ok(types)
}

/// The same as the shop has them now; nothing where the app may not ask.
pub async fn metaobject_types_now(client: &Client) -> Result<Option<BTreeSet<String>>, AdminError> {
    let mut types = BTreeSet::new();
    let mut after = Value::Null;
    loop {
        let answer = match client.ask(Call::read(TYPES, json!({"after": after}))).await {
            Ok(answer) if answer.errors.is_empty() => answer,
            Ok(_) | Err(AdminError::Refused { status: 200 | 403, .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let page = &answer.data["metaobjectDefinitions"];
        let names = page["nodes"].as_array().into_iter().flatten();
        let names = names.filter_map(|node| node["type"].as_str());
        types.extend(names.filter(|name| is_told(name)).map(str::to_owned));
        if page["pageInfo"]["hasNextPage"] != true {
            return Ok(Some(types));
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}

/// Whether metaobjects of a type are told of: those of other apps are not.
fn is_told(name: &str) -> bool {
    !name.is_empty() && !name.starts_with("app--")
}

/// Where deliveries go.
pub fn webhooks_uri(public_url: &Url) -> String {
    format!("{}/webhooks", public_url.as_str().trim_end_matches('/'))
}

/// Every topic that a kind understands.
pub(crate) fn topics() -> BTreeSet<&'static str> {
    kind::ALL.iter().flat_map(|spec| spec.topics).map(|(topic, _)| *topic).collect()
}

/// A metaobject's topic is told only for the types that are named.
pub(crate) fn needs_types(topic: &str) -> bool {
    topic.starts_with("metaobjects/")
}

pub(crate) fn filter_of(types: &BTreeSet<String>) -> String {
    types.iter().map(|name| format!("type:{name}")).collect::<Vec<_>>().join(" OR ")
}

fn wanted(types: &BTreeSet<String>) -> Vec<Wanted> {
    let topics = topics().into_iter().filter(|topic| !needs_types(topic) || !types.is_empty());
    let wanted = topics.map(|topic| Wanted {
        topic: topic.to_owned(),
        filter: needs_types(topic).then(|| filter_of(types)),
    });
    wanted.collect()
}

/// `products/update` → `PRODUCTS_UPDATE`.
fn enum_name(topic: &str) -> String {
    topic.replace(['/', '.'], "_").to_uppercase()
}

/// What is missing, and what is not as it should be.
fn steps(
    there: &[There],
    wanted: &[Wanted],
    uri: &str,
    version: &str,
    other_version: &[String],
) -> Vec<Step> {
    let step = |wanted: &Wanted| {
        let name = enum_name(&wanted.topic);
        let ours = |one: &&There| {
            one.topic == name && (one.uri == uri || one.name.as_deref() == Some(NAME))
        };
        // The one at our address first: no second one can be had there.
        let found = there.iter().filter(ours).max_by_key(|one| one.uri == uri);
        let Some(found) = found else { return Some(Step::Create(wanted.clone())) };
        if found.api_version.handle != version && !other_version.contains(&wanted.topic) {
            return Some(Step::Replace(found.id.clone(), wanted.clone()));
        }
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let good = found.uri == uri
            && text(&found.filter) == text(&wanted.filter)
            && found.include_fields.as_ref().is_none_or(Vec::is_empty)
            && found.format.as_deref().is_none_or(|format| format == "JSON");
        (!good).then(|| Step::Update(found.id.clone(), wanted.clone()))
    };
    wanted.iter().filter_map(step).collect()
}

impl Step {
    fn wanted(&self) -> &Wanted {
        match self {
            Self::Create(wanted) | Self::Update(_, wanted) | Self::Replace(_, wanted) => wanted,
        }
    }

    fn told(&self) -> String {
        let verb = match self {
            Self::Create(_) => "create",
            Self::Update(..) => "update",
            Self::Replace(..) => "replace",
        };
        format!("{verb} {}", self.wanted().topic)
    }
}

async fn list(client: &Client) -> Result<Vec<There>, AdminError> {
    let mut found = Vec::new();
    let mut after = Value::Null;
    loop {
        let answer = client.ask(Call::read(LIST, json!({"after": after}))).await?;
        let page = &answer.data["webhookSubscriptions"];
        let nodes = page["nodes"].as_array().into_iter().flatten();
        for node in nodes {
            let one = There::deserialize(node).map_err(|e| garbled(client, &e.to_string()))?;
            found.push(one);
        }
        if page["pageInfo"]["hasNextPage"] != true {
            return Ok(found);
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}

/// Takes one step. Whether it then comes in another version than asked for; why not, where the shop
/// refuses.
async fn take(client: &Client, step: &Step, uri: &str) -> Result<Result<bool, String>, AdminError> {
    let Wanted { topic, filter } = step.wanted();
    let subscription = json!({
        "uri": uri, "format": "JSON", "name": NAME, "filter": filter, "includeFields": [],
    });
    if let Step::Replace(id, _) = step
        && let Err(reason) = write(client, DELETE, json!({"id": id})).await?
    {
        return Ok(Err(reason));
    }
    let written = match step {
        Step::Update(id, _) => {
            write(client, UPDATE, json!({"id": id, "subscription": subscription})).await?
        }
        Step::Create(_) | Step::Replace(..) => {
            let variables = json!({"topic": enum_name(topic), "subscription": subscription});
            write(client, CREATE, variables).await?
        }
    };
    Ok(written.map(|data| {
        let made = &data["webhookSubscriptionCreate"]["webhookSubscription"]["apiVersion"];
        made["handle"].as_str().is_some_and(|version| version != client.access().api_version)
    }))
}

/// A write that may be sent again: a second subscription to the same is refused.
async fn write(
    client: &Client,
    document: &str,
    variables: Value,
) -> Result<Result<Value, String>, AdminError> {
    let call = Call { repeat: Repeat::Safe, ..Call::write(document, variables) };
    let answer = match client.ask(call).await {
        Ok(answer) => answer,
        Err(AdminError::Refused { detail, .. } | AdminError::Document { detail, .. }) => {
            return Ok(Err(detail));
        }
        Err(error) => return Err(error),
    };
    let mut reasons = answer.user_errors();
    reasons.extend(answer.errors.iter().map(|error| error.message.clone()));
    Ok(if reasons.is_empty() { Ok(answer.data) } else { Err(reasons.join("; ")) })
}

fn garbled(client: &Client, detail: &str) -> AdminError {
    AdminError::Garbled { shop: client.access().shop.clone(), detail: detail.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URI: &str = "https://backstock.example.com/webhooks";

    fn types(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn there(topic: &str, uri: &str) -> There {
        There {
            id: format!("gid://shopify/WebhookSubscription/{topic}"),
            topic: enum_name(topic),
            uri: uri.into(),
            name: Some(NAME.into()),
            format: Some("JSON".into()),
            filter: None,
            include_fields: Some(Vec::new()),
            api_version: Version { handle: "2026-10".into() },
        }
    }

    fn told(there: &[There], types: &BTreeSet<String>, other_version: &[String]) -> Vec<String> {
        let steps = steps(there, &wanted(types), URI, "2026-10", other_version);
        steps.iter().map(Step::told).collect()
    }

    fn all(types: &BTreeSet<String>) -> Vec<There> {
        let wanted = wanted(types).into_iter();
        wanted.map(|w| There { filter: w.filter, ..there(&w.topic, URI) }).collect()
    }

    #[test]
    fn what_is_as_it_should_be_is_left_alone() {
        let types = types(&["lookbook"]);
        assert!(told(&all(&types), &types, &[]).is_empty());
        assert!(told(&[], &types, &[]).contains(&"create products/update".into()));
        let without = told(&[], &BTreeSet::new(), &[]);
        assert!(!without.iter().any(|step| step.contains("metaobjects/")));
    }

    #[test]
    fn what_is_missing_or_wrong_is_mended_and_what_is_not_ours_is_not_touched() {
        let none = BTreeSet::new();
        let mut have = all(&none);
        have.retain(|one| one.topic != "PRODUCTS_UPDATE");
        have.push(There {
            name: None,
            ..there("products/update", "https://erp.example.com/shopify")
        });
        assert_eq!(told(&have, &none, &[]), ["create products/update"]);
        let mut have = all(&none);
        let first = |have: &mut Vec<There>, topic: &str| {
            have.iter().position(|one| one.topic == enum_name(topic)).expect("there")
        };
        let at = first(&mut have, "orders/create");
        have[at].uri = "https://old.example.com/webhooks".into();
        let at = first(&mut have, "customers/update");
        have[at].include_fields = Some(vec!["id".into()]);
        let at = first(&mut have, "collections/update");
        have[at].api_version.handle = "2026-04".into();
        let expected =
            ["replace collections/update", "update customers/update", "update orders/create"];
        assert_eq!(told(&have, &none, &[]), expected);
        let known = ["collections/update".to_owned()];
        assert_eq!(told(&have, &none, &known), expected[1..]);
    }

    #[test]
    fn a_new_type_of_metaobject_is_asked_for() {
        let have = all(&types(&["lookbook"]));
        let steps = told(&have, &types(&["lookbook", "size_chart"]), &[]);
        let expected: Vec<String> =
            ["create", "delete", "update"].map(|what| format!("update metaobjects/{what}")).into();
        assert_eq!(steps, expected);
        assert_eq!(filter_of(&types(&["b", "a"])), "type:a OR type:b");
    }

    #[test]
    fn what_nothing_told_of_is_known_by_the_subscriptions_that_had_to_be_made() {
        let untold = |done: &[&str]| {
            let report = Subscriptions {
                at: Timestamp::MIN,
                uri: URI.into(),
                wanted: 0,
                good: 0,
                done: done.iter().map(|&done| done.to_owned()).collect(),
                refused: Vec::new(),
                other_version: Vec::new(),
            };
            report.untold().into_iter().map(|kind| kind.to_string()).collect::<Vec<_>>()
        };
        let made = ["create products/update", "create products/delete", "create orders/paid"];
        assert_eq!(untold(&made), ["order", "product"]);
        assert_eq!(untold(&["create metaobjects/update"]), ["metaobject"]);
        assert!(untold(&["update products/update", "replace orders/paid"]).is_empty());
    }

    #[test]
    fn topics_are_named_as_the_schema_names_them() {
        assert_eq!(enum_name("customer.tags_added"), "CUSTOMER_TAGS_ADDED");
        assert_eq!(enum_name("inventory_levels/update"), "INVENTORY_LEVELS_UPDATE");
    }
}
