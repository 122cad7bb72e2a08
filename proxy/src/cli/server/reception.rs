//! From an open port to a session: accept, believe a PROXY header, find out where the client was going, admit, encrypt.

use std::net::SocketAddr;
use std::sync::{Arc, RwLock};

use popgate_config::{Listener, ListenerTls};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tracing::field::{Empty, display};
use tracing::{Instrument, Span, debug, info, info_span, warn};

use super::Parts;
use super::destination;
use super::parts::current;
use super::workers::Workers;
use crate::net::{self, AcceptError, Acceptor, Door, Header, Stream};
use crate::session::Policy;
use crate::session::driver::{self, Arrival};

/// Accepts for ever. Each session gets a worker, and what comes before it is done there already.
pub(super) async fn accept(
    parts: Arc<RwLock<Arc<Parts>>>,
    name: String,
    acceptor: Acceptor,
    workers: Arc<Workers>,
    alive: mpsc::Sender<()>,
) {
    let name: Arc<str> = name.into();
    loop {
        // Leave to accept first: a flood of clients must not use up the descriptors.
        let door = current(&parts).admission.door().await;
        let (tcp, peer) = acceptor.accept().await;
        let parts = current(&parts);
        let (name, alive) = (Arc::clone(&name), alive.clone());
        workers.next().spawn(async move {
            let span = info_span!("session", client = Empty, listener = &*name, user = Empty, upstream = Empty);
            let arrival = receive(&parts, &name, tcp, peer, door, alive).instrument(span.clone()).await;
            // A task of its own: what comes before a session takes more room than the session.
            if let Some(arrival) = arrival {
                let services = Arc::clone(&parts.services);
                tokio::spawn(span.in_scope(|| driver::serve(services, arrival)).instrument(span));
            }
        });
    }
}

/// Takes one client from its first octet to the beginning of its session; none if it is not let in.
async fn receive(
    parts: &Parts,
    name: &Arc<str>,
    tcp: std::net::TcpStream,
    peer: SocketAddr,
    door: Door,
    alive: mpsc::Sender<()>,
) -> Option<Arrival> {
    let listener = parts.listeners.get(&**name)?;
    let mut stream = match TcpStream::from_std(tcp) {
        Ok(tcp) => Stream::prompt(tcp),
        Err(error) => {
            warn!(client = %peer.ip(), %error, "connection refused");
            return None;
        }
    };
    let (client, mut destination) = match addresses(parts, listener, &mut stream, peer).await {
        Ok(addresses) => addresses,
        Err(error) => {
            warn!(client = %peer.ip(), %error, "connection refused");
            return None;
        }
    };
    Span::current().record("client", display(client.ip().to_canonical()));
    let permit = match parts.admission.admit(door, client.ip()) {
        Ok(permit) => permit,
        Err((reason, _door)) => {
            warn!(%reason, "connection refused");
            refuse(parts, listener, stream, &format!("[SYS/TEMP] {reason}")).await;
            return None;
        }
    };
    if let Some(transparent) = &listener.transparent {
        match destination::of(transparent, listener.tls, &stream, peer, &parts.services.opener) {
            Ok(original) => destination = original,
            Err(reason) => {
                warn!(%reason, "connection refused");
                refuse(parts, listener, stream, &format!("[SYS/PERM] {reason}")).await;
                return None;
            }
        }
    }
    let tls = parts.tls(listener, destination.ip());
    let implicit = destination::is_encrypted(listener, destination);
    if implicit {
        let tls = tls.as_ref()?;
        stream = match timeout(parts.handshake, tls.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                match error {
                    AcceptError::Stranger(_) => info!(%error, "connection refused"),
                    _ => debug!(%error, "no TLS"),
                }
                return None;
            }
            Err(_) => {
                debug!("no TLS in time");
                return None;
            }
        };
    }
    Some(Arrival {
        stream,
        client,
        destination,
        listener: Arc::clone(name),
        upstream: listener.upstream.clone(),
        passage: parts.passages.get(&**name).cloned(),
        tls,
        policy: policy(parts, listener, client, implicit),
        counted: Box::new((permit, alive)),
    })
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
        sasl: parts.sasl(listener),
        passes_stls: listener.transparent.is_some(),
        bad_commands: parts.bad_commands,
    }
}
