//! Whether history is known to be complete for some kinds: only then is anything undone by itself.

use backstock_proto::journal::{Gap, ShopStatus};
use backstock_proto::{Kind, Timestamp};

/// How old a whole look at a kind may be for history to count as complete.
const PULL_AGE_SECONDS: f64 = 26.0 * 3600.0;
/// How far behind the journal may be.
const LAG_SECONDS: f64 = 30.0;

/// Why history may not be complete for some kinds; empty where it is.
pub(super) fn gaps<'a>(
    status: &ShopStatus,
    kinds: impl Iterator<Item = &'a Kind>,
    now: Timestamp,
) -> Vec<String> {
    let mut gaps = Vec::new();
    if status.summary.lag_seconds > LAG_SECONDS {
        gaps.push(format!("it is {:.0} s behind", status.summary.lag_seconds));
    }
    for kind in kinds {
        if kind.spec().is_none_or(|spec| spec.pulls.is_empty()) {
            continue;
        }
        let read_since = |gap: &Gap| gap.healed_by.iter().any(|healing| healing.kind == *kind);
        if status.gaps.iter().any(|gap| !gap.healed && !read_since(gap)) {
            gaps.push(format!("the stream lost messages, and {kind} was not read whole since"));
        }
        let of = status.kinds.iter().find(|of| of.kind == *kind);
        let pull = of.and_then(|of| of.last_complete_pull.as_ref());
        let age = pull.map(|pull| now.seconds_since(pull.finished_at.unwrap_or(pull.started_at)));
        match age {
            None => gaps.push(format!("{kind} was never read whole")),
            Some(age) if age > PULL_AGE_SECONDS => {
                gaps.push(format!("{kind} was read whole {:.0} hours ago", age / 3600.0));
            }
            Some(_) => {}
        }
    }
    gaps
}
