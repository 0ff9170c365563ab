//! Which app Backstock is in a shop: Shopify's log names our own writes by its title.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use backstock_proto::Shop;
use backstock_proto::admin::{Call, Client};
use serde_json::json;

const DOCUMENT: &str = "{ currentAppInstallation { app { title } } }";
/// How long a question about history waits for the shop; it can do without.
const WAIT: Duration = Duration::from_secs(1);
/// How long a shop that did not answer is left alone.
const REST: Duration = Duration::from_secs(60);

/// Titles that were asked for, by shop.
#[derive(Default)]
pub(crate) struct Ours(Mutex<BTreeMap<Shop, Known>>);

enum Known {
    Title(String),
    /// It was asked then, and has not answered.
    AskedAt(Instant),
}

impl Ours {
    /// The title of the app that Backstock is; `None` where the shop does not say.
    pub(crate) async fn title(&self, admin: Option<&Client>) -> Option<String> {
        let admin = admin?;
        let shop = &admin.access().shop;
        {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match known.get(shop) {
                Some(Known::Title(title)) => return Some(title.clone()),
                Some(Known::AskedAt(at)) if at.elapsed() < REST => return None,
                _ => drop(known.insert(shop.clone(), Known::AskedAt(Instant::now()))),
            }
        }
        let answer = tokio::time::timeout(WAIT, admin.ask(Call::read(DOCUMENT, json!({})))).await;
        let answer = answer.ok()?.ok()?;
        let title = answer.data.pointer("/currentAppInstallation/app/title")?.as_str()?.to_owned();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(shop.clone(), Known::Title(title.clone()));
        Some(title)
    }
}
