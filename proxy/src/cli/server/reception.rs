//! From an open port to a session: accept, believe a PROXY header, admit, encrypt.

use std::net::SocketAddr;
use std::sync::{Arc, RwLock};

use popgate_config::{Listener, ListenerTls};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tracing::field::Empty;
use tracing::{Instrument, debug, info_span, warn};

use super::Parts;
use super::parts::current;
use crate::net::{self, Door, Header, Stream};
use crate::session::Policy;
use crate::session::driver::{self, Arrival};

/// Accepts for ever.
pub(super) async fn accept(parts: Arc<RwLock<Arc<Parts>>>, name: String, socket: TcpListener, alive: mpsc::Sender<()>) {
    loop {
        // Leave to accept first: a flood of clients must not use up the descriptors.
        let door = current(&parts).admission.door().await;
        let (tcp, peer) = net::accept(&socket).await;
        let parts = current(&parts);
        let (name, alive) = (name.clone(), alive.clone());
        tokio::spawn(async move {
            let span = info_span!("session", client = %peer.ip(), listener = name, user = Empty, upstream = Empty);
            receive(&parts, &name, tcp, peer, door).instrument(span).await;
            drop(alive);
        });
    }
}

/// Takes one client from its first octet to the end of its session.
async fn receive(parts: &Parts, name: &str, tcp: TcpStream, peer: SocketAddr, door: Door) {
    let Some(listener) = parts.listeners.get(name) else { return };
    let mut stream = Stream::new(tcp);
    let (client, destination) = match addresses(parts, listener, &mut stream, peer).await {
        Ok(addresses) => addresses,
        Err(error) => return warn!(%error, "connection refused"),
    };
    let _permit = match parts.admission.admit(door, client.ip()) {
        Ok(permit) => permit,
        Err((reason, _door)) => {
            warn!(%client, %reason, "connection refused");
            if listener.tls != ListenerTls::Implicit {
                let reply = format!("-ERR [SYS/TEMP] {reason}\r\n");
                let told = async { stream.write_all(reply.as_bytes()).await.and(stream.shutdown().await) };
                let _ = timeout(parts.handshake, told).await;
            }
            return;
        }
    };
    if listener.tls == ListenerTls::Implicit {
        let Some(tls) = parts.tls(name) else { return };
        // Apart: a session that has its handshake behind it need not hold room for one.
        stream = match Box::pin(timeout(parts.handshake, tls.accept(stream))).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return debug!(%error, "no TLS"),
            Err(_) => return debug!("no TLS in time"),
        };
    }
    let arrival = Arrival {
        stream,
        client,
        destination,
        listener: name.into(),
        upstream: listener.upstream.clone(),
        tls: parts.tls(name).cloned(),
        policy: policy(parts, listener, client),
    };
    driver::serve(Arc::clone(&parts.services), arrival).await;
}

/// The client's address and the one that it connected to: the connection's, or those in a trusted balancer's PROXY header.
async fn addresses(
    parts: &Parts,
    listener: &Listener,
    stream: &mut Stream,
    peer: SocketAddr,
) -> Result<(SocketAddr, SocketAddr), net::ReadHeaderError> {
    let own = stream.local()?;
    if !net::is_trusted(&listener.proxy_protocol_from, peer.ip()) {
        return Ok((peer, own));
    }
    match net::read_header(stream, Instant::now() + parts.handshake).await? {
        Header::Proxied { source, destination } => Ok((source, destination)),
        Header::Local => Ok((peer, own)),
    }
}

fn policy(parts: &Parts, listener: &Listener, client: SocketAddr) -> Policy {
    let upstream = listener.upstream.as_deref();
    Policy {
        client: client.ip().to_canonical(),
        implicit_tls: listener.tls == ListenerTls::Implicit,
        stls: matches!(listener.tls, ListenerTls::Stls | ListenerTls::StlsRequired),
        encryption_required: listener.tls == ListenerTls::StlsRequired,
        allow_cleartext: listener.allow_cleartext,
        // A Kerberos exchange needs the server at once.
        fixed_upstream: upstream.is_some_and(|name| listener.kpop || !parts.services.opener.rules(name).own_greeting),
        kpop: listener.kpop,
        sasl: listener.sasl.iter().map(|mechanism| mechanism.name()).collect(),
        bad_commands: parts.bad_commands,
    }
}
