//! What a client may say, parsed once.

use std::borrow::Cow;

use super::{MessageNumber, Secret, sasl};

/// A command line that POP3 or a known extension defines.
///
/// Source: RFC 1939 (all but the following), RFC 2449 (CAPA), RFC 2595 (STLS), RFC 5034 (AUTH).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// `APOP name digest`: log in with a digest over the greeting's timestamp.
    Apop {
        /// The login name.
        name: Vec<u8>,
        /// MD5 over timestamp and shared secret, in hexadecimal digits.
        digest: Secret,
    },
    /// `AUTH`: list the mechanisms.
    Mechanisms,
    /// `AUTH mechanism [initial-response]`
    Auth {
        /// The mechanism in capitals.
        mechanism: String,
        /// The initial response in base64.
        initial: Option<Secret>,
    },
    /// `CAPA`
    Capa,
    /// `DELE n`
    Dele(MessageNumber),
    /// `*ENV n`: the envelope, an extension of Demon Internet.
    Envelope(MessageNumber),
    /// `LIST [n]`
    List(Option<MessageNumber>),
    /// `NOOP`
    Noop,
    /// `PASS string`: every octet behind the first blank, further blanks included.
    Pass(Secret),
    /// `QUIT`
    Quit,
    /// `RETR n`
    Retr(MessageNumber),
    /// `RSET`
    Rset,
    /// `STAT`
    Stat,
    /// `STLS`
    Stls,
    /// `TOP n lines`
    Top {
        /// The message.
        number: MessageNumber,
        /// How many lines of its body; more than fit a number are as good as all.
        lines: u64,
    },
    /// `UIDL [n]`
    Uidl(Option<MessageNumber>),
    /// `USER name`
    User(Vec<u8>),
    /// An extension that is relayed as it stands.
    Extension {
        /// The line without CRLF.
        line: Vec<u8>,
        /// How its reply looks.
        extension: Extension,
    },
}

/// The octets of the longest verb: XSENDER.
const LONGEST_VERB: usize = 7;

/// In which state a command is allowed (RFC 1939 section 3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// AUTHORIZATION: before login.
    Authorization,
    /// TRANSACTION: after login.
    Transaction,
    /// Both.
    Any,
}

/// The shape of a positive reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    /// One line.
    Single,
    /// A status line, then lines up to a dot.
    Multi,
}

/// A known extension command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Extension {
    /// In which state it is allowed.
    pub state: State,
    /// The shape of its positive reply.
    pub shape: Shape,
}

/// Why a line is no command. The text goes to the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CommandError {
    /// No verb at all.
    #[error("empty command")]
    Empty,
    /// A verb that nobody knows.
    #[error("unknown command")]
    Unknown,
    /// Too few or too many words.
    #[error("wrong number of arguments")]
    Arguments,
    /// A number that no message can have.
    #[error("no such message")]
    Number,
    /// A word that can't stand there.
    #[error("malformed argument")]
    Malformed,
}

impl Command {
    /// Reads a line without its CRLF. Blanks around it and the case of the verb do not matter.
    ///
    /// # Errors
    ///
    /// When the line is no command that a client may send.
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        let line = line.trim_ascii_start();
        let split = line.iter().position(|&byte| byte == b' ' || byte == b'\t');
        let (verb, rest) = match split {
            Some(at) => (&line[..at], Some(&line[at + 1..])),
            None => (line, None),
        };
        let mut upper = [0; LONGEST_VERB];
        let upper = upper.get_mut(..verb.len()).ok_or(CommandError::Unknown)?;
        upper.copy_from_slice(verb);
        upper.make_ascii_uppercase();
        if upper == b"PASS" {
            // Blanks belong to the password (RFC 1939 section 7).
            return rest.map(|secret| Self::Pass(Secret::new(secret.to_vec()))).ok_or(CommandError::Arguments);
        }
        let rest = rest.unwrap_or_default().trim_ascii();
        let words = Words(rest);
        match &*upper {
            b"" => Err(CommandError::Empty),
            b"APOP" => words
                .pair()
                .map(|(name, digest)| Self::Apop { name: name.to_vec(), digest: Secret::new(digest.to_vec()) }),
            b"AUTH" => auth(words),
            b"CAPA" => words.none().map(|()| Self::Capa),
            b"DELE" => words.number().map(Self::Dele),
            b"*ENV" => words.number().map(Self::Envelope),
            b"LIST" => words.optional_number().map(Self::List),
            b"NOOP" => words.none().map(|()| Self::Noop),
            b"QUIT" => words.none().map(|()| Self::Quit),
            b"RETR" => words.number().map(Self::Retr),
            b"RSET" => words.none().map(|()| Self::Rset),
            b"STAT" => words.none().map(|()| Self::Stat),
            b"STLS" => words.none().map(|()| Self::Stls),
            b"TOP" => top(words),
            b"UIDL" => words.optional_number().map(Self::Uidl),
            b"USER" if rest.is_empty() => Err(CommandError::Arguments),
            b"USER" => Ok(Self::User(rest.to_vec())),
            _ => {
                let extension = Extension::of(upper, rest).ok_or(CommandError::Unknown)?;
                Ok(Self::Extension { line: line.trim_ascii_end().to_vec(), extension })
            }
        }
    }

    /// The verb for logs and spans: never an argument.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Apop { .. } => "APOP",
            Self::Mechanisms | Self::Auth { .. } => "AUTH",
            Self::Capa => "CAPA",
            Self::Dele(_) => "DELE",
            Self::Envelope(_) => "*ENV",
            Self::List(_) => "LIST",
            Self::Noop => "NOOP",
            Self::Pass(_) => "PASS",
            Self::Quit => "QUIT",
            Self::Retr(_) => "RETR",
            Self::Rset => "RSET",
            Self::Stat => "STAT",
            Self::Stls => "STLS",
            Self::Top { .. } => "TOP",
            Self::Uidl(_) => "UIDL",
            Self::User(_) => "USER",
            Self::Extension { .. } => "extension",
        }
    }

    /// The line to send, without CRLF; secrets of PASS, APOP and AUTH included.
    #[must_use]
    pub fn line(&self) -> Cow<'_, [u8]> {
        let text = match self {
            Self::Apop { name, digest } => return [b"APOP ", name.as_slice(), b" ", digest.expose()].concat().into(),
            Self::Auth { mechanism, initial: Some(initial) } => {
                return [b"AUTH ", mechanism.as_bytes(), b" ", initial.expose()].concat().into();
            }
            Self::Pass(secret) => return [b"PASS ", secret.expose()].concat().into(),
            Self::User(name) => return [b"USER ", name.as_slice()].concat().into(),
            Self::Extension { line, .. } => return line.into(),
            Self::Auth { mechanism, initial: None } => format!("AUTH {mechanism}"),
            Self::Dele(number) => format!("DELE {number}"),
            Self::Envelope(number) => format!("*ENV {number}"),
            Self::List(Some(number)) => format!("LIST {number}"),
            Self::Retr(number) => format!("RETR {number}"),
            Self::Top { number, lines } => format!("TOP {number} {lines}"),
            Self::Uidl(Some(number)) => format!("UIDL {number}"),
            simple => simple.verb().to_owned(),
        };
        text.into_bytes().into()
    }
}

impl Extension {
    /// The table of extensions whose reply shape is known; a proxy that guesses the shape gets out of step.
    fn of(verb: &[u8], argument: &[u8]) -> Option<Self> {
        let (state, shape) = match verb {
            // RFC 1460 section 7, dropped by RFC 1725: the highest message accessed.
            b"LAST" => (State::Transaction, Shape::Single),
            // RFC 6856 section 3: without an argument it lists the languages.
            b"LANG" if argument.is_empty() => (State::Any, Shape::Multi),
            b"LANG" => (State::Any, Shape::Single),
            // RFC 6856 section 2.
            b"UTF8" if argument.is_empty() => (State::Any, Shape::Single),
            // Netscape: the authenticated sender, one line.
            b"XSENDER" => (State::Transaction, Shape::Single),
            // RFC 1082 section 2 and the qpopper manual: headers of many messages. XTND XMIT would send mail.
            b"XTND" if argument.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"XLST ")) => {
                (State::Transaction, Shape::Multi)
            }
            _ => return None,
        };
        Some(Self { state, shape })
    }
}

fn auth(words: Words<'_>) -> Result<Command, CommandError> {
    if words.0.is_empty() {
        return Ok(Command::Mechanisms);
    }
    let mut split = words.split();
    let (mechanism, initial) = (split.next().unwrap_or_default(), split.next());
    if split.next().is_some() {
        return Err(CommandError::Arguments);
    }
    if !sasl::is_mechanism(mechanism) {
        return Err(CommandError::Malformed);
    }
    let mechanism = String::from_utf8_lossy(mechanism).to_ascii_uppercase();
    Ok(Command::Auth { mechanism, initial: initial.map(|text| Secret::new(text.to_vec())) })
}

fn top(words: Words<'_>) -> Result<Command, CommandError> {
    let (number, lines) = words.pair()?;
    if !lines.iter().all(u8::is_ascii_digit) {
        return Err(CommandError::Malformed);
    }
    let number = MessageNumber::parse(number).ok_or(CommandError::Number)?;
    let lines = std::str::from_utf8(lines).ok().and_then(|digits| digits.parse().ok()).unwrap_or(u64::MAX);
    Ok(Command::Top { number, lines })
}

/// The arguments of a command, blanks around them removed.
#[derive(Clone, Copy)]
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn split(self) -> impl Iterator<Item = &'a [u8]> {
        self.0.split(|&byte| byte == b' ' || byte == b'\t').filter(|word| !word.is_empty())
    }

    fn none(self) -> Result<(), CommandError> {
        if self.0.is_empty() { Ok(()) } else { Err(CommandError::Arguments) }
    }

    fn pair(self) -> Result<(&'a [u8], &'a [u8]), CommandError> {
        let mut words = self.split();
        match (words.next(), words.next(), words.next()) {
            (Some(first), Some(second), None) => Ok((first, second)),
            _ => Err(CommandError::Arguments),
        }
    }

    fn optional_number(self) -> Result<Option<MessageNumber>, CommandError> {
        let mut words = self.split();
        match (words.next(), words.next()) {
            (None, _) => Ok(None),
            (Some(digits), None) => MessageNumber::parse(digits).map(Some).ok_or(CommandError::Number),
            _ => Err(CommandError::Arguments),
        }
    }

    fn number(self) -> Result<MessageNumber, CommandError> {
        self.optional_number()?.ok_or(CommandError::Arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: &str) -> MessageNumber {
        MessageNumber::parse(n.as_bytes()).unwrap()
    }

    #[test]
    fn reads_commands_in_any_case_and_with_blanks_around() {
        let cases: [(&str, Command); 17] = [
            ("stat", Command::Stat),
            ("  NoOp  ", Command::Noop),
            ("QUIT", Command::Quit),
            ("LIST", Command::List(None)),
            ("list 3", Command::List(Some(number("3")))),
            ("UIDL 7", Command::Uidl(Some(number("7")))),
            ("RETR  12", Command::Retr(number("12"))),
            ("TOP 1 0", Command::Top { number: number("1"), lines: 0 }),
            ("TOP 1 99999999999999999999999", Command::Top { number: number("1"), lines: u64::MAX }),
            ("*env 1", Command::Envelope(number("1"))),
            ("DELE 1", Command::Dele(number("1"))),
            ("USER alice smith", Command::User(b"alice smith".to_vec())),
            ("PASS  two  blanks ", Command::Pass(Secret::new(b" two  blanks ".to_vec()))),
            ("AUTH", Command::Mechanisms),
            ("AUTH ", Command::Mechanisms),
            ("auth plain", Command::Auth { mechanism: "PLAIN".into(), initial: None }),
            ("auth plain =", Command::Auth { mechanism: "PLAIN".into(), initial: Some(Secret::new(b"=".to_vec())) }),
        ];
        for (line, command) in cases {
            assert_eq!(Command::parse(line.as_bytes()), Ok(command), "{line:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_command() {
        use CommandError::{Arguments, Empty, Malformed, Number, Unknown};
        for (line, error) in [
            ("", Empty),
            ("   ", Empty),
            ("HELO", Unknown),
            ("GET / HTTP/1.1", Unknown),
            ("XTND XMIT", Unknown),
            ("XCLIENT ADDR=1.2.3.4", Unknown),
            ("UTF8 USER", Unknown),
            ("PASS", Arguments),
            ("USER", Arguments),
            ("USER  ", Arguments),
            ("*ENV", Arguments),
            ("*ENV 0", Number),
            ("STAT 1", Arguments),
            ("RETR", Arguments),
            ("RETR 1 2", Arguments),
            ("RETR 0", Number),
            ("RETR -1", Number),
            ("RETR 1x", Number),
            ("RETR 18446744073709551617", Number),
            ("TOP 1", Arguments),
            ("TOP 1 -1", Malformed),
            ("TOP 0 1", Number),
            ("AUTH PL\u{e9}IN", Malformed),
            ("AUTH PLAIN a b", Arguments),
            ("APOP alice", Arguments),
        ] {
            assert_eq!(Command::parse(line.as_bytes()), Err(error), "{line:?}");
        }
    }

    #[test]
    fn a_parsed_command_is_sent_as_it_came() {
        for line in
            ["USER \u{fc}ser", "PASS  x ", "TOP 2 5", "LIST", "LIST 2", "APOP a b", "AUTH PLAIN dGVzdA==", "*ENV 3"]
        {
            assert_eq!(Command::parse(line.as_bytes()).unwrap().line(), line.as_bytes());
        }
    }

    #[test]
    fn secrets_do_not_print() {
        for line in ["PASS hunter2", "AUTH PLAIN hunter2", "APOP alice hunter2"] {
            let shown = format!("{:?}", Command::parse(line.as_bytes()).unwrap());
            assert!(!shown.contains("hunter2") && !shown.contains(&format!("{:?}", b"hunter2")), "{shown}");
        }
    }
}
