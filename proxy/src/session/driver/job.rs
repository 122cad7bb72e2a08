//! One message: fetched whole, filtered, stored where something is taken from it, sent.

use std::sync::Arc;

use bytes::BytesMut;
use tracing::{Instrument, info, info_span, warn};

use super::patience::Patience;
use super::{Break, Driver, Judged};
use crate::filter::{Disposition, Facts, FetchCommand, Outcome, Poison};
use crate::message::{BuildError, Builder, Message};
use crate::pop3::{Decoder, Encoder, MessageNumber};
use crate::session::{Event, Extent, Fetch};
use crate::store;

/// In how many sessions a filter may fail on a message before the message is at fault.
const SESSIONS: u32 = 2;
/// What a client is told of a message that can be examined now, but not when its size was announced.
const NOT_YET: &str = "-ERR [SYS/TEMP] the message could not be examined before, log in again";
/// How much of a message is encoded between two looks at the client, in octets.
const PIECE: usize = 64 * 1024;
/// Octets that dot-stuffing adds to half of such a piece, as a rule at most.
const STUFFING: usize = 1024;

/// What has become of a message, for TOP and RETR to agree.
pub(super) struct Kept {
    original: [u8; 32],
    result: Filtered,
}

/// What the client gets for a message.
#[derive(Clone)]
pub(super) struct Filtered {
    pub(super) message: Message,
    /// It is the notice in the place of a message that is held.
    pub(super) held: bool,
}

/// The failures of filters, as this session adds to them.
pub(super) struct Failures {
    notes: Arc<store::Poison>,
    session: u64,
}

impl Failures {
    /// Of this session.
    pub(super) fn of(driver: &Driver) -> Self {
        Self { notes: Arc::clone(&driver.services.poison), session: driver.id }
    }
}

impl Poison for Failures {
    fn failed(&self, filter: &str, fingerprint: &[u8; 32], message: &Message) -> bool {
        let key = store::PoisonKey::new(filter, fingerprint, &message.sha256());
        self.notes.failed(&key, self.session) > SESSIONS
    }
}

/// What came of fetching a message.
pub(super) enum Fetched {
    Message(Message),
    /// It can't be taken in.
    Refused {
        /// What the client is told.
        reply: String,
        /// Where the rest of it goes on, if it has not come to its end.
        rest: Option<Decoder>,
    },
}

impl Driver {
    /// Reads the message that the upstream has begun to send, filters it and sends the result.
    pub(super) async fn fetch(&mut self, fetch: Fetch) -> Result<Event, Break> {
        let mut patience = self.patience(&fetch);
        let original = match self.read_message(&mut patience).await? {
            Fetched::Message(message) => message,
            Fetched::Refused { reply, .. } if patience.has_begun() => return Err(self.too_late(&fetch, &reply)),
            Fetched::Refused { reply, rest } => {
                self.refuse(&reply, rest).await?;
                return Ok(Event::Relayed);
            }
        };
        self.examine(fetch, &mut patience, original).await
    }

    /// Filters a message that is there as a whole, and sends the result.
    pub(super) async fn examine(
        &mut self,
        fetch: Fetch,
        patience: &mut Patience,
        original: Message,
    ) -> Result<Event, Break> {
        let number = fetch.number;
        // RETR's octets are the truth: what TOP fetched counts only if it was the same.
        let known =
            self.kept.as_mut().and_then(|kept| kept.remove(&number)).filter(|kept| kept.original == original.sha256());
        let was_kept = known.is_some();
        let result = match known {
            Some(kept) => kept.result,
            None => match self.filter(&fetch, patience, original.clone()).await? {
                Ok(result) => result,
                Err(reply) if patience.has_begun() => return Err(self.too_late(&fetch, &reply)),
                Err(reply) => return Ok(Event::NotFetched(reply)),
            },
        };
        // What the filters found out about it may be as large as itself, and nobody asks any more.
        let original = original.bare();
        let size = wire_size(&result.message);
        if self.memory.is_some() {
            hash(&original).await;
        }
        self.remember(&fetch, &original, &result, size);
        match fetch.announced.filter(|announced| announced.octets != size) {
            // The client may count on what it was told, and would take another mail's octets for this one's.
            Some(announced) if announced.examined || patience.has_begun() => {
                self.forget_all();
                return Err(Break::Changed);
            }
            Some(_) => return Ok(Event::NotFetched(NOT_YET.into())),
            None => {}
        }
        self.send_message(&result.message, fetch.extent, patience).await?;
        let wanted = was_kept || fetch.extent != Extent::Whole;
        let keep = wanted && self.keep(number, &original, result);
        Ok(Event::Fetched { number, size, kept: keep })
    }

    /// Keeps a result if there is room.
    pub(super) fn keep(&mut self, number: MessageNumber, original: &Message, result: Filtered) -> bool {
        let room = self.has_room(&result.message);
        if room {
            let kept = Kept { original: original.sha256(), result };
            self.kept.get_or_insert_default().insert(number, kept);
        }
        room
    }

    /// Tells the client that a message can't be taken in, and reads on to its end.
    pub(super) async fn refuse(&mut self, reply: &str, rest: Option<Decoder>) -> Result<(), Break> {
        self.client.queue(reply.as_bytes());
        self.client.flush().await?;
        self.drain(rest).await
    }

    /// Sends a message that is kept.
    pub(super) async fn kept(&mut self, number: MessageNumber, extent: Extent) -> Result<Event, Break> {
        let kept = self.kept.as_ref().and_then(|kept| kept.get(&number));
        let Some(result) = kept.map(|kept| kept.result.message.clone()) else {
            return Ok(Event::NotFetched("-ERR [SYS/TEMP] the message is not at hand, try again".into()));
        };
        self.send_message(&result, extent, &Patience::without_signs()).await?;
        Ok(Event::Sent)
    }

    fn has_room(&self, message: &Message) -> bool {
        let kept = self.kept.iter().flat_map(|kept| kept.values());
        let kept: u64 = kept.map(|kept| kept.result.message.len()).sum();
        kept.saturating_add(message.len()) <= self.services.kept_per_session
    }

    /// Takes the body of a reply in, whatever size anybody announced.
    pub(super) async fn read_message(&mut self, patience: &mut Patience) -> Result<Fetched, Break> {
        let mut builder = Builder::new(self.services.message.clone(), Arc::clone(&self.services.budget));
        let mut decoder = Decoder::default();
        let mut fault = None;
        loop {
            let Some(upstream) = &mut self.upstream else { return Err(Break::OutOfStep("there is no upstream")) };
            let input = upstream.input();
            if input.is_empty() {
                self.fill_patiently(patience).await?;
                continue;
            }
            let end = decoder.decode(input, |piece| {
                if fault.is_none() {
                    fault = builder.push(piece).err();
                }
            });
            let used = end.unwrap_or(input.len());
            let _ = input.split_to(used);
            if let Some(error) = &fault {
                warn!(%error, "message not taken in");
                let rest = if end.is_none() { Some(decoder) } else { None };
                return Ok(Fetched::Refused { reply: refusal(error), rest });
            }
            if end.is_some() {
                break;
            }
        }
        match builder.finish() {
            Ok(message) => Ok(Fetched::Message(message)),
            Err(error) => {
                warn!(%error, "message not taken in");
                Ok(Fetched::Refused { reply: refusal(&error), rest: None })
            }
        }
    }

    /// Reads on to the end of a message that nobody wants any more, to stay in step; bounded, since some have no end.
    pub(super) async fn drain(&mut self, rest: Option<Decoder>) -> Result<(), Break> {
        let Some(mut decoder) = rest else { return Ok(()) };
        let mut left = self.services.message.max;
        loop {
            let input = self.input().await?;
            let end = decoder.decode(input, |_| ());
            let used = end.unwrap_or(input.len());
            let _ = input.split_to(used);
            if end.is_some() {
                return Ok(());
            }
            left = left.saturating_sub(used as u64);
            if left == 0 {
                return Err(Break::OutOfStep("a message without end"));
            }
        }
    }

    /// What the client is to get for a message, or the reply that says why it gets none.
    pub(super) async fn filter(
        &mut self,
        fetch: &Fetch,
        patience: &mut Patience,
        original: Message,
    ) -> Result<Result<Filtered, String>, Break> {
        let mut facts = self.facts(fetch);
        // Few filters note anything, and a hash takes its time.
        if let Some(examined) = &self.examined {
            facts.examined_before = examined.contains(&hash(&original).await);
        }
        let span = info_span!("message", number = %fetch.number);
        let poison = Failures::of(self);
        let (selection, message) = (self.selection.clone(), original.clone());
        let judged = async move { selection.run(message, facts, &poison).await }.instrument(span.clone());
        let mut outcome = self.judged(patience, judged).await?;
        for filter in outcome.report.filters.iter().filter(|filter| filter.error.is_some()) {
            span.in_scope(|| warn!(filter = filter.name, error = filter.error, "filter has not decided"));
        }
        if outcome.noted && !matches!(outcome.disposition, Disposition::Retry { .. }) {
            let hash = hash(&original).await;
            self.examined.get_or_insert_default().insert(hash);
        }
        self.totals.messages += 1;
        if self.services.observer.is_some() {
            hash(&original).await;
        }
        let mut learn_tokens = std::mem::take(&mut outcome.learn_tokens);
        if matches!(outcome.disposition, Disposition::Retry { .. }) {
            // It comes again.
            learn_tokens.clear();
        }
        let told = self.services.observer.as_ref().map(|_| (outcome.disposition.clone(), outcome.report.clone()));
        let settled = self.settle(original.clone(), outcome).instrument(span).await;
        if let (Some(observer), Some((disposition, report))) = (&self.services.observer, told) {
            let uidl = fetch.uidl.as_deref().map(|id| String::from_utf8_lossy(id).into_owned());
            let (number, identity, refused) = (fetch.number, self.identity(), !matches!(settled, Ok(Ok(_))));
            observer(&Judged { number, identity, uidl, original, disposition, report, learn_tokens, refused });
        }
        settled
    }

    /// Makes durable what is taken away, then says what the client gets.
    async fn settle(&mut self, original: Message, outcome: Outcome) -> Result<Result<Filtered, String>, Break> {
        let delivered = |message| Filtered { message, held: false };
        match outcome.disposition {
            Disposition::Retry { filter, reason } => {
                warn!(filter, reason, "message stays on the server");
                Ok(Err("-ERR [SYS/TEMP] the message can't be examined now, it stays on the server".into()))
            }
            Disposition::Hold { filter, reason } => {
                info!(filter, reason, "held");
                self.totals.held += 1;
                let held = self.hold(&original, filter, reason, &outcome.report.findings).await;
                Ok(held.map(|entry| Filtered { message: self.notice(&entry, &original), held: true }))
            }
            Disposition::Deliver if outcome.takes_content => {
                let filters = changed_by(&outcome).join(", ");
                info!(filters, "content taken away");
                let reason = "parts were taken out or replaced".to_owned();
                let held = self.hold(&original, filters, reason, &outcome.report.findings).await;
                Ok(held.map(|_| delivered(outcome.message)))
            }
            Disposition::Deliver => Ok(Ok(delivered(outcome.message))),
        }
    }

    pub(super) fn facts(&self, fetch: &Fetch) -> Facts {
        let crate::store::Identity { upstream, user } = self.identity();
        Facts {
            user,
            client: self.address.ip(),
            listener: self.listener.to_string(),
            upstream,
            tls: self.client.is_encrypted(),
            command: match fetch.extent {
                Extent::Whole => FetchCommand::Retr,
                Extent::Top(_) => FetchCommand::Top,
            },
            uidl: fetch.uidl.as_deref().map(|id| String::from_utf8_lossy(id).into_owned()),
            sdps_sender: fetch.envelope.as_ref().and_then(|envelope| envelope.sender.clone()),
            sdps_recipient: fetch.envelope.as_ref().and_then(|envelope| envelope.recipient.clone()),
            examined_before: false,
        }
    }

    /// Sends a message, or the top of it.
    pub(super) async fn send_message(
        &mut self,
        message: &Message,
        extent: Extent,
        patience: &Patience,
    ) -> Result<(), Break> {
        let size = wire_size(message);
        let length = match extent {
            Extent::Whole => message.len(),
            Extent::Top(lines) => top_length(message, lines),
        };
        let status = match extent {
            Extent::Whole => format!("+OK {size} octets"),
            Extent::Top(_) => "+OK top of message follows".to_owned(),
        };
        self.client.queue(patience.rest_of_status(&status).as_bytes());
        self.mid_reply = true;
        let (mut encoder, mut left) = (Encoder::default(), length);
        for segment in message.segments() {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(segment.len());
            for piece in segment[..wanted].chunks(PIECE) {
                if encoder.passes(piece) {
                    self.send_on(piece).await?;
                    continue;
                }
                for piece in piece.chunks(PIECE / 2) {
                    let stuff =
                        |output: &mut BytesMut| encoder.encode(piece, |octets| output.extend_from_slice(octets));
                    self.client.queue_with(piece.len() + STUFFING, stuff);
                    self.send_batch().await?;
                }
            }
            left -= wanted as u64;
        }
        self.client.queue(encoder.finish());
        self.mid_reply = false;
        Ok(())
    }
}

/// The hash of a message, which holds up nobody else while it is made. It is known from then on.
pub(super) async fn hash(message: &Message) -> [u8; 32] {
    /// Octets whose hash takes less than a millisecond.
    const AT_ONCE: u64 = 1024 * 1024;
    if message.len() > AT_ONCE {
        let hashed = message.clone();
        // It can't fail but in a process that ends.
        drop(tokio::task::spawn_blocking(move || hashed.sha256()).await);
    }
    message.sha256()
}

/// The octets of a message as RETR sends it, dot-stuffing and terminator not counted.
pub(super) fn wire_size(message: &Message) -> u64 {
    let length = message.len();
    let whole = length == 0 || message.read(length.saturating_sub(2), 2) == b"\r\n";
    if whole { length } else { length + 2 }
}

/// The octets of the header block and as many lines of the body.
pub(super) fn top_length(message: &Message, mut lines: u64) -> u64 {
    let head = message.head_len();
    if lines == 0 {
        return head;
    }
    let mut position = 0;
    for segment in message.segments() {
        let skip = usize::try_from(head.saturating_sub(position)).unwrap_or(usize::MAX).min(segment.len());
        for at in memchr::memchr_iter(b'\n', &segment[skip..]) {
            lines -= 1;
            if lines == 0 {
                return position + (skip + at + 1) as u64;
            }
        }
        position += segment.len() as u64;
    }
    position
}

fn changed_by(outcome: &Outcome) -> Vec<&str> {
    outcome.report.filters.iter().filter(|filter| filter.changed).map(|filter| filter.name.as_str()).collect()
}

fn refusal(error: &BuildError) -> String {
    match error {
        BuildError::TooLarge { max } => {
            format!("-ERR [SYS/PERM] the message is larger than {max} octets; it stays on the server\r\n")
        }
        BuildError::Busy | BuildError::Spool(_) => {
            "-ERR [SYS/TEMP] there is no room for the message now; it stays on the server\r\n".into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_counts_lines_of_the_body_only() {
        let message = Message::from_bytes(b"A: 1\r\nB: 2\r\n\r\none\r\ntwo\r\nthree".to_vec());
        let lengths = [0, 1, 2, 3, 99, u64::MAX].map(|lines| top_length(&message, lines));
        assert_eq!(lengths, [14, 19, 24, 29, 29, 29]);
    }

    #[test]
    fn the_announced_size_counts_the_missing_line_end() {
        for (text, size) in [("", 0), ("a", 3), ("a\r", 4), ("a\r\n", 3), ("\n", 3)] {
            assert_eq!(wire_size(&Message::from_bytes(text.into())), size, "{text:?}");
        }
    }
}
