//! Who is told of what, and what is said.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use crate::admin::search::Search;
use crate::gid::Gid;
use crate::knowledge::Says;
use crate::payload::Topic;

/// A wish to be told.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Its id when it was made through the Admin API. Those made in the app's own configuration
    /// have none, and are not deleted when deliveries fail.
    pub id: Option<Gid>,
    /// Of what.
    pub topic: Topic,
    /// Where to.
    pub uri: String,
    /// In which API version's shape.
    pub api_version: String,
    /// What the subscriber calls it.
    pub name: Option<String>,
    /// The keys that the subscriber wants; all, when absent.
    pub include_fields: Option<Vec<String>>,
    /// Only bodies that it selects are delivered.
    pub filter: Option<String>,
    /// Metafields of these namespaces come with the body.
    pub metafield_namespaces: Vec<String>,
}

impl Subscription {
    /// Subscriptions of an app's configuration to every topic.
    #[must_use]
    pub fn of_app(uri: &str, api_version: &str) -> Vec<Self> {
        Topic::all()
            .map(|topic| Self {
                id: None,
                topic,
                uri: uri.to_owned(),
                api_version: api_version.to_owned(),
                name: None,
                include_fields: None,
                filter: None,
                metafield_namespaces: Vec::new(),
            })
            .collect()
    }
}

impl Subscription {
    /// The part of a body that the subscriber wants, if it wants any of it. A filter by a field
    /// that the body lacks selects nothing, for ever.
    pub(crate) fn cut(&self, body: &Bytes, metafields: Vec<Value>) -> Option<Bytes> {
        let whole = self.include_fields.as_ref().is_none_or(Vec::is_empty);
        if whole && self.filter.is_none() && self.metafield_namespaces.is_empty() {
            return Some(body.clone());
        }
        let mut body: Value = serde_json::from_slice(body).ok()?;
        if let Some(filter) = &self.filter
            && !Search::parse(filter).is_ok_and(|filter| filter.selects(&body))
        {
            return None;
        }
        if !self.metafield_namespaces.is_empty() {
            body["metafields"] = Value::Array(metafields);
        }
        if let Some(wanted) = self.include_fields.as_ref().filter(|wanted| !wanted.is_empty()) {
            body.as_object_mut()?.retain(|key, _| {
                wanted.iter().any(|path| path.split('.').next() == Some(key.as_str()))
            });
        }
        Some(body.to_string().into())
    }
}

/// One message to one subscriber: the same bytes and ids on every attempt.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The subscription, when it was made through the Admin API.
    pub subscription: Option<Gid>,
    /// Where to.
    pub uri: String,
    /// The subscription's name.
    pub name: Option<String>,
    /// The API version that shaped the body.
    pub api_version: String,
    /// Of what.
    pub topic: Topic,
    /// About which resource.
    pub gid: Gid,
    /// Constant over retries.
    pub webhook_id: String,
    /// Shared by all deliveries of one action.
    pub event_id: String,
    /// What a delivery of the Events family says besides: its subscription's handle and the action.
    pub event: Option<(String, &'static str)>,
    /// When it happened.
    pub triggered_at: Timestamp,
    /// What is said.
    pub body: Bytes,
    /// What that lets a listener know.
    pub says: Vec<Says>,
}
