//! The server of a session: a configured one, one that the user has named, or the one that the client was going to.

use popgate_config::{Address, ServerInUser, UpstreamTls, server_address};

/// What stands before the server in a user's name.
const SEPARATOR: u8 = b'#';

/// Where a session goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Server {
    /// The upstream of this name.
    Configured(String),
    /// A server that the user has named, and that may be named.
    Named(NamedServer),
    /// Where the client of a transparent listener was going, by its [identity](super::Passage::identity).
    Meant(String),
}

/// A server that the configuration allows users to name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NamedServer {
    /// Where it is: host in lower case, without the dot of the root.
    pub address: Address,
    /// How the connection is encrypted.
    pub tls: UpstreamTls,
    /// Whether the operator has listed this very host, so that it may be one of the own network.
    pub listed: bool,
    /// Which route allows it, counted from 0.
    pub route: usize,
}

impl Server {
    /// Under which name things are kept for users of this server: that of the upstream, or the server's own, which its
    /// certificate bears.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Configured(name) | Self::Meant(name) => name,
            Self::Named(server) => &server.address.host,
        }
    }
}

impl NamedServer {
    /// The server of this text, if `servers`, those of the route at this place, hold it.
    pub(super) fn of(typed: &[u8], servers: &ServerInUser, route: usize) -> Option<Self> {
        let address = server_address(std::str::from_utf8(typed).ok()?).ok()?;
        let entry = servers.entry(&address)?;
        Some(Self { address, tls: entry.tls, listed: entry.is_literal(), route })
    }
}

/// Cuts a login name that holds a server in two: the name there, and the server.
pub(super) fn split(user: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memrchr(SEPARATOR, user)?;
    Some((&user[..at], &user[at + 1..]))
}
