//! The TRANSACTION state (RFC 1939 section 5), and what the upstream says in it.

use super::{Effect, Effects, Extent, Fetch, Job, Listing, Phase, Purpose, Session, TopBy, ask, client};
use crate::pop3::{Command, EnvelopeReader, MessageNumber, State, Status};

/// As many lines as TOP can ask for everywhere: the whole message, without being counted as delivered.
const ALL_LINES: u64 = 2_147_483_647;

impl Session {
    /// A command after login.
    pub(super) fn transaction(&mut self, command: Command) -> Effects {
        if self.running > 0 && self.waits(&command) {
            self.deferred = true;
            return vec![Effect::Job(Job::Turn(command))];
        }
        let line = command.line().into_owned();
        match command {
            Command::Stat if self.maildrop.differs() => {
                ask("LIST", Purpose::List(Listing::Sum { messages: 0, octets: 0 }))
            }
            Command::Stat | Command::Noop => ask(line, Purpose::Single),
            Command::List(Some(number)) => ask(line, Purpose::ListOne(number)),
            Command::List(None) if self.maildrop.differs() => ask(line, Purpose::List(Listing::Sizes)),
            Command::List(None) => ask(line, Purpose::Multi),
            Command::Uidl(Some(number)) => ask(line, Purpose::UidlOne(number)),
            Command::Uidl(None) if self.fetch.filtered => ask(line, Purpose::List(Listing::Uidls)),
            Command::Uidl(None) => ask(line, Purpose::Multi),
            Command::Envelope(number) if self.fetch.filtered => ask(line, envelope_of(number, true)),
            Command::Envelope(_) => ask(line, Purpose::Multi),
            Command::Retr(number) => self.retr(number),
            Command::Top { number, lines } => self.top(number, lines),
            Command::Dele(number) => ask(line, Purpose::Dele(number)),
            Command::Rset => ask(line, Purpose::Rset),
            Command::Quit => {
                self.phase = Phase::Closing;
                ask(line, Purpose::Quit)
            }
            Command::Capa => ask(line, Purpose::Capa),
            Command::Extension { line, extension } if extension.state != State::Authorization => {
                ask(line, Self::extension_purpose(extension))
            }
            _ => self.bad("not after login".into()),
        }
    }

    /// True for commands that are not sent ahead of earlier replies: QUIT, since a client that vanishes before it has
    /// everything must leave the maildrop as it was; and what depends on messages still under way.
    fn waits(&self, command: &Command) -> bool {
        match command {
            Command::Quit | Command::Envelope(_) | Command::Extension { .. } => true,
            Command::Stat | Command::List(_) | Command::Retr(_) | Command::Top { .. } => self.fetch.filtered,
            _ => false,
        }
    }

    fn retr(&mut self, number: MessageNumber) -> Effects {
        if !self.fetch.filtered {
            return ask(format!("RETR {number}"), Purpose::Multi);
        }
        if self.fetch.retr_once && self.maildrop.is_kept(number) {
            return vec![Effect::Job(Job::Kept(number, Extent::Whole))];
        }
        if self.lacks_envelope(number) {
            return self.envelope_before(number, Command::Retr(number));
        }
        ask(format!("RETR {number}"), Purpose::Fetch(self.fetch_of(number, Extent::Whole)))
    }

    fn top(&mut self, number: MessageNumber, lines: u64) -> Effects {
        let extent = Extent::Top(lines);
        if !self.fetch.filtered {
            return ask(format!("TOP {number} {lines}"), Purpose::Multi);
        }
        if self.maildrop.is_kept(number) {
            return vec![Effect::Job(Job::Kept(number, extent))];
        }
        if self.lacks_envelope(number) {
            return self.envelope_before(number, Command::Top { number, lines });
        }
        let by_retr = match self.fetch.top_by {
            TopBy::Top => false,
            TopBy::Retr => true,
            TopBy::Either => self.lacks_top,
        };
        let line = if by_retr { format!("RETR {number}") } else { format!("TOP {number} {ALL_LINES}") };
        ask(line, Purpose::Fetch(self.fetch_of(number, extent)))
    }

    fn fetch_of(&self, number: MessageNumber, extent: Extent) -> Fetch {
        let envelope = self.maildrop.envelope(number).flatten();
        Fetch { number, extent, uidl: self.maildrop.uidl(number), envelope }
    }

    /// True if filters could have the envelope of a message, and nobody has asked for it yet.
    fn lacks_envelope(&self, number: MessageNumber) -> bool {
        self.fetch.sdps && self.maildrop.envelope(number).is_none()
    }

    /// Asks for an envelope; the command waits meanwhile.
    fn envelope_before(&mut self, number: MessageNumber, command: Command) -> Effects {
        self.maildrop.note_envelope(number, None);
        self.deferred = true;
        let mut effects = ask(format!("*ENV {number}"), envelope_of(number, false));
        effects.push(Effect::Job(Job::Turn(command)));
        effects
    }

    /// The upstream has answered a command of this state.
    pub(super) fn transaction_replied(&mut self, purpose: Purpose, status: &Status) -> Effects {
        let relayed = || Effect::Client(status.relayed());
        if !status.ok {
            return match purpose {
                Purpose::Quit => vec![relayed(), Effect::Close],
                // The client did not ask.
                Purpose::List(Listing::Envelope { shown: false, .. }) => Vec::new(),
                _ => vec![relayed()],
            };
        }
        match purpose {
            Purpose::Multi => vec![relayed(), Effect::Job(Job::Relay)],
            Purpose::List(listing) if !listing.is_shown() => list(listing),
            // The status line tells octets too, as a rule; those of the upstream.
            Purpose::List(Listing::Sizes) => {
                let mut effects = vec![client("+OK")];
                effects.extend(list(Listing::Sizes));
                effects
            }
            Purpose::List(listing) => {
                let mut effects = vec![relayed()];
                effects.extend(list(listing));
                effects
            }
            Purpose::ListOne(number) => vec![match self.maildrop.size(number) {
                Some(size) => client(format!("+OK {number} {size}")),
                None => relayed(),
            }],
            Purpose::UidlOne(number) => {
                self.note_uidl(number, status);
                vec![relayed()]
            }
            Purpose::Fetch(fetch) => vec![Effect::Job(Job::Fetch(fetch))],
            Purpose::Dele(number) => {
                self.maildrop.delete(number);
                vec![relayed()]
            }
            Purpose::Rset => {
                self.maildrop.reset();
                vec![relayed()]
            }
            Purpose::Quit => vec![relayed(), Effect::Close],
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

    /// A list has been read through.
    pub(super) fn listed(&mut self, listing: Listing) -> Effects {
        match listing {
            Listing::Sum { messages, octets } => vec![client(format!("+OK {messages} {octets}"))],
            Listing::Sizes | Listing::Uidls => Vec::new(),
            Listing::Envelope { number, reader, .. } => {
                self.maildrop.note_envelope(number, Some(reader.finish()));
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

fn envelope_of(number: MessageNumber, shown: bool) -> Purpose {
    Purpose::List(Listing::Envelope { number, reader: EnvelopeReader::default(), shown })
}

fn list(listing: Listing) -> Effects {
    vec![Effect::Job(Job::List(listing))]
}
