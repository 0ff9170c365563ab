//! Watches over erasures: how long they take, and whether a shop that Shopify wants erased is still
//! installed; and over how long people wait to be told what is held of them.
//!
//! `shop/redact` is signed, and still not done at once: it comes two days after an app was removed, and
//! one that comes while the shop accepts our access is a mistake, a replay, or of a shop that has
//! installed the app again. It then waits for somebody's word, visibly.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use backstock_proto::admin::{AdminError, Call};
use backstock_proto::erase::{ERASURE, Erasure, ErasureState, Whom, Wish};
use futures::FutureExt as _;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::Desk;
use crate::answer::erasure::asked_since;
use crate::audit::Deed;
use crate::record::RecordError;

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How often it looks for who waits to be told: days are the measure, and it asks of each shop.
const REQUESTS_EVERY: Duration = Duration::from_secs(600);
/// The least that can be asked.
const ASKS: &str = "{ shop { id } }";

/// Looks after erasures, and after who asks what is held of them, until `shutdown`.
pub(crate) async fn watch(desk: Arc<Desk>, shutdown: CancellationToken) {
    tokio::join!(watch_erasures(&desk, &shutdown), watch_requests(&desk, &shutdown));
}

async fn watch_erasures(desk: &Desk, shutdown: &CancellationToken) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    while shutdown.run_until_cancelled(looks.tick()).await.is_some() {
        let looked = AssertUnwindSafe(look(desk)).catch_unwind();
        match shutdown.run_until_cancelled(looked).await {
            None | Some(Ok(Ok(()))) => {}
            Some(Ok(Err(error))) => tracing::warn!(%error, "looking after erasures failed"),
            Some(Err(_panic)) => {
                tracing::error!("looking after erasures ended in a panic; trying again");
            }
        }
    }
}

async fn watch_requests(desk: &Desk, shutdown: &CancellationToken) {
    let mut looks = tokio::time::interval(REQUESTS_EVERY);
    while shutdown.run_until_cancelled(looks.tick()).await.is_some() {
        for shop in &desk.config.shops {
            let asked = AssertUnwindSafe(asked_since(desk, shop).boxed()).catch_unwind();
            match shutdown.run_until_cancelled(asked).await {
                None => return,
                Some(Ok(Ok(since))) => {
                    let open = since.map_or(0.0, |since| desk.clock.now().seconds_since(since));
                    desk.metrics.data_request(shop, open);
                }
                Some(Ok(Err(error))) => {
                    tracing::warn!(%shop, %error, "who asks what is held of them is not known");
                }
                Some(Err(_panic)) => {
                    tracing::error!(%shop, "seeing who asks what is held of them ended in a panic");
                }
            }
        }
    }
}

async fn look(desk: &Desk) -> Result<(), RecordError> {
    let erasures = desk.journal.erasures(None).await?;
    let now = desk.clock.now();
    let open = erasures.iter().filter(|erasure| erasure.is_open());
    let oldest = open.map(|erasure| now.seconds_since(erasure.requested_at));
    let waiting: Vec<&Erasure> =
        erasures.iter().filter(|erasure| erasure.state == ErasureState::Waiting).collect();
    desk.metrics.erasures(oldest.fold(0.0, f64::max), waiting.len());
    for erasure in waiting {
        if is_gone(desk, erasure).await {
            confirm(desk, erasure).await?;
        }
    }
    Ok(())
}

/// Whether it is known that a shop no longer has us installed. Of one that is configured without
/// credentials it is not.
async fn is_gone(desk: &Desk, erasure: &Erasure) -> bool {
    let shop = &erasure.shop;
    let Some(admin) = desk.admins.get(shop) else { return !desk.config.shops.contains(shop) };
    let call = Call { share: 1.0, ..Call::read(ASKS, Value::Null) };
    match admin.ask(call).await {
        Err(AdminError::Unauthorized(..)) => true,
        Ok(_) => {
            tracing::error!(
                %shop,
                "Shopify asks for everything of this shop to be erased, and the shop still accepts \
                 our access: nothing is done before somebody says so with `backstock erase --shop {}`",
                shop.name()
            );
            false
        }
        Err(error) => {
            tracing::warn!(%shop, %error, "whether the shop is still installed is not known");
            false
        }
    }
}

/// Says on record that the erasure may begin.
async fn confirm(desk: &Desk, erasure: &Erasure) -> Result<(), RecordError> {
    let shop = &erasure.shop;
    tracing::warn!(%shop, "the shop is no longer installed: everything of it is erased");
    let deed = Deed {
        who: "backstock".into(),
        from: String::new(),
        what: "erase".into(),
        path: String::new(),
        asked: serde_json::json!({"shop": true, "why": "shop/redact, and no longer installed"}),
        status: None,
        of: None,
    };
    desk.audit.add(shop, deed).await?;
    let wish = Wish {
        whom: Whom::Shop,
        orders: Vec::new(),
        via: erasure.via,
        by: erasure.by.clone(),
        requested_at: erasure.requested_at,
        confirmed: true,
    };
    let wish =
        serde_json::to_value(&wish).map_err(|e| RecordError::unreadable(ERASURE, "shop", &e))?;
    desk.records.put(shop, ERASURE, &Whom::Shop.name(), &wish).await?;
    Ok(())
}
