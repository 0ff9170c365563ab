//! Which app Backstock is in a shop: Shopify's log names our own writes by its title.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use backstock_proto::Shop;
use backstock_proto::admin::{Call, Client};
use serde_json::json;

const DOCUMENT: &str = "{ currentAppInstallation { app { title } } }";

/// Titles that were asked for, by shop.
#[derive(Default)]
pub(crate) struct Ours(Mutex<BTreeMap<Shop, String>>);

impl Ours {
    /// The title of the app that Backstock is; `None` where the shop does not say.
    pub(crate) async fn title(&self, admin: Option<&Client>) -> Option<String> {
        let admin = admin?;
        let shop = &admin.access().shop;
        if let Some(known) = self.known().get(shop) {
            return Some(known.clone());
        }
        let answer = admin.ask(Call::read(DOCUMENT, json!({}))).await.ok()?;
        let title = answer.data.pointer("/currentAppInstallation/app/title")?.as_str()?.to_owned();
        self.known().insert(shop.clone(), title.clone());
        Some(title)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<Shop, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
