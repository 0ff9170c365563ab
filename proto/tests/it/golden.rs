//! What lies on streams, under object stores' places and in journals' records, held against today's
//! code. The store's own bytes are the journal's to keep, and seals are tried where they are made.

use std::sync::Arc;

use async_nats::HeaderMap;
use backstock_proto::blob::{BlobHash, Blobs};
use backstock_proto::canonical::Hash;
use backstock_proto::erase::{Messages, Via, Whom, Wish};
use backstock_proto::event::{self, EnvelopeError, header};
use backstock_proto::journal::{MediaReport, PullReport, PullState};
use backstock_proto::pulls::{Order, Ordered};
use backstock_proto::retain::Retained;
use backstock_proto::stream::{
    event_subject, ops_subject, parse_event_subject, parse_ops_subject, partition_of, stream_name,
};
use backstock_proto::subscribe::Subscriptions;
use backstock_proto::witness::{Digest, Seen};
use backstock_proto::{Event, Facet, Kind, Op, ResourceId, ResourceKey, Shop, Source, Timestamp};
use futures::TryStreamExt;
use golden::{Golden, means};
use object_store::ObjectStore as _;
use object_store::memory::InMemory;
use serde_json::{Value, json};

const RECORDS: &str = "records-v1.txt";

fn golden() -> Golden {
    Golden::of(env!("CARGO_MANIFEST_DIR"))
}

fn shop() -> Shop {
    Shop::from_name("acme").expect("a shop")
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("an instant")
}

fn key(kind: &str, id: &str) -> ResourceKey {
    ResourceKey {
        shop: shop(),
        kind: Kind::parse(kind).expect("a kind"),
        id: ResourceId::parse(id).expect("an id"),
    }
}

/// A webhook that says everything, and a pull that says little.
fn events() -> [Event; 2] {
    let webhook = Event {
        key: key("product", "788032119674292922"),
        facet: Facet::Core,
        op: Op::Create,
        source: Source::Webhook,
        topic: "products/create".into(),
        api_version: Some("2026-10".into()),
        webhook_id: Some("b54557e4-bdd9-4b37-8a5f-bf7d70bcd043".into()),
        event_id: Some("98880550-7158-44d4-b7cd-2c97c8a091b5".into()),
        triggered_at: Some(at("2026-10-01T14:03:00.123456789Z")),
        received_at: at("2026-10-01T14:03:01Z"),
        valid_at: None,
        earliest_at: None,
        payload: r#"{"id":788032119674292922,"title":"Mug"}"#.into(),
    };
    let pull = Event {
        key: key("gadget", "a.b c"),
        facet: Facet::Metafields,
        op: Op::Update,
        source: Source::Reconcile,
        topic: "pull".into(),
        api_version: None,
        webhook_id: None,
        event_id: None,
        triggered_at: None,
        received_at: at("2026-10-01T15:00:00Z"),
        valid_at: Some(at("2026-10-01T14:59:58Z")),
        earliest_at: Some(at("2026-09-30T14:59:58Z")),
        payload: r#"{"metafields":[]}"#.into(),
    };
    [webhook, pull]
}

/// A message, a line for each part of it.
fn message(event: &Event) -> String {
    let headers = event.to_headers();
    let mut lines: Vec<String> = headers
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |v| format!("{name}\t{}", v.as_str())))
        .collect();
    lines.sort();
    lines.insert(0, format!("subject\t{}", event_subject(3, &event.key)));
    lines.push(format!("payload\t{}\n", golden::shown(&event.payload)));
    lines.join("\n")
}

/// Reads a message from its lines.
fn read(message: &str) -> Result<Event, EnvelopeError> {
    let (mut subject, mut payload, mut headers) = (String::new(), Vec::new(), HeaderMap::new());
    for line in message.lines() {
        match line.split_once('\t').expect("a name and a value") {
            ("subject", value) => subject = value.into(),
            ("payload", value) => payload = golden::bytes(value),
            (name, value) => headers.insert(name, value),
        }
    }
    Event::from_message(&subject, &headers, payload.into())
}

#[test]
fn events_on_the_stream() {
    let now: Vec<String> = events().iter().map(message).collect();
    let golden = golden().same("envelope-v1.txt", &now.join("\n"));
    let read: Vec<Event> =
        golden.split("\n\n").map(|message| read(message).expect("an event")).collect();
    means(read, events());
}

#[test]
fn an_envelope_that_is_newer_is_told_apart_from_one_that_is_none() {
    for (format, newer) in [("2", Some(2)), ("10", Some(10)), ("1", None), ("0", None), ("x", None)]
    {
        let [webhook, _] = events();
        let mut headers = webhook.to_headers();
        headers.insert(header::FORMAT, format);
        assert_eq!(event::newer_format(&headers), newer, "{format}");
        let subject = event_subject(0, &webhook.key);
        let read = Event::from_message(&subject, &headers, webhook.payload.clone());
        assert_eq!(read.is_ok(), format == "1", "{format}");
    }
    assert_eq!(event::newer_format(&HeaderMap::new()), None);
}

/// Names and hashes by which things are found again.
#[tokio::test]
async fn names_and_places() {
    let state: Value =
        serde_json::from_str(r#"{"b":[1.10,"x"],"a":{"d":null,"c":"ü"}}"#).expect("JSON");
    let hash = Hash::of(Some(&state)).to_hex();
    let odd = ops_subject(3, &shop(), "mark", "a.b c");
    let told = key("gadget", "a.b c");
    let mut lines = vec![
        ("stream", stream_name(3)),
        ("event", event_subject(3, &told)),
        ("ops", odd.clone()),
        ("state", hash.clone()),
        ("digest", event::digest(b"mug")),
        ("blob", BlobHash::of(b"mug").to_string()),
    ];
    for name in ["acme", "bolt", "cog-2"] {
        let partition = partition_of(&Shop::from_name(name).expect("a shop"), 12);
        lines.push(("partition of 12", format!("{name} {partition}")));
    }
    let seen = [
        Seen::new(ResourceId::parse("1").expect("an id"), Facet::Core, Some(&hash)),
        Seen::new(ResourceId::parse("1").expect("an id"), Facet::Metafields, None),
        Seen::new(ResourceId::parse("a b").expect("an id"), Facet::Variants, Some(&hash)),
    ];
    let mut digest = Digest::default();
    for seen in &seen {
        digest.add(seen);
        lines.push(("seen", golden::shown(seen.line().as_bytes())));
    }
    lines.push(("all seen", digest.to_string()));
    let storage = Arc::new(InMemory::new());
    let blobs = Blobs::new(storage.clone(), &std::env::temp_dir());
    let mug = futures::stream::iter([Ok("mug".into())]);
    let (kept, _) = blobs.put(&shop(), mug, 10).await.expect("kept");
    blobs.note_unnamed(&shop(), kept).await.expect("noted");
    let mut places: Vec<_> = storage.list(None).try_collect().await.expect("a list");
    places.sort_by(|a, b| a.location.cmp(&b.location));
    lines.extend(places.iter().map(|place| ("object", place.location.to_string())));
    let now: String = lines.iter().map(|(what, value)| format!("{what}\t{value}\n")).collect();
    let golden = golden().same("names-v1.txt", &now);

    means(parse_event_subject(&lines[1].1), Some(told));
    means(parse_ops_subject(&odd), Some((shop(), "mark".to_owned(), "a.b c".to_owned())));
    let listed = golden.lines().filter_map(|line| line.strip_prefix("seen\t"));
    let listed = listed.map(golden::bytes).map(|line| String::from_utf8(line).expect("UTF-8"));
    let listed: Vec<_> = listed.map(|line| Seen::parse(&line).expect("a line")).collect();
    means(listed, seen);
}

#[test]
fn records_of_pulls_and_of_what_is_kept() {
    let golden = golden();
    let pull: PullReport = golden.json(RECORDS, "pull");
    means((pull.kind.as_str(), pull.state, pull.objects), ("product", PullState::Complete, 120));
    let list = pull.witness.as_ref().map(|witness| witness.list.len());
    means((pull.operations.len(), pull.healed_gaps, list), (1, vec![(7, 9)], Some(64)));
    let ordered: Ordered = golden.json(RECORDS, "order");
    means((ordered.at, ordered.confirm_deletions), (at("2026-11-24T03:00:00Z"), true));
    let by_id: Order = golden.json(RECORDS, "order_by_id");
    means((by_id.kinds.len(), by_id.ids.len(), by_id.confirm_deletions), (1, 2, false));
    let media: MediaReport = golden.json(RECORDS, "media");
    means((media.media, media.kept, media.reasons.len()), (3, 2, 1));
    let retained: Retained = golden.json(RECORDS, "retention");
    means((retained.thinned.removed, retained.blobs, retained.held), (40, 2, false));
    let subscriptions: Subscriptions = golden.json(RECORDS, "subscriptions");
    means((subscriptions.wanted, subscriptions.good), (30, 29));
    let wish: Wish = golden.json(RECORDS, "erasure");
    let seven = ResourceId::parse("7").expect("an id");
    means((wish.whom, wish.via, wish.confirmed), (Whom::Customer(seven), Via::Api, true));
    let whole: Wish = golden.json(RECORDS, "erasure of a shop");
    means(whole.whom, Whom::Shop);
    let messages: Messages = golden.json(RECORDS, "erased_messages");
    means(messages.ranges, vec![(4, 4), (9, 12)]);
    // What older ones did not say yet.
    let least = r#"{"kind":"product","state":"failed","started_at":"2026-11-24T03:00:00Z"}"#;
    let least: PullReport = serde_json::from_str(least).expect(golden::HOW_TO_CHANGE);
    means((least.objects, least.operations.len(), least.witness), (0, 0, None));
    means(json!(PullState::Running), json!("running"));
}
