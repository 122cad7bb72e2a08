//! The filter `spamassassin`: asks SpamAssassin's daemon `spamd` about each message.
//!
//! # Settings
//!
//! ```toml
//! [[filter]]
//! plugin = "spamassassin"
//! grant = { connect = ["127.0.0.1:783"] }   # spamd --listen 127.0.0.1:783
//! timeout = "60s"
//! only = { max_size = "512KiB" }            # as spamc has it: large mail is hardly ever spam
//! [filter.config]
//! address = "127.0.0.1:783"                 # an IP address and a port; filters can't look names up
//! weight = 1.0                              # its score times this is the points
//! user = false                              # true: spamd is told the login name, for preferences of users
//! ```
//!
//! It reports the score and changes nothing: what becomes of spam is for a later filter to decide by the points of all. Whatever
//! is not a whole answer is a failure of the service: `on_error` decides.
//!
//! # Findings
//!
//! `SPAMASSASSIN`, with the score as value; the text names the rules that were hit.
//!
//! Source: SpamAssassin's `spamd/PROTOCOL`, version 1.5.

use std::net::SocketAddr;

use popgate_plugin::service::Service;
use popgate_plugin::{Failure, Filter, Finding, Message, Verdict, text};
use serde::Deserialize;

/// Octets of an answer: a few header lines, and the names of rules.
const ANSWER_MAX: usize = 65_536;

/// The settings; see the crate's documentation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    address: SocketAddr,
    #[serde(default = "one")]
    weight: f64,
    #[serde(default)]
    user: bool,
}

fn one() -> f64 {
    1.0
}

/// The filter.
#[derive(Debug)]
pub struct SpamAssassin {
    spamd: Service,
    weight: f64,
    user: bool,
}

impl Filter for SpamAssassin {
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, String> {
        if !settings.weight.is_finite() {
            return Err("`weight` is no finite number".to_owned());
        }
        let Settings { address, weight, user } = settings;
        Ok(Self { spamd: Service::new("spamd", address), weight, user })
    }

    fn filter(&self, message: &Message) -> Result<Verdict, Failure> {
        let mut spamd = self.spamd.connect()?;
        let mut head = format!("SYMBOLS SPAMC/1.5\r\nContent-length: {}\r\n", message.size());
        // A name that could become a header of its own is not told.
        let user = message.fact("user").filter(|name| self.user && !name.contains(char::is_control));
        if let Some(user) = user {
            head.push_str(&format!("User: {user}\r\n"));
        }
        spamd.send(format!("{head}\r\n").as_bytes())?;
        spamd.send_message(message, |_| [])?;
        spamd.finish()?;
        let answer = spamd.read_to_end(ANSWER_MAX)?;
        let (score, rules) = read(&answer).map_err(|reason| self.spamd.failure(reason))?;
        let rules = text::clean(&rules, 900);
        let rules = if rules.is_empty() { "no rule was hit".to_owned() } else { rules };
        message.report(&Finding::new("SPAMASSASSIN", rules).with_points(score * self.weight).with_value(score))?;
        Ok(Verdict::Pass)
    }
}

/// Score and rules of an answer.
fn read(answer: &[u8]) -> Result<(f64, String), String> {
    let answer = String::from_utf8_lossy(answer);
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return Err("half an answer".into()) };
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    let mut words = status.split_ascii_whitespace();
    if !words.next().is_some_and(|word| word.starts_with("SPAMD/")) || words.next() != Some("0") {
        return Err(format!("it says: {}", text::clean(status, 200)));
    }
    let field = |wanted: &str| {
        head.split("\r\n")
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .find_map(|(name, value)| name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned()))
    };
    if let Some(length) = field("Content-length").and_then(|length| length.parse::<usize>().ok())
        && body.len() < length
    {
        return Err("half an answer".into());
    }
    // `True ; 15.5 / 5.0`
    let spam = field("Spam").ok_or("an answer without a score")?;
    let score = spam.split_once(';').and_then(|(_, scores)| scores.split('/').next()?.trim().parse::<f64>().ok());
    let score = score.filter(|score| score.is_finite()).ok_or("an answer without a score")?;
    Ok((score, body.trim().replace(',', ", ")))
}

popgate_plugin::export!(SpamAssassin);

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use popgate_plugin::testing;
    use serde_json::json;

    use super::*;

    const ANSWER: &str = "SPAMD/1.1 0 EX_OK\r\nContent-length: 13\r\nSpam: True ; 15.5 / 5.0\r\n\r\nRULE_A,RULE_B";

    fn asked(answer: String, settings: serde_json::Value) -> (Result<Verdict, Failure>, Message, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut settings = settings;
        settings["address"] = listener.local_addr().unwrap().to_string().into();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut read = String::new();
            stream.read_to_string(&mut read).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            read
        });
        let filter: SpamAssassin = testing::configure(settings).unwrap();
        let message = Message::from("Subject: x\n\nbody\n").with_fact("user", "alice");
        let verdict = filter.filter(&message);
        (verdict, message, server.join().unwrap())
    }

    #[test]
    fn the_score_is_reported() {
        let (verdict, message, asked) = asked(ANSWER.into(), json!({ "weight": 0.5, "user": true }));
        assert_eq!(verdict, Ok(Verdict::Pass));
        let found = &message.reported()[0];
        assert_eq!((found.points, found.value, &*found.text), (7.75, Some(15.5), "RULE_A, RULE_B"));
        let expected = "SYMBOLS SPAMC/1.5\r\nContent-length: 20\r\nUser: alice\r\n\r\nSubject: x\r\n\r\nbody\r\n";
        assert_eq!(asked, expected);
    }

    #[test]
    fn an_answer_that_is_cut_anywhere_is_no_answer() {
        for end in 0..ANSWER.len() {
            let (verdict, message, _) = asked(ANSWER[..end].into(), json!({}));
            assert!(matches!(verdict, Err(Failure::Service(_))), "{end}: {verdict:?}");
            assert!(message.reported().is_empty());
        }
    }

    #[test]
    fn what_spamd_refuses_is_its_failure() {
        for answer in [
            "SPAMD/1.0 76 Bad header line: x\r\n\r\n",
            "SPAMD/1.1 0 EX_OK\r\n\r\n",
            "SPAMD/1.1 0 EX_OK\r\nSpam: True ; nan / 5.0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\n\r\n",
        ] {
            let (verdict, ..) = asked(answer.into(), json!({}));
            assert!(matches!(verdict, Err(Failure::Service(_))), "{answer}: {verdict:?}");
        }
    }
}
