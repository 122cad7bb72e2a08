//! Servers that are made of nothing but what a test wants them to say.

pub mod mailbox;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::PATIENCE;
use crate::connection::Connection;
use crate::process::poll;

/// A server whose side of the conversation the test itself plays, step by step.
#[derive(Debug)]
pub struct Upstream {
    listener: TcpListener,
    address: SocketAddr,
}

impl Upstream {
    /// Listens on a free port of the loopback address.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[must_use]
    pub fn listen() -> Self {
        Self::listen_at((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// Listens on an address of the test's own network.
    ///
    /// # Panics
    ///
    /// If it is not there, or taken.
    #[must_use]
    pub fn listen_at(address: SocketAddr) -> Self {
        // A program that another test starts at this moment may still hold the listener that was closed just now.
        let free = || match TcpListener::bind(address) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => None,
            bound => Some(bound.unwrap_or_else(|error| panic!("{address}: {error}"))),
        };
        let listener = poll(Instant::now() + PATIENCE, free).unwrap_or_else(|| panic!("{address} is taken"));
        listener.set_nonblocking(true).expect("a socket takes options");
        let address = listener.local_addr().expect("a bound socket has an address");
        Self { listener, address }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection.
    ///
    /// # Panics
    ///
    /// If nobody connects in time.
    #[must_use]
    pub fn accept(&self) -> Connection {
        poll(Instant::now() + PATIENCE, || self.try_accept()).expect("upstream: nobody connected")
    }

    /// The next connection, if somebody has connected already.
    ///
    /// # Panics
    ///
    /// If the listener is broken.
    #[must_use]
    pub fn try_accept(&self) -> Option<Connection> {
        match self.listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).expect("a socket takes options");
                Some(Connection::over("upstream", stream))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("upstream: {error}"),
        }
    }

    /// # Panics
    ///
    /// If somebody has connected.
    pub fn expect_nobody(&self) {
        assert!(self.listener.accept().is_err(), "upstream: nobody was expected to connect");
    }

    /// Plays a script with the next connection, in a thread of its own. Join it, so that what fails there is seen.
    #[must_use]
    pub fn play(self, script: impl FnOnce(Connection) + Send + 'static) -> JoinHandle<()> {
        std::thread::spawn(move || script(self.accept()))
    }

    /// Plays a script with every connection, each in a thread of its own, for as long as the tests run.
    pub fn play_each(self, script: impl Fn(Connection) + Clone + Send + 'static) {
        self.listener.set_nonblocking(false).expect("a socket takes options");
        std::thread::spawn(move || {
            for stream in self.listener.incoming().flatten() {
                let script = script.clone();
                std::thread::spawn(move || script(Connection::over("upstream", stream)));
            }
        });
    }
}
