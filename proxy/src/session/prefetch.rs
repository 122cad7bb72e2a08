//! Reading ahead: a client that takes one message after the other, and waits for each, gets the next ones from close by.
//!
//! After two RETRs in sequence, or two TOPs with more lines than any message has (so fetchmail downloads, unless it is told
//! otherwise), the upstream is asked in the same way for the messages behind, as many as the configuration allows, if it announces
//! PIPELINING (RFC 2449, section 6.6). Their replies stay where they are, in the connection, until the client asks for
//! them. Where it says something else first they are read through: what comes next in the sequence is stashed, all else,
//! and everything at RSET and QUIT, is dropped. Nothing is asked for that the upstream has not listed or that is marked as deleted,
//! and nothing is ever deleted.

use std::collections::VecDeque;

use super::maildrop::{Known, Place};
use super::{Effect, Effects, Extent, Job, Listing, Purpose, Session, ask, client, upstream};
use crate::pop3::{Command, MessageNumber};

/// From so many lines on TOP is a way to download a message.
const DOWNLOAD: u64 = 1_000_000;

/// What is under way before the client has asked for it.
#[derive(Debug)]
pub(super) struct Prefetch {
    /// Messages at a time.
    messages: usize,
    /// Octets of them, by the upstream's LIST.
    octets: u64,
    /// How the client takes messages, and those that are read ahead are fetched: as a whole, or by TOP.
    extent: Extent,
    /// What the client took last.
    last: Option<MessageNumber>,
    /// Asked for; the replies are still to be read, in this order.
    sent: VecDeque<MessageNumber>,
    /// Read, and kept by the driver.
    stashed: VecDeque<MessageNumber>,
    /// About to be read, to be kept.
    reading: VecDeque<MessageNumber>,
    /// Those of them that will be dropped nevertheless.
    unwanted: Vec<MessageNumber>,
    /// The upstream was asked for its capabilities.
    asked: bool,
    /// All messages have been listed.
    listed: bool,
    /// It can't be done in this session.
    off: bool,
    /// The effects of this event are in order with what is under way.
    ordered: bool,
}

impl Prefetch {
    pub(super) fn new(messages: usize, octets: u64) -> Self {
        Self {
            messages,
            octets,
            extent: Extent::Whole,
            last: None,
            sent: VecDeque::new(),
            stashed: VecDeque::new(),
            reading: VecDeque::new(),
            unwanted: Vec::new(),
            asked: false,
            listed: false,
            off: false,
            ordered: false,
        }
    }
}

impl Session {
    /// How many octets of replies may wait in the upstream's connection; none where none are awaited.
    #[must_use]
    pub fn expects_ahead(&self) -> Option<u64> {
        let prefetch = self.prefetch.as_ref().filter(|prefetch| !prefetch.sent.is_empty())?;
        Some(prefetch.octets)
    }

    /// What has to be known before messages can be read ahead.
    pub(super) fn before_prefetch(&mut self, command: &Command) -> Option<Effects> {
        let (number, extent) = match command {
            Command::Retr(number) => (*number, Extent::Whole),
            Command::Top { number, lines } => (*number, Extent::Top(*lines)),
            _ => return None,
        };
        let Place::Upstream(number) = self.maildrop.place(number) else { return None };
        let prefetch = self.prefetch.as_mut().filter(|prefetch| !prefetch.off && self.running == 0)?;
        let next = prefetch.last.and_then(|last| self.maildrop.next(last, prefetch.listed));
        if (next, prefetch.extent) != (Some(number), extent) {
            return None;
        }
        if !self.pipelining {
            if !prefetch.asked {
                prefetch.asked = true;
                return Some(ask("CAPA", Purpose::OwnCapa));
            }
            prefetch.off = true;
            return None;
        }
        if prefetch.listed {
            return None;
        }
        prefetch.listed = true;
        let explored = self.maildrop.known().is_some_and(|known| known >= Known::Sizes);
        (!explored).then(|| ask("LIST", Purpose::List(Listing::OwnSizes)))
    }

    /// The upstream does not list its messages.
    pub(super) fn no_prefetch(&mut self) {
        if let Some(prefetch) = &mut self.prefetch {
            prefetch.off = true;
        }
    }

    /// A list for the client has told all sizes.
    pub(super) fn sizes_listed(&mut self) {
        if let Some(prefetch) = &mut self.prefetch {
            prefetch.listed = true;
        }
    }

    /// The answer to LIST of one message, where messages are read ahead and all are listed: a client that asks before each RETR
    /// is spared the way to the upstream for that, too.
    pub(super) fn listed_before(&self, number: MessageNumber) -> Option<Effect> {
        self.prefetch.as_ref().filter(|prefetch| prefetch.listed && !prefetch.off && self.running == 0)?;
        let size = self.maildrop.size(number).or(self.maildrop.listed(number))?;
        let shown = self.maildrop.shown(number).filter(|_| !self.maildrop.is_deleted(number))?;
        Some(client(format!("+OK {shown} {size}")))
    }

    /// A message of the upstream, by RETR or TOP: from what was read ahead, where it is there.
    pub(super) fn in_sequence(&mut self, number: MessageNumber, extent: Extent, job: Job) -> Effects {
        let command = upstream(self.fetching(number, extent));
        let is_download = !matches!(extent, Extent::Top(lines) if lines < DOWNLOAD);
        let Some(prefetch) = self.prefetch.as_mut().filter(|_| is_download) else {
            return vec![command, Effect::Job(job)];
        };
        prefetch.ordered = true;
        // What was fetched in one way belongs to no sequence of the other.
        let goes_on = std::mem::replace(&mut prefetch.extent, extent) == extent;
        let last = prefetch.last.replace(number).filter(|_| goes_on);
        let follows = last.is_some_and(|last| self.maildrop.next(last, prefetch.listed) == Some(number));
        let stashed = prefetch.stashed.iter().position(|stashed| goes_on && *stashed == number);
        let mut effects = Vec::new();
        let job = if goes_on && prefetch.sent.front() == Some(&number) {
            prefetch.sent.pop_front();
            job
        } else if let Some(at) = stashed {
            prefetch.stashed.remove(at);
            Job::Stashed(self.fetch_of(number, extent))
        } else {
            effects.push(command);
            effects.append(&mut self.give_back());
            job
        };
        if follows && self.running == 0 && self.pipelining {
            effects.append(&mut self.ask_ahead(number));
        }
        effects.push(Effect::Job(job));
        effects
    }

    /// The command by which a message is fetched, where a client wants so much of it.
    fn fetching(&self, number: MessageNumber, extent: Extent) -> String {
        match extent {
            Extent::Whole => format!("RETR {number}"),
            // Filters see all of it.
            Extent::Top(_) if self.fetch.filtered => self.whole_for_top(number),
            Extent::Top(lines) => format!("TOP {number} {lines}"),
        }
    }

    /// Asks for messages behind this one, as many as there is room for.
    fn ask_ahead(&mut self, number: MessageNumber) -> Effects {
        let Some(prefetch) = self.prefetch.as_ref().filter(|prefetch| prefetch.listed && !prefetch.off) else {
            return Vec::new();
        };
        let size = |number: &MessageNumber| self.maildrop.listed(*number).unwrap_or(u64::MAX);
        let ahead = || prefetch.stashed.iter().chain(&prefetch.sent);
        let mut octets: u64 = ahead().map(size).fold(0, u64::saturating_add);
        let mut last = ahead().copied().max().unwrap_or(number).max(number);
        let (extent, mut sent) = (prefetch.extent, Vec::new());
        while ahead().count() + sent.len() < prefetch.messages
            && let Some(next) = self.maildrop.next(last, true)
        {
            octets = octets.saturating_add(size(&next));
            // A large one is not jumped over: the client takes it next, and those behind it have time until then.
            if octets > prefetch.octets {
                break;
            }
            sent.push(next);
            last = next;
        }
        let commands = sent.iter().map(|next| upstream(self.fetching(*next, extent))).collect();
        if let Some(prefetch) = &mut self.prefetch {
            prefetch.sent.extend(sent);
        }
        commands
    }

    /// Drops what was read ahead, and what is still to come.
    pub(super) fn give_back(&mut self) -> Effects {
        let Some(prefetch) = &mut self.prefetch else { return Vec::new() };
        prefetch.ordered = true;
        let mut effects: Effects = prefetch.sent.drain(..).map(|number| read_through(number, false)).collect();
        if !prefetch.stashed.is_empty() || !prefetch.reading.is_empty() {
            prefetch.stashed.clear();
            // They are read before this takes effect.
            prefetch.unwanted = prefetch.reading.iter().copied().collect();
            effects.push(Effect::Forget(None));
        }
        effects
    }

    /// Puts what is still to be read of the replies under way in front of the reply to a command that was sent behind them.
    pub(super) fn behind_prefetch(&mut self, mut effects: Effects) -> Effects {
        let Some(prefetch) = &mut self.prefetch else { return effects };
        let ordered = std::mem::take(&mut prefetch.ordered);
        let sends = effects.iter().any(|effect| matches!(effect, Effect::Upstream(_)));
        if ordered || !sends {
            return effects;
        }
        let at = effects.iter().position(|effect| matches!(effect, Effect::Job(_))).unwrap_or(effects.len());
        prefetch.reading.extend(&prefetch.sent);
        effects.splice(at..at, prefetch.sent.drain(..).map(|number| read_through(number, true)));
        effects
    }

    /// A message has been read that was to be kept, if it was `wanted`; it is `there` if it could be.
    pub(super) fn stashed(&mut self, number: MessageNumber, wanted: bool, there: bool) -> Effects {
        if let Some(prefetch) = self.prefetch.as_mut().filter(|_| wanted) {
            prefetch.reading.pop_front();
            match prefetch.unwanted.iter().position(|unwanted| *unwanted == number) {
                Some(at) => drop(prefetch.unwanted.remove(at)),
                None if there => prefetch.stashed.push_back(number),
                None => {}
            }
        }
        Vec::new()
    }

    /// DELE: from now on the message is not to be had, whether it was read ahead or is about to be.
    pub(super) fn dele(&mut self, number: MessageNumber) -> Effects {
        let mut effects = ask(format!("DELE {number}"), Purpose::Dele(number));
        let Some(prefetch) = &mut self.prefetch else { return effects };
        prefetch.ordered = true;
        let mut before: Effects = Vec::new();
        for sent in prefetch.sent.drain(..) {
            if sent != number {
                prefetch.reading.push_back(sent);
            }
            before.push(read_through(sent, sent != number));
        }
        if let Some(at) = prefetch.stashed.iter().position(|stashed| *stashed == number) {
            prefetch.stashed.remove(at);
            before.push(Effect::Forget(Some(number)));
        } else if prefetch.reading.contains(&number) {
            prefetch.unwanted.push(number);
            before.push(Effect::Forget(Some(number)));
        }
        effects.splice(1..1, before);
        effects
    }
}

fn read_through(number: MessageNumber, keep: bool) -> Effect {
    Effect::Job(Job::Reply(Purpose::Stash { number, keep }))
}

#[cfg(test)]
mod tests;
