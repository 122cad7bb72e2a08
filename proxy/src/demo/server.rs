//! The sample server on a socket: accepting, reading lines, sending replies, deadlines.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::mail::SampleMail;
use super::maildrop::Maildrop;
use super::reply::Reply;
use super::session::{Account, GREETING, Session};
use crate::pop3::{LineReader, Next, Secret};

/// How many clients are served at once; others wait in the listener's queue.
const CONNECTIONS: usize = 64;
/// How long a client may say nothing before login.
const LOGIN: Duration = Duration::from_secs(60);
/// How long a client may say nothing after login (RFC 1939 section 3: not less).
const IDLE: Duration = Duration::from_secs(600);
/// How long a client may take none of what is sent to it.
const STALL: Duration = Duration::from_secs(120);
/// How long to wait after an accept that failed (too many open files passes by itself).
const PAUSE: Duration = Duration::from_millis(100);
/// How many octets are read at once.
const READ: usize = 4096;
/// From how many octets on replies are sent although more commands are there already.
const SEND: usize = 64 * 1024;

/// A POP3 server on the loopback address; it ends, with all its sessions, when this is dropped.
#[derive(Debug)]
pub struct SampleServer {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl SampleServer {
    /// Serves these mails to this user, in plain text, on a free port of 127.0.0.1. Sessions share the maildrop: what
    /// one deletes, those that log in later do not see.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub async fn start(mails: Vec<SampleMail>, user: &str, password: &str) -> io::Result<Self> {
        let account = Arc::new(Account {
            user: user.as_bytes().to_vec(),
            password: Secret::new(password.as_bytes().to_vec()),
            maildrop: Maildrop::new(mails.into_iter().map(|mail| mail.content)),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        Ok(Self { address, accepting: tokio::spawn(accept(listener, account)) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for SampleServer {
    fn drop(&mut self) {
        // The sessions belong to this task, and end with it.
        self.accepting.abort();
    }
}

/// Accepts clients for ever; a permit comes before a client.
async fn accept(listener: TcpListener, account: Arc<Account>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let mut sessions = JoinSet::new();
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        while sessions.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let account = Arc::clone(&account);
                sessions.spawn(async move {
                    if let Err(error) = serve(stream, Session::new(account)).await {
                        tracing::debug!(%error, "a client of the sample server is gone");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the sample server can't accept");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Serves one client until it quits, vanishes or falls silent.
async fn serve(mut stream: TcpStream, mut session: Session) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = LineReader::default();
    let mut input = BytesMut::with_capacity(READ);
    let mut output = Vec::from(GREETING);
    output.extend_from_slice(b"\r\n");
    loop {
        let reply = match lines.next(&mut input, |start| session.line_limit(start)) {
            Next::Line(line) => session.on_line(Ok(&line)),
            Next::Fault(fault) => session.on_line(Err(fault)),
            Next::Flood => Reply::Last("-ERR line too long".into()),
            Next::More => {
                // All that is asked is answered: now, not line by line, so that pipelining pays.
                send(&mut stream, &mut output).await?;
                let patience = if session.logged_in() { IDLE } else { LOGIN };
                input.reserve(READ);
                match timeout(patience, stream.read_buf(&mut input)).await?? {
                    0 => return Ok(()),
                    _ => continue,
                }
            }
        };
        let last = reply.is_last();
        for piece in reply.pieces() {
            output.extend_from_slice(&piece);
            if output.len() >= SEND {
                send(&mut stream, &mut output).await?;
            }
        }
        if last {
            send(&mut stream, &mut output).await?;
            return stream.shutdown().await;
        }
    }
}

/// Sends what has gathered, and empties it.
async fn send(stream: &mut TcpStream, output: &mut Vec<u8>) -> io::Result<()> {
    let mut rest = output.as_slice();
    while !rest.is_empty() {
        match timeout(STALL, stream.write(rest)).await?? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            taken => rest = &rest[taken..],
        }
    }
    output.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn started() -> SampleServer {
        let content = b"Subject: x\r\n\r\n.\r\n".repeat(20_000);
        SampleServer::start(vec![SampleMail { name: "x", content }], "demo", "secret").await.unwrap()
    }

    async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
        let mut received = Vec::new();
        let read = stream.read_to_end(&mut received);
        timeout(Duration::from_secs(20), read).await.expect("the server closes").unwrap();
        received
    }

    #[tokio::test]
    async fn pipelined_commands_are_answered_in_their_order() {
        let server = started().await;
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(b"USER demo\r\nPASS secret\r\nRETR 1\r\nDELE 1\r\nNO\0OP\r\nQUIT\r\nNOOP\r\n").await.unwrap();
        let received = String::from_utf8(read_to_end(&mut stream).await).unwrap();
        let body = "Subject: x\r\n\r\n..\r\n".repeat(20_000);
        let expected = format!(
            "{GREETING}\r\n+OK and the password?\r\n+OK welcome, 1 messages\r\n+OK 340000 octets\r\n{body}.\r\n\
             +OK message 1 goes at QUIT\r\n-ERR NUL in the line\r\n+OK bye, 1 deleted\r\n"
        );
        assert!(received == expected, "{:?}", &received[..200.min(received.len())]);
    }

    #[tokio::test]
    async fn a_flood_ends_the_connection() {
        let server = started().await;
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(&b"x".repeat(crate::pop3::MAX_SKIPPED + crate::pop3::SHORT_LINE + 1)).await.unwrap();
        let received = read_to_end(&mut stream).await;
        assert_eq!(received, format!("{GREETING}\r\n-ERR line too long\r\n").into_bytes());
    }

    #[tokio::test]
    async fn dropping_the_server_ends_its_sessions() {
        let server = started().await;
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let mut greeting = vec![0; GREETING.len() + 2];
        stream.read_exact(&mut greeting).await.unwrap();
        drop(server);
        assert_eq!(read_to_end(&mut stream).await, b"");
    }
}
