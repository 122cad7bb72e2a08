//! The filter `clamav`: asks ClamAV's daemon `clamd` about each message.
//!
//! # Settings
//!
//! ```toml
//! [[filter]]
//! plugin = "clamav"
//! grant = { connect = ["127.0.0.1:3310"] }  # clamd.conf: TCPSocket 3310
//! timeout = "30s"
//! [filter.config]
//! address = "127.0.0.1:3310"                # an IP address and a port; filters can't look names up
//! ```
//!
//! The message is sent as it is (`INSTREAM`), and what clamd finds in it or in its attachments holds it. clamd takes no more than
//! its own `StreamMaxLength` (100 MB), so that has to be at least `limits.max_message`, or `only.max_size` smaller.
//!
//! Whatever is not a clear answer (no daemon, half an answer, a limit of clamd's) is a failure of the service: `on_error` decides, and it
//! is never taken for clean.
//!
//! # Findings
//!
//! `CLAMAV`, without points; the text is the signature's name.
//!
//! Source: clamd(8), "COMMANDS".

use std::net::SocketAddr;

use popgate_plugin::service::{Connection, Service};
use popgate_plugin::{Failure, Filter, Finding, Message, Verdict, text};
use serde::Deserialize;

/// Octets of an answer: one line with the name of a signature.
const ANSWER_MAX: usize = 4_096;

/// The settings; see the crate's documentation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    address: SocketAddr,
}

/// The filter.
#[derive(Debug)]
pub struct ClamAv(Service);

impl Filter for ClamAv {
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, String> {
        Ok(Self(Service::new("clamd", settings.address)))
    }

    fn filter(&self, message: &Message) -> Result<Verdict, Failure> {
        let mut clamd = self.0.connect()?;
        let sent = send(&mut clamd, message);
        // clamd says why it takes no more, and then ends the connection.
        let answer = match (clamd.read_to_end(ANSWER_MAX), sent) {
            (Ok(answer), Ok(())) => answer,
            (Ok(answer), Err(_)) if !answer.is_empty() => answer,
            (Err(failure), Ok(())) | (_, Err(failure)) => return Err(failure),
        };
        let answer = text::clean(&String::from_utf8_lossy(&answer).replace('\0', ""), 500);
        let said = answer.strip_prefix("stream: ").unwrap_or(&answer);
        if said == "OK" {
            return Ok(Verdict::Pass);
        }
        let Some(signature) = said.strip_suffix(" FOUND") else {
            let reason = if answer.is_empty() { "it says nothing".into() } else { format!("it says: {answer}") };
            return Err(self.0.failure(reason));
        };
        message.report(&Finding::new("CLAMAV", signature))?;
        Ok(Verdict::hold(format!("virus found: {signature}")))
    }
}

fn send(clamd: &mut Connection, message: &Message) -> Result<(), Failure> {
    clamd.send(b"zINSTREAM\0")?;
    clamd.send_message(message, |length| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes())?;
    clamd.send(&[0; 4])
}

popgate_plugin::export!(ClamAv);

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use popgate_plugin::testing;
    use serde_json::json;

    use super::*;

    /// What the filter makes of a daemon that gives this answer once it has read so many octets.
    fn asked(answer: &'static str, octets: usize) -> (Result<Verdict, Failure>, Message) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut read = vec![0; octets];
            stream.read_exact(&mut read).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            read
        });
        let filter: ClamAv = testing::configure(json!({ "address": address.to_string() })).unwrap();
        let message = Message::from("Subject: x\n\nbody\n");
        let verdict = filter.filter(&message);
        let read = server.join().unwrap();
        assert!(b"zINSTREAM\0\0\0\0\x14Subject: x\r\n\r\nbody\r\n\0\0\0\0".starts_with(&read));
        (verdict, message)
    }

    #[test]
    fn a_clear_answer_decides() {
        assert_eq!(asked("stream: OK\0", 38).0, Ok(Verdict::Pass));
        let (verdict, message) = asked("stream: Eicar-Signature FOUND\0", 38);
        assert_eq!(verdict, Ok(Verdict::hold("virus found: Eicar-Signature")));
        assert_eq!(message.reported()[0].text, "Eicar-Signature");
    }

    #[test]
    fn anything_else_is_the_daemons_failure() {
        for answer in ["", "stream: O", "INSTREAM size limit exceeded. ERROR\0", "stream: OK\nOK\0", "stream: FOUND\0"]
        {
            let (verdict, _) = asked(answer, 38);
            assert!(matches!(verdict, Err(Failure::Service(_))), "{answer}: {verdict:?}");
        }
    }

    #[test]
    fn no_daemon_is_a_failure() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let filter: ClamAv = testing::configure(json!({ "address": free.to_string() })).unwrap();
        assert!(matches!(filter.filter(&Message::from("x\n")), Err(Failure::Service(_))));
    }

    #[test]
    fn an_address_is_needed() {
        assert!(testing::configure::<ClamAv>("{}").is_err());
        assert!(testing::configure::<ClamAv>(json!({ "address": "localhost:3310" })).is_err());
    }
}
