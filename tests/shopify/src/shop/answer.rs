//! What apps are answered, and when.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::Shop;
use crate::admin::endpoint::Request;
use crate::gid::Gid;
use crate::knowledge::Answer;

impl Shop {
    /// Remembers what an app was told that asked at an instant. What is done from now on is not in it, so
    /// it is dated later, be it ever so late itself.
    pub(crate) fn answered(&mut self, at: Timestamp, request: &Request, answer: &Value) {
        self.now = self.now.max(at);
        let Some(nodes) = answer["data"]["nodes"].as_array() else { return };
        let given = serde_json::to_value(&request.variables).unwrap_or_default();
        let ids = given["ids"].as_array().into_iter().flatten();
        let question: Arc<str> = name_of(&request.query).into();
        for (id, _) in ids.zip(nodes).filter(|(_, node)| !node.is_null()) {
            if let Some(gid) = id.as_str().and_then(|id| id.parse::<Gid>().ok()) {
                self.answers.push(Answer { question: question.clone(), gid, at: self.now });
            }
        }
    }
}

/// What a query calls itself.
fn name_of(document: &str) -> &str {
    let rest = document.split_once("query ").map_or("", |(_, rest)| rest);
    rest.split_once('(').map_or("", |(name, _)| name)
}
