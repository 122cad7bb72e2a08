//! From an open port to a session: accept, believe a PROXY header, find out where the client was going, admit, encrypt.

use std::net::SocketAddr;
use std::sync::{Arc, RwLock};

use popgate_config::{Listener, ListenerTls};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tracing::field::{Empty, display};
use tracing::{Instrument, Span, debug, info, info_span, warn};

use super::Parts;
use super::destination;
use super::parts::current;
use crate::net::{self, AcceptError, Door, Header, Stream};
use crate::session::Policy;
use crate::session::driver::{self, Arrival};

/// Accepts for ever.
pub(super) async fn accept(
    parts: Arc<RwLock<Arc<Parts>>>,
    name: String,
    socket: Arc<TcpListener>,
    alive: mpsc::Sender<()>,
) {
    loop {
        // Leave to accept first: a flood of clients must not use up the descriptors.
        let door = current(&parts).admission.door().await;
        let (tcp, peer) = net::accept(&socket).await;
        let parts = current(&parts);
        let (name, alive) = (name.clone(), alive.clone());
        tokio::spawn(async move {
            let span = info_span!("session", client = Empty, listener = name, user = Empty, upstream = Empty);
            receive(&parts, &name, tcp, peer, door).instrument(span).await;
            drop(alive);
        });
    }
}

/// Takes one client from its first octet to the end of its session.
async fn receive(parts: &Parts, name: &str, tcp: TcpStream, peer: SocketAddr, door: Door) {
    let Some(listener) = parts.listeners.get(name) else { return };
    let mut stream = Stream::new(tcp);
    let (client, mut destination) = match addresses(parts, listener, &mut stream, peer).await {
        Ok(addresses) => addresses,
        Err(error) => return warn!(client = %peer.ip(), %error, "connection refused"),
    };
    Span::current().record("client", display(client.ip().to_canonical()));
    let _permit = match parts.admission.admit(door, client.ip()) {
        Ok(permit) => permit,
        Err((reason, _door)) => {
            warn!(%reason, "connection refused");
            return refuse(parts, listener, stream, &format!("[SYS/TEMP] {reason}")).await;
        }
    };
    if let Some(transparent) = &listener.transparent {
        match destination::of(transparent, listener.tls, &stream, peer, &parts.services.opener) {
            Ok(original) => destination = original,
            Err(reason) => {
                warn!(%reason, "connection refused");
                return refuse(parts, listener, stream, &format!("[SYS/PERM] {reason}")).await;
            }
        }
    }
    let tls = parts.tls(listener, destination.ip());
    let implicit = destination::is_encrypted(listener, destination);
    if implicit {
        let Some(tls) = &tls else { return };
        // Apart: a session that has its handshake behind it need not hold room for one.
        stream = match Box::pin(timeout(parts.handshake, tls.accept(stream))).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error @ AcceptError::Stranger(_))) => return info!(%error, "connection refused"),
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
        passage: parts.passages.get(name).cloned(),
        tls,
        policy: policy(parts, listener, client, implicit),
    };
    driver::serve(Arc::clone(&parts.services), arrival).await;
}

/// Ends a connection with an error, where the client can be told in clear.
async fn refuse(parts: &Parts, listener: &Listener, mut stream: Stream, reason: &str) {
    if listener.tls != ListenerTls::Implicit {
        let reply = format!("-ERR {reason}\r\n");
        let told = async { stream.write_all(reply.as_bytes()).await.and(stream.shutdown().await) };
        let _ = timeout(parts.handshake, told).await;
    }
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

fn policy(parts: &Parts, listener: &Listener, client: SocketAddr, implicit_tls: bool) -> Policy {
    let upstream = listener.upstream.as_deref();
    let at_once = |name: &str| listener.kpop || !parts.services.opener.own_greeting(name);
    Policy {
        client: client.ip().to_canonical(),
        implicit_tls,
        stls: matches!(listener.tls, ListenerTls::Stls | ListenerTls::StlsRequired),
        encryption_required: listener.tls == ListenerTls::StlsRequired,
        allow_cleartext: listener.allow_cleartext,
        // A Kerberos exchange needs the server at once.
        fixed_upstream: listener.transparent.is_some() || upstream.is_some_and(at_once),
        kpop: listener.kpop,
        sasl: listener.sasl.iter().map(|mechanism| mechanism.name()).collect(),
        passes_stls: listener.transparent.is_some(),
        bad_commands: parts.bad_commands,
    }
}
