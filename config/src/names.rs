//! The names of one kind of thing: each is given once, and what refers to one means one that is there.

use std::collections::BTreeMap;

use crate::error::Fault;
use crate::place::Place;
use crate::section::Faults;
use crate::suggest::{listed, nearest};

/// The names of the listeners, the upstreams or the filters, with the places where they are given.
pub(crate) struct Names {
    /// What they are names of: "upstream".
    what: &'static str,
    given: BTreeMap<String, Place>,
    /// One could not be read, so a reference may well be right.
    incomplete: bool,
}

impl Names {
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, given: BTreeMap::new(), incomplete: false }
    }

    pub(crate) fn is_taken(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// Says that a name is there which could not be read.
    pub(crate) fn miss(&mut self) {
        self.incomplete = true;
    }

    /// Gives a name to the thing at `place`.
    pub(crate) fn give(&mut self, name: &str, place: &Place, faults: &Faults) {
        if let Some(first) = self.given.get(name) {
            let message = format!("two {}s are named `{name}`", self.what);
            let hint = format!("give each {} a `name` of its own", self.what);
            faults.push(Fault::new(place, message, hint).with_other(first, "the first one"));
            return;
        }
        self.given.insert(name.to_owned(), place.clone());
    }

    /// Checks that a name which is referred to at `place` is there.
    pub(crate) fn expect(&self, name: &str, place: &Place, faults: &Faults) {
        if self.is_taken(name) || self.incomplete {
            return;
        }
        let what = self.what;
        let known = || self.given.keys().map(String::as_str);
        let hint = match (nearest(name, known()), self.given.len()) {
            (Some(meant), _) => format!("did you mean `{meant}`?"),
            (None, 0) => format!("add an `[[{what}]]` with `name = \"{name}\"`"),
            (None, 1) => format!("the only {what} is {}", listed(known())),
            (None, _) => format!("the {what}s are {}", listed(known())),
        };
        faults.push(Fault::new(place, format!("there is no {what} `{name}`"), hint));
    }
}
