//! Orders, from wherever they are given to whoever looks after the shop: this process, or another one,
//! which is asked over NATS.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use backstock_proto::publish::Publisher;
use backstock_proto::pulls::{ORDER, Order, Ordered};
use backstock_proto::time::Clock;
use backstock_proto::{Shop, lease};
use futures::StreamExt;
use futures::future::try_join_all;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::http::Given;
use crate::schedule;

/// How long somebody is looked for who takes an order: until a shop whose holder died has another one.
const TAKEN_WITHIN: Duration = lease::HOLDS.saturating_add(lease::RENEW_EVERY);
/// Rest between.
const REST: Duration = Duration::from_millis(500);

/// Where one shop takes orders.
#[derive(Clone, Debug)]
pub(crate) struct Doors {
    /// For pulls of whole kinds.
    whole: mpsc::Sender<Order>,
    /// For some resources by their ids, which wait for no whole pull.
    some: mpsc::Sender<Order>,
}

/// Where one shop hears of its orders: for whole kinds, and for some resources.
pub(crate) type Heard = (mpsc::Receiver<Order>, mpsc::Receiver<Order>);

pub(crate) fn doors() -> (Doors, Heard) {
    let (whole, ordered) = mpsc::channel(64);
    let (some, named) = mpsc::channel(64);
    (Doors { whole, some }, (ordered, named))
}

impl Doors {
    pub(crate) async fn give(&self, order: Order) {
        let door = if order.ids.is_empty() { &self.whole } else { &self.some };
        // Whoever stops hears of it by the record, or by the next whole look.
        let _stopping = door.send(order).await;
    }
}

/// The shops that this process looks after.
#[derive(Clone, Debug, Default)]
pub(crate) struct Here(Arc<Mutex<HashMap<Shop, Doors>>>);

impl Here {
    pub(crate) fn open(&self, shop: Shop, doors: Doors) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(shop, doors);
    }

    pub(crate) fn close(&self, shop: &Shop) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(shop);
    }

    fn of(&self, shop: &Shop) -> Option<Doors> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(shop).cloned()
    }
}

/// Gives each order to whoever looks after its shop. One for whole kinds is taken once it is on record,
/// so that a restart does not lose it. `others` is how further compactors are asked, if there may be any.
pub(crate) async fn pass_on(
    mut orders: mpsc::Receiver<Given>,
    here: Here,
    (publisher, clock): (&Publisher, &dyn Clock),
    others: Option<async_nats::Client>,
    shutdown: CancellationToken,
) {
    loop {
        let given = tokio::select! {
            () = shutdown.cancelled() => return,
            given = orders.recv() => given,
        };
        // Without anybody left who could ask, it goes on by its schedule.
        let Some(Given { order, taken }) = given else { return shutdown.cancelled().await };
        // Whoever gave one that cannot be put on record hears that it is not taken.
        if order.ids.is_empty() && !put_on_record(&order, publisher, clock).await {
            continue;
        }
        let _nobody_waits = taken.send(());
        let (here, others, stop) = (here.clone(), others.clone(), shutdown.clone());
        // A shop that is busy does not keep another one's orders waiting.
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = hand_over(order, &here, others.as_ref()) => {}
            }
        });
    }
}

async fn put_on_record(order: &Order, publisher: &Publisher, clock: &dyn Clock) -> bool {
    let ordered = Ordered { at: clock.now(), confirm_deletions: order.confirm_deletions };
    // All at once: one after the other, others' orders would wait as many times for the stream's disk.
    let recorded = schedule::ordered(order)
        .into_iter()
        .map(|spec| publisher.record(&order.shop, ORDER, spec.name, &ordered));
    match try_join_all(recorded).await {
        Ok(_) => true,
        Err(error) => {
            warn!(shop = %order.shop, %error, "an order cannot be put on record");
            false
        }
    }
}

async fn hand_over(order: Order, here: &Here, others: Option<&async_nats::Client>) {
    match (here.of(&order.shop), others) {
        (Some(doors), _) => doors.give(order).await,
        (None, Some(others)) => find(order, here, others).await,
        // The Admin API of the shop may not be asked. Whoever gives an order has checked that.
        (None, None) => {}
    }
}

/// Looks for whoever takes an order. One for whole kinds is found on record by whoever has the shop
/// later.
async fn find(order: Order, here: &Here, others: &async_nats::Client) {
    let begun = Instant::now();
    loop {
        if let Some(doors) = here.of(&order.shop) {
            return doors.give(order).await;
        }
        let Err(error) = ask(&order, others).await else { return };
        if begun.elapsed() > TAKEN_WITHIN {
            let error = format!("{error:#}");
            return warn!(shop = %order.shop, error, "no compactor took an order at once");
        }
        tokio::time::sleep(REST).await;
    }
}

async fn ask(order: &Order, others: &async_nats::Client) -> anyhow::Result<()> {
    let body = serde_json::to_vec(order)?;
    others.request(subject(&order.shop), body.into()).await?;
    Ok(())
}

/// Takes orders for a shop from other compactors, until `stop`.
pub(crate) async fn listen(
    shop: Shop,
    (others, doors): (async_nats::Client, Doors),
    stop: CancellationToken,
) {
    loop {
        let ended = tokio::select! {
            () = stop.cancelled() => return,
            ended = listen_once(&shop, &others, &doors) => ended,
        };
        if let Err(error) = ended {
            warn!(%shop, error = format!("{error:#}"), "cannot hear of orders; trying again");
        }
        tokio::time::sleep(REST).await;
    }
}

async fn listen_once(
    shop: &Shop,
    others: &async_nats::Client,
    doors: &Doors,
) -> anyhow::Result<()> {
    let mut asked = others.subscribe(subject(shop)).await.context("subscribe")?;
    while let Some(message) = asked.next().await {
        let Ok(order) = serde_json::from_slice::<Order>(&message.payload) else { continue };
        if order.shop != *shop {
            continue;
        }
        doors.give(order).await;
        if let Some(reply) = message.reply {
            others.publish(reply, "".into()).await.context("answer")?;
        }
    }
    Ok(())
}

/// Where orders for a shop are given between compactors. No stream keeps them.
fn subject(shop: &Shop) -> String {
    format!("backstock.orders.{}", shop.name())
}
