//! `popgate run`: the proxy itself.

use std::path::Path;

use popgate_config::Config;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::server::{Server, StartError};
use super::{DONE, privileges};

/// Runs until a signal ends it.
pub(super) async fn main(path: &Path) -> u8 {
    match run(path).await {
        Ok(()) => DONE,
        Err(error) => error.tell(),
    }
}

async fn run(path: &Path) -> Result<(), StartError> {
    let config = configuration(path)?;
    let mut signals =
        Signals::new().map_err(|error| StartError::Running(format!("error: no signal handlers: {error}")))?;
    let mut server = Server::start(&config).await?;
    if let Some(user) = &config.user {
        privileges::drop_to(user, &config.state_dir).map_err(StartError::Running)?;
    }
    announce(&server);
    while let Told::Reload = signals.next().await {
        reload(path, &mut server).await;
    }
    info!(drain = ?config.limits.drain, "stopping: no new sessions");
    tokio::select! {
        () = server.drain(config.limits.drain) => {}
        () = signals.stop() => info!("stopping at once"),
    }
    Ok(())
}

/// Reads a configuration and shows its warnings.
pub(super) fn configuration(path: &Path) -> Result<Config, StartError> {
    let config = popgate_config::load(path).map_err(|error| StartError::Configuration(error.to_string()))?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    Ok(config)
}

/// Tells where clients may connect.
fn announce(server: &Server) {
    if let Some(path) = server.authority() {
        println!("ca {}", path.display());
    }
    for listener in server.listeners() {
        println!("listening {} {} {}", listener.name, listener.address, listener.tls);
    }
    println!("ready");
}

/// Reads everything again. What is broken leaves the running configuration as it is.
async fn reload(path: &Path, server: &mut Server) {
    let loaded = match configuration(path) {
        Ok(config) => server.reload(&config).await,
        Err(error) => Err(error),
    };
    match loaded {
        Ok(()) => info!("configuration reloaded"),
        Err(fault) => {
            let (StartError::Configuration(text) | StartError::Running(text)) = fault;
            error!("configuration not reloaded, the old one stays:\n{}", text.trim_end());
        }
    }
}

/// What a signal asks for.
enum Told {
    Reload,
    Stop,
}

struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.hangup.recv() => Told::Reload,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.terminate.recv() => Told::Stop,
        }
    }

    async fn stop(&mut self) {
        while let Told::Reload = self.next().await {}
    }
}
