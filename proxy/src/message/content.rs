//! The decoded content of a part as a stream: a slice of the message at a time goes through the decoder.

use std::ops::Range;

use memchr::memmem;

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
        self.read_within(max, u64::MAX).0
    }

    /// The same, but it takes no more than about `work` octets off what is encoded; true if there was more to do for it.
    ///
    /// However little is asked for, a decoder may have to skip much to find it.
    pub fn read_within(&mut self, max: usize, work: u64) -> (Vec<u8>, bool) {
        if self.charset.is_none() && matches!(self.decoder, Some(Decoder::Identity)) {
            let end = self.rest.end.min(self.rest.start.saturating_add(max as u64));
            let out = self.octets.bytes(self.rest.start..end).into_owned();
            self.rest.start += out.len() as u64;
            return (out, false);
        }
        let (mut out, stop) = (Vec::new(), self.rest.start.saturating_add(work));
        while out.len() < max {
            if self.read == self.ready.len() {
                if self.rest.start >= stop {
                    return (out, true);
                }
                if !self.refill() {
                    break;
                }
            }
            let take = (max - out.len()).min(self.ready.len() - self.read);
            if out.is_empty() && take == self.ready.len() {
                out = std::mem::take(&mut self.ready);
                self.read = 0;
                // What follows is about as long as what has come of the first step.
                out.reserve(
                    usize::try_from(self.rest.end - self.rest.start).unwrap_or(usize::MAX).min(max - out.len()),
                );
                continue;
            }
            out.extend_from_slice(&self.ready[self.read..self.read + take]);
            self.read += take;
        }
        (out, false)
    }

    /// How many octets are left.
    #[must_use]
    pub fn size(mut self) -> u64 {
        let mut size = (self.ready.len() - self.read) as u64;
        if self.charset.is_none() && matches!(self.decoder, Some(Decoder::Identity)) {
            return size + (self.rest.end.min(self.octets.len()) - self.rest.start);
        }
        while self.refill() {
            size += self.ready.len() as u64;
        }
        size
    }

    /// The offset of the first occurrence of `needle` in what is left, at or behind `start`. An empty needle is nowhere.
    #[must_use]
    pub fn find(mut self, needle: &[u8], start: u64) -> Option<u64> {
        if needle.is_empty() {
            return None;
        }
        if self.charset.is_none() && matches!(self.decoder, Some(Decoder::Identity)) {
            let found = self.octets.find(needle, self.rest.start.saturating_add(start), self.rest.end)?;
            return Some(found - self.rest.start);
        }
        let finder = memmem::Finder::new(needle);
        // Where the octets begin that are looked through: what was decoded last, behind those that may begin the needle.
        let (mut at, mut seen) = (0_u64, Vec::new());
        loop {
            let skip = usize::try_from(start.saturating_sub(at)).unwrap_or(usize::MAX).min(seen.len());
            if let Some(found) = finder.find(&seen[skip..]) {
                return Some(at + (skip + found) as u64);
            }
            let done = seen.len().saturating_sub(needle.len() - 1);
            seen.drain(..done);
            at += done as u64;
            if !self.refill() {
                return None;
            }
            seen.extend_from_slice(&self.ready);
        }
    }

    /// Decodes the next step, of which nothing may come. False when nothing is left.
    fn refill(&mut self) -> bool {
        self.ready.clear();
        self.read = 0;
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// What is read in bites of this size, and how often there was more to do.
    fn read(
        body: &[u8],
        cut: usize,
        encoding: Encoding,
        charset: Option<&str>,
        bite: usize,
        work: u64,
    ) -> (Vec<u8>, u32) {
        let mut octets = Octets::from(Bytes::copy_from_slice(&body[..cut]));
        octets.push(Bytes::copy_from_slice(&body[cut..]));
        let mut content = Content::new(octets, 0..body.len() as u64, encoding);
        if let Some(charset) = charset {
            content = content.as_text(charset);
        }
        let (mut all, mut unfinished) = (Vec::new(), 0);
        loop {
            let (octets, more) = content.read_within(bite, work);
            assert!(octets.len() <= bite);
            unfinished += u32::from(more);
            if octets.is_empty() && !more {
                assert!(content.read(bite).is_empty(), "the end stays the end");
                return (all, unfinished);
            }
            all.extend(octets);
        }
    }

    #[test]
    fn the_same_is_read_in_whatever_bites() {
        let plain: Vec<u8> = "gr\u{fc}\u{df}e, and a line of its own\r\n".bytes().cycle().take(40_000).collect();
        let base64 = super::super::encoding::base64(&plain);
        for (body, encoding) in [(&plain, Encoding::Identity), (&base64, Encoding::Base64)] {
            for charset in [None, Some("utf-8")] {
                for bite in [1_000, 16_384, 39_999, 65_536] {
                    for cut in [0, 1, 20_000, body.len()] {
                        let all = read(body, cut, encoding, charset, bite, 20_000).0;
                        assert!(all.starts_with(&plain[..39_990]), "{encoding:?} {charset:?} {bite} {cut}");
                        assert!(charset.is_some() || all == plain, "{encoding:?} {bite} {cut}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_size_is_that_of_what_is_read() {
        for length in [0, 1, 16_383, 16_384, 50_000] {
            let plain: Vec<u8> = b"some ".iter().copied().cycle().take(length).collect();
            let base64 = super::super::encoding::base64(&plain);
            for (body, encoding) in [(&plain, Encoding::Identity), (&base64, Encoding::Base64)] {
                let content =
                    || Content::new(Octets::from(Bytes::copy_from_slice(body)), 0..body.len() as u64, encoding);
                assert_eq!(content().size(), length as u64, "{encoding:?}");
                let mut started = content();
                let read = started.read(1_000).len();
                assert_eq!(started.size() + read as u64, length as u64, "{encoding:?}");
            }
        }
    }

    #[test]
    fn what_is_found_is_found_wherever_it_is_cut() {
        let mut plain: Vec<u8> = b"PK or not ".repeat(4_000);
        plain[24_575..24_580].copy_from_slice(b"P\x05PK\x06");
        let base64 = super::super::encoding::base64(&plain);
        for (body, encoding) in [(&plain, Encoding::Identity), (&base64, Encoding::Base64)] {
            for cut in [0, 1, 16_383, 32_768, body.len()] {
                let content = || {
                    let mut octets = Octets::from(Bytes::copy_from_slice(&body[..cut]));
                    octets.push(Bytes::copy_from_slice(&body[cut..]));
                    Content::new(octets, 0..body.len() as u64, encoding)
                };
                for needle in [&b"P\x05PK\x06"[..], b"PK\x06", b"PK", b"nowhere", b"", &plain[10_000..11_000], &plain] {
                    for start in [0, 1, 24_570, 24_576, 24_577, 24_578, 39_999, 40_000, 40_001, usize::MAX] {
                        let expected = plain
                            .get(start..)
                            .filter(|_| !needle.is_empty())
                            .and_then(|rest| memmem::find(rest, needle))
                            .map(|found| (start + found) as u64);
                        assert_eq!(
                            content().find(needle, start as u64),
                            expected,
                            "{:?} {encoding:?} {cut} {start}",
                            String::from_utf8_lossy(&needle[..needle.len().min(20)])
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn what_gives_nothing_is_read_in_steps() {
        let (all, unfinished) = read(&[b'!'; 200_000], 0, Encoding::Base64, None, 65_536, 65_536);
        assert_eq!((all.len(), unfinished), (0, 3));
    }
}
