//! What is wrong with a configuration, and how it is shown.

use std::fmt;
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::place::Place;

/// Why there is no configuration. Its text is the whole report, beginning with `error:`, without a final line end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read.
    #[error("error: can't read the configuration `{}`: {source}\nhint: {}", path.display(), read_hint(source))]
    Read {
        /// The file, as the user named it.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// There is no project of a plugin to be read.
    #[error("error: can't read the project file `{}`: {source}\nhint: {}", path.display(), project_hint(source))]
    Project {
        /// The file, below the folder that the user named.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file was read, and something in it is wrong: at least one fault, in the order of the file.
    #[error("{}", render(.0, &Renderer::plain()))]
    Faults(Vec<Fault>),
}

impl Error {
    /// The report as [`Display`](fmt::Display) gives it, coloured for a terminal.
    pub fn coloured(&self) -> String {
        match self {
            Self::Read { .. } | Self::Project { .. } => self.to_string(),
            Self::Faults(faults) => render(faults, &Renderer::styled()),
        }
    }
}

fn read_hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::NotFound => "name an existing file with `--config FILE`",
        std::io::ErrorKind::PermissionDenied => "give the user that starts popgate the right to read it",
        std::io::ErrorKind::InvalidData => "save the file as UTF-8",
        _ => "name a TOML file with `--config FILE`",
    }
}

fn project_hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::NotFound => "name the folder of a plugin's project; `popgate plugin new` makes one",
        std::io::ErrorKind::PermissionDenied => "give yourself the right to read it",
        std::io::ErrorKind::InvalidData => "save the file as UTF-8",
        _ => "name the folder of a plugin's project",
    }
}

fn render(faults: &[Fault], renderer: &Renderer) -> String {
    let reports: Vec<String> = faults.iter().map(|fault| fault.render(renderer)).collect();
    reports.join("\n\n")
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    place: Place,
    message: String,
    hint: String,
    other: Option<(Place, String)>,
}

impl Fault {
    pub(crate) fn new(place: &Place, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { place: place.clone(), message: message.into(), hint: hint.into(), other: None }
    }

    /// A second place in the same file that the fault has to do with, and what stands there.
    pub(crate) fn with_other(mut self, place: &Place, label: &str) -> Self {
        self.other = Some((place.clone(), label.to_owned()));
        self
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What is wrong, with the offending value in backticks.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it; empty if there is nothing to say.
    pub fn hint(&self) -> &str {
        &self.hint
    }

    fn render(&self, renderer: &Renderer) -> String {
        let path = self.place.path().display().to_string();
        let mut snippet =
            Snippet::source(self.place.text()).path(path).annotation(AnnotationKind::Primary.span(self.place.span()));
        if let Some((place, label)) = &self.other {
            snippet = snippet.annotation(AnnotationKind::Context.span(place.span()).label(label));
        }
        let mut group = Level::ERROR.primary_title(&self.message).element(snippet);
        if !self.hint.is_empty() {
            // Values that the user typed may hold control characters; only the title is cleaned by the library.
            let hint = annotate_snippets::normalize_untrusted_str(&self.hint);
            group = group.element(Level::HELP.with_name("hint").message(hint));
        }
        renderer.render(&[group])
    }
}

/// The fault with its lines of the file, not coloured.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(&Renderer::plain()))
    }
}
