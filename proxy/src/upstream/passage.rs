//! The way of a transparent listener's clients to the server that they meant.
//!
//! The client's own connection decides about TLS: encrypted from its first octet it goes on encrypted, in clear it goes on
//! in clear, and what STLS secures on one side it secures on the other. The name that the client asks for is the one that
//! the server has to prove.

use std::net::SocketAddr;

use popgate_config::Transparent;

use super::{Rules, Target, open::TargetTls};
use crate::net::{ClientTls, ClientTlsError, ClientTrust};

/// How a transparent listener takes its clients on.
pub struct Passage {
    /// None for a listener without TLS.
    trust: Option<ClientTrust>,
    /// Servers are trusted by their keys, whatever their names.
    pinned: bool,
}

impl Passage {
    /// Prepares it; `tls` if there is TLS on the listener.
    ///
    /// # Errors
    ///
    /// When `upstream_ca` can't be used or the system has no roots.
    pub fn new(transparent: &Transparent, tls: bool) -> Result<Self, ClientTlsError> {
        let trust = tls.then(|| ClientTrust::new(transparent.ca.as_deref(), &transparent.pin_sha256)).transpose()?;
        Ok(Self { trust, pinned: !transparent.pin_sha256.is_empty() })
    }

    /// How messages are fetched there.
    #[must_use]
    pub fn rules() -> Rules {
        Rules { apop: true, ..Rules::default() }
    }

    /// The server at the end of a connection in clear.
    #[must_use]
    pub fn in_clear(destination: SocketAddr) -> Target {
        Target::at(destination, TargetTls::None, Self::rules())
    }

    /// The server at the end of a connection under TLS; `name` is the one that the client has asked for.
    ///
    /// # Errors
    ///
    /// See [`Self::tls`].
    pub fn encrypted(&self, destination: SocketAddr, name: Option<&str>) -> Result<Target, ClientTlsError> {
        let tls = self.tls(destination, name)?;
        Ok(Target::at(destination, TargetTls::Implicit(tls), Self::rules()))
    }

    /// TLS towards the server: it has to prove the name that the client has asked for, or else its address, unless it is
    /// trusted by its key.
    ///
    /// # Errors
    ///
    /// When the listener has no TLS.
    pub fn tls(&self, destination: SocketAddr, name: Option<&str>) -> Result<ClientTls, ClientTlsError> {
        let address = destination.ip().to_string();
        let name = name.unwrap_or(&address);
        let trust = self.trust.as_ref().ok_or_else(|| ClientTlsError::ServerName { name: name.to_owned() })?;
        trust.towards(name)
    }

    /// Which server it is, where users of several are told apart: by the name that it has proved, or else by its address.
    #[must_use]
    pub fn identity(&self, destination: SocketAddr, name: Option<&str>) -> String {
        match name {
            // A key proves no name: one server could pass for another of those that are trusted.
            Some(name) if !self.pinned => name.to_owned(),
            _ => destination.to_string(),
        }
    }
}
