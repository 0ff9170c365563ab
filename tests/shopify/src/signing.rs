//! The secrets that webhooks are signed with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::dice::Dice;

/// The app's client secret and, for a while after it was rotated, the one before.
#[derive(Clone, Debug)]
pub struct Secrets {
    current: String,
    former: Option<String>,
}

impl Secrets {
    /// One secret.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        Self { current: secret.to_owned(), former: None }
    }

    /// A new secret. With overlap, deliveries are signed with either until the next rotation.
    pub fn rotate(&mut self, secret: &str, overlap: bool) {
        let former = std::mem::replace(&mut self.current, secret.to_owned());
        self.former = overlap.then_some(former);
    }

    /// The signature of a delivery's body.
    #[must_use]
    pub fn sign(&self, webhook_id: &str, body: &[u8]) -> String {
        let former = self.former.as_ref().filter(|_| Dice::new(0).of(webhook_id).happens(0, 0.5));
        signature(former.unwrap_or(&self.current), body)
    }
}

/// The body's signature, as the `X-Shopify-Hmac-Sha256` header carries it.
///
/// # Panics
/// Never: a key of any length will do.
#[must_use]
pub fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length is a key");
    mac.update(body);
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_signs_the_raw_bytes() {
        let signed = signature("hush", b"\"my secret message\"");
        assert_eq!(signed, "hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpKI=");
        assert_ne!(signed, signature("hush", b"my secret message"));
    }

    #[test]
    fn after_a_rotation_both_secrets_sign_for_a_while() {
        let mut secrets = Secrets::new("old");
        secrets.rotate("new", true);
        let signed: Vec<String> = (0..40).map(|n| secrets.sign(&n.to_string(), b"x")).collect();
        let with = |secret: &str| signed.iter().filter(|s| **s == signature(secret, b"x")).count();
        assert!(with("old") > 5 && with("new") > 5);
        assert_eq!(with("old") + with("new"), 40);
        secrets.rotate("newer", false);
        assert_eq!(secrets.sign("1", b"x"), signature("newer", b"x"));
    }
}
