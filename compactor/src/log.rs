//! Follows Shopify's own log of who did what, so that history can say who made a change.
//!
//! The log is late: an entry shows up to minutes after its date. So each look begins some time before
//! the newest entry that is known; of a shop where nothing happens, a day before the look before it. What
//! was published before is recognised by the stream, and after that by the journal: the same entry at the
//! same instant is no version.
//!
//! What no webhook tells of, pages, blogs and articles, is asked for when an entry names it: the entry is an
//! event like any other, and `signal.rs` follows it up.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use backstock_proto::journal::{ChangeFilter, JournalError};
use backstock_proto::kind::pull::plain;
use backstock_proto::kind::{self, Heard, Spec, event};
use backstock_proto::resource::gid_type;
use backstock_proto::{Event, Facet, Kind, Op, ResourceId, ResourceKey, Source, Timestamp};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::pull::{PullError, Puller};

/// How much before the newest known entry a look begins: longer than an entry is late.
const OVERLAP_MICROS: i64 = 10 * 60 * 1_000_000;
/// How far back the first look goes: what was before explains no change that history holds.
const FIRST_MICROS: i64 = 7 * 24 * 3600 * 1_000_000;
/// How much of the log is held at once.
const PART_MICROS: i64 = 24 * 3600 * 1_000_000;
/// Rest after a failure.
const REST: Duration = Duration::from_secs(60);

/// Follows one shop's log until `shutdown`.
pub(crate) async fn run(puller: Puller, every: Duration, shutdown: CancellationToken) {
    let (mut known, mut last) = (HashMap::new(), None);
    let unanswered = puller.metrics.shop_unanswered.with_label_values(&[&puller.shop.domain()]);
    loop {
        let looked = tokio::select! {
            () = shutdown.cancelled() => return,
            looked = look(&puller, &mut known, last) => looked,
        };
        let is_unanswered = looked.as_ref().is_err_and(PullError::is_unanswered);
        unanswered.set(is_unanswered.into());
        let wait = match looked {
            Ok(at) => {
                last = Some(at);
                every
            }
            Err(error) => {
                warn!(shop = %puller.shop, %error, "reading Shopify's log failed; trying again");
                REST.max(every)
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Publishes what is new since the last look, which began at `last`, and says when this one did, by the
/// shop's clock. `known` is what was published of late. The oldest comes first, so that what an
/// interruption leaves out is newer than all that is known.
async fn look(
    puller: &Puller,
    known: &mut HashMap<ResourceId, Timestamp>,
    last: Option<Timestamp>,
) -> Result<Timestamp, PullError> {
    let now = puller.now();
    let since = since(newest(puller, known).await?, last, now);
    let (mut from, mut new) = (since, 0);
    loop {
        let to = Timestamp::from_micros(from.as_micros() + PART_MICROS);
        let is_last = to >= now;
        let query = match is_last {
            true => format!("created_at:>='{from}'"),
            false => format!("created_at:>='{from}' created_at:<'{to}'"),
        };
        let variables = json!({"query": query});
        let nodes = puller.asker.pages(event::PAGES, "/events", variables).await?;
        for node in nodes.into_iter().map(plain) {
            let Some((id, at)) = named(&node) else { continue };
            if let Entry::Vacant(unknown) = known.entry(id) {
                publish(puller, unknown.key().clone(), at, &node).await?;
                unknown.insert(at);
                new += 1;
            }
        }
        if is_last {
            break;
        }
        from = to;
    }
    known.retain(|_, at| *at >= since);
    if new > 0 {
        debug!(shop = %puller.shop, entries = new, "read Shopify's log");
    }
    Ok(now)
}

/// When the newest entry that is known was made.
async fn newest(
    puller: &Puller,
    known: &HashMap<ResourceId, Timestamp>,
) -> Result<Option<Timestamp>, JournalError> {
    if let Some(newest) = known.values().max() {
        return Ok(Some(*newest));
    }
    let kind = Kind::parse(event::NAME).ok();
    let filter = ChangeFilter { kind, bare: true, ..ChangeFilter::default() };
    let newest = puller.journal.newest_change(&puller.shop, &filter).await?;
    Ok(newest.map(|change| change.version.valid_at))
}

/// From when on to look: what the look before saw to be empty is not read again and again.
fn since(newest: Option<Timestamp>, last: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let before = |at: Timestamp, by: i64| Timestamp::from_micros(at.as_micros() - by);
    let since = newest.map_or(before(now, FIRST_MICROS), |newest| before(newest, OVERLAP_MICROS));
    last.map_or(since, |last| since.max(before(last, PART_MICROS)))
}

/// Which entry a node is, and its date. Comments are not about what somebody did.
fn named(node: &Value) -> Option<(ResourceId, Timestamp)> {
    if node["__typename"] != "BasicEvent" {
        return None;
    }
    let id = ResourceId::parse(node["id"].as_str()?).ok()?;
    Some((id, Timestamp::parse(node["createdAt"].as_str()?).ok()?))
}

/// The resource that an entry of the log is about, where nothing tells of it but the log, and whether it
/// says that it went.
pub(crate) fn names(entry: &Event) -> Option<(&'static Spec, ResourceId, bool)> {
    if entry.key.kind.as_str() != event::NAME {
        return None;
    }
    let said: Value = serde_json::from_slice(&entry.payload).ok()?;
    let gid = said["subjectId"].as_str()?;
    let of = gid_type(gid)?;
    let spec = kind::ALL.iter().copied().find(|spec| spec.is_of(of))?;
    let id = ResourceId::parse(gid).ok()?;
    (spec.heard() == Heard::Minute).then_some((spec, id, said["action"] == "destroy"))
}

async fn publish(
    puller: &Puller,
    id: ResourceId,
    at: Timestamp,
    node: &Value,
) -> Result<(), PullError> {
    let Some(kind) = Kind::parse(event::NAME).ok() else { return Ok(()) };
    let members = kind.spec().and_then(|spec| spec.facets.first());
    // What lacks a member says nothing.
    let Some(payload) = members.and_then(|members| members.of(node)) else { return Ok(()) };
    let entry = Event {
        key: ResourceKey { shop: puller.shop.clone(), kind, id },
        facet: Facet::Core,
        op: Op::Create,
        source: Source::Pull,
        topic: "event/pulled".into(),
        api_version: Some(puller.asker.client.access().api_version.as_str().into()),
        webhook_id: None,
        event_id: None,
        triggered_at: Some(at),
        received_at: puller.clock.now(),
        valid_at: Some(at),
        earliest_at: None,
        payload: payload.to_string().into_bytes().into(),
    };
    puller.publisher.event(entry).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question;

    #[test]
    fn an_entry_has_asked_for_what_no_webhook_tells_of() {
        let page = r#"{"action": "destroy", "subjectId": "gid://shopify/Page/7"}"#;
        let named = |kind: &str, payload| {
            let entry = question::tests::event(kind, "event/pulled", payload);
            names(&entry).map(|(spec, id, went)| (spec.name, id.to_string(), went))
        };
        assert_eq!(named(event::NAME, page), Some(("page", "7".to_owned(), true)));
        let blog = r#"{"action": "update", "subjectId": "gid://shopify/Blog/8"}"#;
        assert_eq!(named(event::NAME, blog), Some(("blog", "8".to_owned(), false)));
        let product = r#"{"action": "update", "subjectId": "gid://shopify/Product/7"}"#;
        assert_eq!(named(event::NAME, product), None, "a webhook tells of it sooner");
        let comment = r#"{"action": "create", "subjectId": "gid://shopify/Comment/7"}"#;
        assert_eq!(named(event::NAME, comment), None);
        assert_eq!(named(event::NAME, r#"{"subjectId": null}"#), None);
        assert_eq!(named("page", page), None);
    }

    #[test]
    fn a_shop_where_nothing_happens_is_not_read_from_its_last_entry_on_again_and_again() {
        let day = |day: i64| Timestamp::from_micros(day * PART_MICROS);
        let (quiet, now) = (Some(day(100)), day(300));
        let minutes = |from, to: Timestamp| to.micros_since(from) / 60_000_000;
        assert_eq!(minutes(since(quiet, None, now), day(100)), 10, "nobody has looked yet");
        assert_eq!(since(quiet, Some(now), now), day(299));
        assert_eq!(minutes(since(Some(now), Some(now), now), now), 10);
        assert_eq!(since(None, None, now), day(293));
    }

    #[test]
    fn what_only_the_log_tells_of_can_be_asked_for_by_its_id() {
        use backstock_proto::kind::pull::Way;
        for spec in kind::ALL.iter().filter(|spec| spec.heard() == Heard::Minute) {
            let core = spec.pulls.iter().filter(|pull| pull.facets.contains(&Facet::Core));
            let asked = core.filter(|pull| matches!(pull.way, Way::ById { .. })).count();
            assert_eq!(asked, usize::from(spec.name != event::NAME), "{}", spec.name);
        }
    }
}
