//! Where a transparent listener's client was going, and whether it is taken there.

use std::io;
use std::net::SocketAddr;

use popgate_config::{Listener, ListenerTls, Transparent};

use crate::net::{self, Stream};
use crate::upstream::Opener;

/// The port of POP3 that is encrypted from the first octet on. Source: RFC 8314 section 3.2.
const POP3S: u16 = 995;

/// Why a client is not taken where it was going.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoWay {
    /// It was going to the proxy itself, or the proxy's own connection was led back.
    #[error("this leads back to the proxy")]
    Loop,
    /// A port that is not listed.
    #[error("port {0} is not served here")]
    Port(u16),
    /// TLS, and the listener has none.
    #[error("port {POP3S} is encrypted, which this listener is not")]
    Encrypted,
    /// The system does not tell.
    #[error("the destination is unknown")]
    Unknown(#[from] io::Error),
}

/// Where the client was going.
pub(super) fn of(
    transparent: &Transparent,
    tls: ListenerTls,
    stream: &Stream,
    peer: SocketAddr,
    opener: &Opener,
) -> Result<SocketAddr, NoWay> {
    let destination = net::original_destination(stream)?;
    if opener.leads_back(destination) || net::is_departure(peer) {
        return Err(NoWay::Loop);
    }
    if !transparent.ports.contains(&destination.port()) {
        return Err(NoWay::Port(destination.port()));
    }
    if tls == ListenerTls::None && destination.port() == POP3S {
        return Err(NoWay::Encrypted);
    }
    Ok(destination)
}

/// Whether a client speaks TLS from its first octet on: by the listener, or by the port that it was going to.
pub(super) fn is_encrypted(listener: &Listener, destination: SocketAddr) -> bool {
    listener.tls == ListenerTls::Implicit || listener.transparent.is_some() && destination.port() == POP3S
}
