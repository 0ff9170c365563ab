//! Orders, from wherever they are given to whoever looks after the shop. All are put on record first. Those
//! for some resources by their ids the stream then offers (`by_id.rs`); of those for whole kinds this process
//! hears at once, or another one, which is asked over NATS.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use backstock_proto::publish::Publisher;
use backstock_proto::pulls::{ORDER, ORDER_BY_ID, Order, Ordered};
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

/// Where one shop takes orders for pulls of whole kinds.
#[derive(Clone, Debug)]
pub(crate) struct Doors(mpsc::Sender<Order>);

/// A way to give one shop orders, and where they are heard.
pub(crate) fn doors() -> (Doors, mpsc::Receiver<Order>) {
    let (give, heard) = mpsc::channel(64);
    (Doors(give), heard)
}

impl Doors {
    pub(crate) async fn give(&self, order: Order) {
        // Whoever stops hears of it by the record, or by the next whole look.
        let _stopping = self.0.send(order).await;
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

/// Gives each order to whoever looks after its shop. It is taken once it is on record, so that a restart
/// does not lose it. `others` is how further compactors are asked, if there may be any.
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
        if !put_on_record(&order, publisher, clock).await {
            continue;
        }
        let _nobody_waits = taken.send(());
        if !order.ids.is_empty() {
            continue;
        }
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
    let ordered = &Ordered { at: clock.now(), confirm_deletions: order.confirm_deletions };
    // All at once: one after the other, others' orders would wait as many times for the stream's disk.
    let recorded = schedule::ordered(order).into_iter().map(|spec| async move {
        match order.ids.is_empty() {
            true => publisher.record(&order.shop, ORDER, spec.name, ordered).await,
            false => publisher.record(&order.shop, ORDER_BY_ID, spec.name, order).await,
        }
    });
    match try_join_all(recorded).await {
        Ok(_) => true,
        Err(error) => {
            warn!(shop = %order.shop, %error, "an order cannot be put on record");
            false
        }
    }
}

/// Looks for whoever takes an order for whole kinds. Whoever has the shop later finds it on record.
async fn hand_over(order: Order, here: &Here, others: Option<&async_nats::Client>) {
    let begun = Instant::now();
    loop {
        let error = match (here.of(&order.shop), others) {
            (Some(doors), _) => return doors.give(order).await,
            (None, Some(others)) => match ask(&order, others).await {
                Ok(()) => return,
                Err(error) => format!("{error:#}"),
            },
            (None, None) => return,
        };
        if begun.elapsed() > TAKEN_WITHIN {
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
        // One by id may come of an older Backstock, which has put none on record.
        if order.shop != *shop || !order.ids.is_empty() {
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
