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

/// How long somebody is looked for who takes an order: until a shop whose holder died has another one, or
/// one that could not be looked after is begun anew.
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
        // Whoever stops hears of it by the record, or by the next whole look.
        let _stopping = self.offer(order).await;
    }

    /// Gives an order, or has it back where nobody hears of it any more.
    async fn offer(&self, order: Order) -> Result<(), Order> {
        let door = if order.ids.is_empty() { &self.whole } else { &self.some };
        door.send(order).await.map_err(|unheard| unheard.0)
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

/// Looks for whoever takes an order, also while its shop waits to be begun anew. One for whole kinds is found
/// on record by whoever has the shop later.
async fn hand_over(mut order: Order, here: &Here, others: Option<&async_nats::Client>) {
    let begun = Instant::now();
    loop {
        let error = match (here.of(&order.shop), others) {
            (Some(doors), _) => match doors.offer(order).await {
                Ok(()) => return,
                Err(unheard) if unheard.ids.is_empty() => return,
                Err(unheard) => {
                    order = unheard;
                    "looking after the shop has just ended here".to_owned()
                }
            },
            (None, Some(others)) => match ask(&order, others).await {
                Ok(()) => return,
                Err(error) => format!("{error:#}"),
            },
            (None, None) if order.ids.is_empty() => return,
            (None, None) => "nobody looks after the shop".to_owned(),
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
        if order.shop != *shop {
            continue;
        }
        // Without an answer it is asked again.
        if doors.offer(order).await.is_err() {
            anyhow::bail!("looking after the shop has just ended here");
        }
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

#[cfg(test)]
mod tests {
    use backstock_proto::{Kind, ResourceId};

    use super::*;

    #[tokio::test]
    async fn an_order_waits_for_a_shop_that_is_begun_anew() {
        let shop = Shop::from_name("acme").expect("a shop");
        let order = Order {
            shop: shop.clone(),
            kinds: vec![Kind::parse("product").expect("a kind")],
            ids: vec![ResourceId::parse("7").expect("an id")],
            confirm_deletions: false,
        };
        let here = Here::default();
        let (failed, unheard) = doors();
        here.open(shop.clone(), failed);
        drop(unheard);
        let begun_anew = async {
            tokio::time::sleep(REST / 2).await;
            here.close(&shop);
            tokio::time::sleep(REST).await;
            let (again, heard) = doors();
            here.open(shop.clone(), again);
            heard
        };
        let ((), (_ordered, mut named)) =
            tokio::join!(hand_over(order.clone(), &here, None), begun_anew);
        assert_eq!(named.recv().await, Some(order));
    }
}
