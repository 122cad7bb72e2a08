//! Replies that pass from the upstream to the client: lines, lists and whole bodies, through bounded buffers.

use bytes::{Bytes, BytesMut};

use super::{Break, Driver};
use crate::pop3::{Decoder, Shape, Status, TERMINATOR};
use crate::session::{Listing, Purpose};

/// The most lines, and the most octets, of a reply that is collected: a capability list.
const MAX_COLLECTED: (usize, usize) = (1000, 64 * 1024);

/// The most lines of a list that the client does not get.
const MAX_UNSEEN: usize = 4_000_000;

impl Driver {
    /// The line that answers the oldest command.
    pub(super) async fn reply(&mut self, purpose: &Purpose) -> Result<Bytes, Break> {
        self.reply_line(purpose.is_exchange()).await
    }

    async fn reply_line(&mut self, may_be_challenge: bool) -> Result<Bytes, Break> {
        let Some(upstream) = &mut self.upstream else { return Err(Break::OutOfStep("there is no upstream")) };
        // The client first: before QUIT goes to the upstream, nothing that it may delete waits here.
        if upstream.input().is_empty() {
            self.client.flush().await?;
        }
        upstream.flush().await?;
        let answer = async { if may_be_challenge { upstream.challenge().await } else { upstream.reply().await } };
        tokio::select! {
            line = answer => Ok(line?),
            gone = self.client.watch() => Err(gone.into()),
        }
    }

    /// Octets of the upstream that are not used yet: waits until there are some, and for nothing else.
    pub(super) async fn input(&mut self) -> Result<&mut BytesMut, Break> {
        let Some(upstream) = &mut self.upstream else { return Err(Break::OutOfStep("there is no upstream")) };
        while upstream.input().is_empty() {
            self.client.flush().await?;
            tokio::select! {
                filled = upstream.fill() => filled?,
                gone = self.client.watch() => return Err(gone.into()),
            };
        }
        Ok(upstream.input())
    }

    /// The next line of a multi-line reply, its dot-stuffing taken off; none at its end.
    async fn line(&mut self) -> Result<Option<Bytes>, Break> {
        let Some(upstream) = &mut self.upstream else { return Err(Break::OutOfStep("there is no upstream")) };
        if upstream.input().is_empty() {
            self.client.flush().await?;
        }
        let line = tokio::select! {
            line = upstream.line() => line?,
            gone = self.client.watch() => return Err(gone.into()),
        };
        Ok(match line.strip_prefix(b".") {
            Some(b"") => None,
            Some(_) => Some(line.slice(1..)),
            None => Some(line),
        })
    }

    /// All lines of a short multi-line reply.
    pub(super) async fn collect(&mut self) -> Result<Vec<Bytes>, Break> {
        let (mut lines, mut octets) = (Vec::new(), 0);
        while let Some(line) = self.line().await? {
            octets += line.len();
            lines.push(line);
            if lines.len() > MAX_COLLECTED.0 || octets > MAX_COLLECTED.1 {
                return Err(Break::OutOfStep("a capability list without end"));
            }
        }
        Ok(lines)
    }

    /// A list, line by line; the session says what the client gets of it.
    pub(super) async fn list(&mut self, mut listing: Listing) -> Result<Listing, Break> {
        let shown = listing.is_shown();
        self.mid_reply = shown;
        let mut unseen = 0;
        while let Some(line) = self.line().await? {
            unseen += usize::from(!shown);
            if unseen > MAX_UNSEEN {
                return Err(Break::OutOfStep("a list without end"));
            }
            if let Some(line) = self.session.list_line(&mut listing, line) {
                self.queue_line(&line);
                self.client.send_batch().await?;
            }
            if let Listing::Envelope { reader, shown: false, .. } = &listing
                && reader.lines() > MAX_COLLECTED.0
            {
                return Err(Break::OutOfStep("an envelope without end"));
            }
        }
        for line in self.session.last_lines(&mut listing) {
            self.queue_line(&line);
        }
        if shown {
            self.client.queue(TERMINATOR);
            self.mid_reply = false;
        }
        Ok(listing)
    }

    fn queue_line(&mut self, line: &[u8]) {
        self.client.queue_with(line.len() + 3, |output| {
            if line.first() == Some(&b'.') {
                output.extend_from_slice(b".");
            }
            output.extend_from_slice(line);
            output.extend_from_slice(b"\r\n");
        });
    }

    /// The reply that answers the oldest command, as it is.
    pub(super) async fn pass(&mut self, shape: Shape) -> Result<(), Break> {
        let line = self.reply_line(false).await?;
        let status = Status::parse(line).map_err(|_| Break::OutOfStep("a reply that is neither +OK nor -ERR"))?;
        self.client.queue_with(status.line.len() + 2, |output| status.relay(output));
        if shape == Shape::Single || !status.ok {
            return Ok(());
        }
        if let Some(upstream) = &mut self.upstream {
            upstream.expect_body();
        }
        // The octets behind it are in the same buffer, which is to be free.
        drop(status);
        self.relay().await?;
        if let Some(upstream) = &mut self.upstream {
            upstream.body_ended();
        }
        Ok(())
    }

    /// The rest of a multi-line reply as it is, whatever its size.
    ///
    /// What may be the beginning of the terminator waits for its end: a client that reads lines up to a dot must not take
    /// a message for whole that was broken off there.
    async fn relay(&mut self) -> Result<(), Break> {
        self.mid_reply = true;
        let mut decoder = Decoder::default();
        loop {
            let waiting = &TERMINATOR[..decoder.open_terminator()];
            let input = self.input().await?;
            let end = decoder.decode(input, |_| ());
            let mut chunk = input.split_to(end.unwrap_or(input.len()));
            let open = if end.is_some() { 0 } else { decoder.open_terminator() };
            if open <= chunk.len() {
                chunk.truncate(chunk.len() - open);
                self.client.queue(waiting);
                self.client.send(&chunk).await?;
            }
            if end.is_some() {
                self.mid_reply = false;
                return Ok(());
            }
        }
    }
}
