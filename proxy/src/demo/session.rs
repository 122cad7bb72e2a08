//! A session of the sample server: a line in, a reply out.
//!
//! It does no I/O and looks at no clock; the loop in `server` does both.
//!
//! Sources: RFC 1939 (POP3), RFC 2449 (CAPA, PIPELINING, RESP-CODES), RFC 3206 (`[AUTH]`), RFC 5034 (AUTH).

use std::sync::Arc;

use super::maildrop::{Maildrop, Stored};
use super::reply::Reply;
use crate::pop3::sasl::Plain;
use crate::pop3::{Command, LONG_LINE, LineFault, MessageNumber, Secret, line_limit};

/// The greeting. Without a timestamp in it: the server has no APOP.
pub(super) const GREETING: &str = "+OK Sample mail here, freshly made";

/// What CAPA lists.
const CAPABILITIES: [&str; 9] = [
    "TOP",
    "UIDL",
    "USER",
    "SASL PLAIN",
    "PIPELINING",
    "RESP-CODES",
    "AUTH-RESP-CODE",
    "EXPIRE NEVER",
    "IMPLEMENTATION popgate-demo",
];
/// How many lines that are no command end a session.
const MAX_BAD: u32 = 20;
/// How many refused logins end a session.
const MAX_REFUSED: u32 = 5;

/// What all sessions share: who may log in, and to what.
#[derive(Debug)]
pub(super) struct Account {
    /// The login name.
    pub(super) user: Vec<u8>,
    /// The password.
    pub(super) password: Secret,
    /// The mail.
    pub(super) maildrop: Maildrop,
}

/// One client's session.
#[derive(Debug)]
pub(super) struct Session {
    account: Arc<Account>,
    state: State,
    bad: u32,
    refused: u32,
}

/// Source: RFC 1939, sections 4 and 5. UPDATE is the moment of QUIT.
#[derive(Debug)]
enum State {
    /// Before login; with the name that USER gave.
    Authorization(Option<Vec<u8>>),
    /// Behind `AUTH PLAIN` without an initial response: the next line is the response.
    Response,
    /// Logged in.
    Transaction(Vec<Entry>),
}

/// A message as a session sees it.
#[derive(Debug)]
struct Entry {
    number: MessageNumber,
    message: Arc<Stored>,
    deleted: bool,
}

impl Session {
    /// A session that has just been greeted.
    pub(super) fn new(account: Arc<Account>) -> Self {
        Self { account, state: State::Authorization(None), bad: 0, refused: 0 }
    }

    /// True once the client has logged in.
    pub(super) fn logged_in(&self) -> bool {
        matches!(self.state, State::Transaction(_))
    }

    /// How long the line that begins with `start` may be, CRLF included, in octets.
    pub(super) fn line_limit(&self, start: &[u8]) -> usize {
        if matches!(self.state, State::Response) { LONG_LINE } else { line_limit(start) }
    }

    /// Answers a line without its CRLF, or what was wrong with it.
    pub(super) fn on_line(&mut self, line: Result<&[u8], LineFault>) -> Reply {
        let line = match line {
            Ok(line) => line,
            Err(fault) => {
                // A faulty response ends the exchange as a cancelled one does.
                if matches!(self.state, State::Response) {
                    self.state = State::Authorization(None);
                }
                return self.bad(fault);
            }
        };
        if matches!(self.state, State::Response) {
            return self.plain(line);
        }
        let command = match Command::parse(line) {
            Ok(command) => command,
            Err(error) => return self.bad(error),
        };
        tracing::trace!(verb = command.verb(), "command of the sample server");
        match (command, &mut self.state) {
            (Command::Capa, _) => Reply::lines("I can", CAPABILITIES.map(str::to_owned)),
            (Command::Quit, State::Transaction(entries)) => {
                let gone: Vec<_> =
                    entries.iter().filter(|entry| entry.deleted).map(|entry| Arc::clone(&entry.message)).collect();
                self.account.maildrop.remove(&gone);
                Reply::Last(format!("+OK bye, {} deleted", gone.len()))
            }
            (Command::Quit, _) => Reply::Last("+OK bye".into()),
            (command, State::Transaction(entries)) => match transaction(command, entries) {
                Some(reply) => reply,
                None => self.bad("not after login"),
            },
            (command, _) => self.authorization(command),
        }
    }

    fn authorization(&mut self, command: Command) -> Reply {
        let user = match &mut self.state {
            State::Authorization(user) => user.take(),
            _ => None,
        };
        match command {
            Command::User(name) => {
                self.state = State::Authorization(Some(name));
                Reply::ok("and the password?")
            }
            Command::Pass(password) => match user {
                Some(user) => self.log_in(&user, &password),
                None => self.bad("send USER first"),
            },
            Command::Mechanisms => Reply::lines("I understand", ["PLAIN".to_owned()]),
            Command::Auth { mechanism, initial } if mechanism == "PLAIN" => match initial {
                Some(response) => self.plain(response.expose()),
                None => {
                    self.state = State::Response;
                    Reply::Line("+ ".into())
                }
            },
            Command::Auth { .. } => self.bad("no such mechanism"),
            Command::Apop { .. } | Command::Stls | Command::Extension { .. } => self.bad("not here"),
            _ => self.bad("log in first"),
        }
    }

    /// Answers a response of PLAIN (RFC 4616), in base64.
    fn plain(&mut self, response: &[u8]) -> Reply {
        self.state = State::Authorization(None);
        if response == b"*" {
            return Reply::error("cancelled"); // RFC 5034 section 4
        }
        match Plain::parse(response) {
            Ok(plain) if plain.authorization.is_empty() || plain.authorization == plain.user => {
                self.log_in(&plain.user, &plain.password)
            }
            Ok(_) => self.refuse(),
            Err(error) => self.bad(error),
        }
    }

    fn log_in(&mut self, user: &[u8], password: &Secret) -> Reply {
        if self.account.user != user || self.account.password != *password {
            return self.refuse();
        }
        let numbers = (1_u32..).filter_map(|number| MessageNumber::parse(number.to_string().as_bytes()));
        let messages = self.account.maildrop.snapshot();
        let entry = |(number, message)| Entry { number, message, deleted: false };
        let entries: Vec<_> = numbers.zip(messages).map(entry).collect();
        let reply = Reply::ok(format_args!("welcome, {} messages", entries.len()));
        self.state = State::Transaction(entries);
        reply
    }

    /// Says no, with the same words to a wrong name and a wrong password.
    fn refuse(&mut self) -> Reply {
        self.refused += 1;
        let text = "[AUTH] wrong user or password".to_owned();
        if self.refused < MAX_REFUSED { Reply::error(text) } else { Reply::Last(format!("-ERR {text}")) }
    }

    /// Answers what can't be done, and ends the session when that happens too often.
    fn bad(&mut self, text: impl std::fmt::Display) -> Reply {
        self.bad += 1;
        if self.bad < MAX_BAD { Reply::error(text) } else { Reply::Last(format!("-ERR {text}; enough now")) }
    }
}

/// Answers a command of the TRANSACTION state; none for others.
fn transaction(command: Command, entries: &mut [Entry]) -> Option<Reply> {
    Some(match command {
        Command::Stat => {
            let (count, octets) = total(entries);
            Reply::ok(format_args!("{count} {octets}"))
        }
        Command::List(None) => {
            let (count, octets) = total(entries);
            Reply::lines(format_args!("{count} messages ({octets} octets)"), present(entries).map(Entry::size_line))
        }
        Command::List(Some(number)) => one(entries, number, |entry| Reply::ok(entry.size_line())),
        Command::Uidl(None) => Reply::lines("unique ids", present(entries).map(Entry::id_line)),
        Command::Uidl(Some(number)) => one(entries, number, |entry| Reply::ok(entry.id_line())),
        Command::Retr(number) => one(entries, number, |entry| {
            let content = entry.message.content.clone();
            Reply::Multi(format!("+OK {} octets", content.len()), content)
        }),
        Command::Top { number, lines } => {
            one(entries, number, |entry| Reply::Multi("+OK the top of it".into(), entry.message.top(lines)))
        }
        Command::Dele(number) => one(entries, number, |entry| {
            entry.deleted = true;
            Reply::ok(format_args!("message {number} goes at QUIT"))
        }),
        Command::Rset => {
            entries.iter_mut().for_each(|entry| entry.deleted = false);
            Reply::ok("nothing is deleted")
        }
        Command::Noop => Reply::ok("still here"),
        _ => return None,
    })
}

impl Entry {
    /// Its line in a LIST.
    fn size_line(&self) -> String {
        format!("{} {}", self.number, self.message.content.len())
    }

    /// Its line in a UIDL.
    fn id_line(&self) -> String {
        format!("{} {}", self.number, self.message.unique_id)
    }
}

/// The messages that are not deleted.
fn present(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(|entry| !entry.deleted)
}

/// How many messages are not deleted, and their size in octets.
fn total(entries: &[Entry]) -> (usize, usize) {
    present(entries).fold((0, 0), |(count, octets), entry| (count + 1, octets + entry.message.content.len()))
}

/// Answers about one message, if it is there.
fn one(entries: &mut [Entry], number: MessageNumber, answer: impl FnOnce(&mut Entry) -> Reply) -> Reply {
    match entries.iter_mut().find(|entry| entry.number == number && !entry.deleted) {
        Some(entry) => answer(entry),
        None => Reply::error("no such message"),
    }
}

#[cfg(test)]
mod tests;
