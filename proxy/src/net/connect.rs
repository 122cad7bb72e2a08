//! Connecting to a server: every address of its name, within one span of time.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use popgate_config::Address;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::original::Departure;

use super::reach::Forbidden;

/// How long an address is alone before the next is tried beside it. Source: RFC 8305 section 5.
const STAGGER: Duration = Duration::from_millis(250);
/// The most addresses of a name that are tried.
const MAX_ADDRESSES: usize = 64;

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("the name `{host}` can't be resolved: {error}")]
    NameNotFound {
        /// The name.
        host: String,
        /// What the resolver says.
        error: io::Error,
    },
    /// Nothing listens there.
    #[error("`{address}` refuses connections (tried {tried})")]
    Refused {
        /// The address as it is configured.
        address: String,
        /// The resolved addresses.
        tried: String,
    },
    /// No way leads there.
    #[error("`{address}` can't be reached: {error} (tried {tried})")]
    Unreachable {
        /// The address as it is configured.
        address: String,
        /// The resolved addresses.
        tried: String,
        /// What the system says of the last one.
        error: io::Error,
    },
    /// It has no address that may be connected to.
    #[error("`{address}` is not connected to: {why} (found {found})")]
    Forbidden {
        /// The address as it is configured.
        address: String,
        /// The resolved addresses.
        found: String,
        /// What is against the last of them.
        why: Forbidden,
    },
    /// No answer in time.
    #[error("`{address}` did not answer within {within:?}")]
    TimedOut {
        /// The address as it is configured.
        address: String,
        /// The time that was given.
        within: Duration,
    },
}

impl ConnectError {
    /// The next step for an operator.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NameNotFound { .. } => "check the spelling of the upstream's address and this machine's DNS",
            Self::Refused { .. } => "is the server running, and is the port right (110, or 995 for implicit TLS)?",
            Self::Unreachable { .. } => "check the network and the firewall between this machine and the server",
            Self::Forbidden { .. } => {
                "a server is never popgate itself, and one that clients name is not of this machine"
            }
            Self::TimedOut { .. } => "a firewall may swallow the connection; `limits.connect` is the time given",
        }
    }
}

/// Connects to the first address of a name that answers. All are tried, a quarter of a second apart or closer where
/// they are many, so that each has its chance `within` the time.
///
/// # Errors
///
/// When the name is not known or no address answers.
pub async fn connect(address: &Address, within: Duration) -> Result<TcpStream, ConnectError> {
    connect_where(address, within, |_| Ok(())).await
}

/// The same for those addresses of a name that pass a check. They are looked up once, and no other is connected to.
///
/// # Errors
///
/// Those of [`connect`], and [`ConnectError::Forbidden`] if no address passes.
pub async fn connect_where(
    address: &Address,
    within: Duration,
    check: impl Fn(SocketAddr) -> Result<(), Forbidden>,
) -> Result<TcpStream, ConnectError> {
    let deadline = Instant::now() + within;
    let timed_out = || ConnectError::TimedOut { address: shown(address), within };
    let host = bare(&address.host);
    let resolved = timeout_at(deadline, lookup_host((host, address.port))).await.map_err(|_| timed_out())?;
    let not_found = |error| ConnectError::NameNotFound { host: address.host.clone(), error };
    let addresses = ordered(resolved.map_err(not_found)?);
    if addresses.is_empty() {
        return Err(not_found(io::Error::new(io::ErrorKind::NotFound, "it has no address")));
    }
    let (mut permitted, mut refused) = (VecDeque::new(), None);
    for &resolved in &addresses {
        match check(resolved) {
            Ok(()) => permitted.push_back(resolved),
            Err(why) => refused = Some(why),
        }
    }
    if let (true, Some(why)) = (permitted.is_empty(), refused) {
        return Err(ConnectError::Forbidden { address: shown(address), found: listed(&addresses), why });
    }
    match timeout_at(deadline, race(permitted.clone(), within)).await {
        Err(_) => Err(timed_out()),
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Err(ConnectError::Refused { address: shown(address), tried: listed(&permitted) })
        }
        Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => Err(timed_out()),
        Ok(Err(error)) => Err(ConnectError::Unreachable { address: shown(address), tried: listed(&permitted), error }),
    }
}

/// Connects to one address that was not configured. While the departure is held, [`super::is_departure`] knows the
/// connection, should a firewall rule lead it back here.
///
/// # Errors
///
/// When the address does not answer.
pub async fn depart(address: SocketAddr, within: Duration) -> Result<(TcpStream, Departure), ConnectError> {
    let shown = address.to_string();
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectError::Refused { address: shown.clone(), tried: shown.clone() },
        io::ErrorKind::TimedOut => ConnectError::TimedOut { address: shown.clone(), within },
        _ => ConnectError::Unreachable { address: shown.clone(), tried: shown.clone(), error },
    };
    let (socket, departure) = leaving(address).map_err(failed)?;
    let late = |_| ConnectError::TimedOut { address: shown.clone(), within };
    let stream = timeout(within, socket.connect(address)).await.map_err(late)?.and_then(prepared).map_err(failed)?;
    Ok((stream, departure))
}

/// A socket with a port of its own before it connects: the connection may be back before `connect` returns.
fn leaving(address: SocketAddr) -> io::Result<(TcpSocket, Departure)> {
    let (socket, any) = match address {
        SocketAddr::V4(_) => (TcpSocket::new_v4()?, IpAddr::from(Ipv4Addr::UNSPECIFIED)),
        SocketAddr::V6(_) => (TcpSocket::new_v6()?, IpAddr::from(Ipv6Addr::UNSPECIFIED)),
    };
    socket.bind((any, 0).into())?;
    let departure = Departure::from_port(socket.local_addr()?.port());
    Ok((socket, departure))
}

/// Starts an attempt at each address in turn, the next one early when one fails; the first connection wins.
async fn race(mut waiting: VecDeque<SocketAddr>, within: Duration) -> io::Result<TcpStream> {
    // There is nothing to race with.
    if let (1, Some(&address)) = (waiting.len(), waiting.front()) {
        return TcpStream::connect(address).await.and_then(prepared);
    }
    let addresses = u32::try_from(waiting.len()).unwrap_or(u32::MAX).max(1);
    // The last one still has half of the time.
    let stagger = STAGGER.min(within / 2 / addresses);
    // Dropping the set ends the attempts that are left.
    let mut attempts = JoinSet::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        if let Some(address) = waiting.pop_front() {
            attempts.spawn(TcpStream::connect(address));
        } else if attempts.is_empty() {
            return Err(failure);
        }
        let next = Instant::now() + stagger;
        tokio::select! {
            Some(attempt) = attempts.join_next() => match attempt.map_err(io::Error::other).flatten() {
                Ok(stream) => return prepared(stream),
                // A refusal tells more than a missing route of the other address family.
                Err(error) if failure.kind() != io::ErrorKind::ConnectionRefused => failure = error,
                Err(_) => {}
            },
            () = sleep_until(next), if !waiting.is_empty() => {}
        }
    }
}

fn prepared(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    // A server that vanished without a word is noticed before a session's deadlines are over.
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));
    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    Ok(stream)
}

/// The address families by turns, beginning with the one that the resolver prefers. Source: RFC 8305 section 4.
fn ordered(resolved: impl Iterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let mut resolved: Vec<_> = resolved.take(MAX_ADDRESSES).collect();
    resolved.dedup();
    let first_is_v6 = resolved.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (VecDeque<_>, VecDeque<_>) =
        resolved.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut ordered = VecDeque::new();
    while !first.is_empty() || !second.is_empty() {
        ordered.extend(first.pop_front());
        ordered.extend(second.pop_front());
    }
    ordered
}

fn listed(addresses: &VecDeque<SocketAddr>) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A host without the brackets of an IPv6 literal.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn shown(address: &Address) -> String {
    let host = bare(&address.host);
    if host.contains(':') { format!("[{host}]:{}", address.port) } else { format!("{host}:{}", address.port) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(10);

    fn address(host: &str, port: u16) -> Address {
        Address { host: host.into(), port }
    }

    #[test]
    fn the_address_families_take_turns() {
        let parse = |list: &[&str]| -> Vec<SocketAddr> { list.iter().map(|text| text.parse().unwrap()).collect() };
        let resolved = parse(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        let expected = parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
        assert_eq!(Vec::from(ordered(resolved.into_iter())), expected);
        let resolved = parse(&["1.1.1.1:1", "2.2.2.2:1", "[::1]:1"]);
        let expected = parse(&["1.1.1.1:1", "[::1]:1", "2.2.2.2:1"]);
        assert_eq!(Vec::from(ordered(resolved.into_iter())), expected);
    }

    #[tokio::test]
    async fn an_address_that_refuses_does_not_hide_one_that_answers() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [closed.local_addr().unwrap(), listener.local_addr().unwrap()];
        drop(closed);
        let stream = race(addresses.into(), WITHIN).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[1]);
        assert!(stream.nodelay().unwrap());
    }

    #[tokio::test]
    async fn errors_say_what_is_wrong_and_where() {
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = closed.local_addr().unwrap().port();
        drop(closed);
        let refused = connect(&address("localhost", port), WITHIN).await.unwrap_err();
        assert!(matches!(refused, ConnectError::Refused { .. }), "{refused}");
        assert!(refused.to_string().starts_with(&format!("`localhost:{port}` refuses connections")), "{refused}");
        // A label is too long for any name server to be asked.
        let name = "x".repeat(64);
        let unknown = connect(&address(&name, 110), WITHIN).await.unwrap_err();
        assert!(matches!(unknown, ConnectError::NameNotFound { .. }), "{unknown}");
        assert!(unknown.to_string().contains(&format!("`{name}`")), "{unknown}");
    }

    /// An address that answers no more: the queue of its listener is full. All of it has to be kept.
    async fn silent() -> (SocketAddr, socket2::Socket, Vec<TcpStream>) {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut queue = Vec::new();
        while let Ok(stream) = timeout_at(Instant::now() + STAGGER, TcpStream::connect(address)).await {
            queue.push(stream.unwrap());
            assert!(queue.len() < 64, "the queue never filled");
        }
        (address, socket, queue)
    }

    #[tokio::test]
    async fn the_time_given_is_kept() {
        let (silent, _socket, _queue) = silent().await;
        let error = connect(&address("127.0.0.1", silent.port()), Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(error, ConnectError::TimedOut { .. }), "{error}");
    }

    #[tokio::test]
    async fn the_last_of_fifty_addresses_has_its_chance() {
        let (silent, _socket, _queue) = silent().await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let last = listener.local_addr().unwrap();
        let mut addresses = VecDeque::from(vec![silent; 49]);
        addresses.push_back(last);
        let within = Duration::from_secs(1);
        let stream = timeout_at(Instant::now() + within, race(addresses, within)).await.unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), last);
    }

    #[tokio::test]
    async fn what_is_checked_is_what_is_connected_to() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let all = connect_where(&address("localhost", port), WITHIN, |_| Err(Forbidden::Local)).await.unwrap_err();
        assert!(matches!(all, ConnectError::Forbidden { why: Forbidden::Local, .. }), "{all}");
        assert!(all.to_string().contains(&format!("(found 127.0.0.1:{port}")) || all.to_string().contains("[::1]"));
        let some = |address: SocketAddr| if address.is_ipv6() { Err(Forbidden::Own) } else { Ok(()) };
        let stream = connect_where(&address("localhost", port), WITHIN, some).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
    }

    #[test]
    fn ipv6_literals_are_shown_with_brackets() {
        assert_eq!(shown(&address("::1", 995)), "[::1]:995");
        assert_eq!(shown(&address("[::1]", 995)), "[::1]:995");
        assert_eq!(shown(&address("mail.example.org", 995)), "mail.example.org:995");
    }
}
