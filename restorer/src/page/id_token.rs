//! Shopify's word about who opens the page inside its admin: an ID token (a JWT) in the address, signed
//! with the client secret of the shop's app, good for a minute.
//!
//! Nothing in it is read before its signature was seen to be right. Only what Shopify signs is taken:
//! HMAC-SHA256 over the bytes as they came, by this shop's app, for this shop. What is not exactly
//! so is refused.

use backstock_proto::{Shop, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use sha2::Sha256;

use super::embedded::App;

/// How far Shopify's clock and ours may be apart, in seconds.
const LEEWAY: i64 = 10;
/// Longest token that is looked at, in bytes.
const BYTES_MAX: usize = 4096;

/// Why a token says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// Not three parts in base64, or too long.
    #[error("it is no ID token")]
    Shape,
    /// Somebody else's, or of another app.
    #[error("its signature is not this shop's app's")]
    Signature,
    /// Signed by whoever has the secret, in a way that Shopify does not.
    #[error("it does not say what Shopify says")]
    Claims,
    /// Of another app.
    #[error("it is for another app")]
    Audience,
    /// Of another shop.
    #[error("it is for another shop")]
    Shop,
    /// Too old.
    #[error("it has expired; open Backstock anew")]
    Expired,
    /// Too young.
    #[error("it is not valid yet; see that this machine's clock is right")]
    Early,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    dest: String,
    aud: String,
    sub: String,
    exp: i64,
    nbf: i64,
}

/// The number of the person who opened this shop's app, by a token of Shopify's.
pub(crate) fn user(
    token: &str,
    (shop, app): (&Shop, &App),
    now: Timestamp,
) -> Result<String, Refused> {
    if token.len() > BYTES_MAX {
        return Err(Refused::Shape);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Refused::Shape)?;
    let (header, claims) = signed.split_once('.').ok_or(Refused::Shape)?;
    let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Refused::Shape);
    let (header, claims, signature) = (bytes(header)?, bytes(claims)?, bytes(signature)?);

    let secret = app.client_secret.expose_secret().as_bytes();
    let mut mac: Hmac<Sha256> = Hmac::new_from_slice(secret).map_err(|_| Refused::Signature)?;
    mac.update(signed.as_bytes());
    mac.verify_slice(&signature).map_err(|_| Refused::Signature)?;

    let Header { alg } = serde_json::from_slice(&header).map_err(|_| Refused::Claims)?;
    let claims: Claims = serde_json::from_slice(&claims).map_err(|_| Refused::Claims)?;
    if alg != "HS256" {
        return Err(Refused::Claims);
    }
    if claims.aud != app.client_id {
        return Err(Refused::Audience);
    }
    let dest = format!("https://{}", shop.domain());
    if claims.dest != dest || claims.iss != format!("{dest}/admin") {
        return Err(Refused::Shop);
    }
    let now = now.as_micros() / 1_000_000;
    if now >= claims.exp.saturating_add(LEEWAY) {
        return Err(Refused::Expired);
    }
    if now < claims.nbf.saturating_sub(LEEWAY) {
        return Err(Refused::Early);
    }
    let is_number = (1..=20).contains(&claims.sub.len())
        && claims.sub.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(claims.sub).ok_or(Refused::Claims)
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(crate) const NOW: i64 = 1_800_000_000;

    pub(crate) fn acme() -> Shop {
        Shop::parse("acme.myshopify.com").expect("a shop")
    }

    pub(crate) fn app() -> App {
        App::new(&acme(), "the-id".into(), "the secret".to_owned().into())
    }

    /// What Shopify says at [`NOW`], with some of it otherwise.
    pub(crate) fn claims(otherwise: &Value) -> Value {
        let mut claims = json!({
            "iss": "https://acme.myshopify.com/admin", "dest": "https://acme.myshopify.com",
            "aud": "the-id", "sub": "42", "exp": NOW + 60, "nbf": NOW, "iat": NOW,
            "jti": "f8912129-1af6-4cad-9ca3-76b0f7621087", "sid": "aaea182f2732d44c23057c0fea584021"
        });
        for (name, value) in otherwise.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        claims
    }

    pub(crate) fn signed(header: &Value, claims: &Value, secret: &str) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(header), part(claims));
        let mut mac: Hmac<Sha256> = Hmac::new_from_slice(secret.as_bytes()).expect("a key");
        mac.update(text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    /// A token that is right, with some claims otherwise.
    pub(crate) fn token(otherwise: &Value) -> String {
        signed(&json!({"alg": "HS256", "typ": "JWT"}), &claims(otherwise), "the secret")
    }

    fn read(token: &str) -> Result<String, Refused> {
        user(token, (&acme(), &app()), Timestamp::from_micros(NOW * 1_000_000))
    }

    #[test]
    fn shopifys_word_names_the_person() {
        assert_eq!(read(&token(&json!({}))), Ok("42".into()));
    }

    #[test]
    fn a_forged_token_is_refused() {
        let right = token(&json!({}));
        let (signed_part, signature) = right.rsplit_once('.').expect("parts");
        let header = json!({"alg": "HS256"});
        let other = signed(&header, &claims(&json!({})), "another secret");
        let none = json!({"alg": "none"});
        let unsigned = signed(&none, &claims(&json!({})), "the secret");
        let empty = signed(&header, &claims(&json!({})), "");
        let swapped = {
            let claims = URL_SAFE_NO_PAD.encode(claims(&json!({"sub": "1"})).to_string());
            let head = signed_part.split_once('.').expect("parts").0;
            format!("{head}.{claims}.{signature}")
        };
        assert_eq!(read(&other), Err(Refused::Signature));
        assert_eq!(read(&empty), Err(Refused::Signature));
        assert_eq!(read(&swapped), Err(Refused::Signature));
        assert_eq!(read(&format!("{signed_part}.")), Err(Refused::Signature));
        assert_eq!(read(&format!("{signed_part}.{}", &signature[..20])), Err(Refused::Signature));
        assert_eq!(read(&unsigned), Err(Refused::Claims), "signed, and says that it is not");
        for shapeless in ["", ".", "..", "a.b", signed_part, &format!("{right}."), "é.é.é"] {
            assert!(matches!(read(shapeless), Err(Refused::Shape | Refused::Signature)));
        }
        assert_eq!(read(&format!("{right}=")), Err(Refused::Shape));
        assert_eq!(read(&"a".repeat(BYTES_MAX + 1)), Err(Refused::Shape));
    }

    #[test]
    fn a_token_counts_for_its_minute_its_app_and_its_shop_only() {
        let otherwise = |name: &str, value: Value| read(&token(&json!({ name: value })));
        assert_eq!(otherwise("exp", json!(NOW - LEEWAY)), Err(Refused::Expired));
        assert!(otherwise("exp", json!(NOW - LEEWAY + 1)).is_ok());
        assert_eq!(otherwise("nbf", json!(NOW + LEEWAY + 1)), Err(Refused::Early));
        assert!(otherwise("nbf", json!(NOW + LEEWAY)).is_ok());
        assert_eq!(otherwise("exp", json!("2027")), Err(Refused::Claims));
        assert_eq!(otherwise("exp", Value::Null), Err(Refused::Claims));
        assert_eq!(otherwise("exp", json!(i64::MIN)), Err(Refused::Expired));
        assert_eq!(otherwise("aud", json!("another-id")), Err(Refused::Audience));
        assert_eq!(otherwise("aud", json!(["the-id"])), Err(Refused::Claims));
        for other in ["https://bolt.myshopify.com", "http://acme.myshopify.com", "acme", ""] {
            assert_eq!(otherwise("dest", json!(other)), Err(Refused::Shop), "{other}");
            assert_eq!(otherwise("iss", json!(format!("{other}/admin"))), Err(Refused::Shop));
        }
        assert_eq!(otherwise("iss", json!("https://acme.myshopify.com")), Err(Refused::Shop));
        for nobody in [json!(""), json!("me"), json!(42), json!("4\n2"), json!("1".repeat(21))] {
            assert_eq!(otherwise("sub", nobody), Err(Refused::Claims));
        }
    }
}
