//! Daemons that filters ask: clamd, spamd, rspamd, each with rules of the tests' own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::PATIENCE;
use crate::process::{Process, folder, poll, program, write};

/// What the daemons find: clamd as `Popgate.Test.UNOFFICIAL`, spamd as `POPGATE_TEST` with 7.5 points, rspamd (a standard text) as
/// `GTUBE`.
pub const MARK: &str = "popgate-scanner-test-XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X";

/// A running daemon.
#[derive(Debug)]
pub struct Scanner {
    #[expect(dead_code, reason = "it ends when this is dropped")]
    process: Process,
    #[expect(dead_code, reason = "the folder goes when the daemon does")]
    folder: TempDir,
    address: SocketAddr,
}

impl Scanner {
    /// ClamAV's daemon. A stream has at most 1 MB.
    ///
    /// # Panics
    ///
    /// If it is not installed, or does not get ready.
    #[must_use]
    pub fn clamd() -> Self {
        let binary = program("clamd", "clamav-daemon");
        Self::start("clamd", |folder, address| {
            let mark: String = MARK.bytes().map(|octet| format!("{octet:02x}")).collect();
            std::fs::create_dir(folder.join("signatures")).expect("the folder is new");
            write(&folder.join("signatures/test.ndb"), format!("Popgate.Test:0:*:{mark}\n"));
            let file = folder.join("clamd.conf");
            write(
                &file,
                format!(
                    "TCPSocket {}\nTCPAddr {}\nDatabaseDirectory {}\nForeground yes\nStreamMaxLength 1M\n",
                    address.port(),
                    address.ip(),
                    folder.join("signatures").display()
                ),
            );
            let mut command = Command::new(&binary);
            command.arg("--config-file").arg(file);
            command
        })
    }

    /// SpamAssassin's daemon.
    ///
    /// # Panics
    ///
    /// If it is not installed, or does not get ready.
    #[must_use]
    pub fn spamd() -> Self {
        let binary = program("spamd", "spamd");
        Self::start("spamd", |folder, address| {
            let rules = "body POPGATE_TEST /popgate-scanner-test/\nscore POPGATE_TEST 7.5\nuse_bayes 0\n";
            for place in ["rules", "site"] {
                std::fs::create_dir(folder.join(place)).expect("the folder is new");
            }
            write(&folder.join("rules/test.cf"), rules);
            write(&folder.join("site/test.pre"), "loadplugin Mail::SpamAssassin::Plugin::Check\n");
            let mut command = Command::new(&binary);
            command.arg("--listen").arg(address.to_string()).args(["--local", "--nouser-config", "--max-children=2"]);
            command.arg("--configpath").arg(folder.join("rules")).arg("--siteconfigpath").arg(folder.join("site"));
            command.arg("--helper-home-dir").arg(folder).env("HOME", folder);
            command
        })
    }

    /// rspamd, with nothing but what is built in.
    ///
    /// # Panics
    ///
    /// If it is not installed, or does not get ready.
    #[must_use]
    pub fn rspamd() -> Self {
        let binary = program("rspamd", "rspamd");
        Self::start("rspamd", |folder, address| {
            let file = folder.join("rspamd.conf");
            write(
                &file,
                format!(
                    "options {{ pidfile = \"{0}/pid\"; tempdir = \"{0}\"; filters = \"\"; dns {{ nameserver = [\"127.0.0.1\"]; }} \
                     control_socket = \"{0}/control\"; hs_cache_dir = \"{0}\"; }}\n\
                     logging {{ type = \"console\"; level = \"warning\"; }}\n\
                     actions {{ reject = 15; \"add header\" = 6; }}\n\
                     worker \"normal\" {{ bind_socket = \"{address}\"; count = 1; }}\n",
                    folder.display()
                ),
            );
            let mut command = Command::new(&binary);
            command.args(["--no-fork", "--insecure", "--config"]).arg(file);
            command
        })
    }

    /// Starts a daemon at an address that is free.
    fn start(name: &str, command: impl Fn(&Path, SocketAddr) -> Command) -> Self {
        // It can't choose a port itself: one that is free now, and another try if somebody was faster.
        for _ in 0..3 {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
            let address = free.expect("a port is free");
            let folder = folder();
            let process = Process::start(&mut command(folder.path(), address));
            let connect = || TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok();
            if poll(Instant::now() + PATIENCE, connect).is_some() {
                return Self { process, folder, address };
            }
        }
        panic!("{name} does not start");
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
