//! `popgate-plugin.toml`: the project of a plugin, as `popgate plugin test` builds and tries it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use crate::config::{self, syntax_fault};
use crate::error::{Error, Fault};
use crate::filter::{Filter, is_name};
use crate::keyword::Keyword;
use crate::place::{Place, Source};
use crate::section::{Faults, Section};

/// The name of the file in the project's folder.
pub const PROJECT_FILE: &str = "popgate-plugin.toml";

/// The tracks of the interface that there are.
const TRACKS: [&str; 1] = ["0.1"];

/// Fields that come with the mail (RFC 5322, RFC 2045); to remove them would change it.
const SENDERS: [&str; 13] = [
    "bcc",
    "cc",
    "date",
    "from",
    "in-reply-to",
    "message-id",
    "mime-version",
    "received",
    "references",
    "reply-to",
    "sender",
    "subject",
    "to",
];

/// What stands for Cargo's target folder in `wasm` and `build`.
const TARGET: &str = "{target}";

/// A plugin's project. Two are equal if they mean the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    /// The plugin's name: 1 to 64 of `A-Z a-z 0-9 - _ .`.
    pub name: String,
    /// Its version, as the author counts.
    pub version: String,
    /// What the build makes.
    pub kind: ProjectKind,
    /// The track of the interface, as in `0.1`; none for commands.
    pub api: Option<String>,
    /// The commands that build it, one after the other, each split into words; at least one word each.
    pub build: Vec<Vec<String>>,
    /// The tools that the commands need, with the place where each is named.
    pub tools: Vec<(String, Place)>,
    /// The header fields that the filter alone writes; incoming ones of these names are forged, and removed.
    pub writes: Vec<String>,
    /// What it asks the operator for.
    pub grant: Asked,
    /// The plugin as one link of a chain, with the settings for the tests. What it needs and does not get holds the mail.
    pub filter: Filter,
    /// The value of `kind`.
    pub kind_place: Place,
    /// The value of `wasm`.
    pub wasm_place: Place,
}

/// What a plugin is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProjectKind {
    /// It exports the filter's interface: `"component"`.
    Component,
    /// A program that reads the message and writes it: `"command"`.
    Command,
}

impl Keyword for ProjectKind {
    const WORDS: &'static [(&'static str, Self)] = &[("component", Self::Component), ("command", Self::Command)];
}

impl ProjectKind {
    /// The word for it in the file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::Command => "command",
        }
    }
}

/// What a plugin asks for. It gets it where the operator's configuration says so.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Asked {
    /// Where it connects to: `host:port` each.
    pub connect: Vec<String>,
    /// Whether it keeps state.
    pub kv: bool,
}

impl Project {
    /// Reads the project in a folder. `target` is Cargo's target folder, which `{target}` stands for.
    ///
    /// # Errors
    /// [`Error::Project`] if there is no text to be had, else [`Error::Faults`] with all that is wrong with it.
    pub fn load(folder: &Path, target: &Path) -> Result<Self, Error> {
        let path = folder.join(PROJECT_FILE);
        let text = config::text(&path).map_err(|source| Error::Project { path: path.clone(), source })?;
        Self::parse(&text, &path, target)
    }

    /// Reads the text of a project file. The path is for messages, and its folder is where relative paths start.
    ///
    /// # Errors
    /// [`Error::Faults`] with all that is wrong; a fault of TOML's own syntax comes alone.
    pub fn parse(text: &str, path: &Path, target: &Path) -> Result<Self, Error> {
        let source = Source::new(path, text);
        let table = DeTable::parse(&source.text).map_err(|error| Error::Faults(vec![syntax_fault(&source, &error)]))?;
        let faults = Faults::new(Arc::clone(&source));
        let project = Self::read(Section::top(table.get_ref(), &faults), target);
        match faults.into_vec() {
            faults if faults.is_empty() => Ok(project),
            faults => Err(Error::Faults(faults)),
        }
    }

    /// The file that the build makes.
    #[must_use]
    pub fn wasm(&self) -> &Path {
        match &self.filter.plugin {
            crate::Plugin::File(path) => path,
            // A project's plugin is a file always.
            crate::Plugin::Bundled(name) => Path::new(name),
        }
    }

    /// An error for something that was found wrong later: it points at the value that it is about.
    #[must_use]
    pub fn fault_at(&self, place: &Place, message: &str, hint: &str) -> Error {
        Error::Faults(vec![Fault::new(place, message, hint)])
    }

    fn read(mut top: Section<'_>, target: &Path) -> Self {
        let name = read_name(&mut top);
        let version = top.require("version", "0.1.0").unwrap_or_default();
        let kind = top.require("kind", "component").unwrap_or(ProjectKind::Component);
        let api = read_api(&mut top, kind);
        let wasm = read_wasm(&mut top, target);
        let build = read_build(&mut top, target);
        let tools = top.list("tools");
        let writes = read_writes(&mut top);
        let mut filter = Filter::of_project(&mut top, &name, wasm);
        let grant = top.section("grant").map(Asked::read).unwrap_or_default();
        filter.writes.clone_from(&writes);
        filter.grant.connect = grant.connect.iter().filter_map(|address| address.parse().ok()).collect();
        filter.grant.kv = grant.kv;
        let (kind_place, wasm_place) = (top.place_of("kind"), top.place_of("wasm"));
        top.finish();
        Self { name, version, kind, api, build, tools, writes, grant, filter, kind_place, wasm_place }
    }
}

impl Asked {
    fn read(mut section: Section<'_>) -> Self {
        let connect = section.list("connect").into_iter().map(|(address, _)| address).collect();
        let kv = section.get("kv").unwrap_or_default();
        section.finish();
        Self { connect, kv }
    }
}

fn read_name(top: &mut Section<'_>) -> String {
    let name: String = top.require("name", "subject-tag").unwrap_or_default();
    if !name.is_empty() && !is_name(&name) {
        let hint = "write 1 to 64 letters, digits, `-`, `_` or `.`";
        top.fault(&top.place_of("name"), format!("`name`: `{name}` can't be the name of a plugin"), hint);
    }
    name
}

fn read_api(top: &mut Section<'_>, kind: ProjectKind) -> Option<String> {
    let api: Option<String> = match kind {
        ProjectKind::Component => top.require("api", TRACKS[0]),
        ProjectKind::Command => top.get("api"),
    };
    let place = top.place_of("api");
    match (&api, kind) {
        (Some(_), ProjectKind::Command) => {
            top.fault(&place, "`api` is for components; a command has no track", "remove `api`");
        }
        (Some(track), ProjectKind::Component) if !TRACKS.contains(&track.as_str()) => {
            let message = format!("`api`: there is no track `{track}` that this popgate speaks");
            top.fault(&place, message, format!("write `api = \"{}\"`", TRACKS[0]));
        }
        _ => {}
    }
    api
}

fn read_wasm(top: &mut Section<'_>, target: &Path) -> PathBuf {
    let example = "build/subject-tag.wasm";
    let Some(typed): Option<String> = top.require("wasm", example) else { return PathBuf::new() };
    match with_target(&typed, target) {
        Some(path) => top.faults().folder().join(path),
        None => {
            let hint = "set CARGO_TARGET_DIR to a path that is UTF-8";
            top.fault(&top.place_of("wasm"), "`{target}` stands for a folder whose name is not UTF-8", hint);
            PathBuf::new()
        }
    }
}

/// The text with Cargo's target folder put in; none if that is not UTF-8.
fn with_target(text: &str, target: &Path) -> Option<String> {
    match text.contains(TARGET) {
        true => Some(text.replace(TARGET, target.to_str()?)),
        false => Some(text.to_owned()),
    }
}

fn read_writes(top: &mut Section<'_>) -> Vec<String> {
    let typed: Vec<(String, Place)> = top.list("writes");
    for (name, place) in &typed {
        let name = name.to_ascii_lowercase();
        if SENDERS.contains(&name.as_str()) || name.starts_with("content-") {
            let message = format!("`writes`: `{}` is the sender's field", place.typed().trim_matches('"'));
            let hint = "name fields that the filter alone writes: incoming ones of these names are removed as forged";
            top.fault(place, message, hint);
        }
    }
    typed.into_iter().map(|(name, _)| name).collect()
}

fn read_build(top: &mut Section<'_>, target: &Path) -> Vec<Vec<String>> {
    let typed: Vec<(String, Place)> = top.list("build");
    if typed.is_empty() && !top.has("build") {
        let hint = "add the commands that build it, as in `build = [\"cargo build --release\"]`";
        top.miss("build", "there is no `build`", hint);
    }
    let words = |(command, place): (String, Place)| {
        // The folder is put in after the split: it may hold spaces.
        let words = shlex::split(&command).filter(|words| !words.is_empty());
        if words.is_none() {
            let message = format!("`build`: `{command}` can't be split into words");
            top.fault(&place, message, "close every quotation mark");
        }
        words.map(|words| words.iter().filter_map(|word| with_target(word, target)).collect())
    };
    typed.into_iter().filter_map(words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = \"tag\"\nversion = \"0.1.0\"\nkind = \"component\"\napi = \"0.1\"\n\
                        wasm = \"{target}/tag.wasm\"\nbuild = [\"cargo build --target-dir '{target}'\"]\n";

    fn read(text: &str) -> Result<Project, Error> {
        Project::parse(text, Path::new("/p/popgate-plugin.toml"), Path::new("/a b/target"))
    }

    fn faults(text: &str) -> Vec<String> {
        let Err(Error::Faults(faults)) = read(text) else { panic!("no fault in {text}") };
        faults.iter().map(|fault| format!("{} ({})", fault.message(), fault.hint())).collect()
    }

    #[test]
    fn a_project_is_read() {
        let text = format!(
            "{GOOD}tools = [\"cargo\"]\nwrites = [\"X-Tag\"]\ndata = {{ words = \"words.txt\" }}\n[settings]\ntag = \"[x]\"\n[grant]\nconnect = [\"127.0.0.1:3310\"]\nkv = true\n"
        );
        let project = read(&text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(project.wasm(), Path::new("/a b/target/tag.wasm"));
        assert_eq!(project.build, [["cargo", "build", "--target-dir", "/a b/target"]]);
        assert_eq!(project.filter.settings, serde_json::json!({"tag": "[x]"}));
        assert_eq!(project.filter.name, "tag");
        assert_eq!(project.grant, Asked { connect: vec!["127.0.0.1:3310".into()], kv: true });
        assert_eq!(project.tools[0].0, "cargo");
        assert_eq!(project.filter.data["words"], Path::new("/p/words.txt"));
        assert_eq!(project.filter.setting_place("tag").line(), 11);
    }

    #[test]
    fn relative_paths_start_at_the_project() {
        let project = read(&GOOD.replace("{target}/tag.wasm", "build/tag.wasm")).unwrap();
        assert_eq!(project.wasm(), Path::new("/p/build/tag.wasm"));
    }

    #[test]
    fn faults_are_told_with_a_hint() {
        for (text, expected) in [
            (GOOD.replace("api", "apo"), "unknown key `apo` (did you mean `api`?)"),
            (GOOD.replace("\"component\"", "\"commnd\""), "`kind`: unknown value `commnd` (did you mean `command`?)"),
            (
                GOOD.replace("\"component\"", "\"command\""),
                "`api` is for components; a command has no track (remove `api`)",
            ),
            (
                GOOD.replace("\"0.1\"", "\"0.9\""),
                "`api`: there is no track `0.9` that this popgate speaks (write `api = \"0.1\"`)",
            ),
            (
                GOOD.replace("'{target}'", "'{target}"),
                "`build`: `cargo build --target-dir '{target}` can't be split into words (close every quotation mark)",
            ),
            (
                GOOD.replace("\"tag\"", "\"../tag\""),
                "`name`: `../tag` can't be the name of a plugin (write 1 to 64 letters, digits, `-`, `_` or `.`)",
            ),
            (format!("{GOOD}[grant]\nconect = []\n"), "unknown key `conect` in `[grant]` (did you mean `connect`?)"),
        ] {
            assert_eq!(faults(&text), [expected], "{text}");
        }
        assert_eq!(faults("").len(), 6, "{:?}", faults(""));
    }
}
