//! Listening sockets, and accepting on them without end.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tracing::warn;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// How long accepting pauses when the machine has no room for another connection.
const PAUSE: Duration = Duration::from_millis(100);
/// How often that is said.
const WARN_EVERY: Duration = Duration::from_secs(30);

/// Why an address can't be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program listens there.
    #[error("the address `{address}` is taken\nhint: `ss -ltnp 'sport = :{}'` shows by whom; port 0 takes any free one", address.port())]
    Taken {
        /// The address.
        address: SocketAddr,
    },
    /// A port for which the user has no right.
    #[error(
        "the port of `{address}` is privileged\nhint: start as root with `user` in the configuration, give the capability CAP_NET_BIND_SERVICE, or use a port from 1024 on"
    )]
    Privileged {
        /// The address.
        address: SocketAddr,
    },
    /// An address that this machine does not have.
    #[error(
        "the address `{address}` is not one of this machine\nhint: `ip address` lists them; `0.0.0.0` and `[::]` mean all"
    )]
    NotLocal {
        /// The address.
        address: SocketAddr,
    },
    /// Anything else.
    #[error(
        "can't listen on `{address}`: {error}\nhint: the system refuses it; `dmesg` or the security policy may say why"
    )]
    Other {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
}

/// Listens on an address; port 0 takes any free one. `[::]` takes IPv4 as well.
///
/// # Errors
///
/// When the address is taken, is not this machine's, or needs rights.
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    listen(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => BindError::Taken { address },
        io::ErrorKind::PermissionDenied if address.port() < 1024 => BindError::Privileged { address },
        io::ErrorKind::AddrNotAvailable => BindError::NotLocal { address },
        _ => BindError::Other { address, error },
    })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(address.ip() != Ipv6Addr::UNSPECIFIED)?;
    }
    // After a restart the port is free at once, although old connections linger.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // What is accepted inherits it (tcp(7) does not say so, Linux does it): a call less for each connection.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Takes connections off a socket. They belong to no runtime yet: a session's is chosen by who accepts.
#[derive(Debug)]
pub struct Acceptor(AsyncFd<TcpListener>);

impl Acceptor {
    /// Accepts in the runtime that this is called in.
    ///
    /// # Errors
    ///
    /// When the system can't watch another descriptor.
    #[expect(deprecated, reason = "its successor is unsafe for types whose descriptor changes; a socket's does not")]
    pub fn new(socket: &TcpListener) -> io::Result<Self> {
        Ok(Self(AsyncFd::with_interest(socket.try_clone()?, Interest::READABLE)?))
    }

    /// The next connection, non-blocking, and from where. Cancellation-safe.
    ///
    /// Never fails: a connection that broke while it waited is passed over, and where descriptors or memory have run out
    /// accepting pauses and recovers by itself.
    pub async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            // Not by tokio: a connection that this runtime has watched would have to be taken out of its hands again.
            match self.0.async_io(Interest::READABLE, accepted).await {
                Ok((stream, peer)) => return (stream, canonical(peer)),
                Err(error) if is_exhaustion(&error) => {
                    warn_of(&error);
                    tokio::time::sleep(PAUSE).await;
                }
                // The connection's own fault (accept(2) lists the network's errors), gone with it.
                Err(error) => {
                    tracing::debug!(%error, "connection lost before it was accepted");
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

/// One call of the system; the standard library takes two.
fn accepted(socket: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = acceptfrom_with(socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    // The socket's own family, so it has one.
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok()).ok_or(io::ErrorKind::ConnectionAborted)?;
    Ok((stream.into(), peer))
}

fn is_exhaustion(error: &io::Error) -> bool {
    let full = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS];
    full.into_iter().any(|full| error.raw_os_error() == Some(full.raw_os_error()))
}

/// Says once a while that connections have to wait.
fn warn_of(error: &io::Error) {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    /// Seconds since the start at which it may be said again.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = START.elapsed().as_secs();
    let next = NEXT.load(Ordering::Relaxed);
    let won = || NEXT.compare_exchange(next, now + WARN_EVERY.as_secs(), Ordering::Relaxed, Ordering::Relaxed).is_ok();
    if now >= next && won() {
        warn!(%error, "no room for more connections, new ones wait; hint: raise the limit of open files (`ulimit -n`)");
    }
}

/// An IPv4 client of a `[::]` listener is shown as what it is.
fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn faults_of_an_address_are_told_apart() {
        let listener = bind(address("127.0.0.1:0")).unwrap();
        let taken = bind(listener.local_addr().unwrap()).unwrap_err();
        assert!(matches!(taken, BindError::Taken { .. }), "{taken}");
        // TEST-NET-1 (RFC 5737) is nobody's.
        let foreign = bind(address("192.0.2.1:0")).unwrap_err();
        assert!(matches!(foreign, BindError::NotLocal { .. }), "{foreign}");
    }

    #[tokio::test]
    async fn a_dual_stack_listener_shows_ipv4_clients_as_such() {
        let listener = bind(address("[::]:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (_, peer) = Acceptor::new(&listener).unwrap().accept().await;
        assert_eq!(peer, client.local_addr().unwrap());
    }

    #[test]
    fn running_out_is_not_the_connection_s_fault() {
        let error = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        assert!([Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS].map(error).iter().all(is_exhaustion));
        assert!(![Errno::CONNABORTED, Errno::PERM, Errno::PROTO].map(error).iter().any(is_exhaustion));
    }
}
