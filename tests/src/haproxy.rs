//! HAProxy as the balancer before popgate.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::PATIENCE;
use crate::process::{Process, folder, poll, program, write};

/// A running HAProxy that hands every connection on.
#[derive(Debug)]
pub struct Haproxy {
    #[expect(dead_code, reason = "it ends when this is dropped")]
    process: Process,
    #[expect(dead_code, reason = "the folder goes when HAProxy does")]
    folder: TempDir,
    address: SocketAddr,
}

impl Haproxy {
    /// Starts it before this server. `keyword`: what the server's line ends with, such as `send-proxy`.
    ///
    /// # Panics
    ///
    /// If it is not installed, or does not get ready.
    #[must_use]
    pub fn start(server: SocketAddr, keyword: &str) -> Self {
        let binary = program("haproxy", "haproxy");
        // It can't choose a port itself: one that is free now, and another try if somebody was faster.
        for _ in 0..5 {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
            let address = free.expect("a port is free");
            let folder = folder();
            let file = folder.path().join("haproxy.cfg");
            let text = format!(
                "defaults\n mode tcp\n timeout connect 10s\n timeout client 60s\n timeout server 60s\n\
                 listen pop3\n bind {address}\n server one {server} {keyword}\n"
            );
            write(&file, text);
            let process = Process::start(Command::new(&binary).arg("-db").arg("-f").arg(&file));
            let connect = || TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok();
            if poll(Instant::now() + PATIENCE / 4, connect).is_some() {
                return Self { process, folder, address };
            }
        }
        panic!("HAProxy does not start");
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
