//! Slows down who guesses tokens. Only wrong guesses are counted and only wrong guesses are
//! refused, so a guesser behind the same address as everybody else hurts nobody.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use backstock_proto::Timestamp;
use lru::LruCache;

/// Wrong guesses that a network may make at once.
const BURST: f64 = 10.0;
/// After that, one more every so many seconds.
const SECONDS_EACH: f64 = 6.0;
/// Networks remembered; the one that has been quiet longest is forgotten first.
const NETWORKS_MAX: NonZeroUsize = NonZeroUsize::new(4_096).expect("not zero");

/// Counts wrong guesses by network.
pub(crate) struct Throttle {
    networks: Mutex<LruCache<Network, Guesses>>,
}

/// An IPv4 address, or the /64 that one owner has of IPv6.
type Network = [u8; 8];

#[derive(Clone, Copy)]
struct Guesses {
    left: f64,
    at: Timestamp,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { networks: Mutex::new(LruCache::new(NETWORKS_MAX)) }
    }
}

impl Throttle {
    /// Counts a wrong guess. `Err` says in how many seconds the next one is due.
    pub(crate) fn guessed(&self, from: IpAddr, now: Timestamp) -> Result<(), u64> {
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        let guesses =
            networks.get_or_insert_mut(network(from), || Guesses { left: BURST, at: now });
        let regained = now.seconds_since(guesses.at) / SECONDS_EACH;
        guesses.left = (guesses.left + regained).min(BURST);
        guesses.at = guesses.at.max(now);
        if guesses.left >= 1.0 {
            guesses.left -= 1.0;
            return Ok(());
        }
        Err(((1.0 - guesses.left) * SECONDS_EACH).ceil() as u64)
    }
}

fn network(address: IpAddr) -> Network {
    let mut network = Network::default();
    match address.to_canonical() {
        IpAddr::V4(v4) => network[4..].copy_from_slice(&v4.octets()),
        IpAddr::V6(v6) => network.copy_from_slice(&v6.octets()[..8]),
    }
    network
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn guesses_run_out_and_come_back() {
        let throttle = Throttle::default();
        let [guesser, other]: [IpAddr; 2] =
            ["192.0.2.1", "192.0.2.2"].map(|a| a.parse().expect("address"));
        for _ in 0..10 {
            assert_eq!(throttle.guessed(guesser, at(100)), Ok(()));
        }
        assert_eq!(throttle.guessed(guesser, at(100)), Err(6));
        assert_eq!(throttle.guessed(other, at(100)), Ok(()));
        assert_eq!(throttle.guessed(guesser, at(103)), Err(3));
        assert_eq!(throttle.guessed(guesser, at(106)), Ok(()));
        assert!(throttle.guessed(guesser, at(50)).is_err(), "a clock set back gives nothing");
    }

    #[test]
    fn an_owner_of_a_64_is_one_guesser() {
        let throttle = Throttle::default();
        let guess = |n: u32| {
            throttle.guessed(format!("2001:db8::{n:x}").parse().expect("address"), at(1)).is_ok()
        };
        assert_eq!((0..50).filter(|n| guess(*n)).count(), 10);
    }
}
