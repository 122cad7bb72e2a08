//! The TRANSACTION state (RFC 1939 section 5), and what the upstream says in it.

use super::maildrop::Place;
use super::{Effect, Effects, Extent, Job, Listing, Phase, Purpose, Session, TopBy, ask, client, pass, upstream};
use crate::pop3::{Command, EnvelopeReader, MessageNumber, Shape, State, Status};

/// As many lines as TOP can ask for everywhere: the whole message, without being counted as delivered.
pub(super) const ALL_LINES: u64 = 2_147_483_647;

impl Session {
    /// A command after login.
    pub(super) fn transaction(&mut self, command: Command) -> Effects {
        if self.running > 0 && self.waits(&command) {
            return vec![self.defer(command)];
        }
        if let Some(mut effects) = self.preparation(&command) {
            effects.push(self.defer(command));
            return effects;
        }
        match self.addressed(&command) {
            Some(Place::Upstream(number)) => self.transaction_with(number, command),
            Some(Place::Released(index)) => self.released_command(index, &command),
            Some(Place::Nowhere) => vec![client("-ERR no such message")],
            None => self.transaction_without_number(command),
        }
    }

    /// What the number in a command stands for.
    fn addressed(&self, command: &Command) -> Option<Place> {
        let number = match command {
            Command::List(Some(number)) | Command::Uidl(Some(number)) => number,
            Command::Retr(number) | Command::Top { number, .. } | Command::Dele(number) => number,
            Command::Envelope(number) => number,
            Command::Extension { line, .. } => return self.addressed_by_extension(line),
            _ => return None,
        };
        Some(self.maildrop.place(*number))
    }

    /// A command for a message of the upstream, with its number there.
    fn transaction_with(&mut self, number: MessageNumber, command: Command) -> Effects {
        match command {
            Command::List(_) => match self.listed_before(number) {
                Some(reply) => vec![reply],
                None => ask(format!("LIST {number}"), Purpose::ListOne(number)),
            },
            Command::Uidl(_) => ask(format!("UIDL {number}"), Purpose::UidlOne(number)),
            Command::Retr(_) => self.retr(number),
            Command::Top { lines, .. } => self.top(number, lines),
            Command::Envelope(_) if self.fetch.filtered => ask(format!("*ENV {number}"), envelope_of(number, true)),
            Command::Envelope(_) => pass(format!("*ENV {number}"), Shape::Multi),
            Command::Dele(_) => self.dele(number),
            Command::Extension { line, extension } => self.numbered_extension(number, &line, extension),
            _ => self.bad("not after login".into()),
        }
    }

    fn transaction_without_number(&mut self, command: Command) -> Effects {
        let line = command.line().into_owned();
        match command {
            Command::Stat if self.maildrop.differs() => {
                ask("LIST", Purpose::List(Listing::Sum { messages: 0, octets: 0 }))
            }
            Command::Stat | Command::Noop => pass(line, Shape::Single),
            Command::List(_) if self.maildrop.differs() || self.prefetch.is_some() => {
                ask(line, Purpose::List(Listing::Sizes))
            }
            Command::List(_) => pass(line, Shape::Multi),
            Command::Uidl(_) if self.fetch.filtered || self.maildrop.renumbers() => {
                ask(line, Purpose::List(Listing::Uidls))
            }
            Command::Uidl(_) => pass(line, Shape::Multi),
            Command::Rset => self.ask_with_nothing_ahead(line, Purpose::Rset),
            Command::Quit => {
                self.phase = Phase::Closing;
                self.ask_with_nothing_ahead(line, Purpose::Quit)
            }
            Command::Capa => ask(line, Purpose::Capa),
            Command::Extension { line, extension } if extension.state != State::Authorization => {
                self.plain_extension(&line, extension)
            }
            _ => self.bad("not after login".into()),
        }
    }

    /// True for commands that are not sent ahead of earlier replies: QUIT, since a client that vanishes before it has
    /// everything must leave the maildrop as it was; and what depends on messages still under way, or on what is still to
    /// be found out about them.
    fn waits(&self, command: &Command) -> bool {
        match command {
            Command::Quit | Command::Envelope(_) | Command::Extension { .. } => true,
            Command::Stat | Command::List(_) | Command::Retr(_) | Command::Top { .. } if self.fetch.filtered => true,
            // The reply to RSET unmarks released messages, too, but none that were marked behind it.
            Command::Rset | Command::Dele(_) if self.maildrop.has_released() => true,
            _ => self.may_need_preparation(command),
        }
    }

    fn retr(&mut self, number: MessageNumber) -> Effects {
        if !self.fetch.filtered {
            return self.in_sequence(number, Extent::Whole, Job::Pass(Shape::Multi));
        }
        if self.fetch.retr_once && self.maildrop.is_kept(number) {
            return vec![Effect::Job(Job::Kept(number, Extent::Whole))];
        }
        let fetch = self.fetch_of(number, Extent::Whole);
        self.in_sequence(number, Extent::Whole, Job::Reply(Purpose::Fetch(fetch)))
    }

    /// A command behind which nothing is wanted that was read ahead.
    fn ask_with_nothing_ahead(&mut self, line: Vec<u8>, purpose: Purpose) -> Effects {
        let mut effects = vec![upstream(line)];
        effects.append(&mut self.give_back());
        effects.push(Effect::Job(Job::Reply(purpose)));
        effects
    }

    fn top(&mut self, number: MessageNumber, lines: u64) -> Effects {
        let extent = Extent::Top(lines);
        if !self.fetch.filtered {
            return self.in_sequence(number, extent, Job::Pass(Shape::Multi));
        }
        if self.maildrop.is_kept(number) {
            return vec![Effect::Job(Job::Kept(number, extent))];
        }
        let fetch = self.fetch_of(number, extent);
        self.in_sequence(number, extent, Job::Reply(Purpose::Fetch(fetch)))
    }

    /// True if a message is fetched by RETR for a client's TOP.
    pub(super) fn top_by_retr(&self) -> bool {
        match self.fetch.top_by {
            TopBy::Top => false,
            TopBy::Retr => true,
            TopBy::Either => self.lacks_top,
        }
    }

    /// The command that fetches a message whole for a client's TOP.
    pub(super) fn whole_for_top(&self, number: MessageNumber) -> String {
        if self.top_by_retr() { format!("RETR {number}") } else { format!("TOP {number} {ALL_LINES}") }
    }

    /// The upstream has answered a command of this state.
    pub(super) fn transaction_replied(&mut self, purpose: Purpose, status: &Status) -> Effects {
        let relayed = || Effect::Client(status.relayed());
        let own = matches!(purpose, Purpose::List(Listing::OwnSizes | Listing::OwnUidls));
        if own || matches!(purpose, Purpose::Ahead(_) | Purpose::Weigh(_) | Purpose::Peek(_)) {
            return self.preparation_replied(purpose, status);
        }
        if !status.ok {
            return match purpose {
                // The client will hear it if it asks.
                Purpose::Stash { number, keep } => self.stashed(number, keep, false),
                Purpose::Quit => vec![relayed(), Effect::Close],
                // The client did not ask.
                Purpose::List(Listing::Envelope { shown: false, .. }) => Vec::new(),
                _ => vec![relayed()],
            };
        }
        match purpose {
            Purpose::List(listing) if !listing.is_shown() => list(listing),
            // The status line tells messages and octets too, as a rule; those of the upstream.
            Purpose::List(Listing::Sizes) => {
                let mut effects = vec![if self.maildrop.differs() { client("+OK") } else { relayed() }];
                effects.extend(list(Listing::Sizes));
                effects
            }
            Purpose::List(listing) => {
                let mut effects = vec![if self.maildrop.renumbers() { client("+OK") } else { relayed() }];
                effects.extend(list(listing));
                effects
            }
            Purpose::ListOne(number) => vec![match (self.maildrop.size(number), self.maildrop.shown(number)) {
                (Some(size), Some(shown)) => client(format!("+OK {shown} {size}")),
                _ => self.renumbered_reply(status),
            }],
            Purpose::UidlOne(number) => {
                self.note_uidl(number, status);
                vec![self.renumbered_reply(status)]
            }
            Purpose::Fetch(fetch) => vec![Effect::Job(Job::Fetch(fetch))],
            Purpose::Stash { number, keep } => vec![Effect::Job(Job::Stash { number, keep })],
            Purpose::Dele(number) => {
                self.maildrop.delete(number);
                // The upstream's text may tell its own number.
                vec![match self.maildrop.shown(number).filter(|shown| *shown != number) {
                    Some(shown) => client(format!("+OK message {shown} deleted")),
                    None => relayed(),
                }]
            }
            Purpose::Rset => {
                self.maildrop.reset();
                vec![relayed()]
            }
            Purpose::Last => vec![self.last_reply(status)],
            Purpose::Quit => self.quit_replied(status),
            _ => vec![relayed()],
        }
    }

    fn note_uidl(&mut self, number: MessageNumber, status: &Status) {
        let line = status.line.slice_ref(status.text());
        let expected = number.to_string();
        if line.split(|&octet| octet == b' ').next() == Some(expected.as_bytes()) {
            self.maildrop.note_uidl(&line);
        }
    }

    /// `+OK number value`, with the client's number.
    fn renumbered_reply(&self, status: &Status) -> Effect {
        match self.maildrop.renumbered(status.line.slice_ref(status.text())) {
            Some(line) if self.maildrop.renumbers() => {
                let text = crate::pop3::clean(&line, crate::pop3::MAX_REPLY_LINE);
                Effect::Client([b"+OK ", text.as_slice(), b"\r\n"].concat().into())
            }
            _ => Effect::Client(status.relayed()),
        }
    }

    /// A list has been read through.
    pub(super) fn listed(&mut self, listing: Listing) -> Effects {
        match listing {
            Listing::Sum { messages, octets } => vec![client(format!("+OK {messages} {octets}"))],
            Listing::Sizes => {
                self.sizes_listed();
                Vec::new()
            }
            Listing::Uidls | Listing::Numbered => Vec::new(),
            Listing::Envelope { number, reader, .. } => {
                self.maildrop.note_envelope(number, Some(reader.finish()));
                Vec::new()
            }
            Listing::OwnSizes | Listing::OwnUidls => {
                self.explored(&listing);
                Vec::new()
            }
        }
    }

    /// A message has been filtered and sent.
    pub(super) fn fetched(&mut self, number: MessageNumber, size: u64, kept: bool) -> Effects {
        self.maildrop.filtered(number, size, kept);
        Vec::new()
    }
}

pub(super) fn envelope_of(number: MessageNumber, shown: bool) -> Purpose {
    Purpose::List(Listing::Envelope { number, reader: EnvelopeReader::default(), shown })
}

fn list(listing: Listing) -> Effects {
    vec![Effect::Job(Job::List(listing))]
}
