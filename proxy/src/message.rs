//! One mail as a value: octets that never change, and views of them that are made when somebody asks.
//!
//! A [`Message`] is un-stuffed, otherwise as it came. It lives in memory or, above a limit, in an unlinked and
//! mapped spool file; a clone costs one counter. Headers are parsed from the header block alone, the MIME
//! structure from the whole, each at most once. What a filter changes is recorded as [`Edit`]s, and
//! [`Message::apply`] makes a new message of them that shares all unchanged octets with the old one.
//!
//! Structure and contents are read as lenient mail clients read them, not as the RFCs wish: what a filter does not see
//! must not appear on a screen. Where two clients may disagree the message is [`ambiguous`](Message::ambiguous).
//! mail-parser gives charsets and dates. It does not give the structure: it nests three messages deep, leaves a part
//! undecoded at one illegal base64 character, and some of its header parsers take quadratic time.
//!
//! Dot-stuffing is not known here, and nothing here logs.

mod budget;
mod builder;
mod content;
mod decoded;
mod edit;
mod encoding;
mod fields;
mod fold;
pub mod notice;
mod octets;
mod parameters;
mod part;
mod repair;
mod retext;
mod rewrite;
mod structure;
mod words;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use sha2::{Digest, Sha256};

pub use budget::Budget;
pub use builder::{BuildError, Builder, Limits};
pub use content::Content;
pub use edit::{Edit, EditError, REPLACEMENT_MAX, VALUE_MAX};
pub use fields::Field;
pub use part::Part;
pub use retext::{Retext, Splice, TEXT_MAX};

use decoded::Kept;
use fields::Head;
use octets::Octets;
use structure::{Headed, Structure};

/// A message whose structure is known.
#[derive(Clone)]
struct Ancestor {
    octets: Octets,
    head_len: u64,
    structure: Arc<Structure>,
}

/// One mail. Immutable; a clone shares everything.
#[derive(Clone)]
pub struct Message(Arc<Inner>);

struct Inner {
    octets: Octets,
    /// What a message made from this one has to keep to; none for messages of the proxy's own.
    origin: Option<(Limits, Arc<Budget>)>,
    head_len: OnceLock<u64>,
    head: OnceLock<Head>,
    structure: OnceLock<Arc<Structure>>,
    /// The message of which this one has the body, and the structure of that one.
    ancestor: Option<Ancestor>,
    sha256: OnceLock<[u8; 32]>,
}

impl Inner {
    fn new(octets: Octets, origin: Option<(Limits, Arc<Budget>)>, ancestor: Option<Ancestor>) -> Self {
        Self {
            octets,
            origin,
            head_len: OnceLock::new(),
            head: OnceLock::new(),
            structure: OnceLock::new(),
            ancestor,
            sha256: OnceLock::new(),
        }
    }
}

impl Message {
    /// A message in memory, outside any [`Budget`]: notices, files on the command line.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self::new(Octets::from(Bytes::from(bytes)), None, None)
    }

    /// The same octets, not copied, of which nothing is known yet: neither structure nor decoded contents.
    pub(crate) fn unread(&self) -> Self {
        Self::new(self.0.octets.clone(), self.0.origin.clone(), None)
    }

    fn new(octets: Octets, origin: Option<(Limits, Arc<Budget>)>, ancestor: Option<Ancestor>) -> Self {
        Self(Arc::new(Inner::new(octets, origin, ancestor)))
    }

    /// Octets of the whole message.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "nobody asks whether a mail is empty")]
    pub fn len(&self) -> u64 {
        self.0.octets.len()
    }

    /// Octets of the header block, the blank line included.
    ///
    /// The block ends with the first blank line (CRLF or bare LF). Without one the message is all header if
    /// its first line is a field, else all body (0). A block in which no line is a field is body, too.
    #[must_use]
    pub fn head_len(&self) -> u64 {
        *self.0.head_len.get_or_init(|| fields::head_len(&self.0.octets))
    }

    /// Up to `length` octets from `offset`; less, or none, where the message ends.
    #[must_use]
    pub fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        self.0.octets.read(offset, length)
    }

    /// The slices that make up the message, in order; few, none of them empty.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        self.0.octets.segments()
    }

    /// The offset of the first occurrence of `needle` at or behind `start`.
    #[must_use]
    pub fn find(&self, needle: &[u8], start: u64) -> Option<u64> {
        self.0.octets.find(needle, start, self.len())
    }

    /// The SHA-256 of the whole message, computed once.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        *self.0.sha256.get_or_init(|| {
            let mut hash = Sha256::new();
            self.segments().for_each(|segment| hash.update(segment));
            hash.finalize().into()
        })
    }

    /// The header fields in their order, at most 10,000 of them and from the first MiB of the header block.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.head().fields
    }

    /// The decoded value of the first field of this name (ASCII letters of either case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.named(name).next()
    }

    /// The decoded values of all fields of this name, in their order.
    #[must_use]
    pub fn headers(&self, name: &str) -> Vec<String> {
        self.named(name).collect()
    }

    fn named(&self, name: &str) -> impl Iterator<Item = String> {
        self.fields()
            .iter()
            .filter(move |field| field.name().eq_ignore_ascii_case(name))
            .map(|field| field.value().into())
    }

    /// The MIME parts, containers included. Part 0 is the message itself; children follow their container.
    ///
    /// Reads the whole message at the first call.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.structure().parts
    }

    /// Why clients may read this message in more than one way: short words separated by commas.
    ///
    /// For example `duplicate-content-type`, `bad-base64`, `depth`. Reads the whole message at the first call.
    #[must_use]
    pub fn ambiguous(&self) -> Option<String> {
        let mut words: Vec<&str> = self.head().faults.iter().chain(&self.structure().faults).copied().collect();
        words.sort_unstable();
        words.dedup();
        (!words.is_empty()).then(|| words.join(","))
    }

    /// Whether a bound cut the view short: not all fields, parts or levels are listed.
    ///
    /// Reads the whole message at the first call.
    #[must_use]
    pub fn truncated(&self) -> bool {
        self.head().truncated || self.structure().truncated
    }

    /// The message with all edits made; indices and positions are those of `self`.
    ///
    /// Header edits take effect in their order. Of several edits of one part the last counts, and an edit of
    /// a container swallows those of what is in it. With a [`Edit::ReplaceMessage`] part edits have no
    /// effect and header edits apply to the new message. What is not edited stays byte for byte.
    ///
    /// # Errors
    /// An edit that [`Edit::check`] refuses; [`EditError::Build`] when a repaired replacement finds no room.
    pub fn apply(&self, edits: &[Edit]) -> Result<Self, EditError> {
        edit::apply(self, edits)
    }

    fn head(&self) -> &Head {
        self.0.head.get_or_init(|| Head::parse(&self.0.octets, self.head_len()))
    }

    fn structure(&self) -> &Structure {
        self.0.structure.get_or_init(|| Arc::new(self.inherited().unwrap_or_else(|| self.parsed())))
    }

    fn parsed(&self) -> Structure {
        let budget = self.0.origin.as_ref().map(|(_, budget)| Arc::clone(budget));
        Structure::parse(&self.0.octets, self.head_len(), Kept::new(budget))
    }

    /// The structure by that of a message with the same body.
    fn inherited(&self) -> Option<Structure> {
        let Ancestor { octets, head_len, structure } = self.0.ancestor.as_ref()?;
        let old = Headed { octets, head_len: *head_len };
        structure.under(&old, &Headed { octets: &self.0.octets, head_len: self.head_len() })
    }

    /// What a message with the same body can make its structure of.
    fn as_ancestor(&self) -> Option<Ancestor> {
        let known = self.0.structure.get().map(|structure| Ancestor {
            octets: self.0.octets.clone(),
            head_len: self.head_len(),
            structure: Arc::clone(structure),
        });
        known.or_else(|| self.0.ancestor.clone())
    }

    /// Whether the parts are known, so that asking for them takes no time.
    #[must_use]
    pub fn is_parsed(&self) -> bool {
        self.0.structure.get().is_some()
    }

    /// The same without what was found out about its content, which may take as much memory as the message.
    #[must_use]
    pub fn bare(&self) -> Self {
        let Inner { octets, origin, head_len, sha256, .. } = &*self.0;
        let mut inner = Inner::new(octets.clone(), origin.clone(), None);
        (inner.head_len, inner.sha256) = (head_len.clone(), sha256.clone());
        Self(Arc::new(inner))
    }
}

impl std::fmt::Debug for Message {
    /// The size alone: mail text does not belong into logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message").field("octets", &self.len()).finish_non_exhaustive()
    }
}
