//! Services that a filter asks over TCP, at addresses that `grant = { connect = [...] }` names.
//!
//! Whatever goes wrong here is no fault of the message: it becomes a [`Failure::Service`], and `on_error` decides. The time that
//! a service takes counts into the filter's `timeout`.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::{Failure, Message};

/// Octets of the message that are sent at a time.
const CHUNK: usize = 65_536;

/// A service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Service {
    name: &'static str,
    address: SocketAddr,
}

/// A connection to it.
#[derive(Debug)]
pub struct Connection {
    service: Service,
    stream: TcpStream,
}

impl Service {
    /// A service of this name (for messages to people) at this address.
    #[must_use]
    pub const fn new(name: &'static str, address: SocketAddr) -> Self {
        Self { name, address }
    }

    /// Connects to it.
    ///
    /// # Errors
    ///
    /// It is not there, or the address is not granted.
    pub fn connect(&self) -> Result<Connection, Failure> {
        let stream = TcpStream::connect(self.address).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => {
                self.failure(format_args!("it is not granted: grant = {{ connect = [\"{}\"] }}", self.address))
            }
            _ => self.failure(error),
        })?;
        Ok(Connection { service: *self, stream })
    }

    /// What is wrong with it, as the failure of a service.
    pub fn failure(&self, reason: impl fmt::Display) -> Failure {
        Failure::Service(format!("{self}: {reason}"))
    }
}

/// `clamd at 127.0.0.1:3310`.
impl fmt::Display for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} at {}", self.name, self.address)
    }
}

impl Connection {
    /// Sends octets.
    ///
    /// # Errors
    ///
    /// The service does not take them.
    pub fn send(&mut self, octets: &[u8]) -> Result<(), Failure> {
        self.stream.write_all(octets).map_err(|error| self.service.failure(error))
    }

    /// Sends the whole message, in pieces; `frame` says what goes in front of each, given its length.
    ///
    /// # Errors
    ///
    /// The service does not take it.
    pub fn send_message<F: AsRef<[u8]>>(
        &mut self,
        message: &Message,
        frame: impl Fn(usize) -> F,
    ) -> Result<(), Failure> {
        let mut offset = 0;
        while offset < message.size() {
            let piece = message.read(offset, CHUNK);
            if piece.is_empty() {
                break;
            }
            self.send(frame(piece.len()).as_ref())?;
            self.send(&piece)?;
            offset += piece.len() as u64;
        }
        Ok(())
    }

    /// Says that nothing more is sent.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub fn finish(&mut self) -> Result<(), Failure> {
        self.stream.shutdown(Shutdown::Write).map_err(|error| self.service.failure(error))
    }

    /// Reads what the service says until it ends the connection.
    ///
    /// # Errors
    ///
    /// It breaks off, or says more than `limit` octets.
    pub fn read_to_end(&mut self, limit: usize) -> Result<Vec<u8>, Failure> {
        let mut answer = Vec::new();
        let read = (&mut self.stream).take(limit as u64 + 1).read_to_end(&mut answer);
        read.map_err(|error| self.service.failure(error))?;
        if answer.len() > limit {
            return Err(self.service.failure(format_args!("it says more than {limit} octets")));
        }
        Ok(answer)
    }

    /// The service at the other end.
    #[must_use]
    pub fn service(&self) -> Service {
        self.service
    }
}

#[cfg(all(test, not(target_family = "wasm")))]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn a_message_goes_there_in_frames_and_an_answer_comes_back() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let service = Service::new("echo", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut octets = Vec::new();
            stream.read_to_end(&mut octets).unwrap();
            stream.write_all(b"well").unwrap();
            octets
        });
        let mut connection = service.connect().unwrap();
        connection.send_message(&Message::from("A: b\n\nc\n"), |length| [length as u8]).unwrap();
        connection.finish().unwrap();
        assert_eq!(connection.read_to_end(4).unwrap(), b"well");
        assert_eq!(server.join().unwrap(), b"\x0bA: b\r\n\r\nc\r\n");
    }

    #[test]
    fn what_goes_wrong_is_the_services_fault() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let service = Service::new("echo", listener.local_addr().unwrap());
        let server = thread::spawn(move || listener.accept().unwrap().0.write_all(b"too much").unwrap());
        let refused = service.connect().unwrap().read_to_end(4).unwrap_err();
        assert!(matches!(&refused, Failure::Service(reason) if reason.ends_with("more than 4 octets")), "{refused}");
        server.join().unwrap();
        let gone = service.connect().unwrap_err();
        assert!(matches!(&gone, Failure::Service(reason) if reason.starts_with("echo at 127.0.0.1:")), "{gone}");
    }
}
