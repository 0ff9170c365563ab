//! Who may ask: static tokens, and tokens of the client credentials grant that expire.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use crate::admin::cost::{Bucket, Plan};
use crate::shop::Actor;

/// How long a token of the grant is good, in seconds.
pub const EXPIRES_IN: i64 = 86_399;

/// The app that a client is.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its title, as events show it.
    pub title: String,
    /// Its id, for the client credentials grant.
    pub client_id: String,
    /// Its secret, for the same and for webhooks.
    pub client_secret: String,
    /// Its token that does not expire.
    pub token: String,
    /// Whether theme files may be written, which Shopify grants app by app.
    pub theme_exemption: bool,
}

/// A token that was given out.
#[derive(Debug)]
struct Grant {
    client: usize,
    until: Option<Timestamp>,
}

/// Everybody who may ask, and how much.
#[derive(Debug)]
pub struct Access {
    clients: Vec<Client>,
    tokens: HashMap<String, Grant>,
    buckets: Vec<Bucket>,
    given: u64,
}

impl Access {
    /// Access for apps on a plan.
    #[must_use]
    pub fn new(clients: Vec<Client>, plan: Plan, now: Timestamp) -> Self {
        let tokens = clients.iter().enumerate();
        let tokens = tokens
            .map(|(at, client)| (client.token.clone(), Grant { client: at, until: None }))
            .collect();
        let buckets = clients.iter().map(|_| Bucket::full(plan, now)).collect();
        Self { clients, tokens, buckets, given: 0 }
    }

    /// The app behind a token that is still good, and its bucket.
    pub fn client(&mut self, token: &str, now: Timestamp) -> Option<(&Client, &mut Bucket)> {
        let grant = self.tokens.get(token)?;
        if grant.until.is_some_and(|until| until <= now) {
            return None;
        }
        Some((&self.clients[grant.client], &mut self.buckets[grant.client]))
    }

    /// A token for an app that knows its secret.
    pub fn grant(&mut self, client_id: &str, secret: &str, now: Timestamp) -> Option<String> {
        let client = self
            .clients
            .iter()
            .position(|client| client.client_id == client_id && client.client_secret == secret)?;
        self.given += 1;
        let token = format!("shpat_{}_{:08x}", self.clients[client].client_id, self.given);
        let until = now.checked_add(SignedDuration::from_secs(EXPIRES_IN)).ok();
        self.tokens.insert(token.clone(), Grant { client, until });
        Some(token)
    }

    /// The shop is on another plan from now on, and nothing of it is used yet.
    pub fn change_plan(&mut self, plan: Plan, now: Timestamp) {
        self.buckets.fill_with(|| Bucket::full(plan, now));
    }

    /// Ends all tokens, as an uninstallation does.
    pub fn revoke_all(&mut self) {
        self.tokens.clear();
    }

    /// Lets every token of the grant expire at once.
    pub fn expire(&mut self) {
        self.tokens.retain(|_, grant| grant.until.is_none());
    }
}

impl Client {
    /// Whom its writes are attributed to.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor::App(self.title.clone())
    }
}
