//! What is against the content of a part and what is inside of it.

use popgate_archive::{Kind, Object, Unscannable, Visitor};
use popgate_plugin::text;

use crate::denied::{Action, Reason};
use crate::kinds::contradicts;
use crate::{Settings, names};

/// Findings that are kept of a part.
const FINDINGS: usize = 10;

/// Endings of documents that may have macros, and say so.
const WITH_MACROS: [&str; 11] = ["docm", "dotm", "potm", "ppam", "ppsm", "pptm", "sldm", "xla", "xlam", "xlsm", "xltm"];

/// Looks at a part and at all that is inside of it.
#[derive(Debug)]
pub(crate) struct Content<'a> {
    settings: &'a Settings,
    /// The names of the part, in lower case.
    names: &'a [String],
    /// Reason, action, and the path of what is meant; none for the part itself.
    pub(crate) found: Vec<(Reason, Action, Option<String>)>,
}

impl<'a> Content<'a> {
    pub(crate) fn new(settings: &'a Settings, names: &'a [String]) -> Self {
        Self { settings, names, found: Vec::new() }
    }

    fn add(&mut self, reason: Reason, action: Action, path: Option<&str>) {
        let known = self.found.iter().any(|(other, ..)| *other == reason);
        if action > Action::Pass && !known && self.found.len() < FINDINGS {
            self.found.push((reason, action, path.map(|path| text::clean(path, 200))));
        }
    }

    /// What is against an object by what it is called and what it is.
    fn look(&mut self, names: &[String], kind: Kind, path: Option<&str>) {
        let settings = self.settings;
        if let Some(extension) = settings.extension(names) {
            self.add(Reason::Extension(extension), settings.action, path);
        }
        if settings.deny_kinds.iter().any(|denied| denied.0 == kind) {
            self.add(Reason::Kind(kind.name()), settings.action, path);
        } else if contradicts(names, kind) {
            self.add(Reason::Mismatch(kind.name()), settings.mismatch, path);
        }
        if names.iter().any(|name| has_macros(name)) {
            self.add(Reason::Macros, settings.macros, path);
        }
    }
}

impl Visitor for Content<'_> {
    fn begin(&mut self, object: &Object<'_>) {
        if object.depth == 0 {
            self.look(self.names, object.kind, None);
            return;
        }
        if is_macro_project(object.name) {
            self.add(Reason::Macros, self.settings.macros, None);
        }
        if self.settings.inside_archives {
            self.look(&names::readings(object.name), object.kind, Some(object.path));
            if let Some(why) = self.settings.deception(object.name) {
                self.add(Reason::Deceptive(why), self.settings.action, Some(object.path));
            }
        }
    }

    fn octets(&mut self, _: usize, _: &[u8]) {}

    fn end(&mut self) {}

    fn unscannable(&mut self, path: &str, reason: Unscannable) {
        let settings = self.settings;
        // That of the part itself is named with it anyway.
        let path = path.contains('/').then_some(path);
        match reason {
            Unscannable::Encrypted => self.add(Reason::Encrypted, settings.encrypted, path),
            other => self.add(Reason::Unscannable(other.to_string()), settings.unscannable, path),
        }
    }
}

/// Whether a name, which is in lower case, is that of a document with macros.
pub(crate) fn has_macros(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, ending)| WITH_MACROS.contains(&ending))
}

/// A file in a new document, or a storage of an old one.
fn is_macro_project(name: &str) -> bool {
    let mut folders = name.split(['/', '\\']).map(str::to_ascii_lowercase);
    folders.any(|folder| {
        matches!(&*folder, "vbaproject.bin" | "vba" | "macros" | "_vba_project" | "_vba_project_cur" | "xl4macros")
    })
}
