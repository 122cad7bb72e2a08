//! The client's view of the maildrop: what differs from the upstream's.
//!
//! By default message numbers are the upstream's. Sizes are too, until a message has been filtered: from then on they
//! are what RETR sends. A [`View`] is there where more than that differs.

mod lines;
mod view;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::pop3::{Envelope, MessageNumber};

pub use lines::Listing;
pub(super) use lines::{entry, size};
pub use view::{Hint, Released, Seen};
pub(super) use view::{Known, Place};

use view::View;

/// How many unique ids are remembered; filters of messages beyond it see none.
const MAX_UIDLS: usize = 20_000;
/// The longest unique id (RFC 1939 section 7), in octets. Longer ones are passed on and not remembered.
const MAX_UIDL: usize = 70;
/// The largest maildrop of which a view is made.
const MAX_LISTED: usize = 2_000_000;

/// How many envelopes are remembered.
const MAX_ENVELOPES: usize = 1000;

/// What the session knows about messages, by the upstream's numbers.
#[derive(Debug, Default)]
pub struct Maildrop {
    /// Octets of messages that were filtered.
    sizes: HashMap<MessageNumber, u64>,
    kept: HashSet<MessageNumber>,
    deleted: HashSet<MessageNumber>,
    uidls: HashMap<MessageNumber, Bytes>,
    /// Those that were asked for, and what the answer was.
    envelopes: HashMap<MessageNumber, Option<Arc<Envelope>>>,
    /// Octets as the upstream lists them, where the proxy has asked.
    listed: HashMap<MessageNumber, u64>,
    /// The highest number in it.
    highest: u32,
    /// They are noted when the client asks, too.
    notes_sizes: bool,
    /// The message whose top could not be judged by itself.
    needed_whole: Option<MessageNumber>,
    view: Option<Box<View>>,
}

impl Maildrop {
    /// From now on the client sees another maildrop than the upstream's.
    pub(super) fn begin_view(&mut self, released: Vec<Released>) {
        self.view = Some(Box::new(View::new(released)));
    }

    /// From now on the sizes are noted that a client asks for.
    pub(super) fn note_sizes(&mut self) {
        self.notes_sizes = true;
    }

    /// The message behind this one, of those that the client sees and has not marked; `listed`: of those that the upstream
    /// has listed.
    pub(super) fn next(&self, number: MessageNumber, listed: bool) -> Option<MessageNumber> {
        /// Numbers that are looked at; a larger gap ends the sequence.
        const GAP: u32 = 1000;
        let most = if listed { self.highest } else { u32::MAX };
        let step = |step| number.get().checked_add(step).filter(|&next| next <= most).and_then(MessageNumber::new);
        let mut numbers = (1..=GAP).map_while(step);
        numbers.find(|next| {
            let there = !listed || self.listed.contains_key(next);
            there && !self.deleted.contains(next) && self.shown(*next).is_some()
        })
    }

    /// The client sees the upstream's maildrop after all.
    pub(super) fn end_view(&mut self) {
        self.view = None;
    }

    /// How far the upstream's maildrop is known; none where that does not matter.
    pub(super) fn known(&self) -> Option<Known> {
        self.view.as_ref().map(|view| view.known)
    }

    /// More is known now.
    pub(super) fn learn(&mut self, known: Known) {
        if let Some(view) = &mut self.view {
            view.known = known;
        }
    }

    /// True if there are released messages.
    pub(super) fn has_released(&self) -> bool {
        self.view.as_ref().is_some_and(|view| view.has_released())
    }

    /// True if the lists can't be the upstream's.
    pub(super) fn differs(&self) -> bool {
        !self.sizes.is_empty() || self.renumbers()
    }

    /// True if numbers need not be the upstream's.
    pub(super) fn renumbers(&self) -> bool {
        self.view.as_ref().is_some_and(|view| !view.is_plain())
    }

    /// What the client means by a number.
    pub(super) fn place(&self, number: MessageNumber) -> Place {
        self.view.as_ref().map_or(Place::Upstream(number), |view| view.place(number))
    }

    /// The client's number for one of the upstream; none where the message is hidden.
    pub(super) fn shown(&self, number: MessageNumber) -> Option<MessageNumber> {
        self.view.as_ref().map_or(Some(number), |view| view.shown(number))
    }

    /// The client's number of the last message up to this one of the upstream; 0 for none.
    pub(super) fn shown_up_to(&self, number: u32) -> u32 {
        self.view.as_ref().map_or(number, |view| view.shown_up_to(number))
    }

    /// The octets that RETR sends, where that is known.
    pub(super) fn size(&self, number: MessageNumber) -> Option<u64> {
        self.sizes.get(&number).copied()
    }

    /// The octets in the upstream's LIST, where the proxy has asked.
    pub(super) fn listed(&self, number: MessageNumber) -> Option<u64> {
        self.listed.get(&number).copied()
    }

    /// The upstream's unique id, where it was seen.
    pub(super) fn uidl(&self, number: MessageNumber) -> Option<Bytes> {
        self.uidls.get(&number).cloned()
    }

    /// As what a message can be known again; none where the upstream gives its unique id to another one, too.
    pub(super) fn seen(&self, number: MessageNumber) -> Option<Seen> {
        self.view.as_ref().filter(|view| view.known >= Known::Ids && !view.ambiguous.contains(&number))?;
        Some(Seen { uidl: self.uidl(number)?, octets: self.listed(number)? })
    }

    /// All messages that can be known again, ascending.
    pub(super) fn all_seen(&self) -> Vec<(MessageNumber, Seen)> {
        self.numbers().into_iter().filter_map(|number| Some((number, self.seen(number)?))).collect()
    }

    fn numbers(&self) -> Vec<MessageNumber> {
        let mut numbers: Vec<_> = self.listed.keys().copied().collect();
        numbers.sort_unstable();
        numbers
    }

    /// Two messages with one unique id are told apart by nothing: neither can be known again.
    pub(super) fn find_ambiguous_ids(&mut self) {
        let mut owners: HashMap<&Bytes, Vec<MessageNumber>> = HashMap::new();
        self.uidls.iter().for_each(|(number, id)| owners.entry(id).or_default().push(*number));
        if let Some(view) = &mut self.view {
            view.ambiguous = owners.into_values().filter(|owners| owners.len() > 1).flatten().collect();
        }
    }

    /// Takes what earlier sessions have found out: held messages disappear where `hide` says so, and where sizes are to be
    /// `exact`, what nothing is known about is to be read.
    pub(super) fn recall(&mut self, hints: &[(MessageNumber, Hint)], hide: bool, exact: bool) {
        let numbers = self.numbers();
        let Some(view) = &mut self.view else { return };
        let hidden: Vec<_> = hints.iter().filter(|(_, hint)| hide && hint.held).map(|(number, _)| *number).collect();
        view.hide(hidden);
        if !exact {
            return;
        }
        for (number, hint) in hints {
            self.sizes.entry(*number).or_insert(hint.octets);
        }
        let unknown = numbers.into_iter().filter(|number| !self.sizes.contains_key(number));
        view.ahead = unknown.filter(|number| view.shown(*number).is_some()).collect();
    }

    /// The next message that is to be read ahead.
    pub(super) fn next_ahead(&mut self) -> Option<MessageNumber> {
        let view = self.view.as_mut()?;
        while let Some(number) = view.ahead.pop_front() {
            if !self.sizes.contains_key(&number) {
                return Some(number);
            }
        }
        None
    }

    /// This one has to wait; it is the next again.
    pub(super) fn not_yet_ahead(&mut self, number: MessageNumber) {
        if let Some(view) = &mut self.view {
            view.ahead.push_front(number);
        }
    }

    /// A message that was read ahead could not be examined.
    pub(super) fn unexamined(&mut self, number: MessageNumber) {
        if let Some(view) = &mut self.view {
            view.unexamined.insert(number);
        }
    }

    /// What the client was told of a size that it relies on; none while it has not been told of all.
    pub(super) fn announced(&self, number: MessageNumber) -> Option<(u64, bool)> {
        let view = self.view.as_ref().filter(|view| view.known == Known::All && view.ahead.is_empty())?;
        if view.unexamined.contains(&number) {
            return Some((self.listed(number)?, false));
        }
        Some((self.size(number)?, true))
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

    /// The top of this message can't be judged by itself.
    pub(super) fn need_whole(&mut self, number: MessageNumber) {
        self.needed_whole = Some(number);
    }

    /// True for the message whose top could not be judged by itself.
    pub(super) fn is_needed_whole(&self, number: MessageNumber) -> bool {
        self.needed_whole == Some(number)
    }

    /// The upstream has marked the message as deleted.
    pub(super) fn delete(&mut self, number: MessageNumber) {
        self.deleted.insert(number);
    }

    /// True if the upstream has marked the message.
    pub(super) fn is_deleted(&self, number: MessageNumber) -> bool {
        self.deleted.contains(&number)
    }

    /// The upstream has unmarked all messages.
    pub(super) fn reset(&mut self) {
        self.deleted.clear();
        if let Some(view) = &mut self.view {
            view.reset();
        }
    }

    /// A released message; none where the client has deleted it.
    pub(super) fn released(&self, index: usize) -> Option<&Released> {
        self.view.as_ref()?.released_at(index)
    }

    /// Marks a released message; false if it was marked already.
    pub(super) fn delete_released(&mut self, index: usize) -> bool {
        self.view.as_mut().is_some_and(|view| view.delete(index))
    }

    /// The ids of the released messages that the client has deleted.
    pub(super) fn deleted_released(&self) -> Vec<String> {
        self.view.as_ref().map(|view| view.deleted()).unwrap_or_default()
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

    /// Remembers the octets in `number octets`; what is no size counts as 0.
    pub(super) fn note_listed(&mut self, number: MessageNumber, octets: Option<u64>) {
        if self.listed.len() < MAX_LISTED {
            self.listed.insert(number, octets.unwrap_or(0));
            self.highest = self.highest.max(number.get());
            if let Some(view) = &mut self.view {
                view.note(number);
            }
        }
    }

    /// True if the maildrop is larger than a view can be.
    pub(super) fn is_too_large(&self) -> bool {
        let numbers = self.view.as_ref().map_or(0, |view| view.last() as usize);
        self.listed.len() >= MAX_LISTED || numbers > MAX_LISTED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: &str) -> MessageNumber {
        MessageNumber::parse(n.as_bytes()).unwrap()
    }

    #[test]
    fn remembers_only_proper_unique_ids() {
        let mut maildrop = Maildrop::default();
        for line in ["1 abc", "2   spaced", "3", &format!("4 {}", "x".repeat(5000)), "5 ../../etc/passwd"] {
            maildrop.note_uidl(&Bytes::copy_from_slice(line.as_bytes()));
        }
        let seen = ["1", "2", "3", "4", "5"].map(|n| maildrop.uidl(number(n)));
        assert_eq!(seen, [Some("abc".into()), Some("spaced".into()), None, None, Some("../../etc/passwd".into())]);
    }

    #[test]
    fn a_unique_id_that_is_not_unique_tells_nothing() {
        let mut maildrop = Maildrop::default();
        maildrop.begin_view(Vec::new());
        for (n, line) in [("1", "1 same"), ("2", "2 other"), ("3", "3 same")] {
            maildrop.note_uidl(&Bytes::copy_from_slice(line.as_bytes()));
            maildrop.note_listed(number(n), Some(1));
        }
        maildrop.find_ambiguous_ids();
        maildrop.learn(Known::Ids);
        assert_eq!(["1", "2", "3"].map(|n| maildrop.seen(number(n)).is_some()), [false, true, false]);
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

    #[test]
    fn what_is_known_is_not_read_ahead_and_what_is_held_is_hidden() {
        let mut maildrop = Maildrop::default();
        maildrop.begin_view(Vec::new());
        for n in ["1", "2", "3", "4"] {
            maildrop.note_listed(number(n), Some(100));
        }
        maildrop.filtered(number("4"), 120, false);
        let hints = [(number("2"), Hint { octets: 50, held: true }), (number("3"), Hint { octets: 70, held: false })];
        maildrop.recall(&hints, true, true);
        maildrop.learn(Known::All);
        assert_eq!(maildrop.announced(number("3")), None, "not all is known yet");
        assert_eq!(maildrop.next_ahead(), Some(number("1")));
        assert_eq!(maildrop.next_ahead(), None);
        maildrop.unexamined(number("1"));
        let announced = ["1", "3", "4"].map(|n| maildrop.announced(number(n)));
        assert_eq!(announced, [Some((100, false)), Some((70, true)), Some((120, true))]);
        assert_eq!(maildrop.place(number("2")), Place::Upstream(number("3")));
    }
}
