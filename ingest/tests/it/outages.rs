//! The server stalls, dies and comes back. A 200 holds through all of it.

use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::world::{Request, World, eventually, product, world};

fn request(id: usize) -> Request {
    Request::new("products/update", &format!("w{id}"), product(id as u64))
}

/// Sends 40 at a time, each delivery once, until told to stop.
async fn load(world: &World, first: usize, stop: &CancellationToken) -> Load {
    let mut load = Load::default();
    for from in (first..).step_by(40) {
        if stop.is_cancelled() {
            break;
        }
        let sending = (from..from + 40).map(|id| world.ingest.status(request(id)));
        for (id, status) in (from..).zip(join_all(sending).await) {
            match status {
                200 => load.acked.push(id),
                503 => load.refused += 1,
                other => panic!("answered {other}"),
            }
        }
    }
    load
}

#[derive(Default)]
struct Load {
    acked: Vec<usize>,
    refused: usize,
}

#[tokio::test]
async fn a_killed_server_costs_503s_and_nothing_else() {
    let mut world = world().await;
    for _ in 0..3 {
        let before: usize = world.stored().await.len();
        world.nats.kill();
        eventually("503", async || world.ingest.status(request(before)).await == 503).await;
        assert_eq!(world.ingest.get("/healthz").await.status(), 200);
        world.nats.restart().await;
        let back = Instant::now();
        eventually("200", async || world.ingest.status(request(before)).await == 200).await;
        assert!(back.elapsed() < Duration::from_secs(3), "took {:?}", back.elapsed());
    }
    assert!(world.ingest.outcomes("unreachable") >= 3.0);
}

#[tokio::test]
async fn what_was_answered_200_survives_kills_under_load() {
    let mut world = world().await;
    let (mut acked, mut refused) = (Vec::new(), 0);
    for kill in 1..=crate::times("BACKSTOCK_KILLS", 4) {
        let stop = CancellationToken::new();
        let killing = async {
            tokio::time::sleep(Duration::from_millis(100 + 37 * kill % 400)).await;
            world.nats.signal("-KILL");
            tokio::time::sleep(Duration::from_millis(100)).await;
            stop.cancel();
        };
        let (load, ()) = tokio::join!(load(&world, 1_000_000 * kill as usize, &stop), killing);
        acked.extend(load.acked);
        refused += load.refused;
        world.nats.kill();
        world.nats.restart().await;
        eventually("200", async || world.ingest.status(request(0)).await == 200).await;
    }
    let stored = world.stored().await;
    let lost = acked.iter().filter(|id| !stored.contains(&format!("acme/products/update/w{id}")));
    assert_eq!(lost.count(), 0, "of {} acknowledged", acked.len());
    println!("{} acknowledged, {refused} refused, 0 lost", acked.len());
    assert!(acked.len() > 100 && refused > 0, "{} acked, {refused} refused", acked.len());
}

#[tokio::test]
async fn a_duplicate_from_before_a_crash_is_stored_once_more_to_be_sure() {
    let mut world = world().await;
    assert_eq!(world.ingest.status(request(1)).await, 200);
    assert_eq!(world.ingest.status(request(1)).await, 200);
    assert_eq!(world.nats.messages().await.len(), 1);

    world.nats.kill();
    world.nats.restart().await;
    eventually("200", async || world.ingest.status(request(1)).await == 200).await;
    let copies = world.nats.messages().await;
    assert_eq!(copies.len(), 2, "the server's memory alone was trusted");
    assert_eq!(copies[0].payload, copies[1].payload);
    assert_eq!(world.ingest.status(request(1)).await, 200);
    assert_eq!(world.nats.messages().await.len(), 2);
}

#[tokio::test]
async fn a_stalled_server_is_503_in_time_and_a_retry_is_no_second_event() {
    let world = world().await;
    world.nats.signal("-STOP");
    let begun = Instant::now();
    let statuses = join_all((0..50).map(|id| world.ingest.status(request(id)))).await;
    assert_eq!(statuses, [503; 50]);
    assert!(begun.elapsed() < Duration::from_secs(5), "answered after {:?}", begun.elapsed());
    world.nats.signal("-CONT");
    for id in 0..50 {
        let sent = async || world.ingest.status(request(id)).await == 200;
        eventually("200", sent).await;
    }
    assert_eq!(world.stored().await.len(), 50);
    assert!(world.ingest.outcomes("no_ack") >= 50.0);
}
