//! Admission: how many sessions there may be, in all, of one address and of one user; and how many connections to one
//! upstream.
//!
//! A permit counts for as long as it lives. What a refused client is told, others decide.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections beyond the sessions that are open for a moment: being told that there is no room, or not yet known by
/// their client's address.
const DOORS: usize = 64;

/// The part of an address that one customer has: all of IPv4, the first 64 bits of IPv6.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Network(IpAddr);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address => address,
        })
    }
}

/// Lets clients in, up to the limits. A clone counts with the original.
#[derive(Clone, Debug)]
pub struct Admission {
    doors: Arc<Semaphore>,
    sessions: Arc<Semaphore>,
    addresses: Slots<Network>,
}

/// The right to accept a connection.
#[derive(Debug)]
pub struct Door {
    _permit: Option<OwnedSemaphorePermit>,
}

/// The right to a session; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    _session: OwnedSemaphorePermit,
    _address: Slot<Network>,
    _door: Door,
}

/// Why there is no room for a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TooMany {
    /// `limits.sessions` is reached.
    #[error("too many connections")]
    Sessions,
    /// `limits.sessions_per_address` is reached.
    #[error("too many connections from this address")]
    OfAddress,
}

impl Admission {
    /// At most `sessions` sessions in all and `per_address` of one address (IPv6: of one /64). 0: no limit.
    #[must_use]
    pub fn new(sessions: usize, per_address: usize) -> Self {
        let sessions = if sessions == 0 { Semaphore::MAX_PERMITS } else { sessions.min(Semaphore::MAX_PERMITS) };
        Self {
            doors: Arc::new(Semaphore::new(sessions.saturating_add(DOORS).min(Semaphore::MAX_PERMITS))),
            sessions: Arc::new(Semaphore::new(sessions)),
            addresses: Slots::new(per_address),
        }
    }

    /// Waits until another connection may be accepted: to be taken before accepting, so that a flood of clients that
    /// have to be turned away does not use up the descriptors. Cancellation-safe.
    pub async fn door(&self) -> Door {
        // The semaphore is never closed.
        Door { _permit: Arc::clone(&self.doors).acquire_owned().await.ok() }
    }

    /// Admits a client, known by its true address.
    ///
    /// # Errors
    ///
    /// The limit that is reached, and the door: the connection is still open until the client has been told.
    pub fn admit(&self, door: Door, client: IpAddr) -> Result<Permit, (TooMany, Door)> {
        let Ok(session) = Arc::clone(&self.sessions).try_acquire_owned() else {
            return Err((TooMany::Sessions, door));
        };
        match self.addresses.take(client.into()) {
            Some(address) => Ok(Permit { _session: session, _address: address, _door: door }),
            None => Err((TooMany::OfAddress, door)),
        }
    }
}

/// Sessions of each user.
#[derive(Clone, Debug)]
pub struct UserLimits(Slots<String>);

/// The right of a user to a session; given back when dropped.
#[derive(Debug)]
pub struct UserPermit {
    _slot: Slot<String>,
}

impl UserLimits {
    /// At most `limit` sessions of one user. 0: no limit.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(Slots::new(limit))
    }

    /// A session of a user; none if there are too many.
    #[must_use]
    pub fn admit(&self, user: &str) -> Option<UserPermit> {
        self.0.take(user.to_owned()).map(|slot| UserPermit { _slot: slot })
    }
}

/// Connections to each upstream. A clone counts with the original.
#[derive(Clone, Debug)]
pub struct UpstreamLimits {
    all: Slots<String>,
    unauthenticated: Slots<String>,
}

/// The right to a connection to an upstream; given back when dropped.
#[derive(Debug)]
pub struct UpstreamPermit {
    _all: Slot<String>,
    unauthenticated: Option<Slot<String>>,
}

impl UpstreamLimits {
    /// Nothing is connected yet.
    #[must_use]
    pub fn new() -> Self {
        Self { all: Slots::new(0), unauthenticated: Slots::new(0) }
    }

    /// A connection on which nobody has logged in, if there are not `all` already, nor `unauthenticated` of its kind.
    /// 0: no limit. They are counted in any case, since the next configuration may have limits.
    #[must_use]
    pub fn admit(&self, upstream: &str, all: usize, unauthenticated: usize) -> Option<UpstreamPermit> {
        let all = self.all.take_within(upstream.to_owned(), all)?;
        let unauthenticated = self.unauthenticated.take_within(upstream.to_owned(), unauthenticated)?;
        Some(UpstreamPermit { _all: all, unauthenticated: Some(unauthenticated) })
    }
}

impl Default for UpstreamLimits {
    fn default() -> Self {
        Self::new()
    }
}

impl UpstreamPermit {
    /// Somebody has logged in.
    pub fn authenticated(&mut self) {
        self.unauthenticated = None;
    }
}

type Used<K> = Arc<Mutex<HashMap<K, usize>>>;

/// Counts what is in use under each key. Holds only keys in use, so that it is bounded by the sessions.
struct Slots<K> {
    limit: usize,
    used: Used<K>,
}

impl<K: Clone + Eq + Hash> Slots<K> {
    fn new(limit: usize) -> Self {
        Self { limit, used: Arc::default() }
    }

    fn take(&self, key: K) -> Option<Slot<K>> {
        if self.limit == 0 {
            return Some(Slot { counted: None });
        }
        self.take_within(key, self.limit)
    }

    /// The same with a limit of the moment. 0: none.
    fn take_within(&self, key: K, limit: usize) -> Option<Slot<K>> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let count = used.get(&key).copied().unwrap_or(0);
        if limit > 0 && count >= limit {
            return None;
        }
        used.insert(key.clone(), count + 1);
        Some(Slot { counted: Some((key, Arc::clone(&self.used))) })
    }
}

impl<K> Clone for Slots<K> {
    fn clone(&self) -> Self {
        Self { limit: self.limit, used: Arc::clone(&self.used) }
    }
}

impl<K> fmt::Debug for Slots<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// One use; ends when dropped.
struct Slot<K: Eq + Hash> {
    counted: Option<(K, Used<K>)>,
}

impl<K: Eq + Hash> fmt::Debug for Slot<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}

impl<K: Eq + Hash> Drop for Slot<K> {
    fn drop(&mut self) {
        let Some((key, used)) = self.counted.take() else { return };
        if let Entry::Occupied(mut count) = used.lock().unwrap_or_else(PoisonError::into_inner).entry(key) {
            if *count.get() > 1 {
                *count.get_mut() -= 1;
            } else {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn permits_come_back_when_dropped() {
        let admission = Admission::new(3, 2);
        let admit = async |address| admission.admit(admission.door().await, ip(address)).map_err(|(why, _)| why);
        let first = admit("192.0.2.1").await.unwrap();
        let second = admit("::ffff:192.0.2.1").await.unwrap();
        assert_eq!(admit("192.0.2.1").await.unwrap_err(), TooMany::OfAddress);
        let third = admit("192.0.2.2").await.unwrap();
        assert_eq!(admit("192.0.2.3").await.unwrap_err(), TooMany::Sessions);
        drop((first, third));
        let first = admit("192.0.2.1").await.unwrap();
        drop((first, second));
        assert!(admission.addresses.used.lock().unwrap().is_empty());
        assert_eq!(admission.sessions.available_permits(), 3);
        assert_eq!(admission.doors.available_permits(), 3 + DOORS);
    }

    #[tokio::test]
    async fn one_ipv6_customer_is_one_address() {
        let admission = Admission::new(10, 1);
        let admit = async |address| admission.admit(admission.door().await, ip(address));
        let _first = admit("2001:db8:0:1::1").await.unwrap();
        assert!(admit("2001:db8:0:1:ffff::2").await.is_err());
        assert!(admit("2001:db8:0:2::1").await.is_ok());
    }

    #[test]
    fn users_are_counted_apart_and_zero_means_no_limit() {
        let limits = UserLimits::new(1);
        let alice = limits.admit("alice").unwrap();
        assert!(limits.admit("alice").is_none());
        let _bob = limits.admit("bob").unwrap();
        drop(alice);
        assert!(limits.admit("alice").is_some());
        let limits = UserLimits::new(0);
        let all: Vec<_> = (0..1000).map_while(|_| limits.admit("alice")).collect();
        assert_eq!(all.len(), 1000);
    }

    #[test]
    fn connections_to_an_upstream_count_until_they_end_or_somebody_has_logged_in() {
        let limits = UpstreamLimits::new();
        let mut first = limits.admit("a", 3, 1).unwrap();
        assert!(limits.admit("a", 3, 1).is_none());
        let _other = limits.admit("b", 3, 1).unwrap();
        first.authenticated();
        let mut second = limits.admit("a", 3, 1).unwrap();
        second.authenticated();
        // What came while there was no limit counts when there is one.
        let third = limits.clone().admit("a", 0, 0).unwrap();
        assert!(limits.admit("a", 3, 0).is_none());
        drop(third);
        assert!(limits.admit("a", 3, 1).is_some());
        drop((first, second));
        assert_eq!(limits.all.used.lock().unwrap().len(), 1);
    }
}
