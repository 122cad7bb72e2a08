//! The top of a message without the rest: filters that need no more see the header block, the others see nothing of it.

use tracing::{Instrument, info_span};

use super::job::{Failures, Fetched, top_length};
use super::patience::Patience;
use super::{Break, Driver};
use crate::filter::Disposition;
use crate::message::{Edit, Message};
use crate::session::{Event, Extent, Fetch};

/// The header that says which filters have not run.
const SKIPPED: &str = "X-Popgate-Skipped";

/// What can be made of a top.
enum Top {
    /// The client gets this.
    Message(Message),
    /// The client is told this.
    Refused(String),
    /// A filter wants more than a top to go by.
    Undecided,
}

impl Driver {
    /// Reads the top that the upstream has begun to send, one line longer than the client has asked for, and sends it;
    /// or finds that it is all of the message, or that all of it is needed.
    pub(super) async fn peek(&mut self, fetch: Fetch) -> Result<Event, Break> {
        let Extent::Top(lines) = fetch.extent else { return Err(Break::OutOfStep("no top was asked for")) };
        let mut patience = Patience::without_signs();
        let answered = |answered| Event::Peeked(fetch.number, answered);
        let part = match self.read_message(&mut patience).await? {
            Fetched::Message(message) => message,
            Fetched::Refused { reply, rest } => {
                self.refuse(&reply, rest).await?;
                return Ok(answered(true));
            }
        };
        let length = top_length(&part, lines);
        // Nothing behind the last line: who asks for that much, downloads the message. Of no line at all nothing follows.
        if lines > 0 && length == part.len() {
            return Ok(answered(false));
        }
        match self.top(&fetch, &mut patience, &part, length).await? {
            Top::Message(message) => {
                self.send_message(&message, Extent::Top(u64::MAX), &patience).await?;
            }
            Top::Refused(reply) => self.client.queue(format!("{reply}\r\n").as_bytes()),
            Top::Undecided => return Ok(answered(false)),
        }
        Ok(answered(true))
    }

    /// Filters the header block of a top of so many octets.
    async fn top(&mut self, fetch: &Fetch, patience: &mut Patience, part: &Message, length: u64) -> Result<Top, Break> {
        let head_len = part.head_len();
        // A header block fits into memory, or the message would not have been taken in.
        let octets = |from: u64, to: u64| part.read(from, usize::try_from(to - from).unwrap_or(usize::MAX));
        let selection = self.selection.clone();
        let (selection, others) = selection.of_headers();
        let others = others.join(", ");
        let facts = self.facts(fetch);
        let poison = Failures::of(self);
        let span = info_span!("top", number = %fetch.number);
        let head = Message::from_bytes(octets(0, head_len));
        let judged = async move { selection.run(head, facts, &poison).await }.instrument(span);
        let outcome = self.judged(patience, judged).await?;
        match outcome.disposition {
            Disposition::Deliver if !outcome.takes_content => {}
            Disposition::Retry { .. } => {
                return Ok(Top::Refused("-ERR [SYS/TEMP] the message can't be examined now, try again later".into()));
            }
            _ => return Ok(Top::Undecided),
        }
        let mut text: Vec<u8> = outcome.message.segments().collect::<Vec<_>>().concat();
        text.extend(octets(head_len, length));
        let message = Message::from_bytes(text);
        if others.is_empty() {
            return Ok(Top::Message(message));
        }
        let mark = Edit::AddHeader { name: SKIPPED.into(), value: format!("top: not examined by {others}") };
        // What does not even take the mark is not shown without it.
        Ok(message.apply(&[mark]).map_or(Top::Undecided, Top::Message))
    }
}
