//! The proxy put together: what sessions share, listeners, reload and drain.

mod destination;
mod history;
mod lasting;
mod parts;
mod reception;
#[cfg(test)]
mod tests;
mod workers;

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use popgate_config::{Config, Listener, ListenerTls};
use tokio::net::lookup_host;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::{FAILED, USAGE};
use crate::net::{self, Acceptor};
use crate::session::driver::Observer;

pub(super) use lasting::Lasting;
pub(super) use parts::{IN_MEMORY, Parts, quarantine, spool};
use workers::Workers;

/// Why the proxy does not start. The text is complete, hint included.
#[derive(Debug)]
pub(super) enum StartError {
    /// The configuration, or something it names, has to be mended.
    Configuration(String),
    /// The machine is in the way.
    Running(String),
}

impl StartError {
    /// Tells the operator; gives the exit code.
    pub(super) fn tell(self) -> u8 {
        let code = match self {
            Self::Configuration(_) => USAGE,
            Self::Running(_) => FAILED,
        };
        eprintln!("{}", self.into_text().trim_end());
        code
    }

    /// The text alone.
    pub(super) fn into_text(self) -> String {
        let (Self::Configuration(text) | Self::Running(text)) = self;
        text
    }
}

/// A port that is open.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    /// The listener's name.
    pub(super) name: String,
    /// The address, with the port that was chosen for port 0.
    pub(super) address: SocketAddr,
    /// The mode as the configuration spells it.
    pub(super) tls: &'static str,
}

/// An open port and the task that accepts there.
struct Port {
    bound: Bound,
    socket: TcpListener,
    /// What the configuration says; port 0 stays 0.
    wanted: String,
    accepting: JoinHandle<()>,
}

/// The running proxy.
pub(super) struct Server {
    /// What connections that come in get.
    current: Arc<RwLock<Arc<Parts>>>,
    ports: Vec<Port>,
    workers: Arc<Workers>,
    lasting: Lasting,
    observer: Option<Observer>,
    /// Removes what is in quarantine for too long, by the configuration that is in force.
    expiring: JoinHandle<()>,
    /// Every session holds a clone; all are gone when the last session is.
    alive: mpsc::Sender<()>,
    ended: mpsc::Receiver<()>,
}

impl Server {
    /// Loads everything, then opens the ports.
    pub(super) async fn start(config: &Config) -> Result<Self, StartError> {
        Self::start_observed(config, None).await
    }

    /// The same, with somebody who is told of every message that filters have judged.
    pub(super) async fn start_observed(config: &Config, observer: Option<Observer>) -> Result<Self, StartError> {
        let mut lasting = Lasting::default();
        let parts = Parts::load(config, &mut lasting, observer.clone()).await?;
        // Mail flows without it; the filters that need it say so of each message.
        if let Err(text) = lasting.check_state(config).await {
            warn!("{}", text.trim_end());
        }
        if let Err(error) = parts.check_quarantine().await {
            warn!("{}", error.into_text().trim_end());
        }
        let (alive, ended) = mpsc::channel(1);
        let expiring = tokio::spawn(parts.keep_expired());
        let current = Arc::new(RwLock::new(Arc::new(parts)));
        let workers = Workers::start();
        let workers =
            workers.map_err(|error| StartError::Running(format!("error: no threads for sessions: {error}")))?;
        let workers = Arc::new(workers);
        let mut server = Self { current, ports: Vec::new(), workers, lasting, observer, expiring, alive, ended };
        let sockets = server.bind_new(&config.listeners).await?;
        server.open(sockets)?;
        server.let_through(&config.listeners);
        Ok(server)
    }

    /// Takes another configuration over: new sessions get it, those there keep what they have. Nothing changes if
    /// anything of it is broken.
    pub(super) async fn reload(&mut self, config: &Config) -> Result<(), StartError> {
        let parts = Parts::load(config, &mut self.lasting, self.observer.clone()).await?;
        let sockets = self.bind_new(&config.listeners).await?;
        let kept: HashMap<&str, String> =
            config.listeners.iter().map(|listener| (listener.name.as_str(), listener.address.to_string())).collect();
        self.ports.retain(|port| {
            let stays = kept.get(port.bound.name.as_str()) == Some(&port.wanted);
            if !stays {
                port.accepting.abort();
            }
            stays
        });
        for port in &mut self.ports {
            if let Some(listener) = config.listeners.iter().find(|listener| listener.name == port.bound.name) {
                port.bound.tls = spelled(listener.tls);
            }
        }
        self.expiring.abort();
        self.expiring = tokio::spawn(parts.keep_expired());
        match self.current.write() {
            Ok(mut current) => *current = Arc::new(parts),
            Err(poisoned) => *poisoned.into_inner() = Arc::new(parts),
        }
        self.open(sockets)?;
        self.let_through(&config.listeners);
        Ok(())
    }

    /// The open ports in the order of the configuration.
    pub(super) fn listeners(&self) -> impl Iterator<Item = &Bound> {
        self.ports.iter().map(|port| &port.bound)
    }

    /// The file of the own certificate authority, if one was made.
    pub(super) fn authority(&self) -> Option<std::path::PathBuf> {
        parts::current(&self.current).authority().map(Path::to_owned)
    }

    /// Lets nobody in any more and waits until the last session has ended or the time is over.
    pub(super) async fn drain(mut self, limit: Duration) {
        for port in &self.ports {
            port.accepting.abort();
        }
        drop(self.alive);
        let _ = tokio::time::timeout(limit, self.ended.recv()).await;
        parts::current(&self.current).finish().await;
    }

    /// Sockets for the listeners that have no port yet.
    async fn bind_new(&self, listeners: &[Listener]) -> Result<Vec<(Bound, String, TcpListener)>, StartError> {
        let mut sockets = Vec::new();
        for listener in listeners {
            let wanted = listener.address.to_string();
            if self.ports.iter().any(|port| port.bound.name == listener.name && port.wanted == wanted) {
                continue;
            }
            let fault = |text: String| fault(&listener.name, &text);
            let resolved = lookup_host((listener.address.host.as_str(), listener.address.port)).await;
            let address = resolved
                .map_err(|error| fault(format!("the address `{wanted}` has no meaning here: {error}")))?
                .next()
                .ok_or_else(|| fault(format!("the name of `{wanted}` has no address")))?;
            let socket = net::bind(address).map_err(|error| fault(error.to_string()))?;
            let address = socket.local_addr().map_err(|error| fault(error.to_string()))?;
            sockets.push((Bound { name: listener.name.clone(), address, tls: spelled(listener.tls) }, wanted, socket));
        }
        Ok(sockets)
    }

    fn open(&mut self, sockets: Vec<(Bound, String, TcpListener)>) -> Result<(), StartError> {
        let there = self.ports.iter().map(|port| port.bound.address);
        self.lasting.upstreams.own.set(there.chain(sockets.iter().map(|(bound, ..)| bound.address)).collect());
        for (bound, wanted, socket) in sockets {
            info!(listener = bound.name, address = %bound.address, tls = bound.tls, "listening");
            let worker = self.workers.next();
            let _inside = worker.enter();
            let acceptor = Acceptor::new(&socket);
            let acceptor = acceptor.map_err(|error| fault(&bound.name, &error.to_string()))?;
            let accepting = reception::accept(
                Arc::clone(&self.current),
                bound.name.clone(),
                acceptor,
                Arc::clone(&self.workers),
                self.alive.clone(),
            );
            self.ports.push(Port { bound, socket, wanted, accepting: worker.spawn(accepting) });
        }
        Ok(())
    }

    /// Lets transparent listeners take connections to any address, which TPROXY needs.
    fn let_through(&self, listeners: &[Listener]) {
        for port in &self.ports {
            let Bound { name, address, .. } = &port.bound;
            let transparent = listeners.iter().any(|it| it.name == *name && it.transparent.is_some());
            if let (true, Err(error)) = (transparent, net::allow_any_destination(&port.socket, *address)) {
                warn!(
                    listener = name,
                    %error,
                    "only connections by REDIRECT come in: TPROXY needs the capability CAP_NET_ADMIN when the port opens"
                );
            }
        }
    }
}

fn fault(listener: &str, text: &str) -> StartError {
    StartError::Running(format!("error: listener `{listener}`: {text}"))
}

fn spelled(tls: ListenerTls) -> &'static str {
    match tls {
        ListenerTls::None => "none",
        ListenerTls::Stls => "stls",
        ListenerTls::StlsRequired => "stls-required",
        ListenerTls::Implicit => "implicit",
    }
}
