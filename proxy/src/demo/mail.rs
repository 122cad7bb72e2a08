//! The sample mail: of every kind that a mail filter meets, the broken kinds included.
//!
//! The texts are the project's own; people and servers live under the names that RFC 2606 and RFC 5737 reserve.

mod attached;
mod compose;
mod everyday;
mod languages;
mod strange;

/// A mail of the sample server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SampleMail {
    /// What it is, in a word.
    pub name: &'static str,
    /// The mail itself, lines end with CRLF.
    pub content: Vec<u8>,
}

/// Makes the sample mails, always the same octets in the same order. One has 8 MB, so keep what this gives.
#[must_use]
pub fn sample_mails() -> Vec<SampleMail> {
    let mails: [(&'static str, Vec<u8>); 14] = [
        ("plain", everyday::plain()),
        ("html-links", everyday::html_links()),
        ("newsletter", everyday::newsletter()),
        ("eicar", attached::eicar()),
        ("forbidden-attachment", attached::forbidden()),
        ("encoded-subject", languages::encoded_subject()),
        ("japanese", languages::japanese()),
        ("arabic", languages::arabic()),
        ("large-attachment", attached::large()),
        ("unclosed-multipart", strange::unclosed_multipart()),
        ("broken-base64", strange::broken_base64()),
        ("dots", strange::dots()),
        ("phishing", everyday::phishing()),
        ("undeclared-8-bit", languages::undeclared()),
    ];
    mails.into_iter().map(|(name, content)| SampleMail { name, content }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header_of(mail: &SampleMail) -> &[u8] {
        let end = memchr::memmem::find(&mail.content, b"\r\n\r\n").expect("an empty line");
        &mail.content[..end + 2]
    }

    #[test]
    fn every_mail_says_from_whom_to_whom_and_when() {
        for mail in sample_mails() {
            let header = String::from_utf8(header_of(&mail).to_vec()).unwrap();
            assert!(header.is_ascii(), "{}", mail.name);
            for field in ["From: ", "To: ", "Subject: ", "Date: ", "Message-ID: <"] {
                let found = header.lines().filter(|line| line.starts_with(field)).count();
                assert_eq!(found, 1, "{field:?} in {}", mail.name);
            }
        }
    }

    #[test]
    fn every_line_ends_with_crlf_and_is_short_enough() {
        for mail in sample_mails() {
            assert!(mail.content.ends_with(b"\r\n"), "{}", mail.name);
            for line in mail.content.split_inclusive(|&octet| octet == b'\n') {
                let text = line.strip_suffix(b"\r\n").expect(mail.name);
                assert!(!text.contains(&b'\r') && !text.contains(&0), "{}", mail.name);
                // RFC 5322 section 2.1.1
                assert!(text.len() <= 998, "{}", mail.name);
            }
        }
    }

    #[test]
    fn the_mails_are_always_the_same_and_each_is_another() {
        let (mails, again) = (sample_mails(), sample_mails());
        assert!(mails == again);
        for (index, mail) in mails.iter().enumerate() {
            assert!(mails[..index].iter().all(|other| other.name != mail.name && other.content != mail.content));
        }
    }

    #[test]
    fn the_mails_are_what_they_are_for() {
        let mails = sample_mails();
        let holds = |name: &str, text: &[u8]| {
            let mail = mails.iter().find(|mail| mail.name == name).expect(name);
            assert!(memchr::memmem::find(&mail.content, text).is_some(), "{name}: {text:?}");
        };
        holds("dots", b"\r\n.\r\n");
        holds("dots", b"\r\n..\r\n");
        holds("dots", b"\r\n................................\r\n");
        holds("undeclared-8-bit", b"\xfc");
        holds("japanese", b"\x1b$B");
        holds("newsletter", b"\r\nList-Unsubscribe: <");
        holds("forbidden-attachment", b"filename=\"invoice.pdf.exe\"");
        let large = mails.iter().find(|mail| mail.name == "large-attachment").unwrap();
        assert!(large.content.len() > 8_000_000 / 3 * 4);
    }
}
