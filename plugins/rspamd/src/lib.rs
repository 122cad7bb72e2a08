//! The filter `rspamd`: asks rspamd about each message.
//!
//! # Settings
//!
//! ```toml
//! [[filter]]
//! plugin = "rspamd"
//! grant = { connect = ["127.0.0.1:11333"] } # rspamd's normal worker
//! timeout = "30s"
//! [filter.config]
//! address = "127.0.0.1:11333"               # an IP address and a port; filters can't look names up
//! weight = 1.0                              # its score times this is the points
//! user = false                              # true: rspamd is told the login name, for settings of users
//! hold = []                                 # actions that hold the message: ["reject"]
//! ```
//!
//! Without `hold` it reports the score and changes nothing: what becomes of spam is for a later filter to decide by the points of
//! all. Whatever is not a whole answer is a failure of the service: `on_error` decides.
//!
//! # Findings
//!
//! `RSPAMD`, with the score as value; the text is the action and the symbols.
//!
//! Source: rspamd's documentation, "Protocol", `/checkv2`.

mod http;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use popgate_plugin::service::Service;
use popgate_plugin::{Failure, Filter, Finding, Message, Verdict, text};
use serde::Deserialize;

/// Octets of an answer.
const ANSWER_MAX: usize = 1024 * 1024;

/// Symbols that are named.
const NAMED: usize = 20;

/// The settings; see the crate's documentation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    address: SocketAddr,
    #[serde(default = "one")]
    weight: f64,
    #[serde(default)]
    user: bool,
    #[serde(default)]
    hold: Vec<String>,
}

fn one() -> f64 {
    1.0
}

/// The filter.
#[derive(Debug)]
pub struct Rspamd {
    service: Service,
    settings: Settings,
}

/// What is used of an answer.
#[derive(Debug, Deserialize)]
struct Answer {
    action: String,
    score: f64,
    #[serde(default)]
    symbols: BTreeMap<String, Symbol>,
}

#[derive(Debug, Deserialize)]
struct Symbol {
    #[serde(default)]
    score: f64,
}

impl Filter for Rspamd {
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, String> {
        if !settings.weight.is_finite() {
            return Err("`weight` is no finite number".to_owned());
        }
        Ok(Self { service: Service::new("rspamd", settings.address), settings })
    }

    fn filter(&self, message: &Message) -> Result<Verdict, Failure> {
        let mut rspamd = self.service.connect()?;
        rspamd.send(self.request(message).as_bytes())?;
        rspamd.send_message(message, |_| [])?;
        let answer = rspamd.read_to_end(ANSWER_MAX)?;
        let body = http::body(&answer).map_err(|reason| self.service.failure(reason))?;
        let answer: Answer = serde_json::from_slice(body)
            .map_err(|error| self.service.failure(format_args!("an answer that is none: {error}")))?;
        let points = answer.score * self.settings.weight;
        message.report(&Finding::new("RSPAMD", answer.told()).with_points(points).with_value(answer.score))?;
        if self.settings.hold.contains(&answer.action) {
            return Ok(Verdict::hold(format!("rspamd says: {}", text::clean(&answer.action, 100))));
        }
        Ok(Verdict::Pass)
    }
}

impl Rspamd {
    fn request(&self, message: &Message) -> String {
        // HTTP/1.0: the answer ends with the connection, and comes in one piece.
        let mut head = format!("POST /checkv2 HTTP/1.0\r\nContent-Length: {}\r\n", message.size());
        let user = if self.settings.user { message.fact("user") } else { None };
        let facts = [("User", user), ("From", message.fact("sdps-sender")), ("Rcpt", message.fact("sdps-recipient"))];
        for (name, value) in facts {
            // A value that could become a header of its own is not told.
            if let Some(value) = value.filter(|value| !value.contains(char::is_control)) {
                let _ = write!(head, "{name}: {value}\r\n");
            }
        }
        head + "\r\n"
    }
}

impl Answer {
    /// The action, and the symbols that matter most.
    fn told(&self) -> String {
        let mut symbols: Vec<_> = self.symbols.iter().map(|(name, symbol)| (name, symbol.score)).collect();
        symbols.sort_by(|(_, one), (_, other)| other.abs().total_cmp(&one.abs()));
        let named: Vec<_> = symbols.iter().take(NAMED).map(|(name, score)| format!("{name}({score})")).collect();
        text::clean(&format!("{}: {}", self.action, named.join(", ")), 900)
    }
}

popgate_plugin::export!(Rspamd);

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use popgate_plugin::testing;
    use serde_json::json;

    use super::*;

    const BODY: &str =
        r#"{"action":"reject","score":15.5,"required_score":15,"symbols":{"A":{"score":0.5},"B":{"score":15.0}}}"#;

    fn whole() -> String {
        format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\nContent-Type: application/json\r\n\r\n{BODY}", BODY.len())
    }

    fn asked(answer: String, mut settings: serde_json::Value) -> (Result<Verdict, Failure>, Message, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        settings["address"] = listener.local_addr().unwrap().to_string().into();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut read = Vec::new();
            while !read.ends_with(b"body\r\n") {
                let mut octet = [0];
                stream.read_exact(&mut octet).unwrap();
                read.extend(octet);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(read).unwrap()
        });
        let filter: Rspamd = testing::configure(settings).unwrap();
        let message =
            Message::from("Subject: x\n\nbody\n").with_fact("user", "alice").with_fact("sdps-sender", "b\r\nX: y");
        let verdict = filter.filter(&message);
        (verdict, message, server.join().unwrap())
    }

    #[test]
    fn the_score_is_reported() {
        let (verdict, message, asked) = asked(whole(), json!({ "weight": 2, "user": true }));
        assert_eq!(verdict, Ok(Verdict::Pass));
        let found = &message.reported()[0];
        assert_eq!((found.points, found.value, &*found.text), (31.0, Some(15.5), "reject: B(15), A(0.5)"));
        assert!(asked.starts_with("POST /checkv2 HTTP/1.0\r\nContent-Length: 20\r\nUser: alice\r\n\r\nSubject: x\r\n"));
    }

    #[test]
    fn actions_may_hold() {
        assert_eq!(asked(whole(), json!({ "hold": ["reject"] })).0, Ok(Verdict::hold("rspamd says: reject")));
        assert_eq!(asked(whole(), json!({ "hold": ["add header"] })).0, Ok(Verdict::Pass));
    }

    #[test]
    fn an_answer_that_is_cut_anywhere_is_no_answer() {
        let whole = whole();
        for end in 0..whole.len() {
            let (verdict, message, _) = asked(whole[..end].into(), json!({}));
            assert!(matches!(verdict, Err(Failure::Service(_))), "{end}: {verdict:?}");
            assert!(message.reported().is_empty());
        }
    }

    #[test]
    fn what_rspamd_refuses_is_its_failure() {
        for answer in [
            "HTTP/1.0 400 Bad\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}",
            "SPAMD/1.1 0 EX_OK\r\n\r\n",
        ] {
            let (verdict, ..) = asked(answer.into(), json!({}));
            assert!(matches!(verdict, Err(Failure::Service(_))), "{answer}: {verdict:?}");
        }
    }
}
