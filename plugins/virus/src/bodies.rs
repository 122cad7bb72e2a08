//! Body signatures: octets with gaps and wildcards.
//!
//! Each is cut at its gaps into pieces. A piece is looked for by four octets of it that are rare (two, where it has no four in
//! a row); only where these stand the piece is compared, and only where all pieces stand in their order, with their
//! distances, the signature has been found. So a text costs the same whether there are ten signatures or a hundred thousand. An
//! automaton for as many would fill the filter's memory, and its states would not fit into the processor's caches.
//!
//! What is not looked for: what depends on the structure of a program (`EP`, `SE`, `SL`, `Sx`, `VI` offsets) and the bounds of words
//! and lines (`(B)`, `(L)`, `(W)`). Such signatures are left out and counted.

mod pattern;
mod search;
mod windows;

use std::fmt;

use popgate_archive::Kind;

pub(crate) use crate::bodies::search::Search;

use crate::bodies::pattern::{Pattern, Piece};
use crate::bodies::windows::Windows;
use crate::names::Name;

/// Why a line is no signature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    NoSignature,
    Size(String),
    Target(String),
    Offset(String),
    Body(String),
    /// A piece can't be looked for.
    Weak,
    /// It asks for something that is not looked for.
    LeftOut,
    Other(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, value) = match self {
            Self::NoSignature => return formatter.write_str("has neither a digest nor a signature"),
            Self::Weak => return formatter.write_str("has a body without two fixed octets in a row in each piece"),
            Self::LeftOut => return formatter.write_str("looks for something that is not looked for"),
            Self::Other(text) => return formatter.write_str(text),
            Self::Size(value) => ("a size", value),
            Self::Target(value) => ("a target", value),
            Self::Offset(value) => ("an offset", value),
            Self::Body(value) => ("a body", value),
        };
        let value: String = value.chars().take(80).collect();
        write!(formatter, "has {what} that is none: `{value}`")
    }
}

/// Where a signature has to begin: between two offsets, from the beginning or from the end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Anywhere,
    Start(u64, u64),
    End(u64, u64),
}

/// A signature without its pieces.
#[derive(Clone, Copy, Debug)]
struct Signature {
    name: Name,
    target: Target,
    place: Place,
    pieces: u16,
}

/// The kinds of files in which a signature counts, by ClamAV's number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Target(u8);

/// In what a search is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Subject {
    /// The message as it came.
    Mail,
    File(Kind),
    /// A text in small letters.
    Normalised,
}

impl Target {
    const MAIL: Self = Self(4);
    /// Any but a message as it came; no number of ClamAV's.
    const FILES: Self = Self(u8::MAX);

    fn includes(self, subject: Subject) -> bool {
        match (self.0, subject) {
            (3 | 7, Subject::Normalised) => true,
            (_, Subject::Normalised) => false,
            (0, _) => true,
            (4, _) => subject == Subject::Mail,
            (_, Subject::Mail) => false,
            (1, Subject::File(kind)) => kind == Kind::Pe,
            (2, Subject::File(kind)) => kind == Kind::Ole,
            (3, Subject::File(kind)) => kind == Kind::Html,
            (5, Subject::File(kind)) => matches!(kind, Kind::Gif | Kind::Jpeg | Kind::Png),
            (6, Subject::File(kind)) => kind == Kind::Elf,
            (7, Subject::File(kind)) => matches!(kind, Kind::Text | Kind::Html),
            (9, Subject::File(kind)) => kind == Kind::MachO,
            (10, Subject::File(kind)) => kind == Kind::Pdf,
            (12, Subject::File(kind)) => kind == Kind::JavaClass,
            // What is not told apart here.
            (_, Subject::File(_)) => true,
        }
    }
}

/// The body signatures.
#[derive(Debug, Default)]
pub(crate) struct Bodies {
    signatures: Vec<Signature>,
    pieces: Vec<Piece>,
    /// What pieces are made of.
    code: Vec<u8>,
    windows: Windows,
    /// Octets of the longest piece.
    longest: usize,
    /// Whether any signature is for texts in small letters, and any for a message as it came.
    for_texts: bool,
    for_mail: bool,
}

impl Bodies {
    /// Adds a text that is looked for anywhere in files.
    pub(crate) fn add_text(&mut self, name: Name, text: &[u8]) -> Result<(), Fault> {
        let hex: String = text.iter().map(|octet| format!("{octet:02x}")).collect();
        self.add_as(name, Target::FILES, Place::Anywhere, &hex)
    }

    /// Adds a signature, its fields as they stand in the file.
    pub(crate) fn add(&mut self, name: Name, target: &str, offset: &str, body: &str) -> Result<(), Fault> {
        let target = Target(target.parse().map_err(|_| Fault::Target(target.to_owned()))?);
        let place = place(offset)?;
        self.add_as(name, target, place, body)?;
        self.for_texts |= matches!(target.0, 3 | 7);
        self.for_mail |= target.0 == 0 || target == Target::MAIL;
        Ok(())
    }

    fn add_as(&mut self, name: Name, target: Target, place: Place, body: &str) -> Result<(), Fault> {
        let pattern = Pattern::parse(body)?;
        let full = |_| Fault::Other("is one too many".to_owned());
        let signature = u32::try_from(self.signatures.len()).map_err(full)?;
        let count = u16::try_from(pattern.pieces.len()).map_err(|_| Fault::LeftOut)?;
        for (index, piece) in (0..).zip(&pattern.pieces) {
            let at = u32::try_from(self.pieces.len()).map_err(full)?;
            let window = self.windows.add(piece, at)?;
            self.longest = self.longest.max(piece.longest);
            self.pieces.push(piece.pack(signature, index, window, &mut self.code)?);
        }
        self.signatures.push(Signature { name, target, place, pieces: count });
        Ok(())
    }

    /// Makes them ready; nothing is found before.
    pub(crate) fn finish(&mut self) {
        self.windows.finish();
        self.signatures.shrink_to_fit();
        self.pieces.shrink_to_fit();
        self.code.shrink_to_fit();
    }

    /// Whether it may matter to search a text in small letters.
    pub(crate) fn are_for_texts(&self) -> bool {
        self.for_texts
    }

    /// How many signatures there are.
    pub(crate) fn len(&self) -> usize {
        self.signatures.len()
    }

    /// Whether it may matter to search a message as it came; EICAR aside.
    pub(crate) fn are_for_mail(&self) -> bool {
        self.for_mail
    }
}

/// `*`, `N`, `N,SHIFT`, `EOF-N`, `EOF-N,SHIFT`.
fn place(offset: &str) -> Result<Place, Fault> {
    if offset == "*" {
        return Ok(Place::Anywhere);
    }
    if ["EP", "SE", "SL", "VI", "S"].iter().any(|start| offset.starts_with(start)) {
        return Err(Fault::LeftOut);
    }
    let none = || Fault::Offset(offset.to_owned());
    let number = |text: &str| text.parse::<u64>().map_err(|_| none());
    let (from, shift) = offset.split_once(',').unwrap_or((offset, "0"));
    let shift = number(shift)?;
    Ok(match from.strip_prefix("EOF-") {
        Some(from) => Place::End(number(from)?, shift),
        None => Place::Start(number(from)?, shift),
    })
}

#[cfg(test)]
mod tests;
