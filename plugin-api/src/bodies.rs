//! Which texts of a message a mail client shows as its body, and whether they may be changed.

use std::io::Read;

use crate::{Message, Part};

/// How deep containers are looked into.
const DEPTH: usize = 16;

impl Message {
    /// The texts that mail clients show as the message's body: the alternatives of one text, in their order, or a single one.
    ///
    /// That is the first text of a `multipart/mixed`, all of a `multipart/alternative`, the root of a `multipart/related`
    /// (RFC 2046, section 5.1; RFC 2387). Attachments and attached messages are no body. Empty where nothing is shown.
    #[must_use]
    pub fn bodies(&self) -> Vec<Part<'_>> {
        let mut bodies = Vec::new();
        if let Some(root) = self.part(0) {
            self.add_bodies(&root, DEPTH, &mut bodies);
        }
        bodies
    }

    fn add_bodies<'m>(&'m self, part: &Part<'m>, depth: usize, bodies: &mut Vec<Part<'m>>) -> bool {
        let media_type = part.media_type();
        if !part.is_container() {
            let text = matches!(&*media_type, "text/plain" | "text/html");
            let shown = text && part.disposition().as_deref() != Some("attachment");
            if shown {
                bodies.extend(self.part(part.index()));
            }
            return shown;
        }
        if depth == 0 || !media_type.starts_with("multipart/") {
            return false;
        }
        let mut children = self.children(part);
        if media_type == "multipart/alternative" {
            return children.fold(false, |any, child| self.add_bodies(&child, depth - 1, bodies) | any);
        }
        children.any(|child| self.add_bodies(&child, depth - 1, bodies))
    }

    /// The parts that stand in this one, and not deeper.
    fn children<'m>(&'m self, container: &Part<'m>) -> impl Iterator<Item = Part<'m>> + use<'m> {
        let index = container.index();
        let after = (index + 1..self.part_count()).filter_map(|at| self.part(at));
        after.filter(move |part| part.parent().is_some_and(|parent| parent.index() == index))
    }

    /// Whether the message has a signature or is encrypted (RFC 1847, S/MIME, OpenPGP, OpenPGP inside of a text), so that a
    /// change of its body would spoil it. A signature is not verified: anybody can write something that looks like one.
    #[must_use]
    pub fn is_signed_or_encrypted(&self) -> bool {
        /// The line in front of text that OpenPGP has signed or encrypted (RFC 9580, section 6.2).
        const ARMOUR: &[u8] = b"-----BEGIN PGP ";
        let marked = self.parts().any(|part| {
            matches!(
                &*part.media_type(),
                "multipart/signed"
                    | "multipart/encrypted"
                    | "application/pkcs7-mime"
                    | "application/x-pkcs7-mime"
                    | "application/pgp-encrypted"
            )
        });
        marked
            || self.bodies().iter().filter(|body| body.media_type() == "text/plain").any(|body| {
                let mut start = Vec::new();
                let read = body.content().take(4096).read_to_end(&mut start);
                read.is_ok() && has_line(&start, ARMOUR)
            })
    }
}

/// Whether one of the lines begins so.
fn has_line(text: &[u8], beginning: &[u8]) -> bool {
    text.split(|&octet| octet == b'\n').any(|line| line.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use crate::Message;

    /// The indices of the bodies.
    fn bodies(mail: &str) -> Vec<u32> {
        Message::from(mail).bodies().iter().map(crate::Part::index).collect()
    }

    #[test]
    fn the_texts_that_are_shown_are_found() {
        assert_eq!(bodies("Subject: s\n\ntext\n"), [0]);
        assert_eq!(bodies("Content-Type: image/png\n\nx\n"), [] as [u32; 0]);
        assert_eq!(bodies("Content-Disposition: attachment\n\nx\n"), [] as [u32; 0]);
        let mixed = "Content-Type: multipart/mixed; boundary=a\n\n--a\n\
            Content-Type: multipart/alternative; boundary=b\n\n--b\n\none\n--b\n\
            Content-Type: multipart/related; boundary=c\n\n--c\nContent-Type: text/html\n\n<p>\n--c\n\
            Content-Type: image/png\n\nx\n--c--\n--b--\n--a\nContent-Type: text/plain\n\nfooter\n--a--\n";
        assert_eq!(bodies(mixed), [2, 4]);
        let image_first = "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: image/png\n\nx\n--a\n\n\
            text\n--a--\n";
        assert_eq!(bodies(image_first), [2]);
    }

    #[test]
    fn signed_and_encrypted_mail_is_known() {
        for (mail, expected) in [
            ("Subject: s\n\ntext\n", false),
            ("Content-Type: multipart/signed; boundary=a\n\n--a\n\ntext\n--a--\n", true),
            ("Content-Type: application/pkcs7-mime\n\nx\n", true),
            ("Subject: s\n\n-----BEGIN PGP SIGNED MESSAGE-----\n\ntext\n", true),
            ("Subject: s\n\nhello\n-----BEGIN PGP MESSAGE-----\n\ntext\n", true),
            ("Subject: s\n\n> -----BEGIN PGP MESSAGE-----\n", false),
        ] {
            assert_eq!(Message::from(mail).is_signed_or_encrypted(), expected, "{mail}");
        }
    }
}
