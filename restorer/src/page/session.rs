//! Who is signed in: a cookie that names a token by its digest, until when, and is sealed with a key.
//!
//! Nothing is stored. A token that is taken away ends its sessions at once, since each request looks
//! it up; another key ends all of them.
//!
//! One that Shopify's admin opened names its person as well, is short, and is not extended. Its cookie
//! goes with requests from a frame in another site's page, which is what it is for, so nothing rests on
//! the cookie alone: what writes comes from our own page and form, and only that admin frames us.

use std::fmt;

use backstock_proto::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, header};
use sha2::Sha256;

use crate::token::Digest;

/// How long a session lasts without a visit, in seconds.
const SECONDS: i64 = 12 * 3600;
/// How long one lasts that Shopify's admin opened, in seconds. Whoever may no longer open it there is out
/// so soon.
const EMBEDDED_SECONDS: i64 = 15 * 60;
/// The cookie's name. Where the page is reached over HTTPS, browsers hold it to its host and path.
const NAME: &str = "backstock";
const NAME_SECURE: &str = "__Host-backstock";
/// That of a session in a frame of Shopify's admin.
const NAME_EMBEDDED: &str = "__Host-backstock-embedded";

/// What seals sessions. Restorers that share it know each other's sessions.
#[derive(Clone)]
pub struct SessionKey([u8; 32]);

/// A session that is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// Whose.
    pub(crate) token: Digest,
    /// Who it is by Shopify's number, where its admin opened the session.
    pub(crate) user: Option<String>,
    ends_at: i64,
    /// The cookie's text: what forms are sealed for.
    text: String,
}

impl SessionKey {
    /// A new one, made of the system's randomness.
    pub fn random() -> Self {
        use std::hash::{BuildHasher as _, RandomState};
        // Each state holds 128 bits from the system; hashing them apart hides them.
        let mut hasher = blake3::Hasher::new_derive_key("backstock 2026-11 session key");
        for n in 0..8_u64 {
            hasher.update(&RandomState::new().hash_one(n).to_le_bytes());
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// From a secret that several processes share.
    pub fn of(secret: &[u8]) -> Self {
        Self(blake3::derive_key("backstock 2026-11 shared session key", secret))
    }

    fn seal(&self, purpose: &str, text: &str) -> String {
        use fmt::Write as _;
        let mut mac: Hmac<Sha256> = match Hmac::new_from_slice(&self.0) {
            Ok(mac) => mac,
            Err(_) => return String::new(),
        };
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(text.as_bytes());
        let mut hex = String::with_capacity(64);
        for byte in mac.finalize().into_bytes() {
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }

    /// A session for a token, from now on.
    pub(crate) fn open(&self, token: Digest, now: Timestamp) -> Session {
        let ends_at = now.as_micros() / 1_000_000 + SECONDS;
        let claim = format!("{token}.{ends_at}");
        let text = format!("{claim}.{}", self.seal("session", &claim));
        Session { token, user: None, ends_at, text }
    }

    /// A session of somebody in Shopify's admin, from now on.
    pub(crate) fn open_embedded(&self, token: Digest, user: &str, now: Timestamp) -> Session {
        let ends_at = now.as_micros() / 1_000_000 + EMBEDDED_SECONDS;
        let claim = format!("{token}.{ends_at}.{user}");
        let text = format!("{claim}.{}", self.seal("embedded session", &claim));
        Session { token, user: Some(user.to_owned()), ends_at, text }
    }

    /// The session that a cookie names, if it is ours and not over.
    fn read(&self, text: &str, now: Timestamp) -> Option<Session> {
        let (claim, seal) = text.rsplit_once('.')?;
        if !same(&self.seal("session", claim), seal) {
            return None;
        }
        let (digest, ends_at) = claim.split_once('.')?;
        let ends_at: i64 = ends_at.parse().ok()?;
        let token = Digest::parse(digest).ok()?;
        let session = Session { token, user: None, ends_at, text: text.to_owned() };
        session.lasts(now).then_some(session)
    }

    /// The session of Shopify's admin that a cookie names, if it is ours, be it over or not.
    fn read_embedded(&self, text: &str) -> Option<Session> {
        let (claim, seal) = text.rsplit_once('.')?;
        if !same(&self.seal("embedded session", claim), seal) {
            return None;
        }
        let (digest, rest) = claim.split_once('.')?;
        let (ends_at, user) = rest.split_once('.')?;
        let (token, ends_at) = (Digest::parse(digest).ok()?, ends_at.parse().ok()?);
        Some(Session { token, user: Some(user.into()), ends_at, text: text.to_owned() })
    }

    /// The session that a request brings.
    pub(crate) fn find(&self, headers: &HeaderMap, now: Timestamp) -> Option<Session> {
        let wanted = if over_https(headers) { NAME_SECURE } else { NAME };
        let own = cookies(headers, wanted).find_map(|text| self.read(text, now));
        own.or_else(|| self.embedded(headers).filter(|session| session.lasts(now)))
    }

    /// The session that a request brings from a frame in Shopify's admin, be it over or not. A browser
    /// that does not say from where it asks has none.
    pub(crate) fn embedded(&self, headers: &HeaderMap) -> Option<Session> {
        if !over_https(headers) || !headers.contains_key("sec-fetch-site") {
            return None;
        }
        cookies(headers, NAME_EMBEDDED).find_map(|text| self.read_embedded(text))
    }

    /// What a form carries to prove that we wrote it for whoever is signed in.
    pub(crate) fn form_seal(&self, session: &Session) -> String {
        self.seal("form", &session.text)
    }

    /// Whether a form was written by us for whoever is signed in.
    pub(crate) fn wrote(&self, session: &Session, seal: &str) -> bool {
        same(&self.form_seal(session), seal)
    }
}

impl Default for SessionKey {
    fn default() -> Self {
        Self::random()
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(…)")
    }
}

impl Session {
    fn lasts(&self, now: Timestamp) -> bool {
        now.as_micros() / 1_000_000 < self.ends_at
    }

    /// Whether it is time to extend it. What Shopify's admin opened is opened anew instead.
    pub(crate) fn is_old(&self, now: Timestamp) -> bool {
        self.user.is_none() && self.ends_at - now.as_micros() / 1_000_000 < SECONDS / 2
    }

    /// The cookie that keeps it. That of a session in a frame outlives it, so that the frame can say
    /// how to go on.
    pub(crate) fn cookie(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let cookie = match self.user {
            None => cookie(headers, &self.text, SECONDS),
            Some(_) => format!(
                "{NAME_EMBEDDED}={}; Path=/; HttpOnly; SameSite=None; Secure; Partitioned; \
                 Max-Age={SECONDS}",
                self.text
            ),
        };
        HeaderValue::from_str(&cookie).ok()
    }
}

/// What the cookies of a name say.
fn cookies<'h>(headers: &'h HeaderMap, wanted: &'h str) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.filter(move |(name, _)| name.trim() == wanted).map(|(_, text)| text.trim())
}

/// The cookie that ends a session.
pub(crate) fn no_cookie(headers: &HeaderMap) -> Option<HeaderValue> {
    HeaderValue::from_str(&cookie(headers, "", 0)).ok()
}

fn cookie(headers: &HeaderMap, text: &str, seconds: i64) -> String {
    let (name, secure) = if over_https(headers) { (NAME_SECURE, "; Secure") } else { (NAME, "") };
    format!("{name}={text}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
}

/// Whether the browser speaks HTTPS to whoever passes its requests on. Who lies about it only
/// changes a cookie of their own.
pub(crate) fn over_https(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes().starts_with(b"https"))
}

/// Whether a request comes from one of our own pages, as the browser says. What only reads may also
/// come from an address bar or a link.
pub(crate) fn is_ours(parts: &Parts) -> bool {
    let text = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok());
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    match text("sec-fetch-site") {
        Some("same-origin") => true,
        Some("none") => reads,
        Some(_) => reads && text("sec-fetch-mode") == Some("navigate"),
        None if reads => true,
        None => {
            let origin = text("origin").and_then(|origin| origin.split_once("://"));
            origin.is_some_and(|(_, host)| Some(host) == text("host"))
        }
    }
}

fn same(a: &str, b: &str) -> bool {
    subtle::ConstantTimeEq::ct_eq(a.as_bytes(), b.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn with(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(
            header::HeaderName::from_static(name),
            HeaderValue::from_str(value).expect("a value"),
        )])
    }

    #[test]
    fn a_session_is_known_until_it_ends_and_only_under_its_key() {
        let key = SessionKey::random();
        let token = Digest::of("bst_a");
        let session = key.open(token, at(1_000));
        let headers = with("cookie", &format!("a=b; backstock={}", session.text));
        assert_eq!(key.find(&headers, at(1_001)).as_ref(), Some(&session));
        assert!(key.find(&headers, at(1_000 + SECONDS)).is_none(), "over");
        assert!(SessionKey::random().find(&headers, at(1_001)).is_none(), "another key");
        let other = session.text.replace(&token.to_string(), &Digest::of("bst_b").to_string());
        for forged in [other, session.text.replace("44200", "99999"), session.text.replace('.', "")]
        {
            assert_ne!(forged, session.text);
            let headers = with("cookie", &format!("backstock={forged}"));
            assert!(key.find(&headers, at(1_001)).is_none(), "{forged}");
        }
        assert!(!format!("{key:?}").contains(|c: char| c.is_ascii_digit()));
    }

    #[test]
    fn a_form_belongs_to_one_session() {
        let key = SessionKey::of(b"shared");
        let [a, b] = ["bst_a", "bst_b"].map(|text| key.open(Digest::of(text), at(1_000)));
        let seal = key.form_seal(&a);
        assert!(SessionKey::of(b"shared").wrote(&a, &seal));
        assert!(!key.wrote(&b, &seal) && !key.wrote(&a, "") && !key.wrote(&a, &a.text));
    }

    #[test]
    fn over_https_the_cookie_is_held_to_its_host() {
        let key = SessionKey::random();
        let session = key.open(Digest::of("bst_a"), at(1_000));
        let https = with("x-forwarded-proto", "https");
        let cookie = session.cookie(&https).expect("a cookie");
        let cookie = cookie.to_str().expect("text");
        assert!(cookie.starts_with("__Host-backstock=") && cookie.contains("; Secure"), "{cookie}");
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"));
        let mut headers = with("cookie", &format!("backstock={}", session.text));
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        assert!(key.find(&headers, at(1_001)).is_none(), "one set over plain HTTP does not count");
    }

    #[test]
    fn a_session_of_the_admin_is_short_and_lives_in_a_frame_over_https() {
        let key = SessionKey::random();
        let token = Digest::of("bst_a");
        let session = key.open_embedded(token, "42", at(1_000));
        let own = key.open(token, at(1_000));
        let brings = |name: &str, text: &str, others: &[(&'static str, &'static str)]| {
            let mut headers = with("cookie", &format!("{name}={text}"));
            for (name, value) in others {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            headers
        };
        let https = ("x-forwarded-proto", "https");
        let framed = [https, ("sec-fetch-site", "same-origin")];
        let headers = brings(NAME_EMBEDDED, &session.text, &framed);
        assert_eq!(key.find(&headers, at(1_001)).as_ref(), Some(&session));
        assert_eq!(key.find(&headers, at(1_000 + EMBEDDED_SECONDS)), None, "over");
        assert_eq!(key.embedded(&headers).as_ref(), Some(&session), "which is still known");
        assert!(!session.is_old(at(1_000 + EMBEDDED_SECONDS - 1)), "it is not extended");
        assert!(SessionKey::random().embedded(&headers).is_none(), "another key");
        for (name, text, others) in [
            (NAME_EMBEDDED, &session.text, &framed[..1]),
            (NAME_EMBEDDED, &session.text, &framed[1..]),
            (NAME_EMBEDDED, &own.text, &framed),
            (NAME_SECURE, &session.text, &framed),
            (NAME_EMBEDDED, &session.text.replace(".42.", ".43."), &framed),
        ] {
            assert!(key.find(&brings(name, text, others), at(1_001)).is_none(), "{name} {text}");
        }
        let cookie = session.cookie(&headers).expect("a cookie");
        let cookie = cookie.to_str().expect("text");
        for part in ["__Host-", "Path=/;", "HttpOnly", "SameSite=None", "Secure", "Partitioned"] {
            assert!(cookie.contains(part), "{cookie}");
        }
    }

    #[test]
    fn only_our_own_pages_write() {
        let ours = |method: &str, headers: &[(&str, &str)]| {
            let mut request =
                Request::builder().method(method).uri("/").header("host", "b.example");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            is_ours(&request.body(()).expect("a request").into_parts().0)
        };
        assert!(ours("POST", &[("sec-fetch-site", "same-origin")]));
        assert!(ours("POST", &[("origin", "https://b.example")]));
        assert!(!ours("POST", &[("origin", "https://evil.example")]));
        assert!(!ours(
            "POST",
            &[("sec-fetch-site", "cross-site"), ("origin", "https://b.example")]
        ));
        assert!(!ours("POST", &[("sec-fetch-site", "same-site")]));
        assert!(!ours("POST", &[]));
        assert!(ours("GET", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]));
        assert!(!ours("GET", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")]));
    }
}
