//! Where the client's maildrop differs from the upstream's: messages that are hidden, messages behind the last one, and
//! sizes that are found out before the client asks for a message.
//!
//! The upstream's numbers are known once its LIST was read; until then nothing here may be asked about a number.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;

use crate::pop3::MessageNumber;

/// A message that was released from quarantine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Released {
    /// Its id in quarantine; the unique id is `pg-` and this.
    pub id: String,
    /// The octets that RETR sends.
    pub octets: u64,
}

impl Released {
    /// Its unique id, the same in every session.
    #[must_use]
    pub fn uidl(&self) -> String {
        format!("pg-{}", self.id)
    }
}

/// As what a message can be known again in another session.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Seen {
    /// The upstream's unique id.
    pub uidl: Bytes,
    /// The octets of it in the upstream's LIST.
    pub octets: u64,
}

/// What an earlier session has found out about a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hint {
    /// The octets that RETR sends for it, filtered.
    pub octets: u64,
    /// It is held, and they are those of its notice.
    pub held: bool,
}

/// What the client's number stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::session) enum Place {
    /// A message of the upstream, by its number there.
    Upstream(MessageNumber),
    /// A released message.
    Released(usize),
    /// No message.
    Nowhere,
}

/// How far the upstream's maildrop is known.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(in crate::session) enum Known {
    #[default]
    Nothing,
    /// Numbers and sizes.
    Sizes,
    /// Unique ids, too.
    Ids,
    /// And what earlier sessions have found out.
    All,
}

/// The differences.
#[derive(Debug, Default)]
pub(in crate::session) struct View {
    pub(in crate::session) known: Known,
    /// The upstream's highest number.
    last: u32,
    /// Numbers of the upstream that the client does not see, ascending.
    hidden: Vec<u32>,
    released: Vec<Released>,
    /// Released messages that the client has deleted.
    deleted: HashSet<usize>,
    /// Messages whose unique id is another one's, too.
    pub(super) ambiguous: HashSet<MessageNumber>,
    /// What is still to be read to know its size.
    pub(super) ahead: VecDeque<MessageNumber>,
    /// Read ahead, and could not be examined.
    pub(super) unexamined: HashSet<MessageNumber>,
}

impl View {
    pub(super) fn new(released: Vec<Released>) -> Self {
        Self { released, ..Self::default() }
    }

    /// A message of the upstream is there.
    pub(super) fn note(&mut self, number: MessageNumber) {
        self.last = self.last.max(number.get());
    }

    /// These are not shown.
    pub(super) fn hide(&mut self, numbers: impl IntoIterator<Item = MessageNumber>) {
        self.hidden = numbers.into_iter().map(MessageNumber::get).collect();
        self.hidden.sort_unstable();
        self.hidden.dedup();
    }

    /// The upstream's highest number.
    pub(super) fn last(&self) -> u32 {
        self.last
    }

    /// True if every number is the upstream's.
    pub(super) fn is_plain(&self) -> bool {
        self.hidden.is_empty() && self.released.is_empty()
    }

    pub(super) fn has_released(&self) -> bool {
        !self.released.is_empty()
    }

    /// The upstream's messages that the client sees.
    fn shown_count(&self) -> u32 {
        // Only numbers up to the last are hidden.
        self.last.saturating_sub(u32::try_from(self.hidden.len()).unwrap_or(u32::MAX))
    }

    /// What the client means by a number.
    pub(super) fn place(&self, number: MessageNumber) -> Place {
        if self.is_plain() {
            return Place::Upstream(number);
        }
        let (number, count) = (number.get(), self.shown_count());
        if number <= count {
            // Every hidden one in front of it moves it up by one.
            let (mut low, mut high) = (0, self.hidden.len());
            while low < high {
                let middle = (low + high) / 2;
                // The hidden number has so many shown ones in front of it.
                let before = self.hidden[middle] - 1 - u32::try_from(middle).unwrap_or(u32::MAX);
                if before < number { low = middle + 1 } else { high = middle }
            }
            let own = number.saturating_add(u32::try_from(low).unwrap_or(u32::MAX));
            return MessageNumber::new(own).map_or(Place::Nowhere, Place::Upstream);
        }
        let index = (number - count - 1) as usize;
        if index < self.released.len() { Place::Released(index) } else { Place::Nowhere }
    }

    /// The client's number for one of the upstream; none where the message is hidden.
    pub(super) fn shown(&self, number: MessageNumber) -> Option<MessageNumber> {
        match self.hidden.binary_search(&number.get()) {
            Ok(_) => None,
            Err(before) => MessageNumber::new(number.get() - u32::try_from(before).ok()?),
        }
    }

    /// The number of the last message in front of or at this one of the upstream that the client sees; 0 for none.
    pub(super) fn shown_up_to(&self, number: u32) -> u32 {
        let before = self.hidden.partition_point(|&hidden| hidden <= number);
        number.saturating_sub(u32::try_from(before).unwrap_or(u32::MAX))
    }

    /// The released messages that are not deleted, each with its number, as far as there are numbers.
    pub(super) fn released(&self) -> impl Iterator<Item = (u32, &Released)> {
        let count = self.shown_count();
        let numbered = self.released.iter().enumerate().filter(|(index, _)| !self.deleted.contains(index));
        numbered.filter_map(move |(index, released)| {
            Some((count.checked_add(u32::try_from(index).ok()?)?.checked_add(1)?, released))
        })
    }

    /// A released message; none where the client has deleted it.
    pub(super) fn released_at(&self, index: usize) -> Option<&Released> {
        self.released.get(index).filter(|_| !self.deleted.contains(&index))
    }

    /// Marks a released message; false if it was marked already.
    pub(super) fn delete(&mut self, index: usize) -> bool {
        self.deleted.insert(index)
    }

    /// All marks are taken off, and what could not be examined is tried again.
    pub(super) fn reset(&mut self) {
        self.deleted.clear();
        self.ahead.extend(self.unexamined.drain());
    }

    /// The ids of the released messages that the client has deleted.
    pub(super) fn deleted(&self) -> Vec<String> {
        let mut indices: Vec<_> = self.deleted.iter().copied().collect();
        indices.sort_unstable();
        indices.into_iter().filter_map(|index| Some(self.released.get(index)?.id.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: u32) -> MessageNumber {
        MessageNumber::new(n).unwrap()
    }

    fn view(last: u32, hidden: &[u32], released: &[&str]) -> View {
        let released = released.iter().map(|id| Released { id: (*id).to_owned(), octets: 10 }).collect();
        let mut view = View::new(released);
        view.note(number(last));
        view.hide(hidden.iter().copied().map(number));
        view
    }

    #[test]
    fn hidden_messages_leave_no_gap() {
        for hidden in
            [&[][..], &[1], &[5], &[10], &[1, 2, 3], &[2, 4, 6, 8], &[9, 10], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]
        {
            let view = view(10, hidden, &["a", "b"]);
            let shown: Vec<_> = (1..=10).filter(|n| !hidden.contains(n)).collect();
            for (at, own) in shown.iter().enumerate() {
                let client = number(u32::try_from(at).unwrap() + 1);
                assert_eq!(view.place(client), Place::Upstream(number(*own)), "{hidden:?}");
                assert_eq!(view.shown(number(*own)), Some(client), "{hidden:?}");
            }
            for gone in hidden {
                assert_eq!(view.shown(number(*gone)), None);
            }
            let count = u32::try_from(shown.len()).unwrap();
            assert_eq!(view.place(number(count + 1)), Place::Released(0));
            assert_eq!(view.place(number(count + 2)), Place::Released(1));
            assert_eq!(view.place(number(count + 3)), Place::Nowhere);
            assert_eq!(view.released().map(|(n, _)| n).collect::<Vec<_>>(), [count + 1, count + 2]);
            assert_eq!(view.shown_up_to(10), count);
        }
    }

    #[test]
    fn without_differences_every_number_is_the_upstreams() {
        let view = view(3, &[], &[]);
        assert_eq!(view.place(number(99)), Place::Upstream(number(99)));
        assert_eq!(view.shown(number(3)), Some(number(3)));
    }

    #[test]
    fn deleted_released_messages_keep_their_number_and_come_back() {
        let mut view = view(1, &[], &["a", "b"]);
        assert!(view.delete(0) && !view.delete(0));
        assert_eq!(view.released().map(|(n, _)| n).collect::<Vec<_>>(), [3]);
        assert_eq!(view.deleted(), ["a"]);
        view.reset();
        assert_eq!(view.released().count(), 2);
        assert!(view.deleted().is_empty());
    }

    #[test]
    fn numbers_that_would_be_none_are_not_given() {
        let view = view(u32::MAX, &[], &["a"]);
        assert_eq!(view.released().count(), 0);
    }
}
