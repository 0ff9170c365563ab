//! The address that a request comes from, also where reverse proxies pass it on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::ConnectInfo;
use http::request::Parts;
use ipnet::IpNet;

/// The header in which a proxy says whom it passes on, after what others said before it.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Who asks. What the header says counts as far back as proxies of ours vouch for it: anybody can
/// write into it what comes before.
pub(crate) fn of(parts: &Parts, proxies: &[IpNet]) -> IpAddr {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let mut from = peer
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip().to_canonical());
    let said = parts.headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let said: Vec<&str> = said.flat_map(|line| line.split(',')).collect();
    for text in said.into_iter().rev() {
        let ours = proxies.iter().any(|network| network.contains(&from));
        match text.trim().parse::<IpAddr>() {
            Ok(before) if ours => from = before.to_canonical(),
            _ => break,
        }
    }
    from
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(peer: &str, said: &[&str]) -> String {
        let mut request = http::Request::builder().uri("/");
        for line in said {
            request = request.header(FORWARDED_FOR, *line);
        }
        let (mut parts, ()) = request.body(()).expect("a request").into_parts();
        let peer: IpAddr = peer.parse().expect("an address");
        parts.extensions.insert(ConnectInfo(SocketAddr::new(peer, 1)));
        let proxies = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().expect("a network"));
        super::of(&parts, &proxies).to_string()
    }

    #[test]
    fn only_what_our_proxies_say_is_believed() {
        assert_eq!(of("192.0.2.1", &[]), "192.0.2.1");
        assert_eq!(of("192.0.2.1", &["198.51.100.1"]), "192.0.2.1", "no proxy of ours");
        assert_eq!(of("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(of("::ffff:10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            of("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.2.0.1"]),
            "198.51.100.1",
            "written in"
        );
        assert_eq!(of("fd00::1", &["1.1.1.1", "2001:db8::7"]), "2001:db8::7");
        assert_eq!(of("10.0.0.1", &["unknown"]), "10.0.0.1");
        assert_eq!(of("10.0.0.1", &["10.0.0.2"]), "10.0.0.2", "somebody within");
    }
}
