//! Lines of lists: what of the upstream's the client gets, and what is added.

use bytes::Bytes;

use super::Maildrop;
use crate::pop3::{EnvelopeReader, MessageNumber};

/// A list that is being read.
#[derive(Clone, Debug)]
pub enum Listing {
    /// LIST for the client.
    Sizes,
    /// UIDL for the client.
    Uidls,
    /// LIST in the place of STAT.
    Sum {
        /// Messages so far.
        messages: u64,
        /// Octets so far.
        octets: u64,
    },
    /// A list of an extension whose lines begin with a message's number, for the client.
    Numbered,
    /// LIST for the proxy itself.
    OwnSizes,
    /// UIDL for the proxy itself.
    OwnUidls,
    /// `*ENV`, which tells the envelope of a message.
    Envelope {
        /// The message.
        number: MessageNumber,
        /// What was read so far.
        reader: EnvelopeReader,
        /// The client has asked for it.
        shown: bool,
    },
}

impl Listing {
    /// True if the client gets its lines.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        matches!(self, Self::Sizes | Self::Uidls | Self::Numbered | Self::Envelope { shown: true, .. })
    }
}

impl Maildrop {
    /// One line of a list: what the client gets for it.
    pub(in crate::session) fn list_line(&mut self, listing: &mut Listing, line: Bytes) -> Option<Bytes> {
        match listing {
            Listing::Sizes => {
                if let Some((number, listed)) = entry(&line).filter(|_| self.notes_sizes) {
                    self.note_listed(number, size(listed));
                }
                self.size_line(line)
            }
            Listing::Uidls => {
                self.note_uidl(&line);
                self.renumbered(line)
            }
            Listing::Numbered => self.renumbered(line),
            Listing::Sum { messages, octets } => {
                let Some((number, listed)) = entry(&line) else {
                    *messages += 1;
                    return None;
                };
                if self.shown(number).is_some() {
                    *messages += 1;
                    *octets = octets.saturating_add(self.size(number).or(size(listed)).unwrap_or(0));
                }
                None
            }
            Listing::OwnSizes => {
                let (number, listed) = entry(&line)?;
                self.note_listed(number, size(listed));
                None
            }
            Listing::OwnUidls => {
                self.note_uidl(&line);
                None
            }
            Listing::Envelope { reader, shown, .. } => {
                reader.line(&line);
                shown.then_some(line)
            }
        }
    }

    /// The lines that the client gets behind the upstream's.
    pub(in crate::session) fn last_lines(&self, listing: &mut Listing) -> Vec<Bytes> {
        let released = self.view.iter().flat_map(|view| view.released());
        match listing {
            Listing::Sizes => released.map(|(number, message)| format!("{number} {}", message.octets).into()).collect(),
            Listing::Uidls => released.map(|(number, message)| format!("{number} {}", message.uidl()).into()).collect(),
            Listing::Sum { messages, octets } => {
                for (_, message) in released {
                    *messages += 1;
                    *octets = octets.saturating_add(message.octets);
                }
                Vec::new()
            }
            Listing::Numbered | Listing::OwnSizes | Listing::OwnUidls | Listing::Envelope { .. } => Vec::new(),
        }
    }

    fn size_line(&self, line: Bytes) -> Option<Bytes> {
        match entry(&line).and_then(|(number, _)| Some((number, self.size(number)?))) {
            Some((number, size)) => Some(format!("{} {size}", self.shown(number)?).into()),
            None => self.renumbered(line),
        }
    }

    /// A line that begins with a number, with the client's number; none for a hidden message. Where numbers are the upstream's
    /// the line stays as it is, and only there a line without a number is passed on.
    pub(in crate::session) fn renumbered(&self, line: Bytes) -> Option<Bytes> {
        if !self.renumbers() {
            return Some(line);
        }
        let (number, _) = entry(&line)?;
        let shown = self.shown(number)?;
        if shown == number {
            return Some(line);
        }
        let digits = line.iter().position(|&octet| octet != b' ')?;
        let rest = line[digits..].iter().position(|&octet| octet == b' ').map_or(line.len(), |at| digits + at);
        Some([shown.to_string().as_bytes(), &line[rest..]].concat().into())
    }
}

/// Number and value of `number value`.
pub(in crate::session) fn entry(line: &[u8]) -> Option<(MessageNumber, &[u8])> {
    let mut words = line.split(|&octet| octet == b' ').filter(|word| !word.is_empty());
    Some((MessageNumber::parse(words.next()?)?, words.next()?))
}

/// Octets as digits; none for what is negative, no number, or beyond what a size can be.
pub(in crate::session) fn size(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Hint, Released};
    use super::*;

    const LIST: [&str; 5] = ["1 100", "2 200", "3 18446744073709551615", "4 -4", "junk"];

    fn number(n: &str) -> MessageNumber {
        MessageNumber::parse(n.as_bytes()).unwrap()
    }

    fn lines(maildrop: &mut Maildrop, listing: &mut Listing, lines: &[&'static str]) -> Vec<String> {
        let mut shown: Vec<_> =
            lines.iter().filter_map(|line| maildrop.list_line(listing, Bytes::from_static(line.as_bytes()))).collect();
        shown.extend(maildrop.last_lines(listing));
        shown.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }

    #[test]
    fn filtered_messages_have_the_size_that_retr_sends() {
        let mut maildrop = Maildrop::default();
        maildrop.filtered(number("2"), 512, true);
        let shown = lines(&mut maildrop, &mut Listing::Sizes, &LIST);
        assert_eq!(shown, ["1 100", "2 512", "3 18446744073709551615", "4 -4", "junk"]);
        let mut sum = Listing::Sum { messages: 0, octets: 0 };
        assert!(lines(&mut maildrop, &mut sum, &LIST).is_empty());
        assert!(matches!(sum, Listing::Sum { messages: 5, octets: u64::MAX }));
    }

    #[test]
    fn hidden_messages_are_in_no_list_and_released_ones_behind_all() {
        let mut maildrop = Maildrop::default();
        maildrop.begin_view(vec![Released { id: "ab".into(), octets: 7 }]);
        lines(&mut maildrop, &mut Listing::OwnSizes, &LIST);
        maildrop.recall(&[(number("2"), Hint { octets: 9, held: true })], true, false);
        let shown = lines(&mut maildrop, &mut Listing::Sizes, &LIST);
        assert_eq!(shown, ["1 100", "2 18446744073709551615", "3 -4", "4 7"]);
        let shown = lines(&mut maildrop, &mut Listing::Uidls, &["1 a", "2 b", " 3  c d", "4 e"]);
        assert_eq!(shown, ["1 a", "2  c d", "3 e", "4 pg-ab"]);
        let mut sum = Listing::Sum { messages: 0, octets: 0 };
        lines(&mut maildrop, &mut sum, &["1 100", "2 200", "3 30"]);
        assert!(matches!(sum, Listing::Sum { messages: 3, octets: 137 }), "{sum:?}");
        assert_eq!(lines(&mut maildrop, &mut Listing::Numbered, &["2 x", "3 Subject: y"]), ["2 Subject: y"]);
    }

    #[test]
    fn a_size_is_digits() {
        for (digits, octets) in
            [("0", Some(0)), ("12", Some(12)), ("-1", None), ("+1", None), ("18446744073709551616", None)]
        {
            assert_eq!(size(digits.as_bytes()), octets, "{digits}");
        }
    }
}
