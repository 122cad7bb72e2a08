//! A body as it is written, and as it is compared.

use crate::bodies::Fault;

/// Octets that a piece may have: what is kept of a stream while it is searched.
const PIECE_MAX: usize = 4096;

/// A fixed distance up to here is a row of wildcards.
const WILDCARDS_MAX: u32 = 128;

/// What stands at a place of a piece.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Element {
    /// An octet with these bits.
    Octet { value: u8, mask: u8 },
    /// One of several texts; or, negated, none of them, which have one length.
    One { of: Vec<Vec<u8>>, negated: bool },
}

/// A signature's body.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) pieces: Vec<Written>,
}

/// A piece as it is written.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) elements: Vec<Element>,
    /// Octets between the piece before and this one, at least and at most.
    gap: (u32, u32),
    /// Octets that it may have.
    pub(super) longest: usize,
}

impl Pattern {
    /// Reads `aabb??c?(dd|ee)*{4-8}...`.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let mut reader = Reader { text: text.as_bytes(), at: 0 };
        let mut pieces = vec![Written::default()];
        while let Some(&octet) = reader.text.get(reader.at) {
            let gap = match octet {
                b'*' => {
                    reader.at += 1;
                    Some((0, u32::MAX))
                }
                b'{' | b'[' => Some(reader.gap()?),
                _ => None,
            };
            let last = pieces.len() - 1;
            match gap {
                None => {
                    let element = reader.element()?;
                    pieces[last].push(element)?;
                }
                Some((least, most)) if least == most && least <= WILDCARDS_MAX => {
                    for _ in 0..least {
                        pieces[last].push(Element::Octet { value: 0, mask: 0 })?;
                    }
                }
                // Gaps in front of the body say nothing, and two in a row add up.
                Some((least, most)) if pieces[last].elements.is_empty() => {
                    let gap = &mut pieces[last].gap;
                    *gap = (gap.0.saturating_add(least), gap.1.saturating_add(most));
                }
                Some(gap) => pieces.push(Written { gap, ..Written::default() }),
            }
        }
        // Neither does a gap at the end.
        pieces.retain(|piece| !piece.elements.is_empty());
        if pieces.is_empty() { Err(Fault::Body(text.to_owned())) } else { Ok(Self { pieces }) }
    }
}

impl Written {
    fn push(&mut self, element: Element) -> Result<(), Fault> {
        self.longest += match &element {
            Element::Octet { .. } => 1,
            Element::One { of, .. } => of.iter().map(Vec::len).max().unwrap_or(0),
        };
        self.elements.push(element);
        if self.longest > PIECE_MAX { Err(Fault::LeftOut) } else { Ok(()) }
    }

    /// Its place in the code, with the offset of what it is looked for by.
    pub(super) fn pack(&self, signature: u32, index: u16, window: u16, code: &mut Vec<u8>) -> Result<Piece, Fault> {
        let start = u32::try_from(code.len()).map_err(|_| Fault::Other("is one too many".to_owned()))?;
        let mut rest = &self.elements[..];
        while let Some(first) = rest.first() {
            let fixed = |element: &&Element| matches!(element, Element::Octet { mask: 0xff, .. });
            let any = |element: &&Element| matches!(element, Element::Octet { mask: 0, .. });
            let (taken, kind) = match first {
                Element::Octet { mask: 0xff, .. } => (rest.iter().take_while(fixed).count().min(255), FIXED),
                Element::Octet { mask: 0, .. } => (rest.iter().take_while(any).count().min(255), ANY),
                Element::Octet { value, mask } => {
                    code.extend([BITS, *value, *mask]);
                    rest = &rest[1..];
                    continue;
                }
                Element::One { of, negated } => {
                    code.extend([if *negated { NONE_OF } else { ONE_OF }, of.len() as u8]);
                    for text in of {
                        code.push(text.len() as u8);
                        code.extend(text);
                    }
                    rest = &rest[1..];
                    continue;
                }
            };
            code.extend([kind, taken as u8]);
            if kind == FIXED {
                code.extend(rest[..taken].iter().filter_map(|element| match element {
                    Element::Octet { value, .. } => Some(*value),
                    Element::One { .. } => None,
                }));
            }
            rest = &rest[taken..];
        }
        let length = (code.len() - start as usize) as u32;
        Ok(Piece { signature, index, window, start, length, gap: self.gap })
    }
}

/// What follows in the code.
const FIXED: u8 = 0;
const ANY: u8 = 1;
const BITS: u8 = 2;
const ONE_OF: u8 = 3;
const NONE_OF: u8 = 4;

/// A piece of a signature.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) signature: u32,
    /// Its position among the pieces of the signature.
    pub(super) index: u16,
    /// Octets in front of what it is looked for by.
    pub(super) window: u16,
    start: u32,
    length: u32,
    pub(super) gap: (u32, u32),
}

impl Piece {
    /// Octets of the piece, if the text begins with it.
    pub(super) fn matches(&self, code: &[u8], text: &[u8]) -> Option<usize> {
        let (start, length) = (self.start as usize, self.length as usize);
        matches(&code[start..start + length], text)
    }
}

fn matches(mut code: &[u8], text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some((&kind, behind)) = code.split_first() {
        let count = usize::from(behind[0]);
        match kind {
            FIXED => {
                if text.get(at..at + count)? != &behind[1..=count] {
                    return None;
                }
                at += count;
                code = &behind[1 + count..];
            }
            ANY => {
                at += count;
                code = &behind[1..];
            }
            BITS => {
                if text.get(at)? & behind[1] != behind[0] {
                    return None;
                }
                at += 1;
                code = &behind[2..];
            }
            _ => {
                let mut rest = &behind[1..];
                let mut of = Vec::with_capacity(count);
                for _ in 0..count {
                    let length = usize::from(rest[0]);
                    of.push(&rest[1..=length]);
                    rest = &rest[1 + length..];
                }
                let here = text.get(at..)?;
                if kind == NONE_OF {
                    let length = of.first().map_or(0, |text| text.len());
                    if here.len() < length || of.iter().any(|text| here.starts_with(text)) {
                        return None;
                    }
                    at += length;
                    code = rest;
                    continue;
                }
                let behind = |text: &&[u8]| Some(at + text.len() + matches(rest, &here[text.len()..])?);
                return of.iter().filter(|text| here.starts_with(text)).find_map(behind);
            }
        }
    }
    (at <= text.len()).then_some(at)
}

/// Reads a body.
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn fault(&self) -> Fault {
        Fault::Body(String::from_utf8_lossy(self.text).into_owned())
    }

    /// Two digits, of which either may be `?`; or texts in parentheses.
    fn element(&mut self) -> Result<Element, Fault> {
        match self.text[self.at] {
            b'(' => self.one(false),
            b'!' => {
                self.at += 1;
                self.one(true)
            }
            _ => {
                let (high, low) = (self.nibble()?, self.nibble()?);
                let value = high.unwrap_or(0) << 4 | low.unwrap_or(0);
                let mask = high.map_or(0, |_| 0xf0) | low.map_or(0, |_| 0x0f);
                Ok(Element::Octet { value, mask })
            }
        }
    }

    fn nibble(&mut self) -> Result<Option<u8>, Fault> {
        let digit = self.text.get(self.at).copied();
        self.at += 1;
        match digit {
            Some(b'?') => Ok(None),
            Some(digit) => match char::from(digit).to_digit(16) {
                Some(digit) => Ok(Some(digit as u8)),
                None => Err(self.fault()),
            },
            None => Err(self.fault()),
        }
    }

    /// `(aa|bbcc|dd)`.
    fn one(&mut self, negated: bool) -> Result<Element, Fault> {
        let rest = self.text.get(self.at..).and_then(|rest| rest.strip_prefix(b"(")).ok_or_else(|| self.fault())?;
        let end = rest.iter().position(|&octet| octet == b')').ok_or_else(|| self.fault())?;
        let inside = std::str::from_utf8(&rest[..end]).map_err(|_| self.fault())?;
        if matches!(inside, "B" | "L" | "W") || inside.contains(['?', '*', '{', '(']) {
            return Err(Fault::LeftOut);
        }
        let of: Option<Vec<_>> = inside.split('|').map(crate::digests::octets).collect();
        let of = of.ok_or_else(|| self.fault())?;
        let uneven = of.iter().any(|text| text.len() != of[0].len());
        if of.len() > 255 || of.iter().any(|text| text.len() > 255) || (negated && uneven) {
            return Err(Fault::LeftOut);
        }
        self.at += end + 2;
        Ok(Element::One { of, negated })
    }

    /// `{n}`, `{n-m}`, `{n-}`, `{-m}`, or the same in brackets.
    fn gap(&mut self) -> Result<(u32, u32), Fault> {
        let rest = &self.text[self.at + 1..];
        let end = rest.iter().position(|octet| matches!(octet, b'}' | b']')).ok_or_else(|| self.fault())?;
        let inside = std::str::from_utf8(&rest[..end]).map_err(|_| self.fault())?;
        let number = |text: &str| text.parse::<u32>().map_err(|_| self.fault());
        let gap = match inside.split_once('-') {
            None => (number(inside)?, number(inside)?),
            Some((least, "")) => (number(least)?, u32::MAX),
            Some(("", most)) => (0, number(most)?),
            Some((least, most)) => (number(least)?, number(most)?),
        };
        if gap.0 > gap.1 {
            return Err(self.fault());
        }
        self.at += end + 2;
        Ok(gap)
    }
}
