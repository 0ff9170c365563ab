//! What does not make sense in a configuration that could be read.

use std::collections::BTreeSet;

use backstock_proto::cron::Cron;
use backstock_proto::storage;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{Compactor, Config, Http, Nats, Proof, ShopConfig, Storage, Telemetry};

impl Config {
    /// Adds a line for each fault; `name` is the configuration's own.
    pub(super) fn check(&self, name: &str, faults: &mut Vec<String>) {
        let mut fault = |text: String| faults.push(format!("{name}: {text}"));
        let mut seen = BTreeSet::new();
        for shop in &self.shop {
            if !seen.insert(&shop.domain) {
                fault(format!("shop {} is there twice", shop.domain));
            }
            shop.check(&mut fault);
        }
        self.check_tokens(&mut fault);
        self.check_crons(&mut fault);
        self.proof.check(&mut fault);
        self.compactor.check(&mut fault);
        self.http.check(&mut fault);
        self.nats.check(&mut fault);
        self.telemetry.check(&mut fault);
        self.storage.check(&mut fault);
        self.check_journals(&mut fault);
    }

    fn check_tokens(&self, fault: &mut dyn FnMut(String)) {
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
    }

    fn check_crons(&self, fault: &mut dyn FnMut(String)) {
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
    }

    /// Which journals there are, and which of them this one is.
    fn check_journals(&self, fault: &mut dyn FnMut(String)) {
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
    }
}

impl ShopConfig {
    fn check(&self, fault: &mut dyn FnMut(String)) {
        let domain = &self.domain;
        if self.webhook_secrets.is_empty() && self.webhook_secrets_file.is_none() {
            fault(format!("shop {domain} has neither webhook_secrets nor webhook_secrets_file"));
        }
        if self.webhook_secrets.iter().any(|s| s.expose_secret().trim().is_empty()) {
            fault(format!("shop {domain} has an empty webhook secret"));
        }
        let empty = |secret: &Option<SecretString>| {
            secret.as_ref().is_some_and(|secret| secret.expose_secret().trim().is_empty())
        };
        if empty(&self.access_token) || empty(&self.client_secret) {
            fault(format!("shop {domain} has an empty access_token or client_secret"));
        }
        if self.client_id.is_some() != self.client_secret.is_some() {
            fault(format!("shop {domain} needs client_id and client_secret together"));
        }
        if let Err(why) = self.embedded() {
            fault(format!("shop {domain}: embedded_scopes: {why}"));
        }
        if let Err(e) = self.url() {
            fault(format!("shop {domain}: admin_url is not an address: {e}"));
        }
        for why in self.guard.iter().flat_map(|guard| guard.faults()) {
            fault(format!("shop {domain}: guard.{why}"));
        }
        if !is_api_version(&self.api_version) {
            fault(format!(
                "shop {domain}: api_version {:?} is not like \"2026-10\"",
                self.api_version
            ));
        }
    }
}

impl Proof {
    fn check(&self, fault: &mut dyn FnMut(String)) {
        if self.spread_minutes > 24 * 60 {
            let minutes = self.spread_minutes;
            fault(format!("proof.spread_minutes is {minutes}, expected 0 to 1440"));
        }
    }
}

impl Compactor {
    fn check(&self, fault: &mut dyn FnMut(String)) {
        if !(0.1..=86_400.0).contains(&self.subscriptions_every) {
            let every = self.subscriptions_every;
            fault(format!("compactor.subscriptions_every is {every}, expected 0.1 to 86400"));
        }
        if !(0.05..=1.0).contains(&self.budget_share) {
            let share = self.budget_share;
            fault(format!("compactor.budget_share is {share}, expected 0.05 to 1"));
        }
        if !(0.1..=86_400.0).contains(&self.log_every) {
            let every = self.log_every;
            fault(format!("compactor.log_every is {every}, expected 0.1 to 86,400 seconds"));
        }
        if !(0.1..=3_600.0).contains(&self.glance_every) {
            let every = self.glance_every;
            fault(format!("compactor.glance_every is {every}, expected 0.1 to 3,600 seconds"));
        }
    }
}

impl Http {
    fn check(&self, fault: &mut dyn FnMut(String)) {
        if let Err(why) = self.public_url() {
            fault(format!("http.public_url: {why}"));
        }
        for url in self.journals.iter().flatten().chain(&self.compactor_url) {
            if let Err(e) = url.parse::<Url>() {
                fault(format!("http: {url:?} is not an address: {e}"));
            }
        }
        if let Err(why) = self.proxies() {
            fault(format!("http.proxies: {why}"));
        }
        if self.body_bytes_max < 1 << 20 || self.body_bytes_max > 16 << 20 {
            fault(format!("http.body_bytes_max is {}, expected 1 to 16 MiB", self.body_bytes_max));
        }
    }
}

impl Nats {
    fn check(&self, fault: &mut dyn FnMut(String)) {
        if self.partitions == 0 || self.partitions > 1024 {
            fault(format!("nats.partitions is {}, expected 1 to 1024", self.partitions));
        }
        if ![1, 3, 5].contains(&self.replicas) {
            fault(format!("nats.replicas is {}, expected 1, 3 or 5", self.replicas));
        }
        if self.credentials_file.is_some() && self.nkey_file.is_some() {
            fault("nats has both credentials_file and nkey_file".into());
        }
    }
}

impl Telemetry {
    fn check(&self, fault: &mut dyn FnMut(String)) {
        if let Err(why) = self.traces_url() {
            fault(format!("telemetry.otlp_endpoint: {why}"));
        }
        if !(0.0..=1.0).contains(&self.sample) {
            fault(format!("telemetry.sample is {}, expected 0 to 1", self.sample));
        }
    }
}

impl Storage {
    fn check(&self, fault: &mut dyn FnMut(String)) {
        if let Err(e) = self.keys() {
            fault(format!("storage.key_file: {e}"));
        }
        for url in self.named() {
            if let Err(e) = storage::check(url) {
                fault(e.to_string());
            }
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
