//! The guard: watches what happens in a shop, and when something does harm that nobody does on
//! purpose, says so, has the way back ready, and goes it where the shop's policy allows that.
//!
//! `watch` follows new changes; `judge` decides, without clock or network: a change-set, the shop's
//! policy, and what is `normal` there. `respond` does what was decided, with every step on the
//! `docket`, and `outbox` tells people.
//!
//! What must not happen:
//! - judging our own writes, or two guards acting on the same incident;
//! - applying anything by itself when history is not known to be complete, when it is not sure who
//!   did it, when a person of the shop did it, or when the policy did not allow it at the time;
//! - rolling the same actor back again and again: once a day by itself, then a person decides;
//! - missing what happens because people cannot be told of what happened.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::change_set::Harm;

mod complete;
mod cost;
mod dismiss;
mod docket;
mod incident;
pub(crate) mod judge;
mod normal;
pub(crate) mod notify;
mod outbox;
pub(crate) mod pulse;
mod respond;
pub(crate) mod watch;

pub(crate) use dismiss::{DismissError, dismiss};
pub use incident::{INCIDENT, Incident, IncidentState};
pub use judge::{Situation, Trip, Verdict, judge};
pub use normal::Normal;
pub(crate) use respond::WayBack;

/// What the guard does, from least to most.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Nothing.
    Off,
    /// Say so.
    Alert,
    /// Have the way back ready, for a person to say yes.
    Plan,
    /// Go it.
    Apply,
}

impl Action {
    /// Its name in configuration, answers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Alert => "alert",
            Self::Plan => "plan",
            Self::Apply => "apply",
        }
    }

    /// What it is, as in "the policy allows …".
    pub fn said(self) -> &'static str {
        match self {
            Self::Off => "nothing",
            Self::Alert => "to tell people",
            Self::Plan => "to have the way back ready",
            Self::Apply => "to undo it",
        }
    }
}

/// From how much harm on, and what then.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// From so many resources on.
    pub min: u64,
    /// And from this part on of all that there are of their kind, 0 to 1.
    #[serde(default)]
    pub share: f64,
    /// The most that is done for this harm; [`Policy::action`] by default.
    #[serde(default)]
    pub action: Option<Action>,
}

/// How a shop is guarded.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// The most that is done.
    pub action: Action,
    /// The most that is done about what a person of the shop did.
    pub staff: Action,
    /// How sure it must be who did it before anything is applied, 0 to 1.
    pub confidence_min: f64,
    /// A price that falls by this part has collapsed, 0 to 1.
    pub price_drop: f64,
    /// Nothing is applied before its actor has been quiet for so long, in seconds.
    pub settle_seconds: f64,
    /// Where people are told: an address that takes JSON with a `text`, such as Slack's.
    #[serde(serialize_with = "host_alone")]
    pub webhook_url: Option<String>,
    /// Signs what is told, in the header `X-Backstock-Signature`.
    #[serde(serialize_with = "masked")]
    pub webhook_secret: Option<SecretString>,
    /// Whether the address may be in a private network.
    pub webhook_private: bool,
    /// Other thresholds than the usual ones.
    pub thresholds: BTreeMap<Harm, Threshold>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            action: Action::Plan,
            staff: Action::Alert,
            confidence_min: 0.75,
            price_drop: 0.6,
            settle_seconds: 15.0,
            webhook_url: None,
            webhook_secret: None,
            webhook_private: false,
            thresholds: BTreeMap::new(),
        }
    }
}

impl Policy {
    /// From how much harm of this sort on.
    pub fn threshold(&self, harm: Harm) -> Threshold {
        let usual = |min, share| Threshold { min, share, action: None };
        self.thresholds.get(&harm).copied().unwrap_or_else(|| match harm {
            Harm::Deleted => usual(10, 0.002),
            Harm::PricesCollapsed => usual(10, 0.0),
            Harm::PricesZero => usual(3, 0.0),
            // A clearance is below cost on purpose: a person says what this is.
            Harm::PricesBelowCost => Threshold { action: Some(Action::Plan), ..usual(10, 0.0) },
            Harm::TextsEmptied | Harm::Unpublished => usual(10, 0.002),
            Harm::TextsReplaced | Harm::TagsWiped | Harm::SkusWiped => usual(20, 0.0),
            Harm::CollectionsBroken => usual(3, 0.0),
            Harm::ThemeCode => usual(1, 0.0),
        })
    }

    /// What makes no sense in it, one line each.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, part) in
            [("confidence_min", self.confidence_min), ("price_drop", self.price_drop)]
        {
            if !(0.0..=1.0).contains(&part) {
                faults.push(format!("{name} is {part}, expected 0 to 1"));
            }
        }
        if !(0.0..=3600.0).contains(&self.settle_seconds) {
            let seconds = self.settle_seconds;
            faults.push(format!("settle_seconds is {seconds}, expected 0 to 3600"));
        }
        for (harm, threshold) in &self.thresholds {
            if threshold.min == 0 || !(0.0..=1.0).contains(&threshold.share) {
                let harm = harm.as_str();
                faults.push(format!("thresholds.{harm}: min is at least 1, share is 0 to 1"));
            }
        }
        if let Some(url) = &self.webhook_url
            && let Err(why) = notify::address(url, self.webhook_private)
        {
            faults.push(format!("webhook_url: {why}"));
        }
        faults
    }
}

fn masked<S: serde::Serializer>(secret: &Option<SecretString>, s: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(|_| "***").serialize(s)
}

fn host_alone<S: serde::Serializer>(url: &Option<String>, s: S) -> Result<S::Ok, S::Error> {
    url.as_deref().map(notify::masked).serialize(s)
}
