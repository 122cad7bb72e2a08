//! The small messages that the proxy itself sends: the notice that takes the place of a held message.

use std::time::{SystemTime, UNIX_EPOCH};

use mail_parser::DateTime;

use super::rewrite::Text;
use super::{Message, fold, words};

/// Characters of the original subject that a notice repeats.
const SUBJECT_MAX: usize = 200;

/// Tells the user that a message is held. The same fields make the same octets.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// The message that is held; the notice repeats its sender, date and subject.
    pub original: &'a Message,
    /// The mailbox that it comes from, for example `popgate <postmaster@mail.example>`.
    pub from: &'a str,
    /// The user's mailbox.
    pub to: &'a str,
    /// When the message was held.
    pub date: SystemTime,
    /// The notice's own message id, for example `<pg-7@mail.example>`.
    pub message_id: &'a str,
    /// The id of the message in quarantine.
    pub held: &'a str,
    /// Why it is held, and what the user can do.
    pub text: &'a str,
}

impl Notice<'_> {
    /// The notice as a message.
    #[must_use]
    pub fn message(&self) -> Message {
        let body = Text::new(&self.body());
        let subject = format!("[held] {}", self.original("Subject").unwrap_or_else(|| "(no subject)".into()));
        let date = date(self.date);
        let fields = [
            ("From", self.from),
            ("To", self.to),
            ("Subject", &subject),
            ("Date", &date),
            ("Message-ID", self.message_id),
            ("Auto-Submitted", "auto-generated"),
            ("X-Popgate-Held", self.held),
            ("MIME-Version", "1.0"),
        ];
        let fields = fields.into_iter().chain(body.fields());
        let mut octets: Vec<u8> =
            fields.flat_map(|(name, value)| fold::field(name, &words::clean(value.into()))).collect();
        octets.extend_from_slice(b"\r\n");
        octets.append(&mut body.into_lines());
        Message::from_bytes(octets)
    }

    fn body(&self) -> String {
        let mut body = format!("{}\n\n", self.text.trim_end());
        for name in ["From", "Date", "Subject"] {
            if let Some(value) = self.original(name) {
                body.push_str(&format!("{name}: {value}\n"));
            }
        }
        body
    }

    /// A field of the original, cut to a length that suits a notice.
    fn original(&self, name: &str) -> Option<String> {
        let value: String = self.original.header(name)?.chars().take(SUBJECT_MAX).collect();
        Some(value).filter(|value| !value.is_empty())
    }
}

/// A date and time in UTC (RFC 5322, section 3.3). Times before 1970 become its beginning.
#[must_use]
pub fn date(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    DateTime::from_timestamp(i64::try_from(seconds).unwrap_or(i64::MAX)).to_rfc822()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_notice_names_the_message_it_stands_for() {
        let original = Message::from_bytes(
            b"From: E =?utf-8?q?v=C3=AFl?= <e@example.org>\r\nSubject: =?utf-8?B?44GC?=\r\n free\r\n\r\nbody".to_vec(),
        );
        let notice = Notice {
            original: &original,
            from: "popgate <postmaster@mail.example>",
            to: "alice@dept.example",
            date: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            message_id: "<pg-7@mail.example>",
            held: "7",
            text: "A virus was found.\n",
        };
        let message = notice.message();
        let expected = [
            ("From", "popgate <postmaster@mail.example>"),
            ("To", "alice@dept.example"),
            ("Subject", "[held] \u{3042} free"),
            ("Date", "Tue, 14 Nov 2023 22:13:20 +0000"),
            ("Message-ID", "<pg-7@mail.example>"),
            ("Auto-Submitted", "auto-generated"),
            ("X-Popgate-Held", "7"),
        ];
        for (name, value) in expected {
            assert_eq!(message.header(name).as_deref(), Some(value));
        }
        assert_eq!((message.parts().len(), message.ambiguous()), (1, None));
        let text = String::from_utf8(message.parts()[0].content(&message).read(9999)).unwrap();
        assert_eq!(text, "A virus was found.\r\n\r\nFrom: E v\u{ef}l <e@example.org>\r\nSubject: \u{3042} free\r\n");
        assert_eq!(notice.message().sha256(), message.sha256());
    }

    #[test]
    fn a_notice_for_a_message_without_a_subject_and_a_hostile_user_name_is_sound() {
        let original = Message::from_bytes(b"just text".to_vec());
        let notice = Notice {
            original: &original,
            from: "p",
            to: "a\r\nBcc: x",
            date: UNIX_EPOCH,
            message_id: "<m>",
            held: "1",
            text: "",
        };
        let message = notice.message();
        assert_eq!(message.header("Subject").as_deref(), Some("[held] (no subject)"));
        assert_eq!(message.header("Bcc"), None);
    }
}
