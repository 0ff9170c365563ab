//! What a query may cost, and how much of it a client has left.
//!
//! An object costs 1, a scalar 0, a mutation 10 and more by what it is given, a connection its page
//! times its nodes and 2 for itself. What was requested but not found is given back.

mod given;

use apollo_compiler::ExecutableDocument;
use apollo_compiler::executable::{Field, Operation, Selection, SelectionSet};
use apollo_compiler::response::JsonMap;
use apollo_compiler::schema::ExtendedType;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::schema::Schema;

/// No single query may ask for more.
pub(super) const QUERY_MAX: u64 = 1_000;
const CONNECTION: u64 = 2;
const PAGE_UNKNOWN: u64 = 10;

/// The points that an operation asks for.
pub(super) fn requested(
    schema: &Schema,
    document: &ExecutableDocument,
    operation: &Operation,
    variables: &JsonMap,
) -> u64 {
    let counter = Counter { schema, document, variables };
    base(document, operation, variables)
        + counter.selections(&operation.selection_set, operation.is_mutation())
}

/// What an operation costs whatever it answers.
pub(super) fn base(
    document: &ExecutableDocument,
    operation: &Operation,
    variables: &JsonMap,
) -> u64 {
    match operation.is_mutation() {
        true => operation.root_fields(document).map(|field| given::points(field, variables)).sum(),
        false => 0,
    }
}

struct Counter<'a> {
    schema: &'a Schema,
    document: &'a ExecutableDocument,
    variables: &'a JsonMap,
}

impl Counter<'_> {
    fn selections(&self, set: &SelectionSet, free: bool) -> u64 {
        set.selections
            .iter()
            .map(|selection| match selection {
                Selection::Field(field) => self.field(field, free),
                Selection::InlineFragment(fragment) => {
                    self.selections(&fragment.selection_set, free)
                }
                Selection::FragmentSpread(spread) => spread
                    .fragment_def(self.document)
                    .map_or(0, |fragment| self.selections(&fragment.selection_set, free)),
            })
            .sum()
    }

    /// `free` is for what a mutation answers: its price is in the mutation.
    fn field(&self, field: &Field, free: bool) -> u64 {
        let name = field.ty().inner_named_type().as_str();
        let composite = matches!(
            self.schema.graphql.types.get(name),
            Some(ExtendedType::Object(_) | ExtendedType::Interface(_) | ExtendedType::Union(_))
        );
        if !composite {
            return 0;
        }
        if name.ends_with("Connection") {
            return CONNECTION + self.page(field) * self.nodes(&field.selection_set);
        }
        u64::from(!free && name != "PageInfo") + self.selections(&field.selection_set, false)
    }

    /// What one element of a connection costs.
    fn nodes(&self, set: &SelectionSet) -> u64 {
        set.selections
            .iter()
            .map(|selection| match selection {
                Selection::Field(field) if field.name == "edges" => {
                    self.nodes(&field.selection_set)
                }
                Selection::Field(field) => self.field(field, false),
                Selection::InlineFragment(fragment) => self.nodes(&fragment.selection_set),
                Selection::FragmentSpread(spread) => spread
                    .fragment_def(self.document)
                    .map_or(0, |fragment| self.nodes(&fragment.selection_set)),
            })
            .sum()
    }

    fn page(&self, field: &Field) -> u64 {
        let size = ["first", "last"].iter().find_map(|name| field.specified_argument_by_name(name));
        let Some(size) = size else { return PAGE_UNKNOWN };
        if let Some(variable) = size.as_variable() {
            return self
                .variables
                .get(variable.as_str())
                .and_then(|v| v.as_u64())
                .unwrap_or(PAGE_UNKNOWN);
        }
        size.to_i32().and_then(|size| u64::try_from(size).ok()).unwrap_or(PAGE_UNKNOWN)
    }
}

/// What a plan allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// 100 points a second.
    Standard,
    /// 200 points a second.
    Advanced,
    /// 1,000 points a second.
    Plus,
    /// 2,000 points a second.
    Enterprise,
    /// As many as one likes, for measuring what is not Shopify.
    Unlimited,
}

impl Plan {
    fn restore_rate(self) -> u64 {
        match self {
            Self::Standard => 100,
            Self::Advanced => 200,
            Self::Plus => 1_000,
            Self::Enterprise => 2_000,
            Self::Unlimited => 1_000_000_000,
        }
    }

    fn maximum(self) -> u64 {
        self.restore_rate() * 20
    }
}

/// The leaky bucket of one client.
#[derive(Debug)]
pub struct Bucket {
    plan: Plan,
    available: f64,
    seen: Timestamp,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn full(plan: Plan, now: Timestamp) -> Self {
        #[allow(clippy::cast_precision_loss)]
        let available = plan.maximum() as f64;
        Self { plan, available, seen: now }
    }

    /// Takes what is requested; says whether it was there.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn take(&mut self, requested: u64, now: Timestamp) -> bool {
        let elapsed = now.duration_since(self.seen).as_secs_f64().max(0.0);
        let restored = elapsed * self.plan.restore_rate() as f64;
        self.available = (self.available + restored).min(self.plan.maximum() as f64);
        self.seen = self.seen.max(now);
        let enough = self.available >= requested as f64;
        if enough {
            self.available -= requested as f64;
        }
        enough
    }

    /// Gives back what was not used.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn give_back(&mut self, points: u64) {
        self.available = (self.available + points as f64).min(self.plan.maximum() as f64);
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn available(&self) -> u64 {
        self.available as u64
    }

    /// The `cost` extension of an answer.
    pub(super) fn extension(&self, requested: u64, actual: Option<u64>) -> Value {
        json!({
            "requestedQueryCost": requested,
            "actualQueryCost": actual,
            "throttleStatus": {
                "maximumAvailable": self.plan.maximum() as f64,
                "currentlyAvailable": self.available(),
                "restoreRate": self.plan.restore_rate() as f64,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    #[test]
    fn a_bucket_leaks_at_the_plans_rate() {
        let start: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
        let mut bucket = Bucket::full(Plan::Standard, start);
        assert!(bucket.take(1_000, start));
        assert!(bucket.take(1_000, start));
        assert!(!bucket.take(100, start));
        assert!(!bucket.take(101, start + SignedDuration::from_secs(1)));
        assert!(bucket.take(100, start + SignedDuration::from_secs(1)));
        bucket.give_back(60);
        assert_eq!(bucket.extension(100, Some(40))["throttleStatus"]["currentlyAvailable"], 60);
    }
}
