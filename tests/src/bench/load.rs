//! The load: sessions one after the other, several at a time, for some time.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use crate::line::Line;
use crate::way::Way;

/// How much a client reads at once.
const READ: usize = 64 * 1024;

/// What clients do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Task<'a> {
    /// They retrieve these messages, each once in a session, and compare what comes with them.
    Retrieve(&'a [Expected]),
    /// They connect, log in, ask for STAT, and leave.
    Visit,
}

/// A message as it must arrive.
#[derive(Debug)]
pub(crate) struct Expected {
    /// Behind the status line, terminator included.
    pub(crate) stuffed: Vec<u8>,
    /// Where its body begins, which no filter here changes.
    pub(crate) body: usize,
}

/// What was done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Done {
    pub(crate) operations: u64,
    /// Octets as the clients received them, dot-stuffing and terminators included.
    pub(crate) octets: u64,
    pub(crate) time: Duration,
    /// How long each operation took, in microseconds, in order of size.
    pub(crate) each: Vec<u32>,
}

impl Done {
    /// The time that so many of a hundred operations did not exceed, in milliseconds.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let at = (self.each.len() * percent / 100).min(self.each.len().saturating_sub(1));
        self.each.get(at).map_or(f64::NAN, |microseconds| f64::from(*microseconds) / 1e3)
    }
}

/// Has so many clients at a time do this for some time.
///
/// Ends the program if something is not as it should be: a wrong answer has no speed.
pub(crate) fn run(way: &Way, task: Task<'_>, clients: usize, tls: Option<&Arc<ClientConfig>>, time: Duration) -> Done {
    let begin = Instant::now();
    let work = || {
        let mut done = Done::default();
        while begin.elapsed() < time {
            let session = match task {
                Task::Retrieve(messages) => retrieve(way, messages, tls, begin + time, &mut done),
                Task::Visit => visit(way, tls, &mut done),
            };
            session.unwrap_or_else(|error| panic!("{}: {error}", way.name()));
        }
        done
    };
    let mut sum = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(work)).collect();
        clients.into_iter().map(|client| client.join().expect("a client ends well")).fold(
            Done::default(),
            |mut sum, one| {
                sum.operations += one.operations;
                sum.octets += one.octets;
                sum.each.extend(one.each);
                sum
            },
        )
    });
    sum.each.sort_unstable();
    Done { time: begin.elapsed(), ..sum }
}

/// A client behind its login.
pub(crate) fn logged_in(way: &Way, tls: Option<&Arc<ClientConfig>>) -> io::Result<BufReader<Line>> {
    let mut line = BufReader::with_capacity(READ, Line::connect(way.address(), tls)?);
    succeed(&mut line, way)?;
    for command in ["USER alice", "PASS secret"] {
        ask(&mut line, way, command)?;
    }
    Ok(line)
}

fn retrieve(
    way: &Way,
    messages: &[Expected],
    tls: Option<&Arc<ClientConfig>>,
    deadline: Instant,
    done: &mut Done,
) -> io::Result<()> {
    let mut line = logged_in(way, tls)?;
    let mut body = Vec::new();
    for (at, expected) in messages.iter().enumerate() {
        if Instant::now() >= deadline {
            break;
        }
        let begun = Instant::now();
        ask(&mut line, way, &format!("RETR {}", at + 1))?;
        if way.filters() {
            body.clear();
            let changed = up_to_terminator(&mut line, &mut body)?;
            assert!(
                changed.ends_with(&expected.stuffed[expected.body..]),
                "{}: the body of message {} is not what it should be",
                way.name(),
                at + 1
            );
        } else {
            body.resize(expected.stuffed.len(), 0);
            line.read_exact(&mut body)?;
            assert!(body == expected.stuffed, "{}: message {} is not what it should be", way.name(), at + 1);
        }
        done.each.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
        done.operations += 1;
        done.octets += body.len() as u64;
    }
    ask(&mut line, way, "QUIT")
}

/// From the connection to the moment when the proxy has closed it.
fn visit(way: &Way, tls: Option<&Arc<ClientConfig>>, done: &mut Done) -> io::Result<()> {
    let begun = Instant::now();
    let mut line = logged_in(way, tls)?;
    ask(&mut line, way, "STAT")?;
    ask(&mut line, way, "QUIT")?;
    match line.read(&mut [0; 16]) {
        // Some peers end TLS without a word.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        ended => assert_eq!(ended?, 0, "{}: something stands behind the reply to QUIT", way.name()),
    }
    done.each.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
    done.operations += 1;
    Ok(())
}

/// Reads what stands behind a status line, for nothing.
pub(crate) fn skip_body(line: &mut BufReader<Line>) -> io::Result<()> {
    up_to_terminator(line, &mut Vec::new()).map(drop)
}

/// The rest of a multi-line reply, which is read in large pieces.
fn up_to_terminator<'a>(line: &mut BufReader<Line>, body: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
    loop {
        let read = line.fill_buf()?;
        if read.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let count = read.len();
        body.extend_from_slice(read);
        line.consume(count);
        // Nothing is pipelined, so nothing stands behind it.
        if body.ends_with(b"\r\n.\r\n") {
            return Ok(body);
        }
    }
}

pub(crate) fn ask(line: &mut BufReader<Line>, way: &Way, command: &str) -> io::Result<()> {
    let writer = line.get_mut();
    writer.write_all(format!("{command}\r\n").as_bytes())?;
    writer.flush()?;
    succeed(line, way)
}

fn succeed(reader: &mut impl BufRead, way: &Way) -> io::Result<()> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    assert!(line.starts_with("+OK"), "{}: {line:?}", way.name());
    Ok(())
}

/// Whether somebody accepts there.
pub(crate) fn answers(address: std::net::SocketAddr) -> Option<()> {
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_few_and_many() {
        let of = |each: Vec<u32>, percent| Done { each, ..Done::default() }.percentile(percent);
        assert!(of(Vec::new(), 50).is_nan());
        assert_eq!((of(vec![7000], 50), of(vec![7000], 99)), (7.0, 7.0));
        let many: Vec<_> = (0..200).map(|at| at * 1000).collect();
        assert_eq!((of(many.clone(), 50), of(many, 99)), (100.0, 198.0));
    }
}
