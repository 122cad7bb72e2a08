//! Where TLS is: nowhere, in front of the proxy, or on both sides of it; and the certificates that takes.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use popgate_tests::certificates::{Certificates, trust};
use popgate_tests::upstream::mailbox::Mailbox;
use rustls::ClientConfig;
use rustls::client::Resumption;

/// Which sides speak TLS. A direct connection under TLS is what both of the others are compared with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    Plain,
    Front,
    Both,
}

/// All modes, in the order of the report.
pub(crate) const MODES: [Mode; 3] = [Mode::Plain, Mode::Front, Mode::Both];

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Front => "TLS in front",
            Self::Both => "TLS on both sides",
        }
    }

    /// As it is given on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Front => "front",
            Self::Both => "both",
        }
    }

    pub(crate) fn client_has_tls(self) -> bool {
        self != Self::Plain
    }

    pub(crate) fn server_has_tls(self) -> bool {
        self == Self::Both
    }
}

/// What proxies and servers show, for the whole run.
#[derive(Debug)]
pub(crate) struct Pki {
    pub(crate) certificates: Certificates,
    /// What clients use: each handshake is a full one.
    pub(crate) client: Arc<ClientConfig>,
    /// The same for clients that come back.
    pub(crate) returning: Arc<ClientConfig>,
}

impl Pki {
    pub(crate) fn create(folder: &Path) -> Self {
        let certificates = Certificates::create(folder, "bench");
        let returning = trust(&certificates.ca);
        let mut client = ClientConfig::clone(&returning);
        client.resumption = Resumption::disabled();
        Self { certificates, client: Arc::new(client), returning }
    }
}

/// A mailbox, in clear and under TLS.
#[derive(Debug)]
pub(crate) struct Servers {
    clear: Mailbox,
    tls: Mailbox,
}

impl Servers {
    pub(crate) fn serve(messages: &[Vec<u8>], pki: &Pki) -> Self {
        Self { clear: Mailbox::serve(messages), tls: Mailbox::serve_tls(messages, pki.certificates.server()) }
    }

    /// The one that a proxy has behind it.
    pub(crate) fn behind(&self, mode: Mode) -> SocketAddr {
        if mode.server_has_tls() { self.tls.address() } else { self.clear.address() }
    }

    /// The one that a client without a proxy connects to.
    pub(crate) fn direct(&self, mode: Mode) -> SocketAddr {
        if mode.client_has_tls() { self.tls.address() } else { self.clear.address() }
    }
}
