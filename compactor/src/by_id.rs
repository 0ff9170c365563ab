//! Orders for some resources by their ids, which wait for no whole pull.
//!
//! Each is a record on the stream, and is offered to whoever has the shop together with what webhooks left
//! open, until what it asks for is on the stream as well: after a kill once more, and where the shop does
//! not answer, or from before what is known, a few times more.

use backstock_proto::kind::Spec;
use backstock_proto::kind::pull::Way;
use backstock_proto::pulls::{ORDER_BY_ID, Order};
use backstock_proto::stream::{Partition, ops_subject, parse_ops_subject};
use backstock_proto::{Facet, Kind, ResourceId, Shop};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::offered::during;
use crate::pull::{PullError, Puller, caught};
use crate::question;
use crate::reconcile::Window;
use crate::signal::{Again, again_after, reply};

/// An order, and the message that it came as.
pub(crate) type Errand = (async_nats::jetstream::Message, Order);

/// Where the stream has a shop's orders.
pub(crate) fn subject(partition: Partition, shop: &Shop) -> String {
    format!("{}*", ops_subject(partition, shop, ORDER_BY_ID, ""))
}

/// The order that a message under a subject is, if it is one.
pub(crate) fn order(subject: &str, payload: &[u8]) -> Option<Order> {
    let (_, what, _) = parse_ops_subject(subject)?;
    if what != ORDER_BY_ID {
        return None;
    }
    serde_json::from_slice(payload).ok()
}

/// Carries out a shop's orders, one after the other, until `shutdown`.
pub(crate) async fn run(
    puller: Puller,
    mut orders: mpsc::UnboundedReceiver<Errand>,
    shutdown: CancellationToken,
) {
    let turn = Semaphore::new(1);
    let mut underway = FuturesUnordered::<BoxFuture<'_, ()>>::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            Some(errand) = orders.recv() => {
                underway.push(carry_out(&puller, &turn, errand).boxed());
            }
            Some(()) = underway.next() => {}
        }
    }
}

/// Reads again what an order names when it is its turn. The stream is told that somebody is at it, also
/// while it waits.
async fn carry_out(puller: &Puller, turn: &Semaphore, (message, order): Errand) {
    let work = async {
        // It is never closed.
        let _one_at_a_time = turn.acquire().await;
        read_all(puller, &order).await
    };
    let again = during(std::slice::from_ref(&message), work.boxed()).await;
    // One that is not heard is offered again, which does no harm.
    let _unheard = message.ack_with(reply(&message, again)).await;
}

/// Reads again what an order names. Answers whether to try it once more, if that failed.
async fn read_all(puller: &Puller, Order { kinds, ids, .. }: &Order) -> Option<Again> {
    let mut again = None::<Again>;
    for spec in kinds.iter().filter_map(Kind::spec) {
        if let Err(error) = caught(read_again(puller, spec, ids).boxed()).await {
            warn!(shop = %puller.shop, kind = spec.name, %error, "reading by id failed");
            again = again.max(Some(again_after(puller, &error).await));
        }
    }
    again
}

/// Publishes what history does not have of some resources, and the end of those that are gone. A kind
/// that cannot be asked for by id is pulled whole.
async fn read_again(
    puller: &Puller,
    spec: &'static Spec,
    ids: &[ResourceId],
) -> Result<(), PullError> {
    let ways = question::by_id(spec);
    if !ways.iter().any(|pull| pull.facets.contains(&Facet::Core)) {
        let order = crate::pull::Order { afresh: true, ordered: true, ..Default::default() };
        return puller.kind(spec, &order, None).await.map(drop);
    }
    // What is older than what is known does not keep the rest from being read.
    let mut up_to_date = Ok(());
    for pull in ways {
        let Way::ById { ids_max, .. } = &pull.way else { continue };
        for some in spec.portions(ids, *ids_max) {
            let asked_at = puller.now();
            let answered =
                puller.some(spec, pull, &some, |_| Window::asked(asked_at), |_| true).await?;
            up_to_date = up_to_date.and(answered.up_to_date());
            if pull.facets.contains(&Facet::Core) {
                let gone = some.iter().filter(|id| !answered.there.contains_key(*id));
                let gone: Vec<_> = gone.map(|id| (id.clone(), None)).collect();
                puller.gone(spec, &gone, asked_at).await?;
                for (id, node) in answered.there {
                    let Some(node) = node else { continue };
                    puller.media.seen(puller.key(&Kind::of(spec), &id), node, asked_at);
                }
            }
        }
    }
    up_to_date
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_known_by_its_subject() {
        let shop = Shop::from_name("acme").expect("a shop");
        let wanted = Order {
            shop: shop.clone(),
            kinds: vec![Kind::parse("page").expect("a kind")],
            ids: vec![ResourceId::parse("7").expect("an id")],
            confirm_deletions: false,
        };
        let payload = serde_json::to_vec(&wanted).expect("JSON");
        let under = |what: &str| ops_subject(0, &shop, what, "page");
        assert_eq!(order(&under(ORDER_BY_ID), &payload), Some(wanted));
        assert_eq!(order(&under("order"), &payload), None);
        assert_eq!(order(&under(ORDER_BY_ID), b"{}"), None);
        assert_eq!(order("backstock.0.event.acme.page.7", &payload), None);
        let all = subject(0, &shop);
        assert_eq!(all.strip_suffix('*').map(|all| format!("{all}page")), Some(under(ORDER_BY_ID)));
    }
}
