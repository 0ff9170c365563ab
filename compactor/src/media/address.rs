//! Where media may be fetched from: Shopify's own hosts, at public addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use backstock_proto::Shop;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Origin, Url};

/// Hosts that Shopify keeps media at, and those below the ones with a dot before them.
const HOSTS: [&str; 5] = [
    "cdn.shopify.com",
    ".shopifycdn.com",
    ".shopifycdn.net",
    "storage.googleapis.com",
    ".storage.googleapis.com",
];

/// Decides which addresses are asked.
#[derive(Clone, Debug)]
pub(super) struct Allowed {
    /// The shop's own domain, where themes keep their assets.
    domain: String,
    /// A simulated shop's origin, which need not be public. Nobody but the configuration says it.
    simulated: Option<Origin>,
}

/// How an allowed address is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// At a public address only.
    Public,
    /// As configured.
    Simulated,
}

impl Allowed {
    pub(super) fn new(shop: &Shop, admin: &Url) -> Self {
        let domain = shop.domain();
        let real = admin.scheme() == "https" && admin.host_str() == Some(domain.as_str());
        Self { domain, simulated: (!real).then(|| admin.origin()) }
    }

    /// The way to an address; `None` where it is not asked.
    pub(super) fn way(&self, url: &Url) -> Option<Way> {
        if !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        if self.simulated.as_ref() == Some(&url.origin()) {
            return Some(Way::Simulated);
        }
        let Some(Host::Domain(host)) = url.host() else { return None };
        let known = HOSTS.iter().any(|known| match known.strip_prefix('.') {
            Some(_) => host.len() > known.len() && host.ends_with(known),
            None => host == *known,
        });
        let allowed = (known || host == self.domain)
            && url.scheme() == "https"
            && url.port_or_known_default() == Some(443);
        allowed.then_some(Way::Public)
    }
}

/// Resolves names to public addresses only. The connection is made to what it answers, so that a name
/// that means something else a moment later changes nothing.
#[derive(Debug)]
pub(super) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 443)).await?;
            let public: Vec<SocketAddr> = found.filter(|at| is_public(at.ip())).collect();
            if public.is_empty() {
                let why = format!("{} has no public address", name.as_str());
                return Err(std::io::Error::other(why).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

impl PublicOnly {
    pub(super) fn resolver() -> Arc<Self> {
        Arc::new(Self)
    }
}

/// Whether an address is one of the Internet's, and none of ours.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

/// <https://www.iana.org/assignments/iana-ipv4-special-registry>
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b));
    !special && a < 224
}

/// What is given out at all, without what leads to an IPv4 address by another name.
/// <https://www.iana.org/assignments/iana-ipv6-special-registry>
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let given_out = (0x2000..0x4000).contains(&a);
    let special = (a == 0x2001 && (b < 0x200 || b == 0xdb8)) || a == 0x2002 || a == 0x3fff;
    given_out && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(admin: &str) -> Allowed {
        let shop = Shop::parse("acme.myshopify.com").expect("a shop");
        Allowed::new(&shop, &admin.parse().expect("an address"))
    }

    fn way(allowed: &Allowed, url: &str) -> Option<Way> {
        allowed.way(&Url::parse(url).ok()?)
    }

    #[test]
    fn only_shopifys_own_hosts_are_asked() {
        let real = allowed("https://acme.myshopify.com");
        for there in [
            "https://cdn.shopify.com/s/files/1/0788/mug.jpg?v=1",
            "https://acme.myshopify.com/cdn/shop/t/1/assets/a.png",
            "https://img.shopifycdn.com/a.jpg",
            "https://shopify-staged-uploads.storage.googleapis.com/a?sig=x",
        ] {
            assert_eq!(way(&real, there), Some(Way::Public), "{there}");
        }
        for elsewhere in [
            "http://cdn.shopify.com/a.jpg",
            "https://cdn.shopify.com:8443/a.jpg",
            "https://cdn.shopify.com.evil.example/a.jpg",
            "https://evilshopifycdn.com/a.jpg",
            "https://shopifycdn.com.evil.example/a.jpg",
            "https://me@cdn.shopify.com/a.jpg",
            "https://cdn.shopify.com@evil.example/a.jpg",
            "https://other.myshopify.com/a.jpg",
            "https://127.0.0.1/a.jpg",
            "https://2130706433/a.jpg",
            "https://0x7f.1/a.jpg",
            "https://[::1]/a.jpg",
            "https://[::ffff:169.254.169.254]/latest",
            "http://169.254.169.254/latest/meta-data",
            "https://metadata.google.internal/",
            "https://localhost/a.jpg",
            "file:///etc/passwd",
            "ftp://cdn.shopify.com/a.jpg",
            "gopher://cdn.shopify.com/a.jpg",
            "data:image/png;base64,AAAA",
            "https:///a.jpg",
        ] {
            assert_eq!(way(&real, elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn a_simulated_shop_is_asked_where_the_configuration_says() {
        let simulated = allowed("http://127.0.0.1:9090");
        assert_eq!(way(&simulated, "http://127.0.0.1:9090/cdn/a.jpg"), Some(Way::Simulated));
        assert_eq!(way(&simulated, "http://127.0.0.1:9091/cdn/a.jpg"), None);
        assert_eq!(way(&simulated, "https://127.0.0.1:9090/cdn/a.jpg"), None);
        assert_eq!(way(&simulated, "https://cdn.shopify.com/a.jpg"), Some(Way::Public));
    }

    #[test]
    fn only_public_addresses_are_connected_to() {
        for ours in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::",
            "3fff::1",
        ] {
            assert!(!is_public(ours.parse().expect("an address")), "{ours}");
        }
        for public in ["23.227.38.33", "1.1.1.1", "172.32.0.1", "2620:127:f00f:e::", "2606:4700::1"]
        {
            assert!(is_public(public.parse().expect("an address")), "{public}");
        }
    }
}
