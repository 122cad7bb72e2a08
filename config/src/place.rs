//! Where something stands in a configuration file.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file that was read: its path as the user named it, and its text.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Source {
    /// A byte order mark, which some editors write, is no part of the text: columns would be off by one.
    pub(crate) fn new(path: &Path, text: &str) -> Arc<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Arc::new(Self { path: path.to_owned(), text: text.to_owned() })
    }

    /// Where relative paths in the file start. Absolute, as far as the system tells where it is, so that it holds in
    /// whatever folder the program runs later.
    pub(crate) fn folder(&self) -> PathBuf {
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        path.parent().map(Path::to_owned).unwrap_or_default()
    }
}

/// A place in a configuration file, for messages that point at it.
///
/// All places are equal: where something stands is no part of what it is, so two configurations that differ only in
/// comments and order of keys are equal.
#[derive(Clone)]
pub struct Place {
    source: Arc<Source>,
    span: Range<usize>,
}

impl Place {
    pub(crate) fn new(source: &Arc<Source>, span: Range<usize>) -> Self {
        Self { source: Arc::clone(source), span }
    }

    /// The file, as the user named it.
    pub fn path(&self) -> &Path {
        &self.source.path
    }

    /// The line, counted from 1.
    pub fn line(&self) -> usize {
        self.before().matches('\n').count() + 1
    }

    /// The column in characters, counted from 1.
    pub fn column(&self) -> usize {
        self.before().rsplit('\n').next().unwrap_or_default().chars().count() + 1
    }

    /// The whole text of the file.
    pub(crate) fn text(&self) -> &str {
        &self.source.text
    }

    pub(crate) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// What stands at the place.
    pub(crate) fn typed(&self) -> &str {
        self.source.text.get(self.span()).unwrap_or_default()
    }

    fn before(&self) -> &str {
        self.source.text.get(..self.span.start).unwrap_or_default()
    }
}

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Place {}

/// `popgate.toml:12:5`: file, line and column.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path().display(), self.line(), self.column())
    }
}

/// As [`Display`](fmt::Display), since the text of the file would drown everything else.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
    }
}
