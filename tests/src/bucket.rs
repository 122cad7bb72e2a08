//! A server that speaks S3, with a bucket in memory: moto.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::process::{Process, poll};

/// How the server is installed where it is missing.
const INSTALL: &str =
    "python3 -m venv ~/.cache/popgate-tests/moto && ~/.cache/popgate-tests/moto/bin/pip install 'moto[server]==5.2.1'";

/// How long it takes to start on a busy machine.
const START: Duration = Duration::from_secs(60);

/// The name of the bucket.
pub const BUCKET: &str = "held-mail";

/// The server with an empty bucket.
#[derive(Debug)]
pub struct Bucket {
    process: Process,
    address: SocketAddr,
}

impl Bucket {
    /// Starts the server at a port that is free.
    ///
    /// # Panics
    ///
    /// If it is not installed, or does not get ready.
    #[must_use]
    pub fn start() -> Self {
        for _ in 0..3 {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
            if let Some(bucket) = Self::start_at(free.expect("a port is free")) {
                return bucket;
            }
        }
        panic!("moto does not start");
    }

    /// Starts it at this address, with an empty bucket; none if it does not get ready there.
    #[must_use]
    pub fn start_at(address: SocketAddr) -> Option<Self> {
        let mut command = Command::new(program());
        command.args(["-H", "127.0.0.1", "-p"]).arg(address.port().to_string());
        let bucket = Self { process: Process::start(&mut command), address };
        poll(Instant::now() + START, || TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok())?;
        let reply = bucket.request("PUT", "");
        reply.starts_with("HTTP/1.1 200").then_some(bucket)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it, and waits until it has.
    pub fn stop(mut self) {
        self.process.kill();
    }

    /// The names of all objects.
    ///
    /// # Panics
    ///
    /// If they can't be listed.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let listed = self.request("GET", "?list-type=2");
        assert!(listed.starts_with("HTTP/1.1 200"), "{listed}");
        listed.split("<Key>").skip(1).filter_map(|rest| Some(rest.split_once("</Key>")?.0.to_owned())).collect()
    }

    /// Removes an object.
    ///
    /// # Panics
    ///
    /// If it can't be removed.
    pub fn remove(&self, name: &str) {
        let reply = self.request("DELETE", &format!("/{name}"));
        assert!(reply.starts_with("HTTP/1.1 204"), "{reply}");
    }

    /// A request for the bucket; the reply with its header.
    fn request(&self, method: &str, what: &str) -> String {
        let mut stream = TcpStream::connect(self.address).expect("the server listens");
        let host = "s3.us-east-1.amazonaws.com";
        let length = if method == "PUT" { "Content-Length: 0\r\n" } else { "" };
        // It asks who somebody is, and believes anybody.
        let who = "AWS4-HMAC-SHA256 Credential=t/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        let head = format!("{method} /{BUCKET}{what} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {who}\r\n");
        write!(stream, "{head}{length}Connection: close\r\n\r\n").expect("the server reads");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("the server answers in text");
        reply
    }
}

/// The server's program: on the path, or where `tests/run` has installed it.
fn program() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let installed = cache.map(|cache| cache.join("popgate-tests/moto/bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(installed);
    let found = places.map(|folder| folder.join("moto_server")).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("`moto_server` is missing\nhint: {INSTALL}"))
}
