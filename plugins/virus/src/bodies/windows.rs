//! What pieces are looked for by: four octets in a row, or two where there are no four.
//!
//! At almost every octet of a text a set of bits says that nothing is there. Few windows are looked for one after the other,
//! which passes over many octets at a time.

use std::collections::HashMap;

use memchr::memmem;

use crate::bits::Bits;
use crate::bodies::Fault;
use crate::bodies::pattern::{Element, Written};

/// Octets of a piece in front of the last four that come into question.
const REACH: usize = 512;

/// Different windows that are looked for one after the other.
const FEW: usize = 4;

/// Entries for each place in the list of their beginnings.
const ENTRIES: usize = 4;

/// Pieces by their windows.
#[derive(Debug, Default)]
pub(super) struct Windows {
    four: Table,
    two: Table,
    /// How many pieces have a window, while they are added.
    load: HashMap<u32, u32>,
}

/// Pieces by windows of one length, in the order of their hashes.
#[derive(Debug, Default)]
struct Table {
    /// Window and piece.
    entries: Vec<(u32, u32)>,
    /// Where the entries of a hash begin.
    starts: Vec<u32>,
    /// The windows, spread.
    bits: Bits,
    /// How far a product is shifted for the hash.
    shift: u32,
    /// The windows, if they are few.
    few: Vec<u32>,
}

/// Spreads what stands in a few bits over all (Knuth, 6.4).
fn spread(window: u32) -> u64 {
    u64::from(window).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Windows {
    /// Finds what a piece is best looked for by, and gives its offset in the piece.
    pub(super) fn add(&mut self, piece: &Written, at: u32) -> Result<u16, Fault> {
        // Behind texts of different lengths nothing has a place of its own.
        let mut octets = Vec::new();
        for element in piece.elements.iter().take(REACH) {
            match element {
                Element::Octet { value, mask: 0xff } => octets.push(Some(*value)),
                Element::Octet { .. } => octets.push(None),
                Element::One { of, .. } if of.iter().all(|text| text.len() == of[0].len()) => {
                    octets.extend(of[0].iter().map(|_| None));
                }
                Element::One { .. } => break,
            }
        }
        if let Some((offset, window)) = self.rarest::<4>(&octets) {
            *self.load.entry(window).or_default() += 1;
            self.four.entries.push((window, at));
            return Ok(offset);
        }
        let (offset, window) = self.rarest::<2>(&octets).ok_or(Fault::Weak)?;
        self.two.entries.push((window, at));
        Ok(offset)
    }

    /// The window that few pieces have and few texts.
    fn rarest<const N: usize>(&self, octets: &[Option<u8>]) -> Option<(u16, u32)> {
        let window =
            |fixed: &[Option<u8>]| fixed.iter().rev().try_fold(0, |sum, &octet| Some(sum << 8 | u32::from(octet?)));
        let candidates =
            octets.windows(N).enumerate().filter_map(|(offset, fixed)| Some((offset as u16, window(fixed)?)));
        candidates.min_by_key(|&(_, window)| commonness(window, N) + 4 * self.load.get(&window).copied().unwrap_or(0))
    }

    pub(super) fn finish(&mut self) {
        self.load = HashMap::new();
        self.four.finish();
        self.two.finish();
    }

    /// The pieces whose windows stand in the text at places from `from` to `to`, with these places, in their order.
    pub(super) fn search(&self, text: &[u8], from: usize, to: usize) -> Vec<(usize, u32)> {
        let mut found = Vec::new();
        if !self.four.entries.is_empty() {
            self.four.search::<4>(text, from, to, &mut found);
        }
        if !self.two.entries.is_empty() {
            self.two.search::<2>(text, from, to, &mut found);
        }
        found.sort_unstable();
        found
    }
}

impl Table {
    fn finish(&mut self) {
        let hashes = self.entries.len().div_ceil(ENTRIES).next_power_of_two().max(2);
        self.shift = 64 - hashes.trailing_zeros();
        self.bits = Bits::of(self.entries.iter().map(|&(window, _)| spread(window)));
        let shift = self.shift;
        self.entries.sort_unstable_by_key(|&(window, piece)| (spread(window) >> shift, window, piece));
        self.entries.shrink_to_fit();
        self.few = self.entries.iter().map(|&(window, _)| window).collect();
        self.few.dedup();
        if self.few.len() > FEW {
            self.few = Vec::new();
        }
        self.starts = vec![0; hashes + 1];
        for &(window, _) in &self.entries {
            self.starts[(spread(window) >> shift) as usize + 1] += 1;
        }
        for hash in 0..hashes {
            self.starts[hash + 1] += self.starts[hash];
        }
    }

    fn search<const N: usize>(&self, text: &[u8], from: usize, to: usize, found: &mut Vec<(usize, u32)>) {
        let end = text.len().min(to + N - 1);
        let text = text.get(from..end).unwrap_or_default();
        if !self.few.is_empty() {
            for &window in &self.few {
                let octets = window.to_le_bytes();
                for at in all(&memmem::Finder::new(&octets[..N]), text) {
                    self.add(window, spread(window), from + at, found);
                }
            }
            return;
        }
        for (at, octets) in text.windows(N).enumerate() {
            let mut window = 0;
            for (place, &octet) in octets.iter().enumerate() {
                window |= u32::from(octet) << (8 * place);
            }
            let spread = spread(window);
            if self.bits.may_have(spread) {
                self.add(window, spread, from + at, found);
            }
        }
    }

    /// Adds the pieces with a window that stands at `at`.
    fn add(&self, window: u32, spread: u64, at: usize, found: &mut Vec<(usize, u32)>) {
        let hash = (spread >> self.shift) as usize;
        let entries = &self.entries[self.starts[hash] as usize..self.starts[hash + 1] as usize];
        let pieces = entries.iter().filter(|(known, _)| *known == window);
        found.extend(pieces.map(|&(_, piece)| (at, piece)));
    }
}

/// Where a text stands in another, also where it overlaps with itself.
fn all<'t>(wanted: &memmem::Finder<'t>, text: &'t [u8]) -> impl Iterator<Item = usize> + use<'t> {
    let (wanted, mut from) = (wanted.clone(), 0);
    std::iter::from_fn(move || {
        let at = from + wanted.find(text.get(from..)?)?;
        from = at + 1;
        Some(at)
    })
}

/// How likely these octets are in any file: zeros, blanks, filling and letters are everywhere.
fn commonness(window: u32, length: usize) -> u32 {
    let octets = &window.to_le_bytes()[..length];
    let single = |&octet: &u8| match octet {
        0 => 4,
        0xff | b' ' | 0x90 | 0xcc => 3,
        b'a'..=b'z' => 2,
        b'A'..=b'Z' | b'0'..=b'9' => 1,
        _ => 0,
    };
    let repeated = (1..octets.len()).filter(|&at| octets[..at].contains(&octets[at])).count() as u32;
    octets.iter().map(single).sum::<u32>() + 3 * repeated
}

#[cfg(test)]
mod tests {
    use super::{FEW, Windows};
    use crate::bodies::pattern::Pattern;

    /// What is found of these bodies in a text.
    fn found(bodies: &[&str], text: &[u8], from: usize, to: usize) -> Vec<(usize, u32)> {
        let mut windows = Windows::default();
        for (at, body) in (0..).zip(bodies) {
            windows.add(&Pattern::parse(body).unwrap().pieces[0], at).unwrap();
        }
        windows.finish();
        windows.search(text, from, to)
    }

    #[test]
    fn few_windows_are_found_where_many_are() {
        let wanted = ["61616161", "6162", "6261", "00ff00ff"];
        let others: Vec<String> = (0..2 * FEW as u32).map(|at| format!("f{at}e{at}d{at}c{at}")).collect();
        let pairs: Vec<String> = (0..2 * FEW as u32).map(|at| format!("f{at}e{at}")).collect();
        let many: Vec<&str> = wanted.into_iter().chain(others.iter().chain(&pairs).map(|body| &**body)).collect();
        for text in [&b"aaaaaaaab"[..], b"ababa\x00\xff\x00\xff\x00\xff", b"", b"a", b"baaaa"] {
            for from in 0..=text.len() {
                for to in from..=text.len() {
                    let mut by_many = found(&many, text, from, to);
                    by_many.retain(|(_, piece)| *piece < 4);
                    assert_eq!(found(&wanted, text, from, to), by_many, "{text:?} {from} {to}");
                }
            }
        }
    }
}
