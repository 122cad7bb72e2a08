//! The load: sessions one after the other, several at a time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use popgate_tests::PATIENCE;
use popgate_tests::connection::stuff;

use crate::way::Way;

/// How many clients there are at a time.
const CLIENTS: usize = 4;

/// What was moved, and in which time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moved {
    pub(crate) messages: u64,
    /// Octets as the clients received them, dot-stuffing and terminators included.
    pub(crate) octets: u64,
    pub(crate) time: Duration,
}

/// Has clients retrieve these messages again and again for some time.
///
/// Ends the program if a message is not what it should be: a wrong answer has no speed.
pub(crate) fn run(way: &Way, messages: &[Vec<u8>], time: Duration) -> Moved {
    let expected: Vec<_> = messages.iter().map(|message| stuff(&[way.mark().as_bytes(), message].concat())).collect();
    let begin = Instant::now();
    let moved = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| client(way, &expected, begin + time))).collect();
        clients
            .into_iter()
            .map(|client| client.join().expect("a client ends well"))
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    });
    Moved { messages: moved.0, octets: moved.1, time: begin.elapsed() }
}

/// Sessions until the deadline; messages and octets.
fn client(way: &Way, expected: &[Vec<u8>], deadline: Instant) -> (u64, u64) {
    let (mut messages, mut octets) = (0, 0);
    while Instant::now() < deadline {
        let session = session(way, expected, deadline, &mut messages, &mut octets);
        session.unwrap_or_else(|error| panic!("{}: {error}", way.name()));
    }
    (messages, octets)
}

fn session(
    way: &Way,
    expected: &[Vec<u8>],
    deadline: Instant,
    messages: &mut u64,
    octets: &mut u64,
) -> std::io::Result<()> {
    let stream = TcpStream::connect(way.address())?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let (mut writer, mut reader) = (&stream, BufReader::with_capacity(65_536, &stream));
    succeed(&mut reader, way)?;
    for command in ["USER alice\r\n", "PASS secret\r\n"] {
        writer.write_all(command.as_bytes())?;
        succeed(&mut reader, way)?;
    }
    let mut body = Vec::new();
    for (at, expected) in expected.iter().enumerate() {
        if Instant::now() >= deadline {
            break;
        }
        writer.write_all(format!("RETR {}\r\n", at + 1).as_bytes())?;
        succeed(&mut reader, way)?;
        body.resize(expected.len(), 0);
        reader.read_exact(&mut body)?;
        assert!(body == *expected, "{}: message {} is not what it should be", way.name(), at + 1);
        *messages += 1;
        *octets += expected.len() as u64;
    }
    writer.write_all(b"QUIT\r\n")?;
    succeed(&mut reader, way)
}

fn succeed(reader: &mut impl BufRead, way: &Way) -> std::io::Result<()> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    assert!(line.starts_with("+OK"), "{}: {line:?}", way.name());
    Ok(())
}
