//! The decoded content of a part as a stream: a slice of the message at a time goes through the decoder.

use std::ops::Range;

use super::encoding::{Decoder, Encoding};
use super::octets::Octets;

/// Encoded octets that are decoded at a time.
const STEP: u64 = 16 * 1024;

/// The decoded content of one part. Owns what it reads from.
pub struct Content {
    octets: Octets,
    rest: Range<u64>,
    decoder: Option<Decoder>,
    /// From its charset into UTF-8.
    charset: Option<encoding_rs::Decoder>,
    /// Decoded and not yet read, from `read` on.
    ready: Vec<u8>,
    read: usize,
}

impl Content {
    pub(super) fn new(octets: Octets, body: Range<u64>, encoding: Encoding) -> Self {
        Self { octets, rest: body, decoder: Some(Decoder::new(encoding)), charset: None, ready: Vec::new(), read: 0 }
    }

    /// The same as UTF-8: from this charset (a label of the WHATWG's Encoding Standard), with U+FFFD where that can't be done.
    /// An unknown charset is read as UTF-8.
    #[must_use]
    pub fn as_text(self, charset: &str) -> Self {
        let encoding = encoding_rs::Encoding::for_label(charset.as_bytes()).unwrap_or(encoding_rs::UTF_8);
        Self { charset: Some(encoding.new_decoder_with_bom_removal()), ..self }
    }

    /// The next octets, at most `max`. Nothing at the end, and nothing for a `max` of 0.
    pub fn read(&mut self, max: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while out.len() < max {
            if self.read == self.ready.len() && !self.refill() {
                break;
            }
            let take = (max - out.len()).min(self.ready.len() - self.read);
            out.extend_from_slice(&self.ready[self.read..self.read + take]);
            self.read += take;
        }
        out
    }

    /// Decodes the next step. False when nothing is left.
    fn refill(&mut self) -> bool {
        self.ready.clear();
        self.read = 0;
        while self.ready.is_empty() {
            let chunk = self.octets.chunk(self.rest.start, self.rest.end.min(self.rest.start + STEP));
            let Some(decoder) = &mut self.decoder else { return false };
            if chunk.is_empty() {
                decoder.finish(&mut self.ready);
                self.decoder = None;
                self.convert(true);
                return !self.ready.is_empty();
            }
            self.rest.start += chunk.len() as u64;
            decoder.push(chunk, &mut self.ready);
            self.convert(false);
        }
        true
    }

    /// Has what is ready converted into UTF-8, where that is asked for.
    fn convert(&mut self, last: bool) {
        let Some(charset) = &mut self.charset else { return };
        let room = charset.max_utf8_buffer_length(self.ready.len()).unwrap_or(usize::MAX);
        // The room is enough for all of it, so that one call does.
        let mut text = String::with_capacity(room);
        let _ = charset.decode_to_string(&self.ready, &mut text, last);
        self.ready = text.into_bytes();
    }
}

impl std::fmt::Debug for Content {
    /// What is left alone: mail text does not belong into logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").field("rest", &self.rest).finish_non_exhaustive()
    }
}
