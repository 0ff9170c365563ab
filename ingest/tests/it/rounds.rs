//! What waits goes out together, and is stored once whatever happens on the way.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream;
use backstock_ingest::Config;
use backstock_proto::stream::{stream_config, stream_name};
use futures::future::join_all;

use crate::nats::Nats;
use crate::world::{Request, World, eventually, product, run, world};

const PAUSE: Duration = Duration::from_millis(400);

fn requests(ids: impl IntoIterator<Item = u64>) -> Vec<Request> {
    let one = |id: u64| Request::new("products/update", &format!("w{id}"), product(id));
    ids.into_iter().map(one).collect()
}

impl World {
    /// Lets these requests queue up behind one publish, by stopping the server for a moment.
    pub(crate) async fn send_together(&self, requests: Vec<Request>) -> Vec<u16> {
        self.nats.signal("-STOP");
        let sending = join_all(requests.into_iter().map(|r| self.ingest.status(r)));
        let resuming = async {
            tokio::time::sleep(PAUSE).await;
            self.nats.signal("-CONT");
        };
        let (statuses, ()) = tokio::join!(sending, resuming);
        statuses
    }

    /// The delivery ids on the stream, each of which must be there once.
    pub(crate) async fn stored(&self) -> BTreeSet<String> {
        let messages = self.nats.messages().await;
        let mut ids = BTreeSet::new();
        for message in &messages {
            if let Some(id) = message.headers.get("Nats-Msg-Id") {
                assert!(ids.insert(id.as_str().to_owned()), "{id} is stored twice");
            }
        }
        ids
    }

    /// How many messages came in a batch.
    async fn batched(&self) -> usize {
        let messages = self.nats.messages().await;
        messages.iter().filter(|m| m.headers.get("Nats-Batch-Id").is_some()).count()
    }

    fn fallbacks(&self, reason: &str) -> f64 {
        let name = "backstock_ingest_batch_fallbacks_total";
        self.ingest.metric(&format!("{name}{{reason=\"{reason}\"}}"))
    }

    fn rounds(&self) -> f64 {
        self.ingest.metric("backstock_ingest_publish_round_messages_count")
    }
}

#[tokio::test]
async fn what_waits_goes_out_as_one_batch() {
    let world = world().await;
    let statuses = world.send_together(requests(0..300)).await;
    assert_eq!(statuses, [200; 300]);
    assert_eq!(world.stored().await.len(), 300);
    // How many wait together is up to how fast they come.
    assert!(world.rounds() <= 15.0, "{} rounds", world.rounds());
    assert!(["duplicate", "unknown", "rejected"].iter().all(|r| world.fallbacks(r) == 0.0));
    assert!(world.batched().await >= 250);
}

#[tokio::test]
async fn a_delivery_that_waits_twice_is_stored_once() {
    let world = world().await;
    let statuses = world.send_together(requests((0..60).chain(0..60).chain(0..60))).await;
    assert_eq!(statuses, [200; 180]);
    assert_eq!(world.stored().await.len(), 60);
    assert_eq!(world.nats.messages().await.len(), 60);
    assert!(world.batched().await >= 40, "repetitions kept the others from going out together");
}

#[tokio::test]
async fn a_batch_with_a_known_delivery_is_stored_without_it() {
    let world = world().await;
    for request in requests(0..3) {
        assert_eq!(world.ingest.status(request).await, 200);
    }
    let statuses = world.send_together(requests(0..100)).await;
    assert_eq!(statuses, [200; 100]);
    assert_eq!(world.stored().await.len(), 100);
    assert_eq!(world.nats.messages().await.len(), 100);
    assert!(world.fallbacks("duplicate") >= 1.0);
    assert_eq!(world.ingest.outcomes("duplicate"), 3.0);
}

#[tokio::test]
async fn deliveries_without_an_id_are_all_stored() {
    let world = world().await;
    let anonymous =
        requests(0..50).into_iter().map(|r| r.with("x-shopify-webhook-id", "")).collect();
    assert_eq!(world.send_together(anonymous).await, [200; 50]);
    assert_eq!(world.nats.messages().await.len(), 50);
}

#[tokio::test]
async fn too_many_open_batches_only_make_it_slower() {
    let world = world().await;
    let client = world.nats.connect().await;
    for batch in 0..50 {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Batch-Id", format!("stuck-{batch}"));
        headers.insert("Nats-Batch-Sequence", "1");
        let subject = "backstock.0.ops.acme.stuck.1";
        let staged = client.request_with_headers(subject, headers, "".into()).await;
        assert!(staged.expect("an answer").payload.is_empty());
    }
    assert_eq!(world.send_together(requests(0..100)).await, [200; 100]);
    assert_eq!(world.stored().await.len(), 100);
    assert!(world.fallbacks("too_many_batches") >= 1.0);
}

#[tokio::test]
async fn a_stream_that_takes_no_batches_still_takes_everything() {
    let nats = Nats::start().await;
    let mut config = stream_config((0, 1), 1, -1);
    config.allow_atomic_publish = false;
    let context = jetstream::new(nats.connect().await);
    context.create_stream(config).await.expect("a stream");
    let ingest = run(Config::default(), &nats).await;
    let world = World { nats, ingest };
    assert_eq!(world.send_together(requests(0..100)).await, [200; 100]);
    assert_eq!(world.send_together(requests(100..200)).await, [200; 100]);
    assert_eq!(world.stored().await.len(), 200);
    assert_eq!(world.fallbacks("rejected"), 1.0, "it gives up on batches after the first");
}

#[tokio::test]
async fn a_foreign_stream_on_our_subjects_does_not_count() {
    let nats = Nats::start().await;
    let mut config = stream_config((0, 1), 1, -1);
    config.name = "SOMEBODY-ELSE".into();
    let context = jetstream::new(nats.connect().await);
    context.create_stream(config).await.expect("a stream");
    let ingest = run(Config::default(), &nats).await;
    let world = World { nats, ingest };
    assert_eq!(world.ingest.status(requests(0..1).remove(0)).await, 503);
    assert_eq!(world.send_together(requests(1..100)).await, [503; 99]);
    assert!(context.get_stream(stream_name(0)).await.is_err());
}

#[tokio::test]
async fn shutdown_waits_for_what_is_under_way() {
    let world = world().await;
    let shutdown = world.ingest.shutdown.clone();
    let stopping = async {
        tokio::time::sleep(PAUSE / 2).await;
        shutdown.cancel();
    };
    let (statuses, ()) = tokio::join!(world.send_together(requests(0..100)), stopping);
    assert_eq!(statuses, [200; 100]);
    assert_eq!(world.stored().await.len(), 100);
    eventually("ingest ends", async || world.ingest.ended.is_finished()).await;
    world.ingest.ended.await.expect("joined").expect("ended well");
}
