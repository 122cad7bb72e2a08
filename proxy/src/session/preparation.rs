//! What has to be known of the maildrop before a command can be answered: one step at a time, with the command put off
//! meanwhile, so that nothing is sent in between.

use super::maildrop::{Known, Place, entry, size};
use super::transaction::{ALL_LINES, envelope_of};
use super::{Announced, Effect, Effects, Extent, Fetch, Hint, Job, Listing, Purpose, Session, ask};
use crate::pop3::{Command, MessageNumber, Status};

/// Whether a command waits for its turn; no other is taken in meanwhile.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Deferred {
    #[default]
    Nothing,
    /// One waits until everything before it is done.
    Command,
    /// It has its answer already.
    Answered,
}

impl Session {
    /// Puts a command off until everything before it is done.
    pub(super) fn defer(&mut self, command: Command) -> Effect {
        self.deferred = Deferred::Command;
        Effect::Job(Job::Turn(command))
    }

    /// Everything before this command is done.
    pub(super) fn turn(&mut self, command: Command) -> Effects {
        match std::mem::take(&mut self.deferred) {
            Deferred::Answered => Vec::new(),
            Deferred::Nothing | Deferred::Command => self.transaction(command),
        }
    }

    /// The next step before this command; none when it can be answered. Each has a job.
    pub(super) fn preparation(&mut self, command: &Command) -> Option<Effects> {
        if let Some(effects) = self.exploration(command) {
            return Some(effects);
        }
        if self.fetch.exact && needs_sizes(command) && self.maildrop.known() == Some(Known::All) {
            let number = self.maildrop.next_ahead()?;
            return Some(match self.envelope_first(number) {
                Some(effects) => {
                    self.maildrop.not_yet_ahead(number);
                    effects
                }
                None => self.read_ahead(number),
            });
        }
        if let Some(effects) = self.before_prefetch(command) {
            return Some(effects);
        }
        let (number, lines) = match command {
            Command::Retr(number) => (number, None),
            Command::Top { number, lines } => (number, Some(*lines)),
            _ => return None,
        };
        let Place::Upstream(number) = self.maildrop.place(*number) else { return None };
        if !self.fetch.filtered || self.maildrop.is_kept(number) {
            return None;
        }
        self.envelope_first(number).or_else(|| self.peek(number, lines?))
    }

    /// Asks for the envelope of a message that filters are to see, where nobody has asked for it yet.
    fn envelope_first(&mut self, number: MessageNumber) -> Option<Effects> {
        if !self.fetch.sdps || self.maildrop.envelope(number).is_some() {
            return None;
        }
        self.maildrop.note_envelope(number, None);
        Some(ask(format!("*ENV {number}"), envelope_of(number, false)))
    }

    /// Whether a command may have to be prepared, so that it has to wait until nothing is under way.
    pub(super) fn may_need_preparation(&self, command: &Command) -> bool {
        let unknown = self.maildrop.known().is_some_and(|known| known < Known::All);
        unknown && (needs_sizes(command) || needs_numbers(command))
    }

    /// Finds out which messages there are.
    fn exploration(&mut self, command: &Command) -> Option<Effects> {
        let known = self.maildrop.known()?;
        let renumbers = self.fetch.hide || self.maildrop.has_released();
        if !(needs_sizes(command) || renumbers && needs_numbers(command)) {
            return None;
        }
        match known {
            Known::Nothing => Some(ask("LIST", Purpose::List(Listing::OwnSizes))),
            Known::Sizes if self.fetch.hide || self.fetch.exact => Some(ask("UIDL", Purpose::List(Listing::OwnUidls))),
            Known::Sizes => {
                self.maildrop.learn(Known::All);
                None
            }
            Known::Ids => Some(vec![Effect::Job(Job::Recall(self.maildrop.all_seen()))]),
            Known::All => None,
        }
    }

    fn read_ahead(&self, number: MessageNumber) -> Effects {
        let fetch = self.fetch_of(number, if self.top_by_retr() { Extent::Whole } else { Extent::Top(0) });
        ask(self.whole_for_top(number), Purpose::Ahead(fetch))
    }

    /// Looks at the top alone, where the policy for this message says so. Large ones are found by asking for the size.
    fn peek(&self, number: MessageNumber, lines: u64) -> Option<Effects> {
        if self.top_by_retr() || lines >= ALL_LINES || self.maildrop.is_needed_whole(number) {
            return None;
        }
        if !self.fetch.top_of_headers {
            let max = self.fetch.top_max_size?;
            match self.maildrop.listed(number) {
                Some(listed) if listed > max => {}
                Some(_) => return None,
                None if self.maildrop.is_too_large() => return None,
                None => return Some(ask(format!("LIST {number}"), Purpose::Weigh(number))),
            }
        }
        // With one line more than the client asked for it shows whether the message has any.
        let asked = if lines == 0 { 0 } else { lines + 1 };
        Some(ask(format!("TOP {number} {asked}"), Purpose::Peek(self.fetch_of(number, Extent::Top(lines)))))
    }

    /// The top of a message has been looked at: the client has its answer, or the whole of it is needed.
    pub(super) fn peeked(&mut self, number: MessageNumber, answered: bool) -> Effects {
        if answered {
            self.deferred = Deferred::Answered;
        } else {
            self.maildrop.need_whole(number);
        }
        Vec::new()
    }

    /// The upstream has answered a command of a preparation.
    pub(super) fn preparation_replied(&mut self, purpose: Purpose, status: &Status) -> Effects {
        match (purpose, status.ok) {
            (Purpose::List(listing), true) => vec![Effect::Job(Job::List(listing))],
            // Without unique ids nothing can be known again.
            (Purpose::List(Listing::OwnUidls), false) => self.recalled(&[]),
            // The command itself will be told why.
            (Purpose::List(_), false) => {
                self.maildrop.end_view();
                self.no_prefetch();
                Vec::new()
            }
            (Purpose::Ahead(fetch), true) => vec![Effect::Job(Job::Ahead(fetch))],
            (Purpose::Ahead(fetch), false) => self.read_ahead_is(fetch.number, None),
            (Purpose::Peek(fetch), true) => vec![Effect::Job(Job::Peek(fetch))],
            (Purpose::Weigh(number), true) => {
                let listed = entry(status.text()).filter(|(told, _)| *told == number);
                self.maildrop.note_listed(number, listed.and_then(|(_, octets)| size(octets)));
                Vec::new()
            }
            // No such message: the client need not ask again.
            (Purpose::Weigh(_) | Purpose::Peek(_), false) => {
                self.deferred = Deferred::Answered;
                vec![Effect::Client(status.relayed())]
            }
            _ => Vec::new(),
        }
    }

    /// A list for the proxy itself has been read through.
    pub(super) fn explored(&mut self, listing: &Listing) {
        match listing {
            Listing::OwnSizes if self.maildrop.is_too_large() => {
                self.maildrop.end_view();
                self.no_prefetch();
            }
            Listing::OwnSizes => self.maildrop.learn(Known::Sizes),
            _ => {
                self.maildrop.find_ambiguous_ids();
                self.maildrop.learn(Known::Ids);
            }
        }
    }

    /// What earlier sessions have found out is there.
    pub(super) fn recalled(&mut self, hints: &[(MessageNumber, Hint)]) -> Effects {
        self.maildrop.recall(hints, self.fetch.hide, self.fetch.exact);
        self.maildrop.learn(Known::All);
        Vec::new()
    }

    /// A message has been read ahead: the octets that RETR sends, and whether it is kept; none if it can't be examined.
    pub(super) fn read_ahead_is(&mut self, number: MessageNumber, size: Option<(u64, bool)>) -> Effects {
        match size {
            Some((size, kept)) => self.maildrop.filtered(number, size, kept),
            None => self.maildrop.unexamined(number),
        }
        Vec::new()
    }

    /// A message as it is fetched now.
    pub(super) fn fetch_of(&self, number: MessageNumber, extent: Extent) -> Fetch {
        Fetch {
            number,
            extent,
            uidl: self.maildrop.uidl(number),
            seen: self.maildrop.seen(number),
            announced: self.announced(number),
            envelope: self.maildrop.envelope(number).flatten(),
        }
    }

    fn announced(&self, number: MessageNumber) -> Option<Announced> {
        let (octets, examined) = self.maildrop.announced(number).filter(|_| self.fetch.exact)?;
        Some(Announced { octets, examined })
    }
}

fn needs_sizes(command: &Command) -> bool {
    matches!(command, Command::Stat | Command::List(_))
}

fn needs_numbers(command: &Command) -> bool {
    matches!(
        command,
        Command::Uidl(_)
            | Command::Retr(_)
            | Command::Top { .. }
            | Command::Dele(_)
            | Command::Envelope(_)
            | Command::Extension { .. }
    )
}
