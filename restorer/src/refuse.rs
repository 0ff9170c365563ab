//! What is said when there is no answer.

use backstock_proto::journal::JournalError;
use backstock_proto::problem::Problem;
use backstock_proto::{ResourceKey, Shop, Timestamp};
use http::StatusCode;

use crate::plan::PlanError;
use crate::record::RecordError;

/// The one table from the journal's errors to HTTP. What is damaged or broken is the log's to say,
/// not the caller's to hear.
pub(crate) fn journal(error: JournalError) -> Problem {
    match error {
        JournalError::Invalid(why) => bad_request(why),
        JournalError::Unavailable(why) => {
            tracing::warn!(reason = %why, "failed to read");
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the journal cannot be read just now; try again in a moment, and see /readyz",
            )
        }
        error @ (JournalError::Damaged(_) | JournalError::Storage(_)) => {
            tracing::error!(%error, "failed to read");
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the stored history could not be read; the restorer's log says why",
            )
        }
    }
}

/// What could not be put on record was not done.
pub(crate) fn record(error: RecordError) -> Problem {
    match error {
        RecordError::Journal(error) => journal(error),
        RecordError::Publish(error) => {
            tracing::warn!(%error, "failed to put on record");
            let detail = "the stream does not take it just now; nothing was done, try again";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
        error @ RecordError::Lagging { .. } => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
        }
        error @ RecordError::Missing { .. } => {
            tracing::error!("{error}");
            Problem::new(StatusCode::GONE, error.to_string())
        }
        error @ RecordError::Unreadable { .. } => {
            tracing::error!("{error}");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
        }
    }
}

/// What is said when there is no plan.
pub(crate) fn plan(error: PlanError) -> Problem {
    match error {
        PlanError::Ask(why) => bad_request(why),
        PlanError::Missing(why) => Problem::new(StatusCode::NOT_FOUND, why),
        PlanError::Refused(problem) => problem,
        PlanError::Journal(error) => journal(error),
        PlanError::Record(error) => record(error),
    }
}

pub(crate) fn bad_request(why: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, why)
}

/// The same words for a shop that is not there and one that the token may not see.
pub(crate) fn unknown_shop(asked: &str) -> Problem {
    let asked: String = asked.chars().take(100).collect();
    let detail = format!("there is no shop {asked:?} here, or this token does not see it");
    Problem::new(StatusCode::NOT_FOUND, detail)
}

pub(crate) fn never_existed(key: &ResourceKey, by: Timestamp) -> Problem {
    let detail = format!("{} had never had a {} {} by {by}", key.shop, key.kind, key.id);
    Problem::new(StatusCode::NOT_FOUND, detail)
}

pub(crate) fn no_such_resource(shop: &Shop, kind: &str, id: &str, why: &str) -> Problem {
    let short = |text: &str| text.chars().take(100).collect::<String>();
    let detail = format!("{shop} has no {} {:?}: {why}", short(kind), short(id));
    Problem::new(StatusCode::NOT_FOUND, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_the_journal_has_its_status_and_keeps_its_secrets() {
        let why = || "/var/lib/backstock/000012.sst".to_owned();
        let table = [
            (JournalError::Invalid("cursor is not one of ours".into()), 400),
            (JournalError::Unavailable(why()), 503),
            (JournalError::Damaged(why()), 500),
            (JournalError::Storage(why()), 500),
        ];
        for (error, status) in table {
            let retryable = error.retryable();
            let problem = journal(error);
            assert_eq!(problem.status, status);
            assert_eq!(retryable, status == 503);
            assert!(!problem.detail.contains(".sst"), "{}", problem.detail);
        }
    }
}
