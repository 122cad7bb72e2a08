//! One POP3 connection seen from one end, plain or TLS.
//!
//! Lines are octets up to CRLF; nothing is understood or repaired, so that a test sees what was really sent.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ServerConfig, ServerConnection, StreamOwned};

use crate::{PATIENCE, QUIET};

/// One end of a connection. Every read has a deadline.
#[derive(Debug)]
pub struct Connection {
    name: String,
    stream: Stream,
    unread: Vec<u8>,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Client(Box<StreamOwned<ClientConnection, TcpStream>>),
    Server(Box<StreamOwned<ServerConnection, TcpStream>>),
}

/// What came of waiting for octets.
enum Arrival {
    Octets,
    End,
    Nothing,
}

impl Connection {
    /// Connects. The name is for messages of failed tests.
    ///
    /// # Panics
    ///
    /// If nobody accepts.
    #[must_use]
    pub fn to(name: &str, address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .unwrap_or_else(|error| panic!("{name}: no connection to {address}: {error}"));
        Self::over(name, stream)
    }

    /// Speaks over a connection that is there.
    ///
    /// # Panics
    ///
    /// If the socket can't be set up.
    #[must_use]
    pub fn over(name: &str, stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a socket takes options");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket takes options");
        Self { name: name.to_owned(), stream: Stream::Plain(stream), unread: Vec::new() }
    }

    /// Does a TLS handshake as client; the server is `localhost`.
    ///
    /// # Panics
    ///
    /// If it fails, or if plain octets are waiting to be read.
    #[must_use]
    pub fn with_client_tls(self, config: Arc<ClientConfig>) -> Self {
        self.with_client_tls_as(config, "localhost")
    }

    /// The same for a server of this name, or with this IP address.
    ///
    /// # Panics
    ///
    /// As [`Connection::with_client_tls`].
    #[must_use]
    pub fn with_client_tls_as(self, config: Arc<ClientConfig>, name: &str) -> Self {
        let name = ServerName::try_from(name.to_owned()).expect("a valid name");
        let tls = ClientConnection::new(config, name).expect("a valid configuration");
        let (who, socket) = self.into_plain();
        let mut stream = StreamOwned::new(tls, socket);
        complete(&who, || stream.conn.complete_io(&mut stream.sock).map(drop));
        Self { name: who, stream: Stream::Client(Box::new(stream)), unread: Vec::new() }
    }

    /// Does a TLS handshake as server.
    ///
    /// # Errors
    ///
    /// What the client did not like.
    ///
    /// # Panics
    ///
    /// If plain octets are waiting to be read.
    pub fn with_server_tls(self, config: Arc<ServerConfig>) -> std::io::Result<Self> {
        let tls = ServerConnection::new(config).expect("a valid configuration");
        let (name, socket) = self.into_plain();
        let mut stream = StreamOwned::new(tls, socket);
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(Self { name, stream: Stream::Server(Box::new(stream)), unread: Vec::new() })
    }

    /// Whether its TLS session goes on from an earlier one (RFC 8446 section 2.2, RFC 5077).
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        let kind = match &self.stream {
            Stream::Plain(_) => None,
            Stream::Client(stream) => stream.conn.handshake_kind(),
            Stream::Server(stream) => stream.conn.handshake_kind(),
        };
        kind == Some(HandshakeKind::Resumed)
    }

    fn into_plain(self) -> (String, TcpStream) {
        assert!(self.unread.is_empty(), "{}: {} came before the TLS handshake", self.name, show(&self.unread));
        let Stream::Plain(socket) = self.stream else { panic!("{}: TLS inside of TLS", self.name) };
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket takes options");
        (self.name, socket)
    }

    /// Sends octets as they are, in one write.
    ///
    /// # Panics
    ///
    /// If they can't be sent.
    pub fn send(&mut self, octets: impl AsRef<[u8]>) {
        let octets = octets.as_ref();
        self.try_send(octets).unwrap_or_else(|error| panic!("{}: {} can't be sent: {error}", self.name, show(octets)));
    }

    /// Sends octets as they are.
    ///
    /// # Errors
    ///
    /// If the connection has ended or the peer reads nothing.
    pub fn try_send(&mut self, octets: &[u8]) -> std::io::Result<()> {
        let writer: &mut dyn Write = match &mut self.stream {
            Stream::Plain(stream) => stream,
            Stream::Client(stream) => stream,
            Stream::Server(stream) => stream,
        };
        writer.write_all(octets)?;
        writer.flush()
    }

    /// Sends a line; CRLF is added.
    pub fn send_line(&mut self, line: impl AsRef<[u8]>) {
        self.send([line.as_ref(), b"\r\n"].concat());
    }

    /// The next line, without its CRLF; none at the end of the connection.
    ///
    /// # Panics
    ///
    /// If none comes in time, or the connection ends within a line.
    pub fn next_line(&mut self) -> Option<Vec<u8>> {
        let line = self.until(b"\r\n")?;
        Some(line[..line.len() - 2].to_vec())
    }

    /// The next line, without its CRLF.
    ///
    /// # Panics
    ///
    /// If none comes.
    pub fn line(&mut self) -> Vec<u8> {
        self.next_line().unwrap_or_else(|| panic!("{}: the connection ended, a line was expected", self.name))
    }

    /// The next line, as text.
    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.line()).into_owned()
    }

    /// Sends a command and gives the line that answers it.
    pub fn command(&mut self, line: &str) -> String {
        self.send_line(line);
        self.text()
    }

    /// Sends a command and gives the line that answers it.
    ///
    /// # Panics
    ///
    /// If that is not `+OK`.
    pub fn succeed(&mut self, line: &str) -> String {
        let reply = self.command(line);
        assert!(reply.starts_with("+OK"), "{}: {line} was answered {reply:?}", self.name);
        reply
    }

    /// Reads a greeting and logs in.
    ///
    /// # Panics
    ///
    /// If that is refused.
    pub fn log_in(&mut self, user: &str, password: &str) {
        let greeting = self.text();
        assert!(greeting.starts_with("+OK"), "{}: greeted with {greeting:?}", self.name);
        self.succeed(&format!("USER {user}"));
        self.succeed(&format!("PASS {password}"));
    }

    /// The rest of a multi-line reply as it was sent, terminator included.
    ///
    /// # Panics
    ///
    /// If it does not come to its end.
    pub fn stuffed_body(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.until(b"\r\n").unwrap_or_else(|| panic!("{}: no terminator", self.name));
            body.extend_from_slice(&line);
            if line == b".\r\n" {
                return body;
            }
        }
    }

    /// The rest of a multi-line reply, dot-stuffing and terminator taken off.
    ///
    /// # Panics
    ///
    /// If it does not come to its end.
    pub fn body(&mut self) -> Vec<u8> {
        unstuff(&self.stuffed_body())
    }

    /// This many octets, whatever they are.
    ///
    /// # Panics
    ///
    /// If fewer come in time.
    pub fn octets(&mut self, count: usize) -> Vec<u8> {
        let octets = self.up_to(count);
        assert_eq!(octets.len(), count, "{}: the connection ended behind {}", self.name, show(&octets));
        octets
    }

    /// The next octets, fewer if the connection ends before so many.
    ///
    /// # Panics
    ///
    /// If they do not come in time.
    pub fn up_to(&mut self, count: usize) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        while self.unread.len() < count {
            match self.read(deadline.saturating_duration_since(Instant::now())) {
                Arrival::Octets => {}
                Arrival::End => return std::mem::take(&mut self.unread),
                Arrival::Nothing => panic!("{}: nothing came behind {}", self.name, show(&self.unread)),
            }
        }
        let rest = self.unread.split_off(count);
        std::mem::replace(&mut self.unread, rest)
    }

    /// Everything until the connection ends, in whatever way.
    ///
    /// # Panics
    ///
    /// If it does not end in time.
    pub fn rest(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.read(deadline.saturating_duration_since(Instant::now())) {
                Arrival::Octets => {}
                Arrival::End => return std::mem::take(&mut self.unread),
                Arrival::Nothing => panic!("{}: the connection did not end after {}", self.name, show(&self.unread)),
            }
        }
    }

    /// # Panics
    ///
    /// If the connection does not end, or something is sent before.
    pub fn expect_end(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "{}: the end was expected, but there was {}", self.name, show(&rest));
    }

    /// # Panics
    ///
    /// If anything comes, the end of the connection included.
    pub fn expect_quiet(&mut self) {
        if self.unread.is_empty() {
            match self.read(QUIET) {
                Arrival::Nothing => return,
                Arrival::End => panic!("{}: silence was expected, but the connection ended", self.name),
                Arrival::Octets => {}
            }
        }
        panic!("{}: silence was expected, but there was {}", self.name, show(&self.unread));
    }

    /// Sends no more, but goes on to read.
    ///
    /// # Panics
    ///
    /// If the connection has gone.
    pub fn finish_sending(&mut self) {
        self.socket().shutdown(Shutdown::Write).expect("a connection can be half closed");
    }

    /// Whether more lies there than was asked for so far.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.unread.is_empty()
    }

    /// How long [`Self::try_send`] may move nothing.
    ///
    /// # Panics
    ///
    /// If the socket does not take the option.
    pub fn give_up_sending_after(&self, patience: Duration) {
        self.socket().set_write_timeout(Some(patience)).expect("a socket takes options");
    }

    /// Ends the connection with a reset.
    ///
    /// # Panics
    ///
    /// If the socket does not take the option.
    pub fn reset(self) {
        socket2::SockRef::from(self.socket()).set_linger(Some(Duration::ZERO)).expect("a socket takes options");
    }

    /// Octets up to the end of `mark`; none if the connection ends before the first of them.
    fn until(&mut self, mark: &[u8]) -> Option<Vec<u8>> {
        let deadline = Instant::now() + PATIENCE;
        let mut searched = 0;
        loop {
            if let Some(at) = self.unread[searched..].windows(mark.len()).position(|window| window == mark) {
                let rest = self.unread.split_off(searched + at + mark.len());
                return Some(std::mem::replace(&mut self.unread, rest));
            }
            searched = self.unread.len().saturating_sub(mark.len() - 1);
            match self.read(deadline.saturating_duration_since(Instant::now())) {
                Arrival::Octets => {}
                Arrival::End if self.unread.is_empty() => return None,
                Arrival::End => panic!("{}: the connection ended behind {}", self.name, show(&self.unread)),
                Arrival::Nothing => panic!("{}: nothing came behind {}", self.name, show(&self.unread)),
            }
        }
    }

    fn read(&mut self, patience: Duration) -> Arrival {
        let patience = patience.max(Duration::from_millis(1));
        self.socket().set_read_timeout(Some(patience)).expect("a socket takes options");
        let mut buffer = [0; 65536];
        let reader: &mut dyn Read = match &mut self.stream {
            Stream::Plain(stream) => stream,
            Stream::Client(stream) => stream,
            Stream::Server(stream) => stream,
        };
        match reader.read(&mut buffer) {
            Ok(0) => Arrival::End,
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                Arrival::Octets
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Arrival::Nothing,
            // A reset, or TLS that ended without saying so: gone is gone.
            Err(_) => Arrival::End,
        }
    }

    fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(stream) => stream,
            Stream::Client(stream) => &stream.sock,
            Stream::Server(stream) => &stream.sock,
        }
    }
}

fn complete(name: &str, handshake: impl FnOnce() -> std::io::Result<()>) {
    handshake().unwrap_or_else(|error| panic!("{name}: the TLS handshake failed: {error}"));
}

/// Takes dot-stuffing and terminator off (RFC 1939, section 3).
///
/// # Panics
///
/// If there is no terminator.
#[must_use]
pub fn unstuff(stuffed: &[u8]) -> Vec<u8> {
    let stuffed = stuffed.strip_suffix(b".\r\n").expect("a multi-line reply ends with its terminator");
    let mut body = Vec::with_capacity(stuffed.len());
    let mut line_begins = true;
    for (at, &octet) in stuffed.iter().enumerate() {
        if !(line_begins && octet == b'.') {
            body.push(octet);
        }
        line_begins = octet == b'\n' && at > 0 && stuffed[at - 1] == b'\r';
    }
    body
}

/// Puts dot-stuffing and terminator on (RFC 1939, section 3). A message without a last CRLF gets one.
#[must_use]
pub fn stuff(body: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(body.len() + 16);
    let mut line_begins = true;
    for (at, &octet) in body.iter().enumerate() {
        if line_begins && octet == b'.' {
            stuffed.push(b'.');
        }
        stuffed.push(octet);
        line_begins = octet == b'\n' && at > 0 && body[at - 1] == b'\r';
    }
    if !line_begins {
        stuffed.extend_from_slice(b"\r\n");
    }
    stuffed.extend_from_slice(b".\r\n");
    stuffed
}

/// Octets for people, the middle left out where there are many.
#[must_use]
pub fn show(octets: &[u8]) -> String {
    const SHOWN: usize = 200;
    if octets.len() <= 2 * SHOWN {
        return format!("`{}`", octets.escape_ascii());
    }
    let (head, tail) = (&octets[..SHOWN], &octets[octets.len() - SHOWN..]);
    format!("`{}` ... `{}` ({} octets)", head.escape_ascii(), tail.escape_ascii(), octets.len())
}
