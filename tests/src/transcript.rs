//! Conversations on both sides of the proxy, from files.
//!
//! One thread goes through the file and plays client and server in turn, so that the order of the lines is the order of
//! events. Every conversation has a popgate of its own.
//!
//! ```text
//! # What this is about.
//! listener: allow_cleartext = true      a key of the listener
//! upstream: apop = false                a key of the upstream
//! config: [limits]                      a line of the configuration, at its end
//! file: users alice:$6$...              a file beside the configuration, with this line
//!
//! upstream S: +OK ready <1@a>           the server sends a line
//! client S: +OK ready*                  the client must get a line like this one
//! client C: USER alice                  the client sends a line
//! upstream C: USER alice                the server must get it
//! ```
//!
//! Where a line is sent, `>` instead of `:` leaves its CRLF away. Everywhere `\r`, `\n`, `\t`, `\0`, `\\`, `\*`, `\xHH` and
//! `\{TEXT*COUNT}` stand for octets; where a line is expected, `*` is anything.
//!
//! | line | what it does |
//! | --- | --- |
//! | `client logs in` | greeting, USER and PASS on both sides |
//! | `client lists A \| B \| C` | the client must get `+OK`, these lines in any order and no other, and the dot |
//! | `client connects` | opens a new connection, the one before is closed. The first is opened at the start |
//! | `client closes`, `upstream closes` | this side ends its connection |
//! | `client finishes` | the client sends no more, but goes on to read |
//! | `client ends`, `upstream ends` | the proxy must end that connection, and send nothing before |
//! | `client is quiet`, `upstream is quiet` | the proxy must send nothing there |
//! | `client starts TLS`, `upstream starts TLS` | this side does its handshake |
//! | `upstream is left alone` | nobody has connected to the server |
//! | `log has TEXT` | a line of the log comes to contain this |
//!
//! Server names in a configuration: the listener is `pop3`, the upstream `scripted`; `listener: routed` leaves the
//! listener without upstream, and `{address}` and `{ca}` are the server's address and authority. No password may be in
//! the log at the end: the word `sesame` never. A status line to the client must be printable, and an error 512 octets
//! long at most.

mod line;
mod script;

use std::fmt::Write as _;
use std::path::Path;

use crate::certificates::{self, Certificates};
use crate::connection::{Connection, show};
use crate::popgate::Popgate;
use crate::process;
use crate::upstream::Upstream;

use line::Pattern;
use script::{Action, Script, Side, Step};

/// What no log may contain: part of every password in the transcripts.
const SECRET: &str = "sesame";

/// Plays the transcript in a file.
///
/// # Panics
///
/// With file and line, where the file is not understood or the proxy does something else.
pub fn play(path: &Path) {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let script = Script::parse(&text).unwrap_or_else(|(line, fault)| panic!("{}:{line}: {fault}", path.display()));
    let mut stage = Stage::set(&script);
    for step in &script.steps {
        // So that a failure, wherever it is noticed, is preceded by its place.
        eprintln!("{}:{}: {}", path.display(), step.line, step.text);
        stage.play(step);
    }
    let log = stage.popgate.log();
    assert!(!log.contains(SECRET), "a password is in the log:\n{log}");
}

/// Everything that takes part.
struct Stage {
    client: Option<Connection>,
    upstream: Option<Connection>,
    server: Upstream,
    certificates: Certificates,
    // Last: it would wait for sessions that have not ended.
    popgate: Popgate,
}

impl Stage {
    fn set(script: &Script) -> Self {
        let server = Upstream::listen();
        let folder = process::folder();
        let certificates = Certificates::create(folder.path(), "upstream");
        let config = configuration(script)
            .replace("{address}", &server.address().to_string())
            .replace("{ca}", &certificates.ca.to_string_lossy());
        for (name, content) in &script.files {
            process::write(&folder.path().join(name), content);
        }
        let popgate = Popgate::start_in(folder, &config);
        let mut stage = Self { popgate, server, certificates, client: None, upstream: None };
        stage.connect();
        stage
    }

    fn connect(&mut self) {
        // First the old one is closed, so that the proxy never sees both.
        self.client = None;
        let mut client = self.popgate.connect("pop3");
        if self.popgate.listener("pop3").tls == "implicit" {
            client = client.with_client_tls(certificates::trust(self.popgate.ca()));
        }
        self.client = Some(client);
    }

    fn play(&mut self, step: &Step) {
        match &step.action {
            Action::Send(side, octets) => self.side(*side).send(octets),
            Action::Expect(side, pattern) => {
                let line = self.side(*side).line();
                assert!(pattern.matches(&line), "line {}: not expected: {}", step.line, show(&line));
                if *side == Side::Client && (line.starts_with(b"+OK") || line.starts_with(b"-ERR")) {
                    expect_clean(&line);
                }
            }
            Action::ExpectLines(patterns) => self.expect_lines(patterns),
            Action::LogIn => self.log_in(),
            Action::Connect => {
                self.connect();
                self.upstream = None;
            }
            Action::Close(Side::Client) => self.client = None,
            Action::Close(Side::Upstream) => {
                self.side(Side::Upstream);
                self.upstream = None;
            }
            Action::Finish => self.side(Side::Client).finish_sending(),
            Action::ExpectEnd(side) => self.side(*side).expect_end(),
            Action::ExpectQuiet(side) => self.side(*side).expect_quiet(),
            Action::StartTls(side) => self.start_tls(*side),
            Action::LeftAlone => self.server.expect_nobody(),
            Action::Log(text) => self.popgate.wait_for_log(text),
        }
    }

    /// The connection on this side; the server accepts one when it is first needed.
    fn side(&mut self, side: Side) -> &mut Connection {
        match side {
            Side::Client => self.client.as_mut().expect("the client is connected"),
            Side::Upstream => self.upstream.get_or_insert_with(|| self.server.accept()),
        }
    }

    fn expect_lines(&mut self, patterns: &[Pattern]) {
        let client = self.side(Side::Client);
        let status = client.text();
        assert!(status.starts_with("+OK"), "the client got {status:?}");
        let body = client.stuffed_body();
        let mut lines: Vec<_> = body.split(|&octet| octet == b'\n').map(<[u8]>::trim_ascii_end).collect();
        // The terminator, and what is behind its line end.
        lines.truncate(lines.len() - 2);
        assert_eq!(lines.len(), patterns.len(), "another number of lines: {}", show(&body));
        for pattern in patterns {
            assert!(lines.iter().any(|line| pattern.matches(line)), "no line like {pattern:?} in {}", show(&body));
        }
    }

    fn log_in(&mut self) {
        let password = format!("PASS {SECRET}");
        self.side(Side::Upstream).send("+OK ready\r\n");
        assert_eq!(self.side(Side::Client).text(), "+OK ready");
        for command in ["USER alice", &password] {
            self.side(Side::Client).send_line(command);
            assert_eq!(self.side(Side::Upstream).text(), command);
            self.side(Side::Upstream).send("+OK go on\r\n");
            assert_eq!(self.side(Side::Client).text(), "+OK go on");
        }
    }

    fn start_tls(&mut self, side: Side) {
        match side {
            Side::Client => {
                let client = self.client.take().expect("the client is connected");
                self.client = Some(client.with_client_tls(certificates::trust(self.popgate.ca())));
            }
            Side::Upstream => {
                self.side(side);
                let upstream = self.upstream.take().expect("it has just been accepted");
                let secured = upstream.with_server_tls(self.certificates.server());
                self.upstream = Some(secured.unwrap_or_else(|error| panic!("upstream: TLS failed: {error}")));
            }
        }
    }
}

/// What every status line to a client must be, whatever the server has sent: bounded and printable.
fn expect_clean(line: &[u8]) {
    let limit = if line.starts_with(b"-ERR") { 512 } else { 1024 };
    assert!(line.len() <= limit, "a status line of {} octets", line.len());
    assert!(!line.iter().any(u8::is_ascii_control), "control characters in {}", show(line));
}

/// The configuration: one listener, one upstream, and what the file says.
fn configuration(script: &Script) -> String {
    let mut text = String::new();
    let mut table = |header: &str, basis: &[(&str, &str)], given: &[String]| {
        let _infallible = writeln!(text, "{header}");
        for (key, value) in basis {
            if !given.iter().any(|line| line.split('=').next().is_some_and(|given| given.trim() == *key)) {
                let _infallible = writeln!(text, "{key} = {value}");
            }
        }
        for line in given {
            let _infallible = writeln!(text, "{line}");
        }
    };
    let listener =
        [("name", "\"pop3\""), ("address", "\"127.0.0.1:0\""), ("tls", "\"none\""), ("upstream", "\"scripted\"")];
    let basis = if script.routed { &listener[..3] } else { &listener[..] };
    table("[[listener]]", basis, &script.listener);
    let upstream = [("name", "\"scripted\""), ("address", "\"{address}\""), ("tls", "\"none\"")];
    table("[[upstream]]", &upstream, &script.upstream);
    table("", &[], &script.config);
    text
}
