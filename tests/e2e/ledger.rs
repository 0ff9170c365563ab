//! The independent witness: what was answered 200, and whether all of it can be read back once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::backstock::Backstock;
use crate::shopify::Delivery;

const RESOURCES: u64 = 40;

/// What the load has sent so far. Goes on over kills and restarts.
#[derive(Default)]
pub(crate) struct Ledger {
    next: AtomicU64,
    /// Answered 200: webhook id → product.
    acked: Mutex<BTreeMap<String, u64>>,
    /// Not answered 200: sent again later, as Shopify does.
    owed: Mutex<Vec<Delivery>>,
    pub(crate) refused: AtomicU64,
    pub(crate) failed: AtomicU64,
}

/// What reading everything back found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Audit {
    pub(crate) acked: usize,
    pub(crate) lost: Vec<String>,
    pub(crate) duplicated: Vec<String>,
    pub(crate) wrong: Vec<String>,
}

impl Ledger {
    /// Sends from `senders` tasks until `stop` is set.
    pub(crate) async fn load(
        self: &Arc<Self>,
        backstock: &Backstock,
        senders: usize,
        stop: Arc<AtomicBool>,
    ) {
        self.load_to(&backstock.client, &backstock.webhooks(), senders, stop).await;
    }

    /// The same, to an address.
    pub(crate) async fn load_to(
        self: &Arc<Self>,
        client: &reqwest::Client,
        url: &str,
        senders: usize,
        stop: Arc<AtomicBool>,
    ) {
        let mut tasks = JoinSet::new();
        for _ in 0..senders {
            let (ledger, stop) = (self.clone(), stop.clone());
            let (client, url) = (client.clone(), url.to_owned());
            tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let delivery = ledger.next_delivery().await;
                    ledger.deliver(&client, &url, delivery).await;
                }
            });
        }
        tasks.join_all().await;
    }

    /// How many were answered 200 so far.
    pub(crate) async fn answered(&self) -> usize {
        self.acked.lock().await.len()
    }

    /// How many are sent, and neither answered nor failed.
    pub(crate) async fn under_way(&self) -> u64 {
        let (acked, owed) = (self.acked.lock().await, self.owed.lock().await);
        let known = (acked.len() + owed.len()) as u64;
        self.next.load(Ordering::Relaxed).saturating_sub(known)
    }

    /// What is owed from before, else something new.
    async fn next_delivery(&self) -> Delivery {
        if let Some(owed) = self.owed.lock().await.pop() {
            return owed;
        }
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let at = i64::try_from(n).expect("small");
        Delivery::product(
            9_000_000_000_000_000_000 + n % RESOURCES,
            &format!("title {n}"),
            at,
            format!("w-{n}"),
        )
    }

    async fn deliver(&self, client: &reqwest::Client, url: &str, delivery: Delivery) {
        match delivery.send(client, url).await {
            Ok(status) if status == 200 => {
                let body: serde_json::Value = serde_json::from_slice(&delivery.body).expect("json");
                let product = body["id"].as_u64().expect("an id");
                self.acked.lock().await.insert(delivery.webhook_id, product);
            }
            outcome => {
                let counter = if outcome.is_ok() { &self.refused } else { &self.failed };
                counter.fetch_add(1, Ordering::Relaxed);
                self.owed.lock().await.push(delivery);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    /// Sends what is owed until everything has been answered 200.
    pub(crate) async fn settle(&self, backstock: &Backstock) {
        let begun = std::time::Instant::now();
        loop {
            // The lock must not be held while what is refused is put back.
            let Some(owed) = self.owed.lock().await.pop() else { return };
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "some deliveries are never accepted"
            );
            self.deliver(&backstock.client, &backstock.webhooks(), owed).await;
        }
    }

    /// Waits until the journal has caught up, then compares all that it holds with the ledger.
    pub(crate) async fn audit(&self, backstock: &Backstock) -> Audit {
        self.audit_within(backstock, Duration::from_secs(60)).await
    }

    /// Looks for a few seconds only: what a lazy server lost will never come.
    pub(crate) async fn audit_once(&self, backstock: &Backstock) -> Audit {
        self.audit_within(backstock, Duration::from_secs(10)).await
    }

    async fn audit_within(&self, backstock: &Backstock, patience: Duration) -> Audit {
        let acked = self.acked.lock().await;
        let mut audit = Audit { acked: acked.len(), ..Audit::default() };
        let begun = std::time::Instant::now();
        loop {
            let found = read_all(backstock).await;
            audit.lost = acked.keys().filter(|id| !found.contains_key(*id)).cloned().collect();
            audit.duplicated =
                found.iter().filter(|(_, n)| n.len() > 1).map(|(id, _)| id.clone()).collect();
            if audit.lost.is_empty() {
                self.check_heads(backstock, &acked, &mut audit).await;
                return audit;
            }
            if begun.elapsed() > patience {
                return audit;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What is shown of each product is its newest accepted title, or a newer one that was sent but
    /// not answered.
    async fn check_heads(
        &self,
        backstock: &Backstock,
        acked: &BTreeMap<String, u64>,
        audit: &mut Audit,
    ) {
        let number =
            |text: &str| text[text.find(['-', ' ']).map_or(0, |at| at + 1)..].parse::<u64>().ok();
        let mut newest: BTreeMap<u64, u64> = BTreeMap::new();
        for (webhook_id, product) in acked {
            let n = number(webhook_id).expect("w-N");
            newest.entry(*product).and_modify(|newest| *newest = n.max(*newest)).or_insert(n);
        }
        for (product, n) in newest {
            let path = format!("/v1/shops/acme.myshopify.com/resources/product/{product}");
            let (status, body) = backstock.get(&path).await;
            let shown = body["state"]["title"].as_str().and_then(number);
            let right = shown.is_some_and(|shown| shown >= n && shown % RESOURCES == n % RESOURCES);
            if status != 200 || !right {
                audit.wrong.push(format!(
                    "{product}: {status} {} instead of title {n}",
                    body["state"]["title"]
                ));
            }
        }
    }
}

/// Every version of every product by webhook id, with the sequences under which it stands.
async fn read_all(backstock: &Backstock) -> HashMap<String, Vec<u64>> {
    let mut found: HashMap<String, Vec<u64>> = HashMap::new();
    for resource in backstock.list("/v1/shops/acme.myshopify.com/resources?kind=product").await {
        let id = resource["id"].as_str().expect("an id").to_owned();
        let path = format!("/v1/shops/acme.myshopify.com/resources/product/{id}/versions");
        for version in backstock.list(&path).await {
            let webhook_id = version["webhook_id"].as_str().expect("a webhook id").to_owned();
            found.entry(webhook_id).or_default().push(version["seq"].as_u64().expect("a sequence"));
        }
    }
    found
}
