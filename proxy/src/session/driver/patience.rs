//! Long waits: the server is kept from its idle timer, the client from giving up.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::future::{Future, pending};
use std::hash::{Hash, Hasher};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::client::Gone;
use super::{Break, Client, Driver};
use crate::filter::Outcome;
use crate::session::Fetch;
use crate::upstream::{Connection, Keepalive, Rules};

/// The longest time between two signs of life.
const INTERVAL: Duration = Duration::from_secs(10);
/// The most blanks in a status line, which has room for 512 octets with the rest of it (RFC 2449 section 4).
const BLANKS: usize = 440;
/// How many messages are remembered that could not be refused in order.
const REMEMBERED: usize = 10_000;

/// How a client that waits for a message is kept patient.
#[derive(Debug)]
pub(super) struct Patience {
    mode: Keepalive,
    started: Instant,
    next: Instant,
    interval: Duration,
    signs: usize,
}

impl Patience {
    /// From now on, by the rules of an upstream.
    pub(super) fn new(rules: &Rules) -> Self {
        let (started, after) = (Instant::now(), rules.keepalive_after);
        let next = started.checked_add(after).unwrap_or(started);
        let mode = if next == started { Keepalive::None } else { rules.keepalive };
        Self { mode, started, next, interval: after.min(INTERVAL), signs: 0 }
    }

    /// For a client that gets nothing before its message is ready.
    pub(super) fn without_signs() -> Self {
        let now = Instant::now();
        Self { mode: Keepalive::None, started: now, next: now, interval: INTERVAL, signs: 0 }
    }

    /// True once `+OK` has been said: the message can't be refused any more.
    pub(super) fn has_begun(&self) -> bool {
        self.signs > 0
    }

    /// What is left to say before the message, given the whole of its status line.
    pub(super) fn rest_of_status(&self, status: &str) -> String {
        match (self.has_begun(), self.mode) {
            (false, _) => format!("{status}\r\n"),
            (true, Keepalive::Headers) => String::new(),
            (true, _) => format!("{}\r\n", status.strip_prefix("+OK").unwrap_or(status)),
        }
    }

    /// Waits until the client needs a sign of life. Cancellation-safe.
    async fn due(&self) {
        let over = self.mode == Keepalive::StatusLine && self.signs > BLANKS;
        if self.mode == Keepalive::None || over {
            return pending().await;
        }
        sleep_until(self.next).await;
    }

    /// Gives a sign of life.
    async fn sign(&mut self, client: &mut Client) -> Result<(), Gone> {
        let line = format!("X-Popgate-Wait: {} s\r\n", self.started.elapsed().as_secs());
        match (self.mode, self.signs) {
            (Keepalive::Headers, 0) => client.queue(format!("+OK message follows\r\n{line}").as_bytes()),
            (Keepalive::Headers, _) => client.queue(line.as_bytes()),
            (_, 0) => client.queue(b"+OK"),
            _ => client.queue(b" "),
        }
        self.signs += 1;
        self.next = Instant::now() + self.interval;
        client.flush().await
    }
}

/// Messages whose fetch had to be broken off since `+OK` was said too early: they are refused in order the next time.
#[derive(Debug, Default)]
pub struct Overdue {
    messages: Mutex<HashSet<u64>>,
}

impl Overdue {
    fn add(&self, message: u64) {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        if messages.len() >= REMEMBERED {
            messages.clear();
        }
        messages.insert(message);
    }

    fn has(&self, message: u64) -> bool {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).contains(&message)
    }
}

impl Driver {
    /// How the client is kept patient while it waits for this message.
    pub(super) fn patience(&self, fetch: &Fetch) -> Patience {
        if self.services.overdue.has(self.overdue_key(fetch)) {
            return Patience::without_signs();
        }
        Patience::new(&self.rules())
    }

    /// The message can't be had, and `+OK` has been said: the client must not take what it got for the message.
    pub(super) fn too_late(&self, fetch: &Fetch, reply: &str) -> Break {
        self.services.overdue.add(self.overdue_key(fetch));
        Break::Late(reply.trim_end().to_owned())
    }

    /// The message as far as it is known before it is fetched. Another one that is taken for it only goes without signs.
    fn overdue_key(&self, fetch: &Fetch) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.server_name(), &self.user, fetch.number.to_string(), &fetch.uidl).hash(&mut hasher);
        hasher.finish()
    }

    /// Does some work on a message while both sides are kept waiting.
    pub(super) async fn patiently<T>(
        &mut self,
        patience: &mut Patience,
        work: impl Future<Output = T>,
    ) -> Result<T, Break> {
        let mut work = pin!(work);
        let Self { client, upstream, .. } = self;
        let mut work = pin!(awake(upstream, &mut work));
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                gone = client.watch() => return Err(gone.into()),
                () = patience.due() => {
                    self.mid_reply = true;
                    patience.sign(client).await?;
                }
            }
        }
    }

    /// Waits for the filters, patiently and where they are in nobody's way.
    pub(super) async fn judged(
        &mut self,
        patience: &mut Patience,
        judged: impl Future<Output = Outcome> + Send + 'static,
    ) -> Result<Outcome, Break> {
        let mut pace = self.pace;
        let pool = self.services.pool.clone();
        let outcome = self.patiently(patience, pace.run(&pool, judged)).await;
        self.pace = pace;
        outcome
    }

    /// Sends what is queued for the client if that is much, however slowly the client takes it.
    pub(super) async fn send_batch(&mut self) -> Result<(), Break> {
        let Self { client, upstream, .. } = self;
        Ok(awake(upstream, client.send_batch()).await?)
    }

    /// Sends octets to the client behind what is queued, however slowly the client takes them.
    pub(super) async fn send_on(&mut self, octets: &[u8]) -> Result<(), Break> {
        let Self { client, upstream, .. } = self;
        Ok(awake(upstream, client.send(octets)).await?)
    }

    /// Waits for octets of a message that comes in.
    pub(super) async fn fill_patiently(&mut self, patience: &mut Patience) -> Result<(), Break> {
        self.client.flush().await?;
        let Self { client, upstream, .. } = self;
        let Some(upstream) = upstream else { return Err(Break::OutOfStep("there is no upstream")) };
        loop {
            tokio::select! {
                filled = upstream.fill() => return Ok(filled.map(|_| ())?),
                gone = client.watch() => return Err(gone.into()),
                () = patience.due() => {
                    self.mid_reply = true;
                    patience.sign(client).await?;
                }
            }
        }
    }
}

/// Does some work that the server has no part in, and keeps the server awake meanwhile.
async fn awake<T>(upstream: &mut Option<Connection>, work: impl Future<Output = T>) -> T {
    let keep_awake = async {
        if let Some(upstream) = upstream {
            // A server that leaves now has given all that was asked of it; the next command will find out.
            upstream.keep_awake().await;
        }
        pending::<()>().await;
    };
    tokio::select! {
        biased;
        done = work => done,
        () = keep_awake => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience(mode: Keepalive, signs: usize) -> Patience {
        Patience { mode, signs, ..Patience::without_signs() }
    }

    #[test]
    fn a_padded_status_line_stays_within_512_octets() {
        let rest = patience(Keepalive::StatusLine, BLANKS + 1).rest_of_status("+OK 18446744073709551615 octets");
        assert!("+OK".len() + BLANKS + rest.len() <= 512);
    }

    #[test]
    fn a_status_line_is_completed_in_the_way_it_was_begun() {
        let rest = |mode, signs| patience(mode, signs).rest_of_status("+OK 9 octets");
        assert_eq!(rest(Keepalive::StatusLine, 0), "+OK 9 octets\r\n");
        assert_eq!(rest(Keepalive::StatusLine, 3), " 9 octets\r\n");
        assert_eq!(rest(Keepalive::Headers, 3), "");
        assert_eq!(rest(Keepalive::None, 0), "+OK 9 octets\r\n");
    }

    #[test]
    fn remembers_a_bounded_number_of_messages() {
        let overdue = Overdue::default();
        for message in 0..3 * REMEMBERED as u64 {
            overdue.add(message);
            assert!(overdue.has(message));
        }
        assert!(overdue.messages.lock().unwrap().len() <= REMEMBERED);
    }
}
