//! The client's view of the maildrop: what differs from the upstream's.
//!
//! Message numbers are the upstream's. Sizes are too, until a message has been filtered: from then on they are what
//! RETR sends.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::pop3::{Envelope, EnvelopeReader, MessageNumber};

/// How many unique ids are remembered; filters of messages beyond it see none.
const MAX_UIDLS: usize = 20_000;
/// The longest unique id (RFC 1939 section 7), in octets. Longer ones are passed on and not remembered.
const MAX_UIDL: usize = 70;

/// How many envelopes are remembered.
const MAX_ENVELOPES: usize = 1000;

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
    /// True if the client gets the lines.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        match self {
            Self::Sizes | Self::Uidls => true,
            Self::Sum { .. } => false,
            Self::Envelope { shown, .. } => *shown,
        }
    }
}

/// What the session knows about messages.
#[derive(Debug, Default)]
pub struct Maildrop {
    /// Octets of messages that were filtered.
    sizes: HashMap<MessageNumber, u64>,
    kept: HashSet<MessageNumber>,
    deleted: HashSet<MessageNumber>,
    uidls: HashMap<MessageNumber, Bytes>,
    /// Those that were asked for, and what the answer was.
    envelopes: HashMap<MessageNumber, Option<Arc<Envelope>>>,
}

impl Maildrop {
    /// True if a message has another size than the upstream says.
    pub(super) fn differs(&self) -> bool {
        !self.sizes.is_empty()
    }

    /// The octets that RETR sends, where that is known.
    pub(super) fn size(&self, number: MessageNumber) -> Option<u64> {
        self.sizes.get(&number).copied()
    }

    /// The upstream's unique id, where it was seen.
    pub(super) fn uidl(&self, number: MessageNumber) -> Option<Bytes> {
        self.uidls.get(&number).cloned()
    }

    /// Notes what a filtered message has become.
    pub(super) fn filtered(&mut self, number: MessageNumber, size: u64, kept: bool) {
        self.sizes.insert(number, size);
        if kept {
            self.kept.insert(number);
        } else {
            self.kept.remove(&number);
        }
    }

    /// True if the message can be answered without the upstream.
    pub(super) fn is_kept(&self, number: MessageNumber) -> bool {
        self.kept.contains(&number) && !self.deleted.contains(&number)
    }

    /// The upstream has marked the message as deleted.
    pub(super) fn delete(&mut self, number: MessageNumber) {
        self.deleted.insert(number);
    }

    /// The upstream has unmarked all messages.
    pub(super) fn reset(&mut self) {
        self.deleted.clear();
    }

    /// Remembers the unique id in `number id`.
    pub(super) fn note_uidl(&mut self, line: &Bytes) {
        let Some((number, id)) = entry(line) else { return };
        if self.uidls.len() < MAX_UIDLS && (1..=MAX_UIDL).contains(&id.len()) {
            // A copy: a slice would keep the whole of what was read.
            self.uidls.insert(number, Bytes::copy_from_slice(id));
        }
    }

    /// Remembers that an envelope was asked for, or what it is.
    pub(super) fn note_envelope(&mut self, number: MessageNumber, envelope: Option<Envelope>) {
        if self.envelopes.len() >= MAX_ENVELOPES {
            self.envelopes.clear();
        }
        self.envelopes.insert(number, envelope.map(Arc::new));
    }

    /// The envelope, if it was asked for: then it is there or the upstream does not tell it.
    pub(super) fn envelope(&self, number: MessageNumber) -> Option<Option<Arc<Envelope>>> {
        self.envelopes.get(&number).cloned()
    }

    /// One line of a list: what the client gets for it.
    pub(super) fn list_line(&mut self, listing: &mut Listing, line: Bytes) -> Option<Bytes> {
        match listing {
            Listing::Sizes => Some(self.size_line(line)),
            Listing::Uidls => {
                self.note_uidl(&line);
                Some(line)
            }
            Listing::Sum { messages, octets } => {
                *messages += 1;
                let (number, listed) = entry(&line)?;
                let listed = std::str::from_utf8(listed).ok().and_then(|digits| digits.parse().ok());
                *octets = octets.saturating_add(self.size(number).or(listed).unwrap_or(0));
                None
            }
            Listing::Envelope { reader, shown, .. } => {
                reader.line(&line);
                shown.then_some(line)
            }
        }
    }

    fn size_line(&self, line: Bytes) -> Bytes {
        match entry(&line).and_then(|(number, _)| Some((number, self.size(number)?))) {
            Some((number, size)) => format!("{number} {size}").into(),
            None => line,
        }
    }
}

/// Number and value of `number value`.
fn entry(line: &[u8]) -> Option<(MessageNumber, &[u8])> {
    let mut words = line.split(|&octet| octet == b' ').filter(|word| !word.is_empty());
    Some((MessageNumber::parse(words.next()?)?, words.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: &str) -> MessageNumber {
        MessageNumber::parse(n.as_bytes()).unwrap()
    }

    #[test]
    fn filtered_messages_have_the_size_that_retr_sends() {
        let mut maildrop = Maildrop::default();
        maildrop.filtered(number("2"), 512, true);
        let mut lines = |listing: &mut Listing| {
            ["1 100", "2 200", "3 18446744073709551615", "4 junk", "junk"]
                .map(|line| maildrop.list_line(listing, Bytes::from_static(line.as_bytes())))
        };
        let shown = lines(&mut Listing::Sizes).map(|line| line.unwrap());
        assert_eq!(shown, ["1 100", "2 512", "3 18446744073709551615", "4 junk", "junk"]);
        let mut sum = Listing::Sum { messages: 0, octets: 0 };
        assert!(lines(&mut sum).iter().all(Option::is_none));
        assert!(matches!(sum, Listing::Sum { messages: 5, octets: u64::MAX }));
    }

    #[test]
    fn remembers_only_proper_unique_ids() {
        let mut maildrop = Maildrop::default();
        for line in ["1 abc", "2   spaced", "3", &format!("4 {}", "x".repeat(5000))] {
            maildrop.note_uidl(&Bytes::copy_from_slice(line.as_bytes()));
        }
        let seen = ["1", "2", "3", "4"].map(|n| maildrop.uidl(number(n)));
        assert_eq!(seen, [Some("abc".into()), Some("spaced".into()), None, None]);
    }

    #[test]
    fn a_bounded_number_of_envelopes_is_remembered() {
        let mut maildrop = Maildrop::default();
        for n in 1..=3 * MAX_ENVELOPES {
            let number = number(&n.to_string());
            maildrop.note_envelope(number, None);
            assert_eq!(maildrop.envelope(number), Some(None));
        }
        assert!(maildrop.envelopes.len() <= MAX_ENVELOPES);
    }

    #[test]
    fn a_deleted_message_is_not_answered_from_memory() {
        let mut maildrop = Maildrop::default();
        maildrop.filtered(number("1"), 1, true);
        maildrop.delete(number("1"));
        assert!(!maildrop.is_kept(number("1")));
        maildrop.reset();
        assert!(maildrop.is_kept(number("1")));
    }
}
