//! How long the answer to a refused credential waits, by the address that it came from.
//!
//! Only refusals are counted and delayed; a correct login is neither delayed nor refused, whatever its address did
//! before. The clock is the caller's.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::limits::Network;

/// The span in which refusals count.
const MINUTE: Duration = Duration::from_secs(60);
/// How long the first, second, ... refusal waits, in seconds; all later ones wait as long as the last.
const DELAYS: [u64; 4] = [0, 1, 2, 4];
/// The most addresses that are remembered; beyond, the one whose last refusal is longest ago is forgotten.
const MAX_ADDRESSES: usize = 10_000;

/// What a refused credential costs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Penalty {
    /// How long the `-ERR` waits.
    pub delay: Duration,
    /// The address had more than `login_failures_per_minute`: the `-ERR` ends the connection.
    pub last: bool,
}

/// Remembers which addresses were refused within the last minute.
#[derive(Debug)]
pub struct LoginDelays {
    per_minute: usize,
    refusals: Mutex<HashMap<Network, VecDeque<Instant>>>,
}

impl LoginDelays {
    /// `per_minute`: how many refusals an address may have in a minute before each ends its connection. 0: no limit.
    #[must_use]
    pub fn new(per_minute: usize) -> Self {
        Self { per_minute, refusals: Mutex::default() }
    }

    /// Counts a refused credential of an address (IPv6: of its /64).
    pub fn refused(&self, client: IpAddr, now: Instant) -> Penalty {
        let mut table = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let network = Network::from(client);
        if !table.contains_key(&network) && table.len() >= MAX_ADDRESSES {
            make_room(&mut table, now);
        }
        let refusals = table.entry(network).or_default();
        refusals.retain(|&at| is_recent(at, now));
        refusals.push_back(now);
        // More than this tells nothing new.
        if refusals.len() > self.per_minute.max(DELAYS.len()) + 1 {
            refusals.pop_front();
        }
        let count = refusals.len();
        Penalty {
            delay: Duration::from_secs(DELAYS[count.min(DELAYS.len()) - 1]),
            last: self.per_minute > 0 && count > self.per_minute,
        }
    }
}

fn is_recent(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < MINUTE
}

fn make_room(table: &mut HashMap<Network, VecDeque<Instant>>, now: Instant) {
    table.retain(|_, refusals| refusals.back().is_some_and(|&at| is_recent(at, now)));
    if table.len() >= MAX_ADDRESSES {
        let oldest = table.iter().min_by_key(|(_, refusals)| refusals.back().copied()).map(|(&network, _)| network);
        oldest.and_then(|network| table.remove(&network));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn delays_grow_and_end_the_connection_above_the_limit() {
        let (delays, now) = (LoginDelays::new(6), Instant::now());
        let penalties: Vec<_> = (0..8).map(|_| delays.refused(ip("192.0.2.1"), now)).collect();
        assert_eq!(penalties.iter().map(|p| p.delay.as_secs()).collect::<Vec<_>>(), [0, 1, 2, 4, 4, 4, 4, 4]);
        assert_eq!(
            penalties.iter().map(|p| p.last).collect::<Vec<_>>(),
            [false, false, false, false, false, false, true, true]
        );
        assert_eq!(delays.refused(ip("192.0.2.2"), now).delay, Duration::ZERO);
    }

    #[test]
    fn refusals_are_forgotten_after_a_minute() {
        let (delays, start) = (LoginDelays::new(2), Instant::now());
        let at = |seconds| delays.refused(ip("192.0.2.1"), start + Duration::from_secs(seconds));
        assert_eq!([at(0), at(30), at(59)].map(|p| (p.delay.as_secs(), p.last)), [(0, false), (1, false), (2, true)]);
        // At 61 s the one of 0 s is gone, at 200 s all are.
        assert_eq!([at(61), at(200)].map(|p| (p.delay.as_secs(), p.last)), [(2, true), (0, false)]);
    }

    #[test]
    fn one_ipv6_customer_is_one_address() {
        let (delays, now) = (LoginDelays::new(0), Instant::now());
        let delay = |address| delays.refused(ip(address), now).delay.as_secs();
        assert_eq!(["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"].map(delay), [0, 1, 0]);
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest() {
        let (delays, start) = (LoginDelays::new(0), Instant::now());
        let client = |n: u32| IpAddr::from(std::net::Ipv4Addr::from(n));
        for n in 0..11_000_u32 {
            delays.refused(client(n), start + Duration::from_millis(u64::from(n)));
        }
        let now = start + Duration::from_secs(11);
        assert_eq!(delays.refusals.lock().unwrap().len(), MAX_ADDRESSES);
        assert_eq!(delays.refused(client(10_999), now).delay.as_secs(), 1);
        assert_eq!(delays.refused(client(5), now).delay.as_secs(), 0);
    }

    #[test]
    fn what_is_kept_of_one_address_is_bounded() {
        let (delays, now) = (LoginDelays::new(0), Instant::now());
        for _ in 0..1000 {
            delays.refused(ip("192.0.2.1"), now);
        }
        assert!(delays.refusals.lock().unwrap().values().all(|refusals| refusals.len() <= 6));
    }
}
