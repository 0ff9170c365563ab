//! Who may deliver: each shop's webhook secrets, which can change while the role runs.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use backstock_proto::Shop;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// The webhook secrets of every shop. Clones share them, so whoever holds one may
/// [`replace`](Self::replace) them for all: that is how a rotation takes effect without a restart.
#[derive(Clone, Default)]
pub struct ShopSecrets {
    shops: Arc<RwLock<HashMap<Shop, Secrets>>>,
}

/// One shop's secrets, any of which may have signed a delivery. While one is being rotated, both
/// the old and the new stand here.
#[derive(Clone)]
pub struct Secrets(Arc<[SecretString]>);

impl ShopSecrets {
    /// The secrets to begin with.
    pub fn new(shops: impl IntoIterator<Item = (Shop, Vec<SecretString>)>) -> Self {
        let secrets = Self::default();
        secrets.replace(shops);
        secrets
    }

    /// Puts these shops and secrets in the place of all that were known. Requests that are already
    /// being checked finish with the old ones.
    ///
    /// An empty secret is left out, since anyone could sign with it; a shop left without any is as
    /// good as unknown.
    pub fn replace(&self, shops: impl IntoIterator<Item = (Shop, Vec<SecretString>)>) {
        let usable = shops.into_iter().filter_map(|(shop, mut secrets)| {
            secrets.retain(|secret| !secret.expose_secret().is_empty());
            (!secrets.is_empty()).then(|| (shop, Secrets(secrets.into())))
        });
        let fresh: HashMap<_, _> = usable.collect();
        *self.shops.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    /// A shop's secrets; `None` for a shop that is not known.
    pub fn of(&self, shop: &Shop) -> Option<Secrets> {
        self.shops.read().unwrap_or_else(PoisonError::into_inner).get(shop).cloned()
    }
}

impl Secrets {
    /// Whether one of the secrets signed these bytes. How long it takes tells neither which one nor
    /// how much of a wrong signature was right.
    pub fn signed(&self, body: &[u8], hmac: &[u8; 32]) -> bool {
        self.0.iter().fold(false, |found, secret| found | signed_with(secret, body, hmac))
    }
}

fn signed_with(secret: &SecretString, body: &[u8], hmac: &[u8; 32]) -> bool {
    // HMAC takes keys of any length, so this never fails.
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else {
        return false;
    };
    mac.chain_update(body).verify_slice(hmac).is_ok()
}
