//! What clients say.

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use popgate::pop3::{LineFault, sasl};

/// One line, or what was wrong with it.
pub(super) struct Said {
    pub(super) line: Result<Bytes, LineFault>,
}

/// Lines without a choice in them.
const FIXED: [&str; 31] = [
    "USER alice",
    "PASS secret",
    "NOOP",
    "QUIT",
    "STAT",
    "LIST",
    "UIDL",
    "RSET",
    "CAPA",
    "STLS",
    "AUTH",
    "AUTH PLAIN",
    "AUTH LOGIN",
    "AUTH XOAUTH2",
    "AUTH OAUTHBEARER",
    "AUTH CRAM-MD5",
    "AUTH EXTERNAL =",
    "AUTH EXTERNAL",
    "AUTH SCRAM-SHA-1-PLUS",
    "*",
    "=",
    "",
    "APOP alice digest",
    "USER bob#host",
    "LAST",
    "*ENV 1",
    "LANG",
    "LANG *",
    "UTF8",
    "HELO",
    "XTND XLST Subject",
];

#[derive(Arbitrary)]
enum Kind {
    Fixed(u8),
    /// A command with a message number.
    Numbered {
        verb: u8,
        number: u8,
        lines: u8,
    },
    /// Base64 of this, behind `AUTH mechanism` or alone.
    Response {
        mechanism: u8,
        message: Vec<u8>,
    },
    /// A name or a password.
    Credential {
        password: bool,
        text: Vec<u8>,
    },
    Any(Vec<u8>),
    Fault(u8),
}

/// The next line.
pub(super) fn line(choices: &mut Unstructured<'_>) -> Said {
    let kind = choices.arbitrary().unwrap_or(Kind::Fixed(0));
    let line = match kind {
        Kind::Fixed(at) => FIXED[usize::from(at) % FIXED.len()].as_bytes().to_vec(),
        Kind::Numbered { verb, number, lines } => {
            let number = number % 4;
            let line = match verb % 5 {
                0 => format!("RETR {number}"),
                // More lines than any message has, which is a way to download it.
                1 if lines > 200 => format!("TOP {number} 99999999"),
                1 => format!("TOP {number} {lines}"),
                2 => format!("DELE {number}"),
                3 => format!("LIST {number}"),
                _ => format!("UIDL {number}"),
            };
            line.into_bytes()
        }
        Kind::Response { mechanism, message } => {
            let start = ["", "AUTH PLAIN ", "AUTH LOGIN ", "AUTH XOAUTH2 ", "AUTH GSSAPI "][usize::from(mechanism) % 5];
            [start.as_bytes(), sasl::encode(&message).expose()].concat()
        }
        Kind::Credential { password, text } => [if password { b"PASS " } else { b"USER " }, text.as_slice()].concat(),
        Kind::Any(line) => line,
        Kind::Fault(fault) => {
            let faults = [LineFault::TooLong, LineFault::Nul, LineFault::BareCr, LineFault::BareLf];
            return Said { line: Err(faults[usize::from(fault) % faults.len()]) };
        }
    };
    // A line reader lets none of these through.
    let line: Vec<u8> = line.into_iter().filter(|octet| !b"\r\n\0".contains(octet)).collect();
    Said { line: Ok(line.into()) }
}
