//! The app's configuration file, as far as it declares what the app wants to be told.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;

use super::trigger::Trigger;
use super::{Declared, EventSubscription, TOPICS};
use crate::admin::document;
use crate::admin::schema::{Schemas, Version};
use crate::admin::search::Search;
use crate::change::Deed;
use crate::payload::Topic;
use crate::subscription::Subscription;

/// `shopify.app.toml`. What has nothing to do with webhooks is not looked at.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct AppConfig {
    /// Where addresses that are paths begin.
    #[serde(default)]
    application_url: String,
    #[serde(default)]
    webhooks: Option<Webhooks>,
    #[serde(default)]
    events: Option<Events>,
}

#[derive(Clone, Debug, Deserialize)]
struct Webhooks {
    api_version: String,
    #[serde(default)]
    subscriptions: Vec<Classic>,
}

#[derive(Clone, Debug, Deserialize)]
struct Classic {
    #[serde(default)]
    topics: Vec<String>,
    uri: String,
    include_fields: Option<Vec<String>>,
    filter: Option<String>,
    name: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Events {
    api_version: String,
    #[serde(default)]
    subscription: Vec<Entry>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    handle: String,
    topic: String,
    actions: Vec<String>,
    #[serde(default)]
    triggers: Vec<String>,
    uri: String,
    query: Option<String>,
    query_filter: Option<String>,
}

/// Why a configuration is not deployed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is no TOML of that shape.
    #[error("the app's configuration: {0}")]
    Toml(#[from] toml::de::Error),
    /// A subscription cannot be had.
    #[error("subscription {handle}: {why}")]
    Refused {
        /// Its handle, or its topic.
        handle: String,
        /// What is wrong with it.
        why: String,
    },
}

impl AppConfig {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// When it is no TOML of that shape.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        Ok(toml::from_str(text)?)
    }

    /// The classic subscriptions, where the file has any section for them. A topic that nothing
    /// here ever happens to stays silent.
    ///
    /// # Errors
    /// When a filter cannot be parsed, or a topic needs one.
    pub fn classic(&self) -> Result<Option<Vec<Subscription>>, ConfigError> {
        let Some(webhooks) = &self.webhooks else { return Ok(None) };
        let mut made = Vec::new();
        for wanted in &webhooks.subscriptions {
            for name in &wanted.topics {
                let refuse = |why: String| Err(ConfigError::Refused { handle: name.clone(), why });
                if let Some(Err(why)) = wanted.filter.as_deref().map(Search::parse) {
                    return refuse(why);
                }
                if name.starts_with("metaobjects/") && wanted.filter.is_none() {
                    return refuse("metaobject topics require a filter by type".into());
                }
                let Some(topic) = Topic::parse(name) else { continue };
                made.push(Subscription {
                    id: None,
                    topic,
                    uri: self.address(&wanted.uri),
                    api_version: webhooks.api_version.clone(),
                    name: wanted.name.clone(),
                    include_fields: wanted.include_fields.clone(),
                    filter: wanted.filter.clone(),
                    metafield_namespaces: Vec::new(),
                });
            }
        }
        Ok(Some(made))
    }

    /// The subscriptions of the Events family.
    ///
    /// # Errors
    /// When one of them cannot be had: the topic, an action, a trigger, the query, a handle twice.
    pub fn declared(&self, schemas: &Arc<Schemas>) -> Result<Option<Declared>, ConfigError> {
        let Some(events) = &self.events else { return Ok(None) };
        let version = Version::ALL.into_iter().find(|known| known.name() == events.api_version);
        // Events are of 2026-10 and later.
        let Some(version) = version.filter(|version| *version >= Version::V2026_10) else {
            let why = format!("no Events in version {}", events.api_version);
            return Err(ConfigError::Refused { handle: "[events]".into(), why });
        };
        let mut handles = HashSet::new();
        let mut subscriptions = Vec::new();
        for entry in &events.subscription {
            let made =
                entry.subscription(self.address(&entry.uri), schemas, version).and_then(|made| {
                    let new = handles.insert(&entry.handle);
                    new.then_some(made).ok_or_else(|| "the handle is not unique".to_owned())
                });
            subscriptions.push(
                made.map_err(|why| ConfigError::Refused { handle: entry.handle.clone(), why })?,
            );
        }
        Ok(Some(Declared { schemas: schemas.clone(), version, subscriptions }))
    }

    fn address(&self, uri: &str) -> String {
        let base =
            if uri.starts_with('/') { self.application_url.trim_end_matches('/') } else { "" };
        format!("{base}{uri}")
    }
}

impl Entry {
    fn subscription(
        &self,
        uri: String,
        schemas: &Schemas,
        version: Version,
    ) -> Result<EventSubscription, String> {
        let topic = TOPICS.into_iter().find(|known| *known == self.topic);
        let topic = topic.ok_or_else(|| format!("there is no topic {}", self.topic))?;
        let actions: Option<Vec<Deed>> = self
            .actions
            .iter()
            .map(|name| {
                [Deed::Create, Deed::Update, Deed::Delete].into_iter().find(|d| d.name() == *name)
            })
            .collect();
        let actions = actions.filter(|actions| !actions.is_empty());
        let actions = actions.ok_or("actions are create, update or delete, at least one")?;
        if actions.contains(&Deed::Update) && self.triggers.is_empty() {
            return Err("update needs at least one trigger".into());
        }
        let triggers: Vec<Trigger> = self
            .triggers
            .iter()
            .map(|text| Trigger::parse(topic, text))
            .collect::<Result<_, _>>()?;
        let query = match &self.query {
            None => None,
            Some(text) => {
                let schema = schemas.get(version).map_err(ToString::to_string)?;
                let parsed = document::parse(schema, text).map_err(|errors| {
                    errors
                        .first()
                        .and_then(|e| e["message"].as_str())
                        .unwrap_or_default()
                        .to_owned()
                })?;
                Some(Arc::new(parsed))
            }
        };
        let filter = self.query_filter.as_deref().map(Search::parse).transpose()?;
        if filter.is_some() && query.is_none() {
            return Err("a query_filter needs a query".into());
        }
        Ok(EventSubscription {
            handle: self.handle.clone(),
            topic,
            actions,
            triggers,
            uri,
            query,
            filter,
        })
    }
}
