//! A client of the Admin API in the same process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shopify::admin::cost::{Bucket, Plan};
use shopify::admin::document::Documents;
use shopify::admin::endpoint::{self, Caller, Request};
use shopify::admin::schema::{Schema, Schemas, Version};
use shopify::catalog::Size;
use shopify::shop::{Actor, Shop};

/// Where the schemas are, fetched when they are not there yet.
pub(crate) fn fetched() -> PathBuf {
    static FETCHED: OnceLock<PathBuf> = OnceLock::new();
    FETCHED
        .get_or_init(|| {
            let home = Path::new(env!("CARGO_MANIFEST_DIR"));
            let target = std::env::var_os("CARGO_TARGET_DIR")
                .map_or_else(|| home.join("../../target"), PathBuf::from)
                .join("shopify");
            let status = Command::new(home.join("schema.sh")).arg(&target).status().unwrap();
            assert!(status.success(), "tests/shopify/schema.sh failed");
            target
        })
        .clone()
}

/// The schema of a version.
pub(crate) fn schema(version: Version) -> &'static Schema {
    static SCHEMAS: OnceLock<Schemas> = OnceLock::new();
    let schemas = SCHEMAS.get_or_init(|| Schemas::in_directory(&fetched()));
    schemas.get(version).unwrap_or_else(|error| panic!("{error}"))
}

/// A shop and an app that talks to it.
pub(crate) struct Client {
    pub(crate) shop: Shop,
    pub(crate) version: Version,
    pub(crate) now: Timestamp,
    pub(crate) bucket: Bucket,
    documents: Documents,
}

impl Client {
    pub(crate) fn new(products: u64) -> Self {
        let now: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
        let size = Size::of_products(products);
        Self {
            shop: Shop::new("acme.myshopify.com", 1, size, now, "http://shop".into()),
            version: Version::V2026_10,
            now,
            bucket: Bucket::full(Plan::Unlimited, now),
            documents: Documents::default(),
        }
    }

    /// The whole answer.
    pub(crate) fn send(&mut self, query: &str, variables: Value) -> Value {
        self.now += SignedDuration::from_secs(1);
        let request = Request {
            query: query.to_owned(),
            variables: serde_json::from_value(variables).unwrap(),
            operation_name: None,
        };
        let caller = Caller {
            schema: schema(self.version),
            version: self.version,
            actor: Actor::App("Backstock".into()),
            now: self.now,
        };
        endpoint::answer(&request, &caller, &self.documents, &mut self.bucket, &mut self.shop)
    }

    /// The data of an answer that must have no errors.
    pub(crate) fn ask(&mut self, query: &str, variables: Value) -> Value {
        let answer = self.send(query, variables);
        assert!(answer.get("errors").is_none(), "{query}: {}", answer["errors"]);
        answer["data"].clone()
    }

    /// The code or message of the first error of an answer.
    pub(crate) fn refusal(&mut self, query: &str, variables: Value) -> (String, String) {
        let answer = self.send(query, variables);
        let error = &answer["errors"][0];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&error["extensions"]["code"]), text(&error["message"]))
    }
}

/// No variables.
pub(crate) fn none() -> Value {
    json!({})
}
