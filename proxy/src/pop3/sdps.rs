//! SDPS, the extension of Demon Internet: the envelope with which a message was delivered, as the reply to `*ENV`.
//!
//! There is no document of it any more. fetchmail (`pop3.c`) and getmail (`MultidropSDPSRetriever`) take the sender from
//! the third line of the reply and the recipient from the fourth.

use super::clean;

/// The longest address that is taken in, in octets: 64 for the mailbox and 255 for its domain (RFC 5321 section 4.5.3.1).
const MAX_ADDRESS: usize = 320;

/// Who sent a message to whom, as the servers on its way said it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Envelope {
    /// The sender; `<>` for none, as a bounce has it.
    pub sender: Option<String>,
    /// The recipient.
    pub recipient: Option<String>,
}

/// Reads the reply to `*ENV`, line by line.
#[derive(Clone, Debug, Default)]
pub struct EnvelopeReader {
    lines: usize,
    envelope: Envelope,
}

impl EnvelopeReader {
    /// The next line behind the status line, without CRLF and dot-stuffing.
    pub fn line(&mut self, line: &[u8]) {
        self.lines = self.lines.saturating_add(1);
        match self.lines {
            3 => self.envelope.sender = Some(address(line).unwrap_or_else(|| "<>".into())),
            4 => self.envelope.recipient = address(line),
            _ => {}
        }
    }

    /// How many lines there were.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.lines
    }

    /// What they said.
    #[must_use]
    pub fn finish(self) -> Envelope {
        self.envelope
    }
}

/// The address in a line, without angle brackets around it.
fn address(line: &[u8]) -> Option<String> {
    let line = clean(line, MAX_ADDRESS);
    let text = String::from_utf8_lossy(line.trim_ascii()).into_owned();
    let inner = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).map(str::to_owned);
    Some(inner.unwrap_or(text)).filter(|address| !address.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sender_and_recipient_stand_in_the_third_and_fourth_line() {
        let long = "x".repeat(9000);
        for (lines, sender, recipient) in [
            (
                &["1", "example.org", "s@example.org", "r@example.net", "more", "s2@x"][..],
                Some("s@example.org"),
                Some("r@example.net"),
            ),
            (&["1", "example.org", "", "r@example.net"], Some("<>"), Some("r@example.net")),
            (&["1", "example.org", " <> ", "<r@example.net>"], Some("<>"), Some("r@example.net")),
            (&["1", "example.org", "s@\x07example.org", ""], Some("s@example.org"), None),
            (&["1", "example.org", "s"], Some("s"), None),
            (&["1", "example.org"], None, None),
            (&[], None, None),
            (&["", "", &long, "r"], Some(&long[..MAX_ADDRESS]), Some("r")),
        ] {
            let mut reader = EnvelopeReader::default();
            lines.iter().for_each(|line| reader.line(line.as_bytes()));
            let found = reader.finish();
            assert_eq!((found.sender.as_deref(), found.recipient.as_deref()), (sender, recipient), "{lines:?}");
        }
    }
}
