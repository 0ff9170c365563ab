//! Why a pull ended before everything was read, and what that says of the app and of the shop.

use std::panic::AssertUnwindSafe;

use backstock_proto::admin::ask::AskError;
use backstock_proto::admin::{AdminError, bulk};
use backstock_proto::journal::JournalError;
use backstock_proto::publish::PublishError;
use backstock_proto::{ResourceId, Shop};
use futures::FutureExt;
use tokio::task::JoinError;

use crate::tree::TreeError;

/// Why a pull ended before everything was read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PullError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("putting aside what was read failed: {0}")]
    Io(#[from] std::io::Error),
    #[error("the bulk operation ended as {0:?}{1}")]
    Operation(bulk::State, String),
    #[error("reading a bulk result broke off: {0}")]
    Lines(std::io::Error),
    #[error("{0}")]
    Unreadable(String),
    #[error("the answer about {0} is older than what a webhook has told")]
    Behind(ResourceId),
    #[error("it ended in a panic, which is a defect of Backstock; the compactor's log says where")]
    Panicked,
    #[error(
        "{gone} of {living} are no longer in the shop. So many at once are not taken for deleted \
         before somebody says so: `backstock reconcile --shop {} --kind {kind} --confirm-deletions`",
        shop.name()
    )]
    Held { shop: Shop, kind: &'static str, gone: usize, living: usize },
}

impl PullError {
    /// Whether the app may not read what was asked for. Where the shop refuses everything, nothing is said
    /// of this.
    pub(crate) fn is_denial(&self) -> bool {
        use AdminError::Refused;
        match self {
            Self::Ask(AskError::Denied(_)) => true,
            Self::Ask(AskError::Admin(Refused { status, .. })) => matches!(status, 200 | 403),
            Self::Operation(_, code) => code.ends_with("ACCESS_DENIED"),
            _ => false,
        }
    }

    /// Whether the shop answers nothing at all: it does not let the app in, or cannot be reached.
    pub(crate) fn is_unanswered(&self) -> bool {
        match self {
            Self::Ask(AskError::Admin(AdminError::Unavailable { .. })) => true,
            Self::Ask(AskError::Admin(error)) => error.is_of_shop(),
            _ => false,
        }
    }
}

/// Has something that ends in a panic end in an error: nothing else of the shop is to suffer from it.
pub(crate) fn caught<T>(
    work: impl Future<Output = Result<T, PullError>>,
) -> impl Future<Output = Result<T, PullError>> {
    let ended = AssertUnwindSafe(work).catch_unwind();
    ended.map(|ended| ended.unwrap_or(Err(PullError::Panicked)))
}

impl From<JoinError> for PullError {
    fn from(_panic: JoinError) -> Self {
        Self::Panicked
    }
}

impl From<AdminError> for PullError {
    fn from(error: AdminError) -> Self {
        Self::Ask(error.into())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use backstock_proto::Shop;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_of_what_ended_in_it() {
        async fn defect() -> Result<(), PullError> {
            panic!("a defect")
        }
        assert!(matches!(caught(defect()).await, Err(PullError::Panicked)));
        assert!(matches!(caught(std::future::ready(Ok(7))).await, Ok(7)));
    }

    #[tokio::test]
    async fn a_panic_on_a_thread_of_its_own_is_told_as_one_and_not_what_it_said() {
        let defect: fn() = || panic!("of ada@example.com");
        let ended = tokio::task::spawn_blocking(defect).await.map_err(PullError::from);
        let error = ended.expect_err("a panic");
        assert!(matches!(error, PullError::Panicked) && !error.is_denial(), "{error}");
        assert!(!error.to_string().contains("ada@"), "{error}");
    }

    #[test]
    fn what_the_app_may_not_read_is_told_from_a_shop_that_answers_nothing() {
        let refused = |status| {
            let shop = Shop::from_name("acme").expect("a shop");
            PullError::from(AdminError::Refused { shop, status, detail: String::new() })
        };
        for (status, is_denial) in
            [(200, true), (403, true), (402, false), (404, false), (423, false)]
        {
            assert_eq!(refused(status).is_denial(), is_denial, "{status}");
        }
        assert!(PullError::Ask(AskError::Denied("orders".into())).is_denial());
        assert!(PullError::Operation(bulk::State::Failed, ": ACCESS_DENIED".into()).is_denial());
        assert!(!PullError::Operation(bulk::State::Failed, ": TIMEOUT".into()).is_denial());
    }

    #[test]
    fn a_shop_that_answers_nothing_is_told_from_one_that_does_not_answer_this() {
        let shop = || Shop::from_name("acme").expect("a shop");
        let detail = String::new;
        let refused = |status| AdminError::Refused { shop: shop(), status, detail: detail() };
        let (waited, last) = (Duration::from_secs(300), detail());
        for silence in [
            AdminError::Unauthorized(shop(), detail()),
            AdminError::Unavailable { shop: shop(), waited, last },
            refused(402),
            refused(404),
            refused(423),
        ] {
            let silence = PullError::from(silence);
            assert!(silence.is_unanswered() && !silence.is_denial(), "{silence}");
        }
        for answer in [
            refused(200),
            refused(403),
            AdminError::Unknown { shop: shop(), detail: detail() },
            AdminError::Document { shop: shop(), detail: detail() },
            AdminError::Garbled { shop: shop(), detail: detail() },
        ] {
            let answer = PullError::from(answer);
            assert!(!answer.is_unanswered(), "{answer}");
        }
        let closing = JournalError::Unavailable("the journal is closing".into());
        assert!(!PullError::Journal(closing).is_unanswered(), "that is none of the shop's");
    }
}
