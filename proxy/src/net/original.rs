//! Where a connection was going before a firewall rule led it here, and whether it was going here all along.
//!
//! Two ways lead here on Linux: REDIRECT rewrites the destination, which connection tracking remembers
//! (`SO_ORIGINAL_DST`); TPROXY leaves it, so it is the address at this end.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use socket2::{SockAddr, SockRef};

use super::Stream;
use super::reach::is_of_machine;

/// Lets a listening socket take connections to any address (`IP_TRANSPARENT`), which TPROXY asks of it.
///
/// # Errors
///
/// When the process may not: it needs CAP_NET_ADMIN. REDIRECT works without.
pub fn allow_any_destination(socket: &impl AsFd, address: SocketAddr) -> io::Result<()> {
    let socket = SockRef::from(socket);
    match address {
        SocketAddr::V4(_) => socket.set_ip_transparent_v4(true),
        SocketAddr::V6(_) => socket.set_ip_transparent_v6(true),
    }
}

/// Where the client was going.
///
/// # Errors
///
/// When the connection is broken.
pub fn original_destination(stream: &Stream) -> io::Result<SocketAddr> {
    let local = canonical(stream.local()?);
    let socket = SockRef::from(stream.tcp());
    let remembered = match local {
        SocketAddr::V4(_) => socket.original_dst_v4(),
        SocketAddr::V6(_) => socket.original_dst_v6(),
    };
    // An error means that nothing was rewritten: the connection is not tracked, or tracking is not there at all.
    Ok(remembered.ok().as_ref().and_then(SockAddr::as_socket).map_or(local, canonical))
}

/// Whether a client's address is that of a connection which this process itself has just made to a server: a rule has
/// led it back here.
#[must_use]
pub fn is_departure(peer: SocketAddr) -> bool {
    departures().contains_key(&peer.port()) && is_of_machine(peer.ip())
}

/// The note that a connection leaves from this port, for as long as it lasts.
#[derive(Debug)]
pub struct Departure(u16);

impl Departure {
    pub(super) fn from_port(port: u16) -> Self {
        // An IPv4 and an IPv6 socket may have the same one.
        *departures().entry(port).or_default() += 1;
        Self(port)
    }
}

impl Drop for Departure {
    fn drop(&mut self) {
        let mut departures = departures();
        if let Some(count) = departures.get_mut(&self.0) {
            *count -= 1;
            if *count == 0 {
                departures.remove(&self.0);
            }
        }
    }
}

fn departures() -> MutexGuard<'static, HashMap<u16, usize>> {
    static PORTS: LazyLock<Mutex<HashMap<u16, usize>>> = LazyLock::new(Mutex::default);
    PORTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Without the dress of IPv6 around an IPv4 address, and without what only this machine knows of an IPv6 one.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn without_a_rule_it_is_the_address_at_this_end() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let listener = tokio::net::TcpListener::bind(host).await.unwrap();
            let bound = listener.local_addr().unwrap();
            let _client = tokio::net::TcpStream::connect(bound).await.unwrap();
            let stream = Stream::new(listener.accept().await.unwrap().0);
            assert_eq!(original_destination(&stream).unwrap(), bound);
        }
    }

    #[test]
    fn a_departure_is_known_while_it_lasts() {
        let departure = Departure::from_port(9);
        let other = Departure::from_port(9);
        assert!(is_departure(address("127.0.0.1:9")));
        assert!(!is_departure(address("192.0.2.1:9")));
        drop(departure);
        assert!(is_departure(address("127.0.0.1:9")));
        drop(other);
        assert!(!is_departure(address("127.0.0.1:9")));
    }
}
