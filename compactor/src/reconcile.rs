//! What a pull saw against what history has: pure decisions, without clock or network.
//!
//! A pull proves a state at the moment it was read. It takes minutes, and webhooks go on meanwhile;
//! so what history learned after the pull began is never touched, and a correction is dated such that
//! every webhook of something later comes after it.

use backstock_proto::journal::Head;
use backstock_proto::{ResourceId, Source, Timestamp};

/// When a pull read. Bulk rows are read some time between its two ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// It has everything that happened before.
    pub(crate) started: Timestamp,
    /// When the last look at everything began, if there was one, or when Shopify says that it was made:
    /// what history does not have was not there before.
    pub(crate) missing_since: Option<Timestamp>,
    /// Whether it was read because something had just been said about it.
    pub(crate) is_asked: bool,
}

impl Window {
    /// Of a question that tells nothing of what there was before.
    pub(crate) fn at(started: Timestamp) -> Self {
        Self { started, missing_since: None, is_asked: false }
    }

    /// Of a question about something that had just been said to be otherwise.
    pub(crate) fn asked(started: Timestamp) -> Self {
        Self { is_asked: true, ..Self::at(started) }
    }
}

/// By how much the shop's clock can be ahead of what is known of it, in microseconds: what says that it
/// happened later than that is not believed.
const AHEAD_MAX: u64 = 3_600 * 1_000_000;
/// For how long Shopify's answers may be behind what it has told, in microseconds: later a document that is
/// older says something else.
const COPIES_BEHIND: u64 = 600 * 1_000_000;

/// When something is read at the earliest, by the shop's clock: at `now`, as far as that is known, and
/// after what it is asked because of.
pub(crate) fn read_at(now: Timestamp, because_of: Option<Timestamp>) -> Timestamp {
    let because_of = because_of.filter(|at| at.micros_since(now) <= AHEAD_MAX);
    because_of.map_or(now, |at| now.max(Timestamp::from_micros(at.as_micros() + 1)))
}

/// A facet of a resource as a pull saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen<'a> {
    /// Hash of its canonical state, hexadecimal.
    pub(crate) hash: &'a str,
    /// What the document says of when it was last changed.
    pub(crate) dated: Dated,
}

/// What a document says of when a facet was last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dated {
    /// When the resource was.
    pub(crate) resource: Option<Timestamp>,
    /// Whether that date moves with the facet.
    pub(crate) moves: Moves,
    /// When the newest of the facet's parts was that say so themselves.
    pub(crate) part: Option<Timestamp>,
}

/// Whether a resource's date moves with one of its facets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moves {
    /// It does: the facet is the core.
    Always,
    /// It is the date of what was told of the facet.
    Told,
    /// Metafields and what a rule finds change without it.
    Perhaps,
}

impl Dated {
    /// Since when the facet is no longer as history has it, if something says so. What was changed
    /// before history saw it as it has it made no difference.
    fn after(&self, head: &Head) -> Option<Timestamp> {
        let is_later = |at: &Timestamp| {
            // Dates have whole seconds.
            let at_the_latest = at.as_micros() + 1_000_000;
            *at > head.valid_at && at_the_latest > head.triggered_at.as_micros()
        };
        let was_read = |at: &Timestamp| {
            let is_read = matches!(head.source, Source::Pull | Source::Reconcile);
            is_read && at.as_micros() + 1_000_000 <= head.triggered_at.as_micros()
        };
        let resource = self.resource.filter(|at| match self.moves {
            // In the same second the later reading counts, and this one is later. But a date that was read
            // with the other state, when its second was over, stood still: what refers to something that is
            // deleted loses it without being dated anew.
            Moves::Always => *at > head.valid_at || (*at == head.valid_at && !was_read(at)),
            Moves::Told => is_later(at),
            Moves::Perhaps => false,
        });
        self.part.filter(is_later).or(resource)
    }
}

/// What to do about a facet that a pull saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// History has it.
    Same,
    /// History learned something newer since the pull began, or was told of something newer just before.
    Newer,
    /// History has nothing of it.
    Missed(Since),
    /// History has it otherwise.
    Changed(Since),
}

/// Since when a state is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Since {
    /// As far as anybody can say.
    pub(crate) valid_at: Timestamp,
    /// Where only absence of a date makes it the pull's start: the earliest it may have been.
    pub(crate) earliest_at: Option<Timestamp>,
}

/// Compares what was seen with the newest that history has.
pub(crate) fn compare(seen: &Seen<'_>, head: Option<&Head>, window: Window) -> Finding {
    let Some(head) = head else {
        let valid_at = seen.dated.resource.unwrap_or(window.started);
        let earliest_at = match window.is_asked {
            // Shopify said that it was made then. Dates in documents have whole seconds.
            true => window.missing_since.map(|made_at| made_at.min(valid_at)),
            // What is older than that look was there, and is new to us for another reason.
            false => window.missing_since.filter(|since| *since <= valid_at),
        };
        return Finding::Missed(Since { valid_at, earliest_at });
    };
    if !head.deleted && head.hash == seen.hash {
        return Finding::Same;
    }
    let observed = head.triggered_at.max(head.valid_at);
    let behind = seen.dated.moves == Moves::Always && is_behind(seen.dated.resource, head, window);
    if observed >= window.started || behind {
        return Finding::Newer;
    }
    let since = match seen.dated.after(head) {
        Some(valid_at) => Since { valid_at, earliest_at: None },
        // No date, or one that does not move with this part of the document.
        None => Since { valid_at: window.started, earliest_at: Some(observed) },
    };
    if head.deleted { Finding::Missed(since) } else { Finding::Changed(since) }
}

/// Whether a document is older than what a webhook has just told of the same resource: Shopify may answer from
/// a copy that is not as far yet. Who took that for the present state would take back what was told.
pub(crate) fn is_behind(document: Option<Timestamp>, told: &Head, window: Window) -> bool {
    // Other webhooks are dated by when they were sent, and others' dates say when something was read.
    let has_a_date = told.source.is_delivered() && told.valid_at < told.triggered_at;
    let is_recent = window.started.micros_since(told.triggered_at) < COPIES_BEHIND;
    has_a_date && is_recent && document.is_some_and(|at| at < told.valid_at)
}

/// Whether a resource that history has and the pull did not see is to be asked for by its id: only
/// an answer that it is gone makes it so.
pub(crate) fn is_suspect(head: &Head, window: Window) -> bool {
    !head.deleted && head.triggered_at.max(head.valid_at) < window.started
}

/// Since when a resource is gone that was found missing.
pub(crate) fn gone_since(last_seen: Timestamp, window: Window) -> Since {
    Since { valid_at: window.started, earliest_at: Some(last_seen) }
}

/// Since when a resource is gone of which it is known that it went at `went_at`: with what it is a part of,
/// or because Shopify says so.
pub(crate) fn gone_with(head: &Head, went_at: Timestamp, window: Window) -> Since {
    match head.valid_at <= went_at {
        true => Since { valid_at: went_at, earliest_at: None },
        false => gone_since(head.valid_at, window),
    }
}

/// From how many deletions at once on nobody believes them, and which part of a kind they must be.
const BRAKE_COUNT: usize = 20;
const BRAKE_PART: f64 = 0.10;
/// From how many resources on nobody believes that all of a kind are gone.
const BRAKE_ALL: usize = 5;

/// Whether so many of a kind's living resources being gone needs a person's word.
pub(crate) fn is_suspicious(gone: usize, living: usize) -> bool {
    let many = gone > BRAKE_COUNT && gone as f64 > living as f64 * BRAKE_PART;
    let all = gone > BRAKE_ALL && gone == living;
    many || all
}

/// A resource that history has and the shop no longer has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gone {
    pub(crate) id: ResourceId,
    pub(crate) last_seen: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use backstock_proto::Facet;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    fn head(hash: &str, valid: i64, triggered: i64) -> Head {
        Head {
            id: ResourceId::parse("1").expect("an id"),
            facet: Facet::Core,
            deleted: false,
            source: Source::Webhook,
            hash: hash.into(),
            valid_at: at(valid),
            triggered_at: at(triggered),
            seq: 1,
        }
    }

    fn window(second: i64) -> Window {
        Window::at(at(second))
    }

    fn seen(hash: &str, dated: Option<i64>) -> Seen<'_> {
        Seen { hash, dated: Dated { resource: dated.map(at), moves: Moves::Always, part: None } }
    }

    /// A facet beside the core.
    fn beside(moves: Moves, resource: i64, part: Option<i64>) -> Seen<'static> {
        let dated = Dated { resource: Some(at(resource)), moves, part: part.map(at) };
        Seen { hash: "b", dated }
    }

    fn since(valid: i64, earliest: Option<i64>) -> Since {
        Since { valid_at: at(valid), earliest_at: earliest.map(at) }
    }

    #[test]
    fn a_missed_webhook_is_dated_by_the_document() {
        let found = compare(&seen("b", Some(50)), Some(&head("a", 10, 10)), window(100));
        assert_eq!(found, Finding::Changed(since(50, None)));
        let found = compare(&seen("b", Some(50)), None, window(100));
        assert_eq!(found, Finding::Missed(since(50, None)));
    }

    #[test]
    fn what_the_last_look_had_not_found_came_after_it() {
        let window = Window { missing_since: Some(at(20)), ..window(100) };
        for (dated, expected) in [
            (Some(50), since(50, Some(20))),
            (None, since(100, Some(20))),
            (Some(10), since(10, None)),
        ] {
            assert_eq!(compare(&seen("b", dated), None, window), Finding::Missed(expected));
        }
    }

    #[test]
    fn what_nothing_dates_is_dated_by_the_pull_and_may_be_as_old_as_the_last_look() {
        let found = compare(&seen("b", None), Some(&head("a", 10, 10)), window(100));
        assert_eq!(found, Finding::Changed(since(100, Some(10))));
        // A metafield does not always move its owner's date.
        let found = compare(&seen("b", Some(5)), Some(&head("a", 10, 10)), window(100));
        assert_eq!(found, Finding::Changed(since(100, Some(10))));
    }

    #[test]
    fn what_changes_without_its_resource_is_not_dated_by_that() {
        // Seen at 30; what is known of it is as old as its resource.
        let head = head("a", 10, 30);
        for (moves, resource, part, expected) in [
            // The resource's date, which stood still, says nothing, nor does one that moved for
            // another reason.
            (Moves::Perhaps, 10, None, since(100, Some(30))),
            (Moves::Perhaps, 50, None, since(100, Some(30))),
            // A metafield says so itself.
            (Moves::Perhaps, 10, Some(60), since(60, None)),
            // One was removed: the newest that is left had been seen.
            (Moves::Perhaps, 10, Some(20), since(100, Some(30))),
            (Moves::Perhaps, 10, Some(10), since(100, Some(30))),
            // Something was told of it.
            (Moves::Told, 50, None, since(50, None)),
            (Moves::Told, 50, Some(40), since(40, None)),
            (Moves::Told, 20, None, since(100, Some(30))),
            (Moves::Told, 10, None, since(100, Some(30))),
            // In the second in which it was seen.
            (Moves::Told, 30, None, since(30, None)),
        ] {
            let seen = beside(moves, resource, part);
            let found = compare(&seen, Some(&head), window(100));
            assert_eq!(found, Finding::Changed(expected), "{seen:?}");
        }
        let first = compare(&beside(Moves::Perhaps, 10, Some(60)), None, window(100));
        assert_eq!(first, Finding::Missed(since(10, None)));
    }

    #[test]
    fn a_date_that_was_read_with_another_state_and_stands_still_dates_nothing() {
        for (source, date, triggered, expected) in [
            (Source::Reconcile, 10, 30, since(100, Some(30))),
            (Source::Pull, 10, 30, since(100, Some(30))),
            // It moved.
            (Source::Reconcile, 20, 30, since(20, None)),
            // In the second in which it was read.
            (Source::Reconcile, 10, 10, since(10, None)),
            // What is told is completed by what is read.
            (Source::Webhook, 10, 30, since(10, None)),
        ] {
            let head = Head { source, ..head("a", 10, triggered) };
            let found = compare(&seen("b", Some(date)), Some(&head), window(100));
            assert_eq!(found, Finding::Changed(expected), "{source:?} {date}");
        }
    }

    #[test]
    fn what_was_learned_since_the_pull_began_is_not_touched() {
        let found = compare(&seen("old", Some(50)), Some(&head("new", 101, 101)), window(100));
        assert_eq!(found, Finding::Newer);
        let found = compare(&seen("old", Some(50)), Some(&head("new", 99, 100)), window(100));
        assert_eq!(found, Finding::Newer);
        assert!(!is_suspect(&head("new", 101, 101), window(100)));
    }

    #[test]
    fn what_a_webhook_left_open_is_answered_after_it_whatever_our_clock_says() {
        // Ours is ten seconds behind; what is known is the webhook that asks.
        let told = head("a", 100, 100);
        let asked = |because_of| Window::asked(read_at(at(90), because_of));
        assert_eq!(compare(&seen("b", Some(100)), Some(&told), asked(None)), Finding::Newer);
        let found = compare(&seen("b", Some(100)), Some(&told), asked(Some(at(100))));
        assert_eq!(found, Finding::Changed(since(100, None)));
        // What was told since then stays.
        let newer = head("c", 101, 101);
        let found = compare(&seen("b", Some(100)), Some(&newer), asked(Some(at(100))));
        assert_eq!(found, Finding::Newer);
        assert_eq!(read_at(at(120), Some(at(100))), at(120));
        assert_eq!(read_at(at(120), Some(at(1_000_000))), at(120), "that cannot be");
    }

    #[test]
    fn a_document_older_than_what_was_just_told_takes_nothing_back() {
        let told = head("new", 90, 92);
        assert_eq!(compare(&seen("old", Some(80)), Some(&told), window(95)), Finding::Newer);
        let asked = Window::asked(at(95));
        assert_eq!(compare(&seen("old", Some(80)), Some(&told), asked), Finding::Newer);
        // Of the same second, or newer, it tells more.
        for dated in [90, 93] {
            let found = compare(&seen("more", Some(dated)), Some(&told), asked);
            assert_eq!(found, Finding::Changed(since(dated, None)));
        }
        // What nobody dated but by sending or reading it is older than nothing.
        let read = Head { source: Source::Reconcile, ..head("new", 90, 92) };
        for told in [head("new", 92, 92), read] {
            let found = compare(&seen("old", Some(80)), Some(&told), window(95));
            assert_eq!(found, Finding::Changed(since(95, Some(92))));
        }
        // Much later no copy is behind any more.
        let found = compare(&seen("old", Some(80)), Some(&told), window(10_000));
        assert_eq!(found, Finding::Changed(since(10_000, Some(92))));
    }

    #[test]
    fn the_same_is_the_same_however_it_is_dated() {
        for dated in [None, Some(5), Some(500)] {
            assert_eq!(
                compare(&seen("a", dated), Some(&head("a", 10, 10)), window(100)),
                Finding::Same
            );
        }
    }

    #[test]
    fn what_history_holds_for_gone_and_is_there_comes_back() {
        let mut gone = head("", 10, 10);
        gone.deleted = true;
        let found = compare(&seen("a", Some(50)), Some(&gone), window(100));
        assert_eq!(found, Finding::Missed(since(50, None)));
        assert!(!is_suspect(&gone, window(100)));
    }

    #[test]
    fn a_mass_deletion_is_held() {
        assert!(!is_suspicious(20, 30));
        assert!(!is_suspicious(99, 1_000));
        assert!(is_suspicious(101, 1_000));
    }

    #[test]
    fn that_all_of_a_kind_are_gone_is_held_unless_there_were_few() {
        assert!(is_suspicious(20, 20) && is_suspicious(6, 6));
        assert!(!is_suspicious(5, 5) && !is_suspicious(0, 0));
        assert!(!is_suspicious(19, 20), "one is left");
    }

    #[test]
    fn what_went_with_its_owner_went_when_that_did() {
        let went = |valid| gone_with(&head("a", valid, valid), at(50), window(100));
        assert_eq!(went(10), since(50, None));
        assert_eq!(went(50), since(50, None));
        // Something was learned of it later.
        assert_eq!(went(60), since(100, Some(60)));
    }
}
