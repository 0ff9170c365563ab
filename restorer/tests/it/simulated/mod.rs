//! A simulated shop in this process, and what a writer has around it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use backstock_proto::admin::{Access, Call, Client, Credentials};
use backstock_proto::kind::{Kind, Spec};
use backstock_proto::{ResourceId, Shop, Timestamp};
use backstock_restorer::write::{Around, Task, WriteError, Written, look, write};
use bytes::Bytes;
use secrecy::SecretString;
use serde_json::Value;
use shopify::admin::cost::Plan;
use shopify::catalog::Size;
use shopify::change::Write;
use shopify::dispatch::Dispatch;
use shopify::disturbance::Disturbance;
use shopify::fault::Fault;
use shopify::server;
use shopify::simulator::{Settings, Simulator};
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Where Shopify's schemas are, fetched when they are not there yet.
fn schemas() -> PathBuf {
    static FETCHED: OnceLock<PathBuf> = OnceLock::new();
    let fetch = || {
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| home.join("target"), PathBuf::from)
            .join("shopify");
        let script = home.join("tests/shopify/schema.sh");
        let status = Command::new(script).arg(&target).status().expect("schema.sh runs");
        assert!(status.success(), "tests/shopify/schema.sh failed");
        target
    };
    FETCHED.get_or_init(fetch).clone()
}

/// A shop with nobody in it but us.
pub(crate) struct Simulated {
    pub(crate) simulator: Arc<Simulator>,
    pub(crate) client: Client,
    began_at: Timestamp,
    /// Former gid → present gid, of what was made anew.
    pub(crate) renamed: BTreeMap<String, String>,
    /// The bytes that were kept, by their BLAKE3.
    pub(crate) blobs: HashMap<String, Bytes>,
    /// What belongs to a resource, by its gid.
    pub(crate) parts: HashMap<String, Vec<Value>>,
    /// What the shop said of resources, for all that ask the same.
    asked: Mutex<HashMap<String, Arc<OnceCell<Value>>>>,
    /// What was put on record before it was sent.
    pub(crate) befores: Mutex<Vec<String>>,
    /// What people are told.
    pub(crate) notes: Mutex<Vec<String>>,
    _stop: DropGuard,
}

impl Simulated {
    /// A shop of a seed, with as many products, in the newest version of the API.
    pub(crate) async fn start(seed: u64, products: u64, theme_exemption: bool) -> Self {
        Self::start_in("2026-10", seed, products, theme_exemption).await
    }

    /// A shop that is spoken to in some version of the API.
    pub(crate) async fn start_in(
        api_version: &str,
        seed: u64,
        products: u64,
        theme_exemption: bool,
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let app = shopify::access::Client {
            title: "Backstock".into(),
            client_id: "backstock".into(),
            client_secret: "hush".into(),
            token: "shpat_backstock".into(),
            theme_exemption,
        };
        let settings = Settings {
            shop: "acme.myshopify.com".into(),
            seed,
            size: Size::of_products(products),
            founded: None,
            webhooks: None,
            api_version: "2026-10".into(),
            rate: 0.0,
            dispatch: Dispatch {
                secret: "hush".into(),
                disturbance: Disturbance::default(),
                retry_scale: 0.001,
                concurrency: 1,
                seed,
            },
            base: base.clone(),
            clients: vec![app],
            plan: Plan::Unlimited,
            schemas: schemas(),
        };
        let stop = CancellationToken::new();
        let simulator = Simulator::start(settings, stop.clone()).expect("a shop");
        tokio::spawn(server::serve(simulator.clone(), listener, stop.clone()));
        let access = Access {
            shop: Shop::parse("acme.myshopify.com").expect("a shop"),
            url: base.parse().expect("a URL"),
            api_version: api_version.into(),
            credentials: Credentials::Token(SecretString::from("shpat_backstock")),
        };
        Self {
            client: Client::new(reqwest::Client::new(), access),
            // What the shop began with is as old as the shop.
            began_at: Timestamp::from_micros(simulator.now().as_microsecond() + 60_000_000),
            simulator,
            renamed: BTreeMap::new(),
            blobs: HashMap::new(),
            parts: HashMap::new(),
            asked: Mutex::default(),
            befores: Mutex::default(),
            notes: Mutex::default(),
            _stop: stop.drop_guard(),
        }
    }

    /// The job begins at this moment of the shop's clock.
    pub(crate) fn begin_now(&mut self) {
        self.began_at = Timestamp::from_micros(self.simulator.now().as_microsecond());
    }

    /// The job begins now.
    pub(crate) fn begin(&mut self, began_at: Timestamp) {
        self.began_at = began_at;
    }

    /// The numbers of all resources of a GraphQL type.
    pub(crate) fn ids(&self, type_name: &str) -> Vec<ResourceId> {
        let shop = self.simulator.shop();
        let ids = shop.store.live_ids(type_name).map(|gid| gid.to_string());
        ids.map(|gid| ResourceId::parse(&gid).expect("an id")).collect()
    }

    /// A resource's canonical state as the shop has it.
    pub(crate) async fn read(&self, kind: &str, id: &ResourceId) -> Option<Value> {
        look::state(&self.client, spec(kind), id).await.expect("an answer")
    }

    /// Makes a resource what it should be.
    pub(crate) async fn write(
        &self,
        kind: &str,
        now: Option<&Value>,
        want: Option<&Value>,
    ) -> Result<Written, WriteError> {
        let mut task = Task { spec: spec(kind), now: now.cloned(), want: want.cloned() };
        write(self, &mut task).await
    }

    /// Has another app write something, which the shop takes, and answers the data.
    pub(crate) async fn sent(&self, document: &str, variables: Value) -> Value {
        let answer = self.client.ask(Call::write(document, variables)).await.expect("an answer");
        assert_eq!(answer.errors, [], "{document}");
        assert_eq!(answer.user_errors(), [""; 0], "{document}");
        answer.data
    }

    /// The numbers of customers who have orders.
    pub(crate) fn buyers(&self) -> Vec<String> {
        let shop = self.simulator.shop();
        let orders = shop.store.live("Order");
        let buyers = orders.filter_map(|(_, order)| {
            let gid = shopify::store::target(&order["customer"])?;
            Some(gid.number().to_string())
        });
        buyers.collect()
    }

    /// What was written to the shop since the last time that this was asked.
    pub(crate) fn writes(&self) -> Vec<Write> {
        std::mem::take(&mut self.simulator.shop().writes)
    }

    /// How the next requests go wrong, or do not.
    pub(crate) fn fates(&self, fates: &[Option<Fault>]) {
        let mut faults = self.simulator.faults();
        for fate in fates {
            match fate {
                Some(fault) => faults.next(*fault),
                None => faults.spare(),
            }
        }
    }

    /// Nothing was asked for that the simulator lacks.
    pub(crate) fn assert_simulated(&self) {
        assert_eq!(self.simulator.not_simulated(), BTreeMap::new());
    }
}

/// The kind of that name.
pub(crate) fn spec(kind: &str) -> &'static Spec {
    Kind::parse(kind).expect("a name").spec().expect("a kind that is understood")
}

#[async_trait]
impl Around for Simulated {
    fn admin(&self) -> &Client {
        &self.client
    }

    fn gid_now(&self, gid: &str) -> String {
        self.renamed.get(gid).cloned().unwrap_or_else(|| gid.into())
    }

    async fn blob(&self, hash: &str) -> Option<Bytes> {
        self.blobs.get(hash).cloned()
    }

    async fn parts(&self, gid: &str) -> Result<Vec<Value>, WriteError> {
        Ok(self.parts.get(gid).cloned().unwrap_or_default())
    }

    fn asked(&self, gid: &str, old: Option<&Arc<OnceCell<Value>>>) -> Arc<OnceCell<Value>> {
        let mut asked = self.asked.lock().expect("no panic");
        let held = asked.entry(gid.into()).or_default();
        if old.is_some_and(|old| Arc::ptr_eq(old, held)) {
            *held = Arc::default();
        }
        held.clone()
    }

    /// Of two at a time: that is as many as can be held together.
    async fn counted(&self, items: &[&str]) -> Result<Vec<Vec<(u64, Value)>>, WriteError> {
        let mut counted = Vec::new();
        for item in items.iter().take(2) {
            counted.push((0..).zip(self.parts(item).await?).collect());
        }
        Ok(counted)
    }

    async fn before(&self, what: &str) -> Result<(), WriteError> {
        self.befores.lock().expect("no panic").push(what.into());
        Ok(())
    }

    async fn may_be_ours(&self, _gid: &str) -> bool {
        !self.befores.lock().expect("no panic").is_empty()
    }

    fn began_at(&self) -> Timestamp {
        self.began_at
    }

    fn key(&self, what: &str) -> String {
        what.into()
    }

    fn note(&self, text: String) {
        self.notes.lock().expect("no panic").push(text);
    }
}
