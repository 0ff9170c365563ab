//! Which shops this process looks after: all of them, or those that fall to it among several
//! compactors.

use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use backstock_proto::admin::Client;
use backstock_proto::lease::{Held, RENEW_EVERY};
use backstock_proto::listen::Part;
use backstock_proto::{Shop, Timestamp};
use futures::{FutureExt, StreamExt};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::orders::{self, Here};
use crate::roster::{Member, Roster, RosterError, first};
use crate::shop::{Charge, Tools, Until};

/// How often it is looked who is there.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Shops that are taken at once.
const TAKEN_AT_ONCE: usize = 64;
/// Rest before a shop is begun anew that could not be looked after.
const REST: Duration = Duration::from_secs(10);

/// Looks after shops.
pub(crate) struct Tending {
    tools: Arc<Tools>,
    shops: Vec<Client>,
    /// How other compactors are spoken to, if there may be any.
    others: Option<async_nats::Client>,
    /// The shops that are looked after here now.
    pub(crate) here: Here,
    /// Where it says whether it looks after shops, if any fall to it.
    ready: Part,
}

/// What is under way.
struct Underway {
    held: Arc<Held>,
    stop: CancellationToken,
    /// As whom, among several.
    by: Option<String>,
    /// What makes a shop be left.
    shops: HashMap<Shop, CancellationToken>,
    charges: JoinSet<Shop>,
}

impl Tending {
    pub(crate) fn new(
        tools: Arc<Tools>,
        shops: Vec<Client>,
        others: Option<async_nats::Client>,
        ready: Part,
    ) -> Self {
        Self { tools, shops, others, here: Here::default(), ready }
    }

    /// Looks after all shops until `shutdown`.
    pub(crate) async fn all(&self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut underway = Underway::new(Held::for_good(), shutdown.clone(), None);
        for client in &self.shops {
            self.begin(&mut underway, client);
        }
        self.ready.ready();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(ended) = underway.charges.join_next() => {
                    let shop = self.ended(&mut underway, ended)?;
                    let failed = self.shops.iter().find(|client| client.access().shop == shop);
                    if let Some(client) = failed.filter(|_| !shutdown.is_cancelled()) {
                        self.begin(&mut underway, client);
                    }
                }
            }
        }
        self.end(underway).await
    }

    /// Looks after its share of the shops until `shutdown`. Whoever was taken for gone begins anew, as
    /// somebody else.
    pub(crate) async fn share(
        &self,
        jetstream: &jetstream::Context,
        replicas: usize,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut failed = None;
        while !shutdown.is_cancelled() {
            let ended = match Roster::open(jetstream, replicas).await {
                Ok(roster) => self.term(&roster, shutdown.clone()).await?,
                Err(error) => Some(error.to_string()),
            };
            if let Some(why) = &ended {
                self.ready.not_ready(format!("looks after no shop: {why}"));
            }
            if let Some(why) = ended.filter(|why| failed.as_ref() != Some(why)) {
                warn!(reason = %why, "no shop is looked after here; trying again");
                failed = Some(why);
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(RENEW_EVERY) => {}
            }
        }
        Ok(())
    }

    /// One stay among the compactors: until `shutdown`, or until it was taken for gone. Says why it was
    /// none, or ended.
    async fn term(
        &self,
        roster: &Roster,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Option<String>> {
        let member = Arc::new(Member::new(new_id(self.tools.clock.now())));
        let asked_at = Instant::now();
        match roster.renew(&member).await {
            Ok(true) => {}
            Ok(false) => return Ok(Some("somebody else has the same id".to_owned())),
            Err(error) => return Ok(Some(error.to_string())),
        }
        info!(compactor = member.id, "shares the shops with whoever else is there");
        self.ready.ready();
        let stop = shutdown.child_token();
        let mut underway =
            Underway::new(Held::new(asked_at), stop.clone(), Some(member.id.clone()));
        // It says that it is there until all of its work has ended.
        let over = CancellationToken::new();
        let keeping = {
            let (roster, member, over) = (roster.clone(), member.clone(), over.clone());
            let held = underway.held.clone();
            tokio::spawn(async move { held.keep(|| roster.renew(&member), &over).await })
        };
        self.hold_share(roster, &member, &mut underway, &shutdown).await?;
        let lost = underway.held.is_lost();
        stop.cancel();
        self.end(underway).await?;
        over.cancel();
        keeping.await?;
        if lost {
            return Ok(Some("it was not heard of, and others took its shops".to_owned()));
        }
        if let Err(error) = roster.leave(&member).await {
            warn!(%error, "others learn late that this compactor is gone");
        }
        Ok(None)
    }

    async fn hold_share(
        &self,
        roster: &Roster,
        member: &Member,
        underway: &mut Underway,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<()> {
        let held = underway.held.clone();
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !held.is_lost() {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = held.lost() => return Ok(()),
                Some(ended) = underway.charges.join_next() => {
                    let shop = self.ended(underway, ended)?;
                    if let Err(error) = roster.give_back(&shop, &member.id).await {
                        warn!(%shop, %error, "the shop waits until this compactor is gone");
                    }
                }
                _ = look.tick() => match roster.members().await {
                    Ok(members) if members.contains(&member.id) => {
                        self.settle(roster, &members, member, underway).await;
                    }
                    // What was read is older than what was said.
                    Ok(_) => {}
                    Err(error) => warn!(%error, "cannot see which compactors are there"),
                },
            }
        }
        Ok(())
    }

    /// Leaves what falls to others, and takes what falls to this one and nobody has.
    async fn settle(
        &self,
        roster: &Roster,
        members: &BTreeSet<String>,
        member: &Member,
        underway: &mut Underway,
    ) {
        let mut wanted = Vec::new();
        for client in &self.shops {
            let shop = &client.access().shop;
            let is_ours = first(members, shop) == Some(&member.id);
            match underway.shops.get(shop) {
                Some(leave) if !is_ours => leave.cancel(),
                None if is_ours => wanted.push(client),
                Some(_) | None => {}
            }
        }
        let taken: Vec<_> =
            wanted.into_iter().map(|client| taken(roster, client, &member.id).boxed()).collect();
        let mut taken = futures::stream::iter(taken).buffer_unordered(TAKEN_AT_ONCE);
        while let Some((client, taken)) = taken.next().await {
            match taken {
                Ok(true) => self.begin(underway, client),
                Ok(false) => {}
                Err(error) => {
                    let shop = &client.access().shop;
                    warn!(%shop, %error, "cannot begin to look after the shop; trying again");
                }
            }
        }
    }

    fn begin(&self, underway: &mut Underway, client: &Client) {
        let shop = client.access().shop.clone();
        let (doors, heard) = orders::doors();
        let until = Until { stop: underway.stop.child_token(), leave: CancellationToken::new() };
        self.here.open(shop.clone(), doors.clone());
        underway.shops.insert(shop.clone(), until.leave.clone());
        self.count(underway);
        let deaf = until.stop.child_token();
        let listening = self.others.clone().map(|others| {
            tokio::spawn(orders::listen(shop.clone(), (others, doors.clone()), deaf.clone()))
        });
        let here = self.here.clone();
        let charge = Charge {
            tools: self.tools.clone(),
            client: client.clone(),
            held: underway.held.clone(),
            heard,
            doors,
            until: until.clone(),
            by: underway.by.clone(),
        };
        underway.charges.spawn(async move {
            // No other shop is to suffer from it.
            let failed = match AssertUnwindSafe(charge.tend().boxed()).catch_unwind().await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(format!("{error:#}")),
                Err(_panic) => Some("a panic".to_owned()),
            };
            // Nobody hears of orders from here on: they are on record.
            here.close(&shop);
            deaf.cancel();
            if let Some(listening) = listening {
                let _ended = listening.await;
            }
            if let Some(error) = failed {
                error!(%shop, error, "looking after the shop failed; it is begun anew");
                let _stopped = until.stop.run_until_cancelled(tokio::time::sleep(REST)).await;
            }
            until.stop.cancel();
            shop
        });
    }

    /// One shop is no longer looked after here.
    fn ended(
        &self,
        underway: &mut Underway,
        ended: Result<Shop, JoinError>,
    ) -> anyhow::Result<Shop> {
        let shop = ended?;
        underway.shops.remove(&shop);
        self.count(underway);
        self.tools.metrics.forget(&shop);
        Ok(shop)
    }

    fn count(&self, underway: &Underway) {
        let shops = i64::try_from(underway.shops.len()).unwrap_or(i64::MAX);
        self.tools.metrics.shops.set(shops);
    }

    /// Waits for the end of everything.
    async fn end(&self, mut underway: Underway) -> anyhow::Result<()> {
        while let Some(ended) = underway.charges.join_next().await {
            self.ended(&mut underway, ended)?;
        }
        Ok(())
    }
}

/// Takes a shop, if nobody has it.
async fn taken<'a>(
    roster: &Roster,
    client: &'a Client,
    id: &str,
) -> (&'a Client, Result<bool, RosterError>) {
    (client, roster.take(&client.access().shop, id).await)
}

impl Underway {
    fn new(held: Held, stop: CancellationToken, by: Option<String>) -> Self {
        let held = Arc::new(held);
        Self { held, stop, by, shops: HashMap::new(), charges: JoinSet::new() }
    }
}

/// An id that nobody ever had.
fn new_id(now: Timestamp) -> String {
    use std::hash::{BuildHasher, RandomState};
    let dice = RandomState::new().hash_one(now.as_micros());
    format!("compactor-{:012x}-{dice:016x}", now.as_micros().max(0) / 1_000)
}
