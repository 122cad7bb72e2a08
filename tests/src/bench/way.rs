//! The ways from the load generator to the server.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use popgate_tests::PATIENCE;
use popgate_tests::popgate::Popgate;
use popgate_tests::process::{Process, folder, poll, write};
use tempfile::TempDir;

/// The field that a filter of [`FILTERS`] puts in front of every message.
const MARK: &str = "X-Bench: seen\r\n";
/// All bundled filters, one of which changes something.
const FILTERS: &str = "[[filter]]\nname = \"virus\"\nplugin = \"virus\"\n\
                       [[filter]]\nname = \"policy\"\nplugin = \"attachments\"\n\
                       [[filter]]\nname = \"mark\"\nplugin = \"rewrite\"\n\
                       [[filter.config.header]]\naction = \"add\"\nname = \"X-Bench\"\nvalue = \"seen\"\n";

/// A way to the server, and what it puts in front of each message.
#[derive(Debug)]
pub(crate) struct Way {
    name: &'static str,
    address: SocketAddr,
    mark: &'static str,
    proxy: Option<Proxy>,
}

#[derive(Debug)]
enum Proxy {
    Popgate(Box<Popgate>),
    Haproxy(Process, #[expect(dead_code, reason = "the folder goes when HAProxy does")] TempDir),
}

impl Way {
    /// All ways there are. HAProxy is one where it is installed.
    pub(crate) fn all(server: SocketAddr) -> Vec<Self> {
        let mut ways = vec![
            Self { name: "direct", address: server, mark: "", proxy: None },
            Self::popgate("popgate, no filter", server, ""),
            Self { mark: MARK, ..Self::popgate("popgate, 3 filters", server, FILTERS) },
        ];
        ways.extend(Self::haproxy(server));
        ways
    }

    fn popgate(name: &'static str, server: SocketAddr, filters: &str) -> Self {
        let popgate = Popgate::start(&format!(
            "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\ntls = \"none\"\nupstream = \"server\"\n\
             [[upstream]]\nname = \"server\"\naddress = \"{server}\"\ntls = \"none\"\n{filters}"
        ));
        let address = popgate.listener("pop3").address;
        Self { name, address, mark: "", proxy: Some(Proxy::Popgate(Box::new(popgate))) }
    }

    fn haproxy(server: SocketAddr) -> Option<Self> {
        let binary =
            ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy"].into_iter().find(|file| fs::metadata(file).is_ok())?;
        // It can't choose a port itself: one that is free now, and a second try if somebody was faster.
        for _ in 0..5 {
            let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr()).ok()?;
            let folder = folder();
            let file = folder.path().join("haproxy.cfg");
            write(
                &file,
                format!(
                    "defaults\n mode tcp\n timeout connect 10s\n timeout client 60s\n timeout server 60s\n\
                     listen pop3\n bind {address}\n server one {server}\n"
                ),
            );
            let process = Process::start(Command::new(binary).arg("-db").arg("-f").arg(&file));
            let connect = || TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok();
            if poll(Instant::now() + PATIENCE / 4, connect).is_some() {
                return Some(Self { name: "HAProxy", address, mark: "", proxy: Some(Proxy::Haproxy(process, folder)) });
            }
        }
        eprintln!("HAProxy does not start, and is left out");
        None
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn mark(&self) -> &'static str {
        self.mark
    }

    /// The processor time that the proxy has used so far, in user and kernel.
    ///
    /// Source: proc(5), fields 14 and 15 of `stat`, in ticks of 10 ms as on every Linux that Debian runs on.
    pub(crate) fn processor_time(&self) -> Option<Duration> {
        let id = match self.proxy.as_ref()? {
            Proxy::Popgate(popgate) => popgate.process().id(),
            Proxy::Haproxy(process, _) => process.id(),
        };
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The second field is the name in parentheses, in which anything may stand.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11).map_while(|field| field.parse::<u64>().ok());
        Some(Duration::from_millis(10 * (fields.next()? + fields.next()?)))
    }
}
