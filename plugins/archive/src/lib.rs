//! What is inside of a file: a walk through archives, compressed files and documents with files in them.
//!
//! The walk is one pass over a stream. What it finds is handed to a [`Visitor`] piece by piece: each object's own octets, and
//! between them the objects that are inside of it. Nothing is trusted: depth, number, size and ratio have [`Limits`],
//! and what can't be opened is reported as [`Unscannable`], never passed over.
//!
//! | kind | how it is read |
//! | --- | --- |
//! | zip | as a stream, by its local headers, wherever they stand; then compared with its directory. Stored, deflate, deflate64, implode, bzip2, LZMA, xz, Zstandard |
//! | gzip, bzip2, xz, LZMA, Zstandard, SZDD | as a stream, all members |
//! | tar, cpio, ARJ, LHA | as a stream |
//! | TNEF, cabinets (stored and MSZIP), 7z, OLE documents | in memory, up to a limit |
//! | RTF, PDF, HTML and text with something encoded in it | objects in hexadecimal digits, Flate streams, uuencode, base64, BinHex |
//! | programs for Windows | for a zip archive behind them; packed ones and installers are unscannable |
//! | rar, ace, chm, sis and others | by name only: unscannable |
//!
//! It decides nothing, and knows nothing of mail. There are well-kept crates for decompression, and they are used; the containers
//! are read here, since a scanner has to see what a tolerant reader could see, not what one reader makes of it.
//!
//! ```
//! use popgate_archive::{Limits, Object, Unscannable, Visitor, walk};
//!
//! #[derive(Default)]
//! struct Names(Vec<String>);
//!
//! impl Visitor for Names {
//!     fn begin(&mut self, object: &Object<'_>) {
//!         self.0.push(object.path.to_owned());
//!     }
//!     fn octets(&mut self, _: usize, _: &[u8]) {}
//!     fn end(&mut self) {}
//!     fn unscannable(&mut self, _: &str, _: Unscannable) {}
//! }
//!
//! let mut names = Names::default();
//! walk(&mut &b"no archive"[..], "a.txt", &Limits::default(), &mut names);
//! assert_eq!(names.0, ["a.txt"]);
//! ```

mod arj;
mod binhex;
mod cabinet;
mod compressed;
mod cpio;
mod encoded;
mod fields;
mod kind;
mod lha;
mod lzh;
mod ole;
mod packed;
mod pdf;
mod rtf;
mod seven;
mod source;
mod szdd;
mod tar;
mod tnef;
mod walk;
mod zip;

use std::fmt;

pub use kind::{HEAD, Kind};
pub use walk::{plain, walk};

/// How far a walk goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How deep objects may be in each other; what is inside of the file is at depth 1.
    pub depth: usize,
    /// How many objects there may be in sum.
    pub entries: usize,
    /// Octets of all objects inside of the file in sum. Those that take long to unpack count more: twice by LZMA, xz and 7z,
    /// eight times by bzip2.
    pub inflated: u64,
    /// Octets that may come out of each octet of the file, once [`Limits::RATIO_FROM`] have come out.
    pub ratio: u64,
    /// Octets of containers that have to be in memory, in sum, and of one window of a decompressor.
    pub memory: usize,
}

impl Limits {
    /// Octets below which nothing is called a bomb: a page of blanks shrinks a thousandfold.
    pub const RATIO_FROM: u64 = 8 << 20;
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 16, entries: 10_000, inflated: 32 << 20, ratio: 250, memory: 16 << 20 }
    }
}

/// A file, or what is inside of one.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// Names from the outermost to its own: `a.zip/b.doc`. Not cleaned.
    pub path: &'a str,
    /// Its own name, as the container has it, folders included; empty where there is none.
    pub name: &'a str,
    /// What it is by its first octets; [`Kind::Unknown`] where they are encrypted.
    pub kind: Kind,
    /// 0 for the file itself.
    pub depth: usize,
    /// Whether its content is encrypted; no octets of it follow.
    pub encrypted: bool,
}

/// Is told what a walk finds. Between `begin` and `end` of an object may be those of the objects inside of it.
pub trait Visitor {
    /// An object begins.
    fn begin(&mut self, object: &Object<'_>);
    /// The next octets of the object at this depth that has begun and not ended; those of what is inside of it may come in
    /// between.
    fn octets(&mut self, depth: usize, octets: &[u8]);
    /// The object that began last has ended, or could not be read further.
    fn end(&mut self);
    /// Something of the object with this path could not be looked into.
    fn unscannable(&mut self, path: &str, reason: Unscannable);
}

/// Why something could not be looked into.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Unscannable {
    /// It needs a password.
    Encrypted,
    /// Archives in archives, more than [`Limits::depth`].
    TooDeep,
    /// More objects than [`Limits::entries`].
    TooMany,
    /// More octets than [`Limits::inflated`], or than [`Limits::memory`] where it has to be in memory.
    TooLarge,
    /// More octets come out than [`Limits::ratio`] allows.
    Ratio,
    /// It breaks the rules of its kind, or ends early.
    Damaged,
    /// Readers can see different files in it.
    Ambiguous,
    /// A kind or a compression that is known by name only.
    Unsupported(&'static str),
}

/// In a few words, for people: `encrypted`, `RAR can't be opened`.
impl fmt::Display for Unscannable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Encrypted => "encrypted",
            Self::TooDeep => "too deeply nested",
            Self::TooMany => "too many files",
            Self::TooLarge => "too large",
            Self::Ratio => "too strongly compressed",
            Self::Damaged => "damaged",
            Self::Ambiguous => "ambiguous",
            Self::Unsupported(what) => return write!(formatter, "{what} can't be opened"),
        })
    }
}

#[cfg(test)]
mod tests;
