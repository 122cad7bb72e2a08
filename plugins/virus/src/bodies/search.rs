//! The search for body signatures in a stream.

use std::collections::HashMap;

use crate::bodies::{Bodies, Place, Subject};
use crate::names::Name;

/// Octets of a stream that are searched before what is behind them is let go.
const KEPT: usize = 64 << 10;

/// From how many octets on they are searched where they are, and not in the buffer.
const LARGE: usize = 4 << 10;

/// Places of a piece that are remembered; where more would matter, the last ones count.
const PLACES: usize = 32;

/// Pieces of which places are remembered.
const CHAINS: usize = 4096;

/// A signature that was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Found {
    pub(crate) name: Name,
    /// True for the first signature, which is EICAR's.
    pub(crate) is_first: bool,
}

/// A search in one stream, up to the first signature that is found.
#[derive(Debug)]
pub(crate) struct Search {
    subject: Subject,
    buffer: Vec<u8>,
    /// Octets of the stream in front of the buffer.
    offset: u64,
    /// How much of the buffer has been searched.
    searched: usize,
    places: Places,
}

/// Where pieces were found that others have to follow.
#[derive(Debug, Default)]
struct Places {
    /// By signature and piece: where the signature began, and where the piece ended.
    chains: HashMap<(u32, u16), Vec<(u64, u64)>>,
    /// Signatures that have to stand at a distance from the end, and where they began.
    pending: Vec<(u32, u64)>,
    found: Option<Found>,
}

impl Search {
    pub(crate) fn new(subject: Subject) -> Self {
        Self { subject, buffer: Vec::new(), offset: 0, searched: 0, places: Places::default() }
    }

    /// Searches the next octets.
    pub(crate) fn update(&mut self, bodies: &Bodies, octets: &[u8]) {
        if self.places.found.is_some() {
            return;
        }
        if octets.len() >= LARGE.max(4 * bodies.longest) {
            return self.search_through(bodies, octets);
        }
        self.buffer.extend_from_slice(octets);
        // A piece is compared as a whole, so what is behind its beginning has to be there.
        let to = self.buffer.len().saturating_sub(bodies.longest);
        if to >= self.searched + KEPT / 4 {
            self.search(bodies, to);
        }
        if self.searched >= KEPT {
            let gone = self.searched - bodies.longest.min(self.searched);
            self.buffer.drain(..gone);
            self.offset += gone as u64;
            self.searched -= gone;
        }
    }

    /// The signature that was found.
    pub(crate) fn end(mut self, bodies: &Bodies) -> Option<Found> {
        if self.places.found.is_none() {
            self.search(bodies, self.buffer.len());
        }
        let size = self.offset + self.buffer.len() as u64;
        let at_end = |&&(signature, start): &&(u32, u64)| match bodies.signatures[signature as usize].place {
            Place::End(from, shift) => {
                size.checked_sub(from).is_some_and(|from| (from..=from + shift).contains(&start))
            }
            _ => false,
        };
        let pending = self.places.pending.iter().find(at_end).map(|&(signature, _)| found(bodies, signature));
        self.places.found.or(pending)
    }

    fn search(&mut self, bodies: &Bodies, to: usize) {
        self.places.search(bodies, self.subject, (&self.buffer, self.offset), self.searched, to);
        self.searched = to.max(self.searched);
    }

    /// Searches many octets. Those alone go through the buffer that may belong to a piece with octets before or behind them.
    fn search_through(&mut self, bodies: &Bodies, octets: &[u8]) {
        let longest = bodies.longest;
        let mut from = 0;
        if !self.buffer.is_empty() {
            self.buffer.extend_from_slice(&octets[..2 * longest]);
            self.search(bodies, self.buffer.len() - longest);
            from = longest;
        }
        // What was in front of them.
        let offset = self.offset + self.buffer.len() as u64 - 2 * from as u64;
        let to = octets.len() - longest;
        self.places.search(bodies, self.subject, (octets, offset), from, to);
        let kept = octets.len() - 2 * longest;
        self.buffer.clear();
        self.buffer.extend_from_slice(&octets[kept..]);
        (self.offset, self.searched) = (offset + kept as u64, longest);
    }
}

impl Places {
    /// Looks for what begins from `from` to `to` in octets that stand at this offset.
    fn search(&mut self, bodies: &Bodies, subject: Subject, (octets, offset): (&[u8], u64), from: usize, to: usize) {
        if self.found.is_some() {
            return;
        }
        for (at, piece) in bodies.windows.search(octets, from, to) {
            let piece = bodies.pieces[piece as usize];
            if !bodies.signatures[piece.signature as usize].target.includes(subject) {
                continue;
            }
            let Some(start) = at.checked_sub(usize::from(piece.window)) else { continue };
            let Some(length) = piece.matches(&bodies.code, &octets[start..]) else { continue };
            let start = offset + start as u64;
            self.add(bodies, piece.signature, piece.index, (start, start + length as u64), piece.gap);
            if self.found.is_some() {
                break;
            }
        }
    }

    /// A piece stands here.
    fn add(&mut self, bodies: &Bodies, signature: u32, index: u16, piece: (u64, u64), gap: (u32, u32)) {
        let whole = bodies.signatures[signature as usize];
        let begins = match index.checked_sub(1) {
            None => match whole.place {
                Place::Start(from, shift) if !(from..=from.saturating_add(shift)).contains(&piece.0) => return,
                _ => piece.0,
            },
            Some(before) => {
                let (least, most) = (u64::from(gap.0), u64::from(gap.1));
                let fits = |&&(_, end): &&(u64, u64)| {
                    piece
                        .0
                        .checked_sub(end)
                        .is_some_and(|gap| gap >= least && (gap <= most || most == u64::from(u32::MAX)))
                };
                let chain = self.chains.get(&(signature, before));
                let Some(&(begins, _)) = chain.and_then(|chain| chain.iter().rev().find(fits)) else { return };
                begins
            }
        };
        if index + 1 < whole.pieces {
            self.remember(signature, index, (begins, piece.1));
        } else if matches!(whole.place, Place::End(..)) {
            if self.pending.len() == CHAINS {
                self.pending.remove(0);
            }
            self.pending.push((signature, begins));
        } else {
            self.found = Some(found(bodies, signature));
        }
    }

    fn remember(&mut self, signature: u32, index: u16, place: (u64, u64)) {
        let full = self.chains.len() >= CHAINS;
        if full && !self.chains.contains_key(&(signature, index)) {
            return;
        }
        let chain = self.chains.entry((signature, index)).or_default();
        // The first is kept for pieces at any distance, the last for near ones.
        if chain.len() == PLACES {
            chain.remove(1);
        }
        chain.push(place);
    }
}

fn found(bodies: &Bodies, signature: u32) -> Found {
    Found { name: bodies.signatures[signature as usize].name, is_first: signature == 0 }
}
