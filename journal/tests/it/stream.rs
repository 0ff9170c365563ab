//! The whole way from a real stream into the store.

use std::sync::Arc;
use std::time::Duration;

use crate::support::nats::Nats;
use crate::support::{
    Delivery, applied, at, copy_all, decoded, deleted, open, product, pulled, reader, titled,
};
use async_nats::jetstream::Context;
use backstock_journal::stream::{StreamError, ensure_stream};
use backstock_journal::{Config, Failure, Store, StoreError};
use backstock_proto::event::header;
use backstock_proto::journal::{AsOf, Journal, Page, Span};
use backstock_proto::listen::Readiness;
use backstock_proto::publish::Publisher;
use backstock_proto::stream::{CONSUMER, event_subject, stream_config, stream_name};
use backstock_proto::time::{Clock, SystemClock};
use tokio_util::sync::CancellationToken;

/// A journal running on a store.
struct Running {
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), Failure>>,
    registry: prometheus::Registry,
    readiness: Readiness,
}

fn run(store: &Arc<Store>, jetstream: &Context) -> Running {
    let (shutdown, registry, readiness) =
        (CancellationToken::new(), prometheus::Registry::new(), Readiness::new());
    let config = Config { stall: Duration::from_secs(2), ..Config::default() };
    let (store, jetstream, part) = (store.clone(), jetstream.clone(), readiness.part("journal"));
    let (told, series) = (shutdown.clone(), registry.clone());
    let task = tokio::spawn(async move {
        let clock = Arc::new(SystemClock);
        backstock_journal::run(config, store, jetstream, &series, part, clock, told).await
    });
    Running { shutdown, task, registry, readiness }
}

impl Running {
    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.expect("no panic").expect("an orderly end");
    }

    fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).expect(name);
        let value =
            |m: &prometheus::proto::Metric| m.get_counter().get_value() + m.get_gauge().get_value();
        family.get_metric().iter().map(value).sum()
    }
}

async fn publish(jetstream: &Context, delivery: Delivery) -> u64 {
    let event = delivery.event();
    let subject = event_subject(0, &event.key);
    let sent = jetstream.publish_with_headers(subject, event.to_headers(), event.payload).await;
    sent.expect("publish").await.expect("ack").sequence
}

async fn fresh(nats: &Nats, store: &Store) -> Context {
    let jetstream = nats.jetstream().await;
    let config = stream_config((0, 1), 1, 1 << 30);
    ensure_stream(&jetstream, store, config).await.expect("stream");
    jetstream
}

#[tokio::test]
async fn what_is_published_can_be_read() {
    let (nats, dir) = (Nats::start().await, tempfile::tempdir().expect("dir"));
    let store = open(dir.path());
    let jetstream = fresh(&nats, &store).await;
    let running = run(&store, &jetstream);
    let key = product("acme", "7");
    publish(&jetstream, titled(&key, "First", at(10)).webhook("a")).await;
    publish(&jetstream, titled(&key, "Second", at(20)).webhook("b")).await;
    let last = publish(&jetstream, deleted(&key, at(30)).webhook("c")).await;
    applied(&store, last).await;

    let reader = reader(&store);
    let then = reader.resource(&key, AsOf::At(at(15))).await.expect("read").expect("there");
    assert_eq!(then.state["title"], "First");
    let now = reader.resource(&key, AsOf::Latest).await.expect("read").expect("there");
    assert!(now.deleted);
    assert_eq!(now.state["title"], "Second");
    assert!(running.readiness.waiting().is_empty());
    assert_eq!(running.metric("backstock_journal_versions_total"), 3.0);
    let shops = reader.shops().await.expect("shops");
    assert_eq!((shops.len(), shops[0].lag_seconds), (1, 0.0));
    running.stop().await;
    let report = reader.verify().await.expect("verify");
    assert_eq!((report.versions, report.faults), (3, vec![]));
}

#[tokio::test]
async fn a_restart_goes_on_behind_what_was_applied() {
    let (nats, dir) = (Nats::start().await, tempfile::tempdir().expect("dir"));
    let key = product("acme", "7");
    let mut seq = 0;
    for round in 0..4 {
        let store = open(dir.path());
        let jetstream = fresh(&nats, &store).await;
        // What arrives while the journal is down is read when it comes back.
        for n in 0..5 {
            let title = format!("T{round}-{n}");
            seq = publish(&jetstream, titled(&key, &title, at(round * 10 + n))).await;
        }
        let running = run(&store, &jetstream);
        applied(&store, seq).await;
        if round == 2 {
            // As good as a kill: nothing is acknowledged in order.
            running.task.abort();
        } else {
            assert_eq!(running.metric("backstock_journal_redelivered_total"), 0.0);
            running.stop().await;
        }
        let page = Page { limit: 100, cursor: None };
        let versions =
            reader(&store).versions(&key, Span::default(), &page).await.expect("versions");
        assert_eq!(versions.items.len() as u64, seq);
        wait_until_closed(store).await;
    }
}

/// A store is closed when whatever still uses it has let go.
async fn wait_until_closed(store: Arc<Store>) {
    let mut store = store;
    loop {
        match Arc::try_unwrap(store) {
            Ok(store) => return drop(store),
            Err(shared) => {
                store = shared;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

#[tokio::test]
async fn a_missing_sequence_is_a_gap_and_a_changed_payload_is_kept_aside() {
    let (nats, dir) = (Nats::start().await, tempfile::tempdir().expect("dir"));
    let store = open(dir.path());
    let jetstream = fresh(&nats, &store).await;
    let key = product("acme", "7");
    for n in 0..6 {
        publish(&jetstream, titled(&key, &format!("T{n}"), at(n))).await;
    }
    let stream = jetstream.get_stream(stream_name(0)).await.expect("stream");
    for seq in [3, 4] {
        assert!(stream.delete_message(seq).await.expect("delete"));
    }
    let mut event = titled(&key, "Forged", at(50)).event();
    let headers = event.to_headers();
    event.payload = titled(&key, "Changed", at(50)).event().payload;
    let subject = event_subject(0, &event.key);
    let sent = jetstream.publish_with_headers(subject, headers, event.payload).await;
    let last = sent.expect("publish").await.expect("ack").sequence;
    let running = run(&store, &jetstream);
    applied(&store, last).await;
    let reader = reader(&store);
    let status = reader.status(&key.shop).await.expect("status").expect("there");
    let gaps: Vec<_> = status.gaps.iter().map(|gap| (gap.from_seq, gap.to_seq)).collect();
    assert_eq!((gaps, status.quarantined, status.summary.versions), (vec![(3, 4)], 1, 4));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(running.metric("backstock_journal_stream_gap_total"), 2.0);
    assert_eq!(running.metric("backstock_journal_digest_mismatch_total"), 1.0);
    assert_eq!(running.metric("backstock_journal_quarantined_events"), 1.0);
    running.stop().await;
    let kept = store.quarantined(last).expect("read").expect("kept");
    assert!(kept.reason.contains("digest"), "{}", kept.reason);
    assert!(String::from_utf8_lossy(&kept.message.payload).contains("Changed"));
}

#[tokio::test]
async fn what_the_stream_remembers_and_no_longer_has_is_learned_when_it_is_pulled_again() {
    let (nats, dir) = (Nats::start().await, tempfile::tempdir().expect("dir"));
    let store = open(dir.path());
    let jetstream = fresh(&nats, &store).await;
    let publisher = Publisher { jetstream: jetstream.clone(), partitions: 1 };
    let key = product("acme", "7");
    let event = pulled(&key, "Mug", at(1)).event();
    let first = publisher.event(event.clone()).await.expect("published");
    let stream = jetstream.get_stream(stream_name(0)).await.expect("stream");
    assert!(stream.delete_message(first).await.expect("delete"));
    let again = publisher.event(event.clone()).await.expect("published");
    let copy = publisher.event(event).await.expect("published");
    assert!(first < again && again < copy);
    let running = run(&store, &jetstream);
    applied(&store, copy).await;
    running.stop().await;
    let page = Page::default();
    let versions = reader(&store).versions(&key, Span::default(), &page).await.expect("versions");
    let seqs: Vec<u64> = versions.items.iter().map(|version| version.seq).collect();
    assert_eq!(seqs, [again], "a copy is no version");
}

#[tokio::test]
async fn what_a_newer_backstock_wrote_is_waited_at_and_not_skipped() {
    let (nats, dir) = (Nats::start().await, tempfile::tempdir().expect("dir"));
    let store = open(dir.path());
    let jetstream = fresh(&nats, &store).await;
    let key = product("acme", "7");
    publish(&jetstream, titled(&key, "Old", at(1))).await;
    let event = titled(&key, "Newer", at(2)).event();
    let mut headers = event.to_headers();
    headers.insert(header::FORMAT, "2");
    let subject = event_subject(0, &event.key);
    let sent = jetstream.publish_with_headers(subject, headers, event.payload).await;
    let newer = sent.expect("publish").await.expect("ack").sequence;
    publish(&jetstream, titled(&key, "Behind", at(3))).await;
    wait_until_closed(store).await;

    // Starting it again changes nothing; only a newer one goes on.
    for _ in 0..2 {
        let store = open(dir.path());
        let running = run(&store, &jetstream);
        let why = stopped(&running.readiness).await;
        assert!(
            why.contains("sequence 2 of the stream is in format 2, this binary knows 1"),
            "{why}"
        );
        assert!(why.contains("run a newer Backstock here within the seven days"), "{why}");
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(store.applied_seq(), newer - 1);
        let now = reader(&store).resource(&key, AsOf::Latest).await.expect("read").expect("there");
        assert_eq!(now.state["title"], "Old");
        let shops = reader(&store).shops().await.expect("shops");
        assert!(shops[0].lag_seconds > 0.0, "nobody is told that it lags");
        running.stop().await;
        assert_eq!(store.quarantined_total().expect("read"), 0);
        wait_until_closed(store).await;
    }
    let stream = jetstream.get_stream(stream_name(0)).await.expect("stream");
    assert_eq!(stream.cached_info().state.messages, 3, "the stream lets go of something");
}

/// Why the journal goes no further.
async fn stopped(readiness: &Readiness) -> String {
    for _ in 0..1_000 {
        let waiting = readiness.waiting();
        if let Some(why) = waiting.get("journal").filter(|why| why.contains("goes no further")) {
            return why.clone();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the journal goes on");
}

#[tokio::test]
async fn another_stream_is_refused() {
    let (nats, dir) = (Nats::start().await, tempfile::tempdir().expect("dir"));
    let store = open(dir.path());
    let jetstream = fresh(&nats, &store).await;
    let running = run(&store, &jetstream);
    let seq = publish(&jetstream, titled(&product("acme", "7"), "T", at(1))).await;
    applied(&store, seq).await;
    running.stop().await;
    jetstream.delete_stream(stream_name(0)).await.expect("delete");
    let config = stream_config((0, 1), 1, 1 << 30);
    let missing = ensure_stream(&jetstream, &store, config.clone()).await;
    assert!(matches!(missing, Err(StreamError::Missing { applied: 1, .. })), "{missing:?}");
    let failed = run(&store, &jetstream).task.await.expect("no panic");
    assert!(matches!(failed, Err(Failure::Stream(StreamError::Missing { .. }))), "{failed:?}");

    jetstream.create_stream(config.clone()).await.expect("create");
    let other = ensure_stream(&jetstream, &store, config).await;
    let refused = matches!(other, Err(StreamError::Store(StoreError::OtherStream(_))));
    assert!(refused, "{other:?}");
}

#[tokio::test]
async fn a_stream_made_anew_is_read_to_its_end_while_nothing_is_on_it() {
    let (nats, dir) = (Nats::start().await, tempfile::tempdir().expect("dir"));
    let store = open(dir.path());
    let key = product("acme", "7");
    store.append(&decoded(1, [titled(&key, "Old", at(1))]), at(2)).expect("append");
    let jetstream = fresh(&nats, &store).await;
    let running = run(&store, &jetstream);
    for _ in 0..500 {
        if store.is_level(SystemClock.now()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(store.is_level(SystemClock.now()), "it waits for what is not there");
    let stream = jetstream.get_stream(stream_name(0)).await.expect("stream");
    let begun = stream.consumer_info(CONSUMER).await.expect("a consumer").created;
    // Longer than there may be silence while there is something to read.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let goes_on = stream.consumer_info(CONSUMER).await.expect("a consumer").created;
    assert_eq!(begun, goes_on, "it begins anew though there is nothing to read");
    let seq = publish(&jetstream, titled(&key, "New", at(3))).await;
    applied(&store, seq).await;
    let status = reader(&store).status(&key.shop).await.expect("status").expect("there");
    let gaps: Vec<_> = status.gaps.iter().map(|gap| (gap.from_seq, gap.to_seq)).collect();
    assert_eq!(gaps, [(2, seq - 1)]);
    running.stop().await;
}

#[tokio::test]
async fn nothing_is_remembered_of_a_stream_that_is_refused() {
    let (nats, dir) = (Nats::start().await, tempfile::tempdir().expect("dir"));
    let store = open(dir.path());
    let told =
        [titled(&product("acme", "7"), "A", at(1)), titled(&product("acme", "8"), "B", at(1))];
    store.append(&decoded(1, told), at(2)).expect("append");
    let jetstream = nats.jetstream().await;
    let config = stream_config((0, 1), 1, 1 << 30);
    jetstream.create_stream(config.clone()).await.expect("create");
    let shorter = ensure_stream(&jetstream, &store, config.clone()).await;
    let refused = matches!(&shorter, Err(StreamError::Store(StoreError::OtherStream(why)))
        if why.contains("delete this stream and say so"));
    assert!(refused, "{shorter:?}");
    jetstream.delete_stream(stream_name(0)).await.expect("delete");
    ensure_stream(&jetstream, &store, config).await.expect("a new one is made");
}

/// Waits until a server that was started answers again.
async fn answers(jetstream: &Context) {
    for _ in 0..100 {
        if jetstream.query_account().await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the server does not answer");
}

#[tokio::test]
async fn a_stream_that_is_set_back_while_it_is_read_is_refused() {
    let (mut nats, dir) = (Nats::start().await, tempfile::tempdir().expect("dir"));
    let store = open(dir.path());
    let jetstream = fresh(&nats, &store).await;
    let running = run(&store, &jetstream);
    let key = product("acme", "7");
    let (kept, before) = (nats.dir.path().join("store"), nats.dir.path().join("before"));
    for (n, title) in [(1, "Kept"), (2, "Lost")] {
        let seq = publish(&jetstream, titled(&key, title, at(n))).await;
        applied(&store, seq).await;
        nats.kill().await;
        if n == 1 {
            std::fs::create_dir(&before).expect("made");
            copy_all(&kept, &before);
        } else {
            std::fs::remove_dir_all(&kept).expect("removed");
            std::fs::rename(&before, &kept).expect("moved");
        }
        nats.restart().await;
        answers(&jetstream).await;
    }
    let ended = tokio::time::timeout(Duration::from_secs(20), running.task).await;
    let ended = ended.expect("it reads on").expect("no panic");
    let refused = matches!(&ended, Err(Failure::Stream(StreamError::Store(e)))
        if e.to_string().contains("was set back"));
    assert!(refused, "{ended:?}");
}

#[tokio::test]
async fn a_killed_server_is_waited_for() {
    let (mut nats, dir) = (Nats::start().await, tempfile::tempdir().expect("dir"));
    let store = open(dir.path());
    let jetstream = fresh(&nats, &store).await;
    let running = run(&store, &jetstream);
    let key = product("acme", "7");
    for n in 0..3 {
        let seq = publish(&jetstream, titled(&key, &format!("T{n}"), at(n))).await;
        applied(&store, seq).await;
        nats.kill().await;
        nats.restart().await;
    }
    answers(&jetstream).await;
    let seq = publish(&jetstream, titled(&key, "Last", at(9))).await;
    applied(&store, seq).await;
    assert_eq!(store.applied_seq(), 4);
    running.stop().await;
}
