//! The search through a file and all that is inside of it.

use popgate_archive::{Kind, Object, Unscannable, Visitor};

use crate::bodies::{Search, Subject};
use crate::database::Database;
use crate::digests::Hashing;

/// Findings of each sort that are kept of a file.
const FINDINGS: usize = 10;

/// What was found in an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Hit {
    pub(crate) symbol: &'static str,
    /// Its path, by the names of the objects that it is in; none for the file itself.
    pub(crate) path: Option<String>,
    /// What it is or contains, for people, behind its name.
    pub(crate) what: String,
}

/// The search.
#[derive(Debug)]
pub(crate) struct Scan<'d> {
    database: &'d Database,
    /// Octets of the file itself, if they are known.
    size: Option<u64>,
    /// The objects that have begun, each inside of the one before.
    open: Vec<Open>,
    pub(crate) hits: Vec<Hit>,
    /// What could not be looked into, and why.
    pub(crate) unscannable: Vec<(String, Unscannable)>,
}

/// An object that has begun.
#[derive(Debug)]
struct Open {
    path: String,
    hashing: Hashing,
    search: Search,
    /// The same in small letters, where signatures for texts are there.
    normalised: Option<Search>,
    /// How many hits there were before.
    hits: usize,
}

impl<'d> Scan<'d> {
    /// A search through a file of this size in octets, if it is known: where no file of its size is listed, it is not hashed.
    pub(crate) fn new(database: &'d Database, size: Option<u64>) -> Self {
        Self { database, size, open: Vec::new(), hits: Vec::new(), unscannable: Vec::new() }
    }

    /// Begins with a message as it came.
    pub(crate) fn begin_mail(&mut self) {
        self.push(String::new(), Subject::Mail, false);
    }

    fn push(&mut self, path: String, subject: Subject, is_text: bool) {
        let normalised = is_text && self.database.bodies.are_for_texts();
        self.open.push(Open {
            path,
            hashing: self.database.digests.hash(self.size.filter(|_| self.open.is_empty())),
            search: Search::new(subject),
            normalised: normalised.then(|| Search::new(Subject::Normalised)),
            hits: self.hits.len(),
        });
    }
}

impl Visitor for Scan<'_> {
    fn begin(&mut self, object: &Object<'_>) {
        let is_text = matches!(object.kind, Kind::Html | Kind::Text);
        self.push(object.path.to_owned(), Subject::File(object.kind), is_text);
    }

    fn octets(&mut self, depth: usize, octets: &[u8]) {
        let Some(open) = self.open.get_mut(depth) else { return };
        open.hashing.update(&self.database.digests, octets);
        open.search.update(&self.database.bodies, octets);
        if let Some(normalised) = &mut open.normalised {
            normalised.update(&self.database.bodies, &octets.to_ascii_lowercase());
        }
    }

    fn end(&mut self) {
        let Some(Open { path, hashing, search, normalised, hits }) = self.open.pop() else { return };
        let database = self.database;
        let found = search.end(&database.bodies).or_else(|| normalised?.end(&database.bodies));
        let named = |verb: &str, name| match database.name(name) {
            Some(name) => format!("{verb} `{}`", popgate_plugin::text::clean(name, 100)),
            None => "is a file on the list of signatures".to_owned(),
        };
        let (symbol, what) = match (found, hashing.known(&database.digests)) {
            (Some(found), _) if found.is_first => ("EICAR", "is the EICAR test file".to_owned()),
            (_, Some((symbol, name))) => (symbol, named("is", name)),
            (Some(found), None) => ("SIGNATURE", named("contains", found.name)),
            (None, None) => return,
        };
        // What is in a file that is hardly packed is seen in the archive, too.
        let inside = self.hits[hits..].iter().any(|hit| hit.what == what);
        if self.hits.len() < FINDINGS && !inside {
            let path = (!self.open.is_empty()).then_some(path);
            self.hits.push(Hit { symbol, path, what });
        }
    }

    fn unscannable(&mut self, path: &str, reason: Unscannable) {
        if self.unscannable.len() < FINDINGS {
            self.unscannable.push((path.to_owned(), reason));
        }
    }
}
