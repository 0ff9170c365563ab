//! Tells people by a webhook of their own: JSON with a `text`, as chat services take it, signed, and
//! sent again when it does not arrive.
//!
//! The address comes from the configuration, yet it is not trusted: it may name something inside our
//! own network. So names are resolved here, only public addresses are spoken to unless the policy
//! says otherwise, and no redirect is followed.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use backstock_proto::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect;
use secrecy::ExposeSecret;
use serde_json::Value;
use sha2::Sha256;
use url::{Host, Url};

use super::Policy;

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);
/// How often it is tried.
const ATTEMPTS: u32 = 5;
/// The rest after the first attempt; it doubles.
const REST: Duration = Duration::from_secs(1);
/// The header that proves who tells it: `t=<seconds since 1970>,v1=<HMAC-SHA256 of "t.body">`.
pub(crate) const SIGNATURE: &str = "x-backstock-signature";

/// The address that a text names, if it may be told anything.
pub(crate) fn address(text: &str, private: bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("{text:?} is not an address: {e}"))?;
    if url.scheme() != "https" && !(private && url.scheme() == "http") {
        return Err("it must begin with https://".into());
    }
    let literal = match url.host() {
        None => return Err("it names no host".into()),
        Some(Host::Domain(_)) => None,
        Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
    };
    match literal {
        Some(ip) if !private && !is_public(ip) => {
            Err(format!("{ip} is in a private network; webhook_private allows that"))
        }
        _ => Ok(url),
    }
}

/// What may be shown of an address: what comes after the host is often a secret.
pub(crate) fn masked(text: &str) -> String {
    match Url::parse(text) {
        Ok(url) if url.has_host() => format!("{}/***", url.origin().ascii_serialization()),
        _ => "***".into(),
    }
}

/// Tells it, and says how that went.
pub(crate) async fn tell(policy: &Policy, body: &Value, now: Timestamp) -> Result<(), String> {
    let Some(url) = &policy.webhook_url else { return Ok(()) };
    let url = address(url, policy.webhook_private)?;
    let http = reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .timeout(ATTEMPT)
        .dns_resolver(Public { private: policy.webhook_private });
    // A proxy would resolve the name anew, and from within.
    let http = if policy.webhook_private { http } else { http.no_proxy() };
    let http = http.build().map_err(|e| e.to_string())?;
    let body = body.to_string();
    let signature = policy.webhook_secret.as_ref();
    let signature = signature.map(|secret| signed(secret.expose_secret(), &body, now));
    let mut rest = REST;
    let mut last = String::new();
    for attempt in 1..=ATTEMPTS {
        let mut request =
            http.post(url.clone()).header("content-type", "application/json").body(body.clone());
        if let Some(signature) = &signature {
            request = request.header(SIGNATURE, signature);
        }
        match request.send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => {
                last = format!("it answered {}", answer.status());
                // What it does not want now it will not want later.
                if answer.status().is_client_error() && answer.status() != 429 {
                    break;
                }
            }
            Err(error) => last = error.without_url().to_string(),
        }
        if attempt < ATTEMPTS {
            tokio::time::sleep(rest).await;
            rest *= 2;
        }
    }
    Err(last)
}

/// What proves that it was us who said this, and when.
fn signed(secret: &str, body: &str, now: Timestamp) -> String {
    let seconds = now.as_micros() / 1_000_000;
    // HMAC takes keys of any length, so this never fails.
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    let mac = mac.chain_update(format!("{seconds}.{body}")).finalize().into_bytes();
    let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

/// Resolves names to public addresses only.
struct Public {
    private: bool,
}

impl Resolve for Public {
    fn resolve(&self, name: Name) -> Resolving {
        let private = self.private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let usable: Vec<SocketAddr> =
                found.filter(|address| private || is_public(address.ip())).collect();
            if usable.is_empty() {
                let why = format!("{} has no public address", name.as_str());
                return Err(Box::<dyn Error + Send + Sync>::from(why));
            }
            Ok(Box::new(usable.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the internet rather than of some network within.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b)))
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    if let Some(v4) = ip.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    // Global unicast alone, and of that neither what is for documentation nor what leads into IPv4.
    let segments = ip.segments();
    segments[0] & 0xe000 == 0x2000
        && !(segments[0] == 0x2001 && segments[1] == 0x0db8)
        && segments[0] != 0x2002
        && !(segments[0] == 0x2001 && segments[1] == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_within_our_networks_is_told() {
        for inside in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "255.255.255.255",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "ff02::1",
        ] {
            assert!(!is_public(inside.parse().expect("an address")), "{inside}");
        }
        for outside in ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111"] {
            assert!(is_public(outside.parse().expect("an address")), "{outside}");
        }
    }

    #[test]
    fn an_address_is_looked_at_before_it_is_used() {
        assert!(address("https://hooks.example.com/x", false).is_ok());
        for wrong in
            ["http://hooks.example.com", "https://127.0.0.1/", "https://[::1]/", "file:///etc", "x"]
        {
            assert!(address(wrong, false).is_err(), "{wrong}");
        }
        assert!(address("http://127.0.0.1:9/", true).is_ok());
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_followed() {
        let inside = Public { private: false }.resolve("localhost".parse().expect("a name")).await;
        assert!(inside.is_err());
        assert!(
            Public { private: true }.resolve("localhost".parse().expect("a name")).await.is_ok()
        );
    }
}
