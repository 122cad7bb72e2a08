//! The walk: what is common to all kinds.

use std::cell::{Cell, RefCell};
use std::io::{BufRead, Read};

use crate::kind::HEAD;
use crate::source::{Inner, Source, is_bomb};
use crate::{Kind, Limits, Object, Unscannable, Visitor};
use crate::{arj, binhex, cabinet, compressed, cpio, encoded, lha, ole, packed, pdf, rtf, seven, szdd, tar, tnef, zip};

/// Walks through a file of this name and all that is inside of it.
///
/// The file is read to its end, whatever is found; reading errors end it, and count as damage.
pub fn walk(file: &mut dyn BufRead, name: &str, limits: &Limits, visitor: &mut dyn Visitor) {
    let walk = Walk {
        limits: *limits,
        visitor: RefCell::new(visitor),
        entries: Cell::new(0),
        outer: Cell::new(0),
        inflated: Cell::new(0),
        spent: Cell::new(0),
        held: Cell::new(0),
        stopped: Cell::new(None),
        told: Cell::new(false),
    };
    walk.shown(&Place::OUTSIDE, name, Inner::Buffered(file), 1);
}

/// The kind of a file in which a walk finds nothing besides itself: to know so takes less than a walk, where somebody else can search
/// the file. None for a file that has to be walked through.
///
/// `head` are its first [`HEAD`] octets, or all if there are fewer. `find` tells where octets begin in the whole of it, at an offset
/// or behind it.
pub fn plain(head: &[u8], mut find: impl FnMut(&[u8], u64) -> Option<u64>) -> Option<Kind> {
    let kind = Kind::of(head);
    if !kind.is_plain() {
        return None;
    }
    let Some(first) = find(&zip::MARK[..], 0) else { return Some(kind) };
    let is_archive = zip::MARKS.iter().any(|mark| find(&mark[..], first).is_some());
    (!is_archive).then_some(kind)
}

/// What a walk has done so far. Objects are in each other, so all of them share it.
pub(crate) struct Walk<'v> {
    pub(crate) limits: Limits,
    visitor: RefCell<&'v mut dyn Visitor>,
    /// Objects inside of the file.
    entries: Cell<usize>,
    /// Octets read of the file.
    outer: Cell<u64>,
    /// Octets read of what is inside.
    inflated: Cell<u64>,
    /// The same, each by what it costs.
    spent: Cell<u64>,
    /// Octets in memory.
    held: Cell<usize>,
    /// The limit that was exceeded.
    stopped: Cell<Option<Unscannable>>,
    /// Whether the visitor knows of it.
    told: Cell<bool>,
}

/// An object, as those inside of it see it.
pub(crate) struct Place {
    pub(crate) path: String,
    /// That of the objects inside of it.
    inside: usize,
}

impl Place {
    const OUTSIDE: Self = Self { path: String::new(), inside: 0 };

    fn of(outer: &Self, name: &str) -> Self {
        let name = if name.is_empty() && outer.inside > 0 { "unnamed" } else { name };
        let path = if outer.inside == 0 { name.to_owned() } else { format!("{}/{name}", outer.path) };
        Self { path, inside: outer.inside + 1 }
    }

    fn depth(&self) -> usize {
        self.inside - 1
    }
}

impl Walk<'_> {
    /// Shows an object that is inside of `outer`, and all that is inside of it. After a limit nothing is shown any more.
    pub(crate) fn object(&self, outer: &Place, name: &str, content: &mut dyn Read) {
        self.costly(outer, name, content, 1);
    }

    /// The same for an object of which each octet takes so many times as long as one of deflate.
    pub(crate) fn costly(&self, outer: &Place, name: &str, content: &mut dyn Read, cost: u64) {
        self.shown(outer, name, Inner::Plain(content), cost);
    }

    fn shown<'s>(&'s self, outer: &Place, name: &str, content: Inner<'s>, cost: u64) {
        let place = Place::of(outer, name);
        if !self.enter(&place) {
            return;
        }
        let depth = place.depth();
        let mut source = Source::new(self, content, depth, cost);
        let kind = Kind::of(source.peek(HEAD));
        self.visitor.borrow_mut().begin(&Object { path: &place.path, name, kind, depth, encrypted: false });
        if depth < self.limits.depth {
            if let Err(reason) = open(kind, &mut source, &place) {
                self.report(&place.path, reason);
            }
        } else if kind.is_archive() {
            self.report(&place.path, Unscannable::TooDeep);
        }
        source.drain();
        if source.is_broken() {
            self.report(&place.path, Unscannable::Damaged);
        }
        self.visitor.borrow_mut().end();
        if let Some(reason) = self.stopped.get()
            && !self.told.replace(true)
        {
            self.visitor.borrow_mut().unscannable(&place.path, reason);
        }
    }

    /// Shows an object that is encrypted.
    pub(crate) fn encrypted(&self, outer: &Place, name: &str) {
        let place = Place::of(outer, name);
        if !self.enter(&place) {
            return;
        }
        let object = Object { path: &place.path, name, kind: Kind::Unknown, depth: place.depth(), encrypted: true };
        self.visitor.borrow_mut().begin(&object);
        self.visitor.borrow_mut().end();
        self.report(&place.path, Unscannable::Encrypted);
    }

    /// Says that something can't be looked into; behind a limit that was the limit.
    pub(crate) fn report(&self, path: &str, reason: Unscannable) {
        if self.stopped.get().is_none() {
            self.visitor.borrow_mut().unscannable(path, reason);
        }
    }

    /// Counts octets in memory; false if they are too many.
    pub(crate) fn hold(&self, octets: usize) -> bool {
        let held = self.held.get() + octets;
        self.held.set(held);
        held <= self.limits.memory
    }

    /// Octets are no longer in memory.
    pub(crate) fn release(&self, octets: usize) {
        self.held.set(self.held.get().saturating_sub(octets));
    }

    /// True once a limit has been exceeded.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.get().is_some()
    }

    pub(crate) fn show(&self, depth: usize, octets: &[u8]) {
        self.visitor.borrow_mut().octets(depth, octets);
    }

    /// Counts octets that were read at this depth; false if nothing more is to be read there.
    pub(crate) fn count(&self, depth: usize, octets: usize, cost: u64) -> bool {
        let octets = octets as u64;
        if depth == 0 {
            self.outer.set(self.outer.get() + octets);
            return true;
        }
        let inflated = self.inflated.get() + octets;
        self.inflated.set(inflated);
        self.spent.set(self.spent.get() + octets * cost);
        if self.stopped.get().is_none() {
            if is_bomb(&self.limits, self.outer.get(), inflated) {
                self.stopped.set(Some(Unscannable::Ratio));
            } else if self.spent.get() > self.limits.inflated {
                self.stopped.set(Some(Unscannable::TooLarge));
            }
        }
        self.stopped.get().is_none()
    }

    /// Counts an object; false if it is not to be looked at.
    fn enter(&self, place: &Place) -> bool {
        if self.stopped.get().is_some() {
            return false;
        }
        if place.depth() > 0 {
            self.entries.set(self.entries.get() + 1);
            if self.entries.get() > self.limits.entries {
                self.stopped.set(Some(Unscannable::TooMany));
                return false;
            }
        }
        true
    }
}

/// Looks into an object of this kind, and for what has been put behind it.
fn open(kind: Kind, source: &mut Source<'_, '_>, place: &Place) -> Result<(), Unscannable> {
    let opened = open_as(kind, source, place);
    // A zip archive is read from its end: whatever stands in front of it, it opens.
    let behind = zip::open(source, place, false);
    opened.and(behind)
}

fn open_as(kind: Kind, source: &mut Source<'_, '_>, place: &Place) -> Result<(), Unscannable> {
    match kind {
        Kind::Zip => zip::open(source, place, true),
        Kind::Gzip | Kind::Bzip2 | Kind::Xz | Kind::Zstandard | Kind::Lzma => compressed::open(kind, source, place),
        Kind::Szdd => szdd::open(source, place),
        Kind::Tar => tar::open(source, place),
        Kind::Cpio => cpio::open(source, place),
        Kind::Tnef => tnef::open(source, place),
        Kind::Cabinet => cabinet::open(source, place),
        Kind::Ole => ole::open(source, place),
        Kind::SevenZip => seven::open(source, place),
        Kind::Arj => arj::open(source, place),
        Kind::Binhex => binhex::open(source, place),
        Kind::Lha => lha::open(source, place),
        Kind::Pe => packed::open(source, place),
        Kind::Pdf => pdf::open(source, place),
        Kind::Rtf => rtf::open(source, place),
        Kind::Html | Kind::Text => encoded::open(source, place),
        _ => match kind.closed() {
            Some(name) => Err(Unscannable::Unsupported(name)),
            None => Ok(()),
        },
    }
}
