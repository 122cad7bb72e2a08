//! Mail of the tests' own making.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// How messages in a mailbox of real servers end their lines; POP3 sends CRLF whatever is stored.
const LINE_END: &str = "\n";

/// The messages that every mailbox for real clients holds: what has broken proxies before, as far as every client
/// stores it as it came (so no NUL and no bare CR, which some of them drop). `longest_line` is what the client takes, in
/// octets.
#[must_use]
pub fn mailbox(longest_line: usize) -> Vec<Vec<u8>> {
    let plain = "Content-Type: text/plain; charset=us-ascii\n";
    let eight_bit = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n";
    vec![
        message(1, "short", plain, "Hello.\n"),
        message(2, "dots", plain, ".dot\n..two\n...three\n.\n.\n. \n.\t\n..\nand one at the end.\n.\n"),
        message(
            3,
            "eight bits, no last line end",
            eight_bit,
            "Gr\u{fc}\u{df}e \u{4f60}\u{597d}, \u{645}\u{631}\u{62d}\u{628}\u{627}",
        ),
        message(4, "300 kB", plain, &numbered_lines(4_350)),
        message(5, "a long line", plain, &format!("{}\nend\n", "x".repeat(longest_line))),
        message(6, "lines like the mbox separator", plain, "From the start\n>From quoted\n>>From twice\n"),
        message(7, "headers only", plain, ""),
        message(8, "attachments", "Content-Type: multipart/mixed; boundary=\"=-b8\"\n", &attachments("=-b8")),
        message(9, "blank lines", plain, "\n\n\nbetween\n\n\n"),
        message(10, "=?utf-8?B?w5xiZXJyYXNjaHVuZw==?= =?iso-8859-1?Q?f=FCr?= dich", plain, "An encoded subject.\n"),
        message(11, "folded\n field\n\tand tabs", plain, "A folded subject.\n"),
        message(
            12,
            "html",
            "Content-Type: text/html; charset=utf-8\n",
            "<p>A <a href=\"https://example.org/\">link</a>.</p>\n",
        ),
    ]
}

/// A message with the fields that mail has.
#[must_use]
pub fn message(number: usize, subject: &str, fields: &str, body: &str) -> Vec<u8> {
    format!(
        "Received: from mx.example.org by mail.example.net\n\tfor <reader@example.net>; Mon, 01 Jun 2026 10:00:00 +0000\n\
         From: Sender {number} <sender{number}@example.org>\nTo: reader@example.net\nSubject: {subject}\n\
         Date: Mon, 01 Jun 2026 10:00:00 +0000\nMessage-ID: <test-{number}@example.org>\nMIME-Version: 1.0\n{fields}\n{body}"
    )
    .replace('\n', LINE_END)
    .into_bytes()
}

/// So many lines of 69 octets with their number.
#[must_use]
pub fn numbered_lines(count: usize) -> String {
    (0..count).map(|number| format!("{number:07} {}\n", "abcdefghij".repeat(6))).collect()
}

/// A message of about this many octets: text, and above 8 kB a base64 attachment, as real mail has.
#[must_use]
pub fn of_size(octets: usize) -> Vec<u8> {
    let fields = "Content-Type: multipart/mixed; boundary=\"=-size\"\n";
    let text = numbered_lines(octets.min(8_000) / 2 / 69);
    let attached: Vec<u8> =
        (0..octets.saturating_sub(text.len() + 700) * 73 / 100).map(|at| (at * 31 % 251) as u8).collect();
    let body = format!(
        "--=-size\nContent-Type: text/plain; charset=us-ascii\n\n{text}\n--=-size\nContent-Type: application/octet-stream\n\
         Content-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=\"data.bin\"\n\n{}--=-size--\n",
        encoded(&attached)
    );
    crlf(&message(octets, "of a size", fields, &body))
}

/// The anti-virus test string, put together here so that this file itself is not one.
#[must_use]
pub fn eicar() -> String {
    ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$", "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"].concat()
}

/// A message with this file attached in base64.
#[must_use]
pub fn with_attachment(number: usize, file_name: &str, media_type: &str, content: &[u8]) -> Vec<u8> {
    let fields = "Content-Type: multipart/mixed; boundary=\"=-one\"\n";
    let body = format!(
        "--=-one\nContent-Type: text/plain; charset=us-ascii\n\nSee the file.\n--=-one\nContent-Type: {media_type}\n\
         Content-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=\"{file_name}\"\n\n{}--=-one--\n",
        encoded(content)
    );
    message(number, "a file", fields, &body)
}

fn attachments(boundary: &str) -> String {
    let picture: Vec<u8> = (0..=255).cycle().take(5_000).collect();
    format!(
        "A preamble.\n--{boundary}\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n\
         Gr=C3=BC=C3=9Fe, a line that goes =\non.\n.=\n\n--{boundary}\nContent-Type: image/png; name=\"a b.png\"\n\
         Content-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=\"a b.png\"\n\n{}--{boundary}--\nAn epilogue.\n",
        encoded(&picture)
    )
}

/// Base64 in lines of 76.
#[must_use]
pub fn encoded(content: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(content);
    text.as_bytes().chunks(76).map(|line| format!("{}\n", String::from_utf8_lossy(line))).collect()
}

/// The same with every line end as CRLF.
#[must_use]
pub fn crlf(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + message.len() / 40);
    for (at, &octet) in message.iter().enumerate() {
        if octet == b'\n' && (at == 0 || message[at - 1] != b'\r') {
            out.push(b'\r');
        }
        out.push(octet);
    }
    out
}

/// The same with every line end as LF and one at the end: as which two stores of the same mail are compared.
#[must_use]
pub fn normalised(message: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(message.len() + 1);
    for &octet in message {
        if octet == b'\n' && out.last() == Some(&b'\r') {
            out.pop();
        }
        out.push(octet);
    }
    if out.last() != Some(&b'\n') {
        out.push(b'\n');
    }
    out
}

/// # Panics
///
/// If [`compare`] finds a difference.
pub fn expect_same(what: &str, sent: &[Vec<u8>], came: &[Vec<u8>]) {
    compare(sent, came).unwrap_or_else(|difference| panic!("{what}: {difference}"));
}

/// Whether the mail that came is the mail that was sent, line ends aside. The order does not count, since some clients do
/// not keep it.
///
/// # Errors
///
/// The first difference.
pub fn compare(sent: &[Vec<u8>], came: &[Vec<u8>]) -> Result<(), String> {
    let sorted = |messages: &[Vec<u8>]| {
        let mut messages: Vec<_> = messages.iter().map(|message| normalised(message)).collect();
        messages.sort_by_key(|message| (number(message), message.clone()));
        messages
    };
    let (sent, came) = (sorted(sent), sorted(came));
    if came.len() != sent.len() {
        return Err(format!("{} messages sent, {} came", sent.len(), came.len()));
    }
    for (sent, came) in sent.iter().zip(&came) {
        if let Some(at) = difference(sent, came) {
            let around = |message: &[u8]| {
                let end = (at + 80).min(message.len());
                message[at.saturating_sub(80).min(end)..end].escape_ascii().to_string()
            };
            return Err(format!(
                "message {} differs at octet {at} (of {} sent, {} came)\nsent: {}\ncame: {}",
                number(sent),
                sent.len(),
                came.len(),
                around(sent),
                around(came)
            ));
        }
    }
    Ok(())
}

fn difference(one: &[u8], other: &[u8]) -> Option<usize> {
    let at = one.iter().zip(other).position(|(one, other)| one != other);
    at.or_else(|| (one.len() != other.len()).then(|| one.len().min(other.len())))
}

/// The number in the Message-ID that [`message`] has given.
fn number(message: &[u8]) -> usize {
    let text = String::from_utf8_lossy(message);
    let id = text.split("Message-ID: <test-").nth(1).and_then(|rest| rest.split('@').next());
    id.and_then(|id| id.parse().ok()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_the_only_thing_that_normalising_changes() {
        for (message, same) in [("a\r\nb\r\n", "a\nb\n"), ("a\nb", "a\nb\n"), ("", "\n"), ("a\rb\r\n\r\n", "a\rb\n\n")]
        {
            assert_eq!(normalised(message.as_bytes()), same.as_bytes(), "{message:?}");
            assert_eq!(normalised(&crlf(message.as_bytes())), same.as_bytes(), "{message:?}");
        }
    }

    #[test]
    fn a_message_of_a_size_has_about_that_size() {
        for octets in [4_000, 50_000, 1_000_000] {
            let size = of_size(octets).len();
            assert!(size.abs_diff(octets) < octets / 10, "{size} for {octets}");
        }
    }
}
