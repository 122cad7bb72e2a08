//! Commands for released messages, which the proxy answers itself, and extensions whose arguments are message numbers.

use super::maildrop::Place;
use super::{Effect, Effects, Extent, Job, Listing, Purpose, Session, client, upstream};
use crate::pop3::{Command, Extension, MessageNumber, Status};

impl Session {
    /// A command for a released message.
    pub(super) fn released_command(&mut self, index: usize, command: &Command) -> Effects {
        let Some(message) = self.maildrop.released(index).cloned() else {
            return vec![client("-ERR the message is deleted")];
        };
        let job = |extent| vec![Effect::Job(Job::Released(message.id.clone(), extent))];
        match command {
            Command::List(Some(number)) => vec![client(format!("+OK {number} {}", message.octets))],
            Command::Uidl(Some(number)) => vec![client(format!("+OK {number} {}", message.uidl()))],
            Command::Retr(_) => job(Extent::Whole),
            Command::Top { lines, .. } => job(Extent::Top(*lines)),
            Command::Dele(number) => {
                self.maildrop.delete_released(index);
                vec![client(format!("+OK message {number} deleted"))]
            }
            // Nothing more is known of it. An empty list and no -ERR: fetchmail reads on to a dot either way.
            _ => vec![client("+OK\r\n.")],
        }
    }

    /// The upstream has answered QUIT: only now is a released message gone that the client has deleted, so that what
    /// breaks before costs a duplicate and no mail.
    pub(super) fn quit_replied(&mut self, status: &Status) -> Effects {
        let ids = self.maildrop.deleted_released();
        if ids.is_empty() {
            return vec![Effect::Client(status.relayed()), Effect::Close];
        }
        vec![Effect::Job(Job::Discard { ids, reply: status.relayed() })]
    }

    /// What a number in an extension's line stands for; none if there is none, or it need not be looked at.
    pub(super) fn addressed_by_extension(&self, line: &[u8]) -> Option<Place> {
        let number = last_word(line).filter(|_| self.maildrop.renumbers())?;
        Some(self.maildrop.place(number))
    }

    /// An extension for one message of the upstream.
    pub(super) fn numbered_extension(&self, number: MessageNumber, line: &[u8], extension: Extension) -> Effects {
        let end = line.iter().rposition(|&octet| octet == b' ').map_or(0, |at| at + 1);
        let line = [&line[..end], number.to_string().as_bytes()].concat();
        let job = self.extension_in_view(&line, extension);
        vec![upstream(line), Effect::Job(job)]
    }

    /// An extension for no message or all of them.
    pub(super) fn plain_extension(&self, line: &[u8], extension: Extension) -> Effects {
        vec![upstream(line), Effect::Job(self.extension_in_view(line, extension))]
    }

    fn extension_in_view(&self, line: &[u8], extension: Extension) -> Job {
        if self.maildrop.renumbers() {
            match line.split(|&octet| octet == b' ').next().map(<[u8]>::to_ascii_uppercase).as_deref() {
                Some(b"LAST") => return Job::Reply(Purpose::Last),
                // RFC 1082: every line begins with a message's number.
                Some(b"XTND") => return Job::Reply(Purpose::List(Listing::Numbered)),
                _ => {}
            }
        }
        Job::Pass(extension.shape)
    }

    /// The reply to LAST, with the client's number.
    pub(super) fn last_reply(&self, status: &Status) -> Effect {
        let word = status.text().split(|&octet| octet == b' ').next().unwrap_or_default();
        match std::str::from_utf8(word).ok().and_then(|digits| digits.parse().ok()) {
            Some(number) => client(format!("+OK {}", self.maildrop.shown_up_to(number))),
            None => Effect::Client(status.relayed()),
        }
    }
}

/// The number at the end of `verb ... number`.
fn last_word(line: &[u8]) -> Option<MessageNumber> {
    let at = line.iter().rposition(|&octet| octet == b' ')?;
    MessageNumber::parse(&line[at + 1..])
}
