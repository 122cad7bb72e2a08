//! KPOP on both sides: a server in front of a POP3 server, since no packaged one speaks it, and a client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::{Kerberos, SERVICE};
use crate::connection::Connection;
use crate::dovecot::PASSWORD;

/// What the client of a KPOP server calls the application.
pub const VERSION: &str = "KPOPV1.0";

/// A KPOP server: Kerberos first, then the conversation with a POP3 server at which every user's password is
/// [`PASSWORD`]. USER must be the name in the ticket. Lives as long as the process.
#[derive(Debug)]
pub struct KpopServer {
    address: SocketAddr,
}

impl KpopServer {
    /// Serves in front of `backend`, with the key in `keytab`.
    ///
    /// # Panics
    ///
    /// If no port is free.
    #[must_use]
    pub fn serve(kerberos: &'static Kerberos, keytab: PathBuf, backend: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let keytab = keytab.clone();
                // A client that goes away ends its session, and that is all.
                std::thread::spawn(move || {
                    let _gone = accept(kerberos, &keytab, &stream)
                        .and_then(|user| converse(&stream, TcpStream::connect(backend)?, &user));
                    let _gone_already = stream.shutdown(Shutdown::Both);
                });
            }
        });
        Self { address }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Kerberos with a client; its name.
fn accept(kerberos: &Kerberos, keytab: &Path, stream: &TcpStream) -> std::io::Result<String> {
    stream.set_nodelay(true)?;
    let mut command = kerberos.sendauth();
    let socket = OwnedFd::from(stream.try_clone()?);
    let output = command.env("KRB5_KTNAME", keytab).args(["accept", VERSION]).stdin(Stdio::from(socket)).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(std::io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// Goes between the client and the backend.
fn converse(client: &TcpStream, backend: TcpStream, user: &str) -> std::io::Result<()> {
    let (mut from_backend, mut to_client) = (backend.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(count @ 1..) = from_backend.read(&mut buffer) {
            if to_client.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _gone_already = to_client.shutdown(Shutdown::Both);
    });
    let (mut reader, mut to_client, mut to_backend) = (BufReader::new(client), client, &backend);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        match line.trim_end().split_once(' ') {
            Some(("USER", name)) if name != user => {
                to_client.write_all(b"-ERR [AUTH] this is not the ticket's name\r\n")?;
            }
            Some(("PASS", _)) => to_backend.write_all(format!("PASS {PASSWORD}\r\n").as_bytes())?,
            _ => to_backend.write_all(line.as_bytes())?,
        }
        line.clear();
    }
    backend.shutdown(Shutdown::Both)
}

/// Whether the client wants the server to prove itself, too.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Proof {
    /// It does.
    Mutual,
    /// It does not.
    OneWay,
}

impl Kerberos {
    /// Proves to the server at `address` who the owner of the tickets is. What it says next is POP3.
    ///
    /// # Errors
    ///
    /// Why Kerberos is not content.
    ///
    /// # Panics
    ///
    /// If nobody accepts.
    pub fn connect(
        &self,
        address: SocketAddr,
        tickets: &Path,
        version: &str,
        proof: Proof,
    ) -> Result<Connection, String> {
        let stream = TcpStream::connect(address).expect("the server accepts");
        let socket = OwnedFd::from(stream.try_clone().expect("a socket can be shared"));
        let proof = if proof == Proof::Mutual { "mutual" } else { "one-way" };
        let mut command = self.sendauth();
        self.equip(&mut command, tickets).args(["request", SERVICE, version, proof]).stdin(Stdio::from(socket));
        let output = command.output().expect("the program starts");
        if output.status.success() {
            return Ok(Connection::over("client", stream));
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
