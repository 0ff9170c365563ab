//! What does not make sense in a configuration that could be read.

use std::collections::BTreeSet;

use backstock_proto::cron::Cron;
use backstock_proto::storage;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::Config;

impl Config {
    /// Adds a line for each fault; `name` is the configuration's own.
    pub(super) fn check(&self, name: &str, faults: &mut Vec<String>) {
        let mut fault = |text: String| faults.push(format!("{name}: {text}"));
        let mut seen = BTreeSet::new();
        for shop in &self.shop {
            let domain = &shop.domain;
            if !seen.insert(domain) {
                fault(format!("shop {domain} is there twice"));
            }
            if shop.webhook_secrets.is_empty() && shop.webhook_secrets_file.is_none() {
                fault(format!(
                    "shop {domain} has neither webhook_secrets nor webhook_secrets_file"
                ));
            }
            if shop.webhook_secrets.iter().any(|s| s.expose_secret().trim().is_empty()) {
                fault(format!("shop {domain} has an empty webhook secret"));
            }
            let empty = |secret: &Option<SecretString>| {
                secret.as_ref().is_some_and(|secret| secret.expose_secret().trim().is_empty())
            };
            if empty(&shop.access_token) || empty(&shop.client_secret) {
                fault(format!("shop {domain} has an empty access_token or client_secret"));
            }
            if shop.client_id.is_some() != shop.client_secret.is_some() {
                fault(format!("shop {domain} needs client_id and client_secret together"));
            }
            if let Err(why) = shop.embedded() {
                fault(format!("shop {domain}: embedded_scopes: {why}"));
            }
            if let Err(e) = shop.url() {
                fault(format!("shop {domain}: admin_url is not an address: {e}"));
            }
            for why in shop.guard.iter().flat_map(|guard| guard.faults()) {
                fault(format!("shop {domain}: guard.{why}"));
            }
            if !is_api_version(&shop.api_version) {
                fault(format!(
                    "shop {domain}: api_version {:?} is not like \"2026-10\"",
                    shop.api_version
                ));
            }
        }
        for token in &self.token {
            if let Err(e) = token.parse() {
                fault(format!("token {:?}: {e}", token.name));
            }
        }
        if self.shop.iter().any(|shop| shop.second_person) {
            // Persons are told apart by the names of their tokens.
            let mut names = BTreeSet::new();
            for token in self.token.iter().filter(|token| !names.insert(&token.name)) {
                fault(format!(
                    "two tokens are called {:?}, which second_person forbids",
                    token.name
                ));
            }
        }
        for (key, cron) in [
            ("compactor.full_pull", &self.compactor.full_pull),
            ("compactor.thin", &self.compactor.thin),
            ("journal.verify", &self.journal.verify),
            ("proof.at", &self.proof.at),
        ] {
            if let Err(e) = cron.parse::<Cron>() {
                fault(format!("{key}: {e}"));
            }
        }
        if self.proof.spread_minutes > 24 * 60 {
            let minutes = self.proof.spread_minutes;
            fault(format!("proof.spread_minutes is {minutes}, expected 0 to 1440"));
        }
        if !(0.1..=86_400.0).contains(&self.compactor.subscriptions_every) {
            let every = self.compactor.subscriptions_every;
            fault(format!("compactor.subscriptions_every is {every}, expected 0.1 to 86400"));
        }
        if let Err(why) = self.http.public_url() {
            fault(format!("http.public_url: {why}"));
        }
        if !(0.05..=1.0).contains(&self.compactor.budget_share) {
            let share = self.compactor.budget_share;
            fault(format!("compactor.budget_share is {share}, expected 0.05 to 1"));
        }
        if !(0.1..=86_400.0).contains(&self.compactor.log_every) {
            let every = self.compactor.log_every;
            fault(format!("compactor.log_every is {every}, expected 0.1 to 86,400 seconds"));
        }
        if !(0.1..=3_600.0).contains(&self.compactor.glance_every) {
            let every = self.compactor.glance_every;
            fault(format!("compactor.glance_every is {every}, expected 0.1 to 3,600 seconds"));
        }
        if self.nats.partitions == 0 || self.nats.partitions > 1024 {
            fault(format!("nats.partitions is {}, expected 1 to 1024", self.nats.partitions));
        }
        for url in self.http.journals.iter().flatten().chain(&self.http.compactor_url) {
            if let Err(e) = url.parse::<Url>() {
                fault(format!("http: {url:?} is not an address: {e}"));
            }
        }
        if let Err(why) = self.telemetry.traces_url() {
            fault(format!("telemetry.otlp_endpoint: {why}"));
        }
        if !(0.0..=1.0).contains(&self.telemetry.sample) {
            fault(format!("telemetry.sample is {}, expected 0 to 1", self.telemetry.sample));
        }
        if let Err(why) = self.http.proxies() {
            fault(format!("http.proxies: {why}"));
        }
        if let Err(e) = self.storage.keys() {
            fault(format!("storage.key_file: {e}"));
        }
        for url in self.storage.named() {
            if let Err(e) = storage::check(url) {
                fault(e.to_string());
            }
        }
        let journals = self.http.journals.len().max(1);
        if self.journal.index >= journals {
            fault(format!(
                "journal.index is {}, and http.journals names {journals}",
                self.journal.index
            ));
        }
        if self.nats.partitions > 0 && journals > usize::from(self.nats.partitions) {
            fault(format!(
                "http.journals names {journals} journals for {} partitions: some would keep nothing",
                self.nats.partitions
            ));
        }
        let is_token = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if self.journal.copy.as_ref().is_some_and(|copy| !copy.chars().all(is_token)) {
            fault("journal.copy may hold letters, digits, - and _ only".into());
        }
        if ![1, 3, 5].contains(&self.nats.replicas) {
            fault(format!("nats.replicas is {}, expected 1, 3 or 5", self.nats.replicas));
        }
        if self.nats.credentials_file.is_some() && self.nats.nkey_file.is_some() {
            fault("nats has both credentials_file and nkey_file".into());
        }
        if self.http.body_bytes_max < 1 << 20 || self.http.body_bytes_max > 16 << 20 {
            fault(format!(
                "http.body_bytes_max is {}, expected 1 to 16 MiB",
                self.http.body_bytes_max
            ));
        }
    }
}

fn is_api_version(text: &str) -> bool {
    let mut parts = text.split('-');
    let number = |part: Option<&str>, len| {
        part.is_some_and(|p| p.len() == len && p.bytes().all(|b| b.is_ascii_digit()))
    };
    text == "unstable"
        || (number(parts.next(), 4) && number(parts.next(), 2) && parts.next().is_none())
}
