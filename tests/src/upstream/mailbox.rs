//! A POP3 server with mailboxes in memory: fast, correct, and with nothing of its own to say.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::connection::stuff;

/// How many commands are noted.
const HEARD: usize = 10_000;

/// Takes any user and password. Lives as long as the process.
#[derive(Clone, Debug)]
pub struct Mailbox {
    address: SocketAddr,
    commands: Arc<Mutex<Vec<String>>>,
}

#[derive(Debug)]
struct Content {
    /// The messages as they go over the wire, behind the status line.
    stuffed: Vec<Vec<u8>>,
    /// The whole replies to RETR: what is sent most is ready.
    retr: Vec<Vec<u8>>,
    octets: Vec<usize>,
}

impl Mailbox {
    /// Serves these messages in every session.
    ///
    /// # Panics
    ///
    /// If no port is free.
    #[must_use]
    pub fn serve(messages: &[Vec<u8>]) -> Self {
        let content = Arc::new(Content::of(messages));
        Self::serve_content(move |_| content.clone(), &Manner::Clear)
    }

    /// The same under implicit TLS.
    ///
    /// # Panics
    ///
    /// If no port is free.
    #[must_use]
    pub fn serve_tls(messages: &[Vec<u8>], config: Arc<ServerConfig>) -> Self {
        let content = Arc::new(Content::of(messages));
        Self::serve_content(move |_| content.clone(), &Manner::Tls(config))
    }

    /// The same far away: each reply arrives so much later. Commands that are sent together are answered together.
    ///
    /// # Panics
    ///
    /// If no port is free.
    #[must_use]
    pub fn serve_far(messages: &[Vec<u8>], delay: Duration) -> Self {
        let content = Arc::new(Content::of(messages));
        Self::serve_content(move |_| content.clone(), &Manner::Far(delay))
    }

    /// Serves the messages that a user of this name has.
    ///
    /// # Panics
    ///
    /// If no port is free.
    #[must_use]
    pub fn serve_each(messages: impl Fn(&str) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self::serve_content(move |user| Arc::new(Content::of(&messages(user))), &Manner::Clear)
    }

    fn serve_content(content: impl Fn(&str) -> Arc<Content> + Send + Sync + 'static, manner: &Manner) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let content = Arc::new(content);
        let commands = Arc::<Mutex<Vec<String>>>::default();
        let heard = commands.clone();
        let manner = manner.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (content, heard, manner) = (content.clone(), heard.clone(), manner.clone());
                // A client that goes away ends its session, and that is all.
                thread::spawn(move || converse_over(stream, manner, &*content, &heard));
            }
        });
        Self { address, commands }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The first commands of all sessions so far, without arguments of USER and PASS.
    ///
    /// # Panics
    ///
    /// Never: no session panics while it notes a command.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        self.commands.lock().expect("no session panics").clone()
    }
}

/// How it is spoken to.
#[derive(Clone, Debug)]
enum Manner {
    Clear,
    Tls(Arc<ServerConfig>),
    Far(Duration),
}

fn converse_over(
    stream: TcpStream,
    manner: Manner,
    contents: &dyn Fn(&str) -> Arc<Content>,
    heard: &Mutex<Vec<String>>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    match manner {
        Manner::Clear => converse(stream, contents, heard),
        Manner::Tls(config) => {
            let tls = ServerConnection::new(config).map_err(io::Error::other)?;
            let mut stream = StreamOwned::new(tls, stream);
            converse(&mut stream, contents, heard)?;
            stream.conn.send_close_notify();
            stream.flush()
        }
        Manner::Far(delay) => converse(Far::over(stream, delay)?, contents, heard),
    }
}

/// A connection on which what is written arrives late.
#[derive(Debug)]
struct Far {
    stream: TcpStream,
    delay: Duration,
    under_way: Sender<(Instant, Vec<u8>)>,
}

impl Far {
    fn over(stream: TcpStream, delay: Duration) -> io::Result<Self> {
        let (under_way, arriving) = channel::<(Instant, Vec<u8>)>();
        let mut out = stream.try_clone()?;
        thread::spawn(move || {
            for (due, octets) in arriving {
                // This is what the distance is made of.
                thread::sleep(due.saturating_duration_since(Instant::now()));
                if out.write_all(&octets).is_err() {
                    return;
                }
            }
        });
        Ok(Self { stream, delay, under_way })
    }
}

impl Read for Far {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        self.stream.read(octets)
    }
}

impl Write for Far {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let sent = self.under_way.send((Instant::now() + self.delay, octets.to_vec()));
        sent.map(|()| octets.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn converse(
    stream: impl Read + Write,
    contents: &dyn Fn(&str) -> Arc<Content>,
    heard: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut content = contents("");
    let mut stream = BufReader::new(stream);
    stream.get_mut().write_all(b"+OK ready\r\n")?;
    let mut line = String::new();
    while stream.read_line(&mut line)? > 0 {
        let command = line.trim_end();
        let words: Vec<_> = command.split(' ').collect();
        let verb = words[0].to_ascii_uppercase();
        let note = if matches!(&*verb, "USER" | "PASS") { verb.clone() } else { command.to_owned() };
        if verb == "USER" {
            content = contents(words.get(1).copied().unwrap_or_default());
        }
        // A benchmark sends millions.
        let mut heard = heard.lock().expect("no session panics");
        if heard.len() < HEARD {
            heard.push(note);
        }
        drop(heard);
        let writer = stream.get_mut();
        match content.retrieved(&verb, words.get(1).copied()) {
            Some(reply) => writer.write_all(reply)?,
            None => writer.write_all(&content.reply(&verb, words.get(1).copied(), words.get(2).copied()))?,
        }
        writer.flush()?;
        if verb == "QUIT" {
            return Ok(());
        }
        line.clear();
    }
    Ok(())
}

impl Content {
    fn of(messages: &[Vec<u8>]) -> Self {
        let octets: Vec<_> = messages.iter().map(Vec::len).collect();
        let stuffed: Vec<_> = messages.iter().map(|message| stuff(message)).collect();
        let whole = |(body, octets): (&Vec<u8>, &usize)| [format!("+OK {octets} octets\r\n").as_bytes(), body].concat();
        let retr = stuffed.iter().zip(&octets).map(whole).collect();
        Self { stuffed, retr, octets }
    }

    /// The reply to RETR of a message that is there.
    fn retrieved(&self, verb: &str, argument: Option<&str>) -> Option<&[u8]> {
        let number = argument.filter(|_| verb == "RETR")?.parse::<usize>().ok()?;
        self.retr.get(number.checked_sub(1)?).map(Vec::as_slice)
    }

    fn reply(&self, verb: &str, argument: Option<&str>, lines: Option<&str>) -> Vec<u8> {
        let number = argument.and_then(|word| word.parse::<usize>().ok());
        let known = number.and_then(|number| number.checked_sub(1)).filter(|&at| at < self.octets.len());
        match (verb, argument, known) {
            ("CAPA", ..) => b"+OK\r\nTOP\r\nUIDL\r\nUSER\r\nPIPELINING\r\nRESP-CODES\r\n.\r\n".to_vec(),
            ("STAT", ..) => format!("+OK {} {}\r\n", self.octets.len(), self.octets.iter().sum::<usize>()).into_bytes(),
            ("LIST", None, _) => listing(self.octets.iter().map(ToString::to_string)),
            ("UIDL", None, _) => listing((1..=self.octets.len()).map(|number| format!("uid-{number}"))),
            ("LIST", _, Some(at)) => format!("+OK {} {}\r\n", at + 1, self.octets[at]).into_bytes(),
            ("UIDL", _, Some(at)) => format!("+OK {0} uid-{0}\r\n", at + 1).into_bytes(),
            ("TOP", _, Some(at)) => {
                let lines = lines.and_then(|lines| lines.parse().ok()).unwrap_or(0);
                [b"+OK\r\n", top(&self.stuffed[at], lines).as_slice()].concat()
            }
            ("USER" | "PASS" | "NOOP" | "RSET" | "QUIT", ..) | ("DELE", _, Some(_)) => b"+OK\r\n".to_vec(),
            _ => b"-ERR no\r\n".to_vec(),
        }
    }
}

fn listing(lines: impl Iterator<Item = String>) -> Vec<u8> {
    let lines: String = lines.enumerate().map(|(at, line)| format!("{} {line}\r\n", at + 1)).collect();
    format!("+OK\r\n{lines}.\r\n").into_bytes()
}

/// The header, the blank line and that many lines of a stuffed message, and the terminator.
fn top(stuffed: &[u8], lines: usize) -> Vec<u8> {
    let stuffed = stuffed.strip_suffix(b".\r\n").unwrap_or(stuffed);
    let body = stuffed.windows(4).position(|window| window == b"\r\n\r\n").map_or(stuffed.len(), |at| at + 4);
    let lines = stuffed[body..].split_inclusive(|&octet| octet == b'\n').take(lines);
    let end = body + lines.map(<[u8]>::len).sum::<usize>();
    [&stuffed[..end], b".\r\n"].concat()
}
