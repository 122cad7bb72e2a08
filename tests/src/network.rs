//! Networks of a test's own: a client, a router and a server that nobody else can reach or see.
//!
//! Each is a network namespace of the kernel without a name, so it goes with the test process, in whatever way that ends;
//! and tests that run at the same time may use the same addresses and ports.

use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, setns, unshare};
use rustix::process::geteuid;

use crate::process::program;

/// The client's address.
pub const CLIENT: &str = "10.7.0.2";
/// The client's IPv6 address.
pub const CLIENT_V6: &str = "fd07::2";
/// The router's address on the client's side.
pub const ROUTER: &str = "10.7.0.1";
/// The router's IPv6 address on the client's side.
pub const ROUTER_V6: &str = "fd07::1";
/// The server's address.
pub const SERVER: &str = "10.8.0.2";
/// The server's IPv6 address.
pub const SERVER_V6: &str = "fd08::2";

/// A client and a server with a router between them.
#[derive(Debug)]
pub struct Network {
    /// Whose way to the server leads over the router.
    pub client: Space,
    /// Where a transparent proxy runs.
    pub router: Space,
    /// What the client wants to reach.
    pub server: Space,
}

impl Network {
    /// Makes it.
    ///
    /// # Panics
    ///
    /// If the tests do not run as root, a program is missing, or the kernel will not.
    #[must_use]
    pub fn create() -> Self {
        assert!(geteuid().is_root(), "namespaces are made by root\nhint: run the tests as root");
        let network = Self { client: Space::create(), router: Space::create(), server: Space::create() };
        let Self { client, router, server } = &network;
        for (name, other) in [("client", client), ("server", server)] {
            router.ip(&format!("link add {name} type veth peer name router netns {}", other.path()));
        }
        router.ip(&format!("address add {ROUTER}/24 dev client"));
        router.ip(&format!("address add {ROUTER_V6}/64 dev client nodad"));
        router.ip("address add 10.8.0.1/24 dev server");
        router.ip("address add fd08::1/64 dev server nodad");
        client.ip(&format!("address add {CLIENT}/24 dev router"));
        client.ip(&format!("address add {CLIENT_V6}/64 dev router nodad"));
        server.ip(&format!("address add {SERVER}/24 dev router"));
        server.ip(&format!("address add {SERVER_V6}/64 dev router nodad"));
        for (space, links) in
            [(router, &["lo", "client", "server"][..]), (client, &["lo", "router"]), (server, &["lo", "router"])]
        {
            for link in links {
                space.ip(&format!("link set {link} up"));
            }
        }
        client.ip(&format!("route add default via {ROUTER}"));
        client.ip(&format!("-6 route add default via {ROUTER_V6}"));
        server.ip("route add default via 10.8.0.1");
        server.ip("-6 route add default via fd08::1");
        // Packets that a rule leads to the router itself need no more; without a rule they go on.
        for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            router.within(|| std::fs::write(format!("/proc/sys/net/{switch}"), "1").expect("a router may forward"));
        }
        network
    }
}

/// A network namespace, kept by its open file.
pub struct Space(File);

impl Space {
    fn create() -> Self {
        std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("the kernel makes network namespaces");
            Self(File::open("/proc/thread-self/ns/net").expect("a thread may see its namespace"))
        })
        .join()
        .expect("a network namespace can be made")
    }

    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Does something in there. Sockets and programs that begin there stay there.
    ///
    /// # Panics
    ///
    /// If it panics.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&self.0, CloneFlags::CLONE_NEWNET).expect("root may enter a namespace");
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs `ip` with these arguments.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn ip(&self, arguments: &str) {
        let mut command = Command::new(program("ip", "iproute2"));
        self.run(command.args(arguments.split(' ')), "");
    }

    /// Has the firewall take these rules.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn firewall(&self, rules: &str) {
        let mut command = Command::new(program("nft", "nftables"));
        self.run(command.args(["-f", "-"]), rules);
    }

    fn run(&self, command: &mut Command, input: &str) {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.within(|| command.spawn()).unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut stdin = child.stdin.take().expect("standard input is piped");
        stdin.write_all(input.as_bytes()).expect("a program reads its input");
        drop(stdin);
        let output = child.wait_with_output().expect("a child can be waited for");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?} fails: {errors}\n{input}");
    }
}

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Space({})", self.path())
    }
}
