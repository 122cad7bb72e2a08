//! Reading one table of the file: each key by name and type, then whatever was not asked for.
//!
//! A section remembers the keys that were asked of it, so the list of known keys is the code that reads them. A value
//! with a fault is reported and left out; whoever reads the section goes on with a stand-in, which nobody gets to see,
//! because the faults end the conversion.

use std::cell::RefCell;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::Fault;
use crate::place::{Place, Source};
use crate::setting::{FilePath, Refusal, Setting};
use crate::suggest::{listed, nearest};

/// The keys that stand before every section; typed after one, TOML takes them for the section's.
const TOP_KEYS: [&str; 2] = ["state_dir", "user"];

/// The faults of one file. Sections of nested tables report here at the same time, hence the cell.
pub(crate) struct Faults {
    source: Arc<Source>,
    list: RefCell<Vec<Fault>>,
}

impl Faults {
    pub(crate) fn new(source: Arc<Source>) -> Self {
        Self { source, list: RefCell::default() }
    }

    pub(crate) fn push(&self, fault: Fault) {
        self.list.borrow_mut().push(fault);
    }

    pub(crate) fn place(&self, span: Range<usize>) -> Place {
        Place::new(&self.source, span)
    }

    /// Where relative paths in the file start.
    pub(crate) fn folder(&self) -> PathBuf {
        self.source.folder()
    }

    /// All that was reported, in the order of the file.
    pub(crate) fn into_vec(self) -> Vec<Fault> {
        let mut list = self.list.into_inner();
        list.sort_by_key(|fault| (fault.place().path().to_owned(), fault.place().span().start));
        list
    }
}

/// One table of the file while it is read.
pub(crate) struct Section<'a> {
    name: String,
    table: &'a DeTable<'a>,
    place: Place,
    faults: &'a Faults,
    known: Vec<&'static str>,
    /// Required keys that are not there, each with its fault; a misspelt one is reported as that alone.
    missing: Vec<(&'static str, Fault)>,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(crate) fn top(table: &'a DeTable<'a>, faults: &'a Faults) -> Self {
        Self::new(String::new(), table, faults.place(0..0), faults)
    }

    fn new(name: String, table: &'a DeTable<'a>, place: Place, faults: &'a Faults) -> Self {
        Self { name, table, place, faults, known: Vec::new(), missing: Vec::new() }
    }

    /// Where the section begins: its `[header]`.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn fault(&self, place: &Place, message: impl Into<String>, hint: impl Into<String>) {
        self.faults.push(Fault::new(place, message, hint));
    }

    pub(crate) fn faults(&self) -> &'a Faults {
        self.faults
    }

    /// Whether the key is there, right or not.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    /// Whether there is nothing of the kind, not even a faulty one.
    pub(crate) fn lacks(&self, key: &str) -> bool {
        let value = self.table.get(key).map(Spanned::get_ref);
        value.is_none_or(|value| value.as_array().is_some_and(|list| list.is_empty()))
    }

    /// Says that `key` is needed and is not there.
    pub(crate) fn miss(&mut self, key: &'static str, message: impl Into<String>, hint: impl Into<String>) {
        let fault = Fault::new(&self.place, message, hint);
        self.missing.push((key, fault));
    }

    /// The value as it was typed.
    pub(crate) fn value(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.push(key);
        self.table.get(key)
    }

    /// Where the value of `key` stands, or where the section begins.
    pub(crate) fn place_of(&self, key: &str) -> Place {
        self.table.get(key).map_or_else(|| self.place.clone(), |value| self.faults.place(value.span()))
    }

    /// The value of `key`, if it is there and right.
    pub(crate) fn get<T: Setting>(&mut self, key: &'static str) -> Option<T> {
        let value = self.value(key)?;
        self.read(key, value, "", "")
    }

    /// The value of `key`, which must be there. The example is a likely value without its quotes.
    pub(crate) fn require<T: Setting>(&mut self, key: &'static str, example: &str) -> Option<T> {
        let Some(value) = self.value(key) else {
            let hint = format!("add it, for example `{key} = \"{example}\"`");
            self.miss(key, format!("`{}` has no `{key}`", self.name), hint);
            return None;
        };
        self.read(key, value, "", "")
    }

    /// The value of `key`, which must be at least `least`.
    pub(crate) fn at_least<T>(&mut self, key: &'static str, least: T) -> Option<T>
    where
        T: Setting + PartialOrd + std::fmt::Display,
    {
        let value = self.get::<T>(key)?;
        if value < least {
            let message = format!("`{key}` must be at least {least}, but is `{value}`");
            self.fault(&self.place_of(key), message, format!("for example `{key} = {}`", T::example()));
        }
        Some(value)
    }

    /// The values of the list `key`, each with its place; none if it is not there.
    pub(crate) fn list<T: Setting>(&mut self, key: &'static str) -> Vec<(T, Place)> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(list) = value.get_ref().as_array() else {
            let place = self.faults.place(value.span());
            let message = format!("`{key}` must be a list, not {}", described(value.get_ref(), &place));
            let element = if T::read(value.get_ref()).is_ok() { place.typed().to_owned() } else { T::example() };
            self.fault(&place, message, format!("write square brackets, as in `{key} = [{element}]`"));
            return Vec::new();
        };
        let read = |value| Some((self.read(key, value, "[", "]")?, self.faults.place(value.span())));
        list.iter().filter_map(read).collect()
    }

    /// The tables of `[[key]]`.
    pub(crate) fn sections(&mut self, key: &'static str) -> Vec<Section<'a>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let place = self.faults.place(value.span());
        let Some(list) = value.get_ref().as_array() else {
            let message = format!("there can be several of `{key}`, so it must be a list of tables");
            self.fault(&place, message, format!("write `[[{key}]]`, with double brackets"));
            return Vec::new();
        };
        let mut sections = Vec::with_capacity(list.len());
        for value in list {
            let place = self.faults.place(value.span());
            let Some(table) = value.get_ref().as_table() else {
                let message = format!("`{key}` must be a table, not {}", described(value.get_ref(), &place));
                self.fault(&place, message, format!("write `[[{key}]]` and its keys in the lines below"));
                continue;
            };
            sections.push(Section::new(format!("[[{key}]]"), table, place, self.faults));
        }
        sections
    }

    /// The table `[key]`.
    pub(crate) fn section(&mut self, key: &'static str) -> Option<Section<'a>> {
        let value = self.value(key)?;
        let place = self.faults.place(value.span());
        // In a table of the top a key that is a table has a header; below, it is usually `key = { ... }`.
        let name = if self.name.is_empty() { format!("[{key}]") } else { key.to_owned() };
        let Some(table) = value.get_ref().as_table() else {
            let message = format!("`{key}` must be a table, not {}", described(value.get_ref(), &place));
            let hint = match self.name.is_empty() {
                true => format!("write `[{key}]`, with single brackets, and its keys in the lines below"),
                false => format!("write `{key} = {{ ... }}`"),
            };
            self.fault(&place, message, hint);
            return None;
        };
        Some(Section::new(name, table, place, self.faults))
    }

    /// The file or folder that `key` names.
    pub(crate) fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.get(key).map(|FilePath(path)| self.faults.source.folder().join(path))
    }

    /// The file that `key` names, which must be there.
    pub(crate) fn require_path(&mut self, key: &'static str, example: &str) -> Option<PathBuf> {
        self.require(key, example).map(|FilePath(path)| self.faults.source.folder().join(path))
    }

    /// The duration of `key`, which must not be zero.
    pub(crate) fn positive(&mut self, key: &'static str) -> Option<Duration> {
        let duration: Duration = self.get(key)?;
        if duration.is_zero() {
            let message = format!("`{key}`: `{}` leaves no time at all", self.place_of(key).typed());
            self.fault(&self.place_of(key), message, format!("for example `{key} = {}`", Duration::example()));
        }
        Some(duration)
    }

    /// The files of a table that has keys of the user's own choice.
    pub(crate) fn paths(self) -> Vec<(String, PathBuf, Place)> {
        let mut paths = Vec::new();
        for (key, value) in self.table {
            let name = format!("{}.{}", self.name, key.get_ref());
            if let Some(FilePath(path)) = self.read(&name, value, "", "") {
                let path = self.faults.source.folder().join(path);
                paths.push((key.get_ref().to_string(), path, self.faults.place(value.span())));
            }
        }
        paths
    }

    /// Reports the keys that nobody asked for, and those that are missing.
    pub(crate) fn finish(mut self) {
        for (key, _) in self.table {
            let typed: &str = key.get_ref();
            if self.known.contains(&typed) {
                continue;
            }
            let message = match self.name.as_str() {
                "" => format!("unknown key `{typed}`"),
                name => format!("unknown key `{typed}` in `{name}`"),
            };
            let hint = if let Some(meant) = nearest(typed, self.known.iter().copied()) {
                self.missing.retain(|(key, _)| *key != meant);
                format!("did you mean `{meant}`?")
            } else if !self.name.is_empty() && TOP_KEYS.contains(&typed) {
                format!("move `{typed}` to the top of the file, before the first section")
            } else if self.name.is_empty() {
                format!("the keys at the top are {}", listed(self.known.iter().copied()))
            } else {
                format!("the keys of `{}` are {}", self.name, listed(self.known.iter().copied()))
            };
            self.fault(&self.faults.place(key.span()), message, hint);
        }
        for (_, fault) in self.missing {
            self.faults.push(fault);
        }
    }

    /// The value, or a fault. What stands around an example of it is `open` and `close`.
    fn read<T: Setting>(&self, key: &str, value: &Spanned<DeValue<'_>>, open: &str, close: &str) -> Option<T> {
        let place = self.faults.place(value.span());
        match T::read(value.get_ref()) {
            Ok(setting) => return Some(setting),
            Err(Refusal::Kind) => {
                let message = format!("`{key}` must be {}, not {}", T::kind(), described(value.get_ref(), &place));
                self.fault(&place, message, format!("for example `{key} = {open}{}{close}`", T::example()));
            }
            Err(Refusal::Value { message, hint }) => {
                let message = message.replace('\n', "\\n");
                self.fault(&place, format!("`{key}`: {message}"), hint);
            }
        }
        None
    }
}

/// A value for a message: its type, and how it was typed if that is short.
fn described(value: &DeValue<'_>, place: &Place) -> String {
    let kind = match value {
        DeValue::Array(_) => return "a list".to_owned(),
        DeValue::Table(_) => return "a table".to_owned(),
        DeValue::Datetime(_) => "date",
        DeValue::Integer(_) => "number",
        DeValue::Float(_) => "fraction",
        DeValue::Boolean(_) => "boolean",
        DeValue::String(_) => "string",
    };
    let typed = place.typed();
    if typed.contains('\n') || typed.chars().count() > 60 {
        format!("a {kind}")
    } else {
        format!("the {kind} `{typed}`")
    }
}
