//! `[[filter]]`: what looks at the mail, in this order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::breaker::Breaker;
use crate::grant::Grant;
use crate::keyword::Keyword;
use crate::names::Names;
use crate::pattern::UserPattern;
use crate::pin::FileHash;
use crate::place::Place;
use crate::section::Section;
use crate::settings::{self, Settings};
use crate::size::Octets;
use crate::snapshot::Snapshot;

/// Wall time for one message, where nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Processor time for one message, where nothing else is said.
const CPU: Duration = Duration::from_secs(1);

/// Octets of memory of one instance, where nothing else is said.
const MEMORY: u64 = 64 << 20;

/// One link of the chain of filters.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// Its name in headers, logs and reports: 1 to 64 of `A-Z a-z 0-9 - _ .`; if none was given, the plugin's.
    pub name: String,
    /// The code.
    pub plugin: Plugin,
    /// What the SHA-256 of the plugin's file must be.
    pub sha256: Option<[u8; 32]>,
    /// What happens to a message when something that the filter needs fails.
    pub on_error: OnError,
    /// What happens to a message on which the filter itself fails again and again.
    pub on_poison: OnError,
    /// Wall time for one message.
    pub timeout: Duration,
    /// Processor time in the sandbox for one message.
    pub cpu: Duration,
    /// Memory of one instance, in octets.
    pub memory: u64,
    /// Which messages it sees.
    pub only: Only,
    /// What happens to messages above `only.max_size`.
    pub oversize: Oversize,
    /// Whether its verdicts have effect.
    pub mode: Mode,
    /// How much of a message it needs.
    pub reads: Reads,
    /// When it is left alone for a while.
    pub breaker: Breaker,
    /// Names of the headers that it writes, besides those that a bundled filter is known to write.
    pub writes: Vec<String>,
    /// When it gets its settings.
    pub snapshot: Snapshot,
    /// Whether its verdict on a message counts for a while, so that the same need not be found out again.
    pub cache: bool,
    /// What it can reach.
    pub grant: Grant,
    /// Files that the filter may read, by the name that it knows them by.
    pub data: BTreeMap<String, PathBuf>,
    /// The filter's own configuration: an object, empty if there is none.
    pub settings: serde_json::Value,
    /// The section.
    pub place: Place,
    /// The value of `plugin`.
    pub plugin_place: Place,
    /// The value of `sha256`, or the section.
    pub sha256_place: Place,
    /// The section `[filter.config]`, the value of `config_file`, or the section of the filter.
    pub settings_place: Place,
    /// The values of `data`, by the same names.
    pub data_places: BTreeMap<String, Place>,
    setting_places: BTreeMap<String, Place>,
}

/// Where a filter's code comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Plugin {
    /// The name of a bundled filter, if there is one of that name.
    Bundled(String),
    /// A WebAssembly file: the value holds a `/` or `\`, or ends in `.wasm`.
    File(PathBuf),
}

/// What happens to a message when a filter fails.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnError {
    /// The client gets `-ERR [SYS/TEMP]`, the mail stays on the server: `"retry"`. Source: RFC 3206.
    #[default]
    Retry,
    /// The message is delivered as if the filter did not exist: `"deliver"`.
    Deliver,
    /// The message is stored, the client gets a notice: `"hold"`.
    Hold,
}

impl Keyword for OnError {
    const WORDS: &'static [(&'static str, Self)] =
        &[("retry", Self::Retry), ("deliver", Self::Deliver), ("hold", Self::Hold)];
}

/// Which messages a filter sees: those that fulfil every condition. The default is all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Only {
    /// The user matches one of these; empty: any user.
    pub user: Vec<UserPattern>,
    /// The session is on one of the listeners of these names, which exist; empty: on any.
    pub listener: Vec<String>,
    /// The message has at most this many octets.
    pub max_size: Option<u64>,
}

/// What happens to messages that are too large for a filter.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Oversize {
    /// They pass it by, with a header that says so: `"skip"`.
    #[default]
    Skip,
    /// They are stored, the client gets a notice: `"hold"`.
    Hold,
    /// The client gets `-ERR [SYS/TEMP]`, the mail stays on the server: `"retry"`.
    Retry,
}

impl Keyword for Oversize {
    const WORDS: &'static [(&'static str, Self)] =
        &[("skip", Self::Skip), ("hold", Self::Hold), ("retry", Self::Retry)];
}

/// Whether a filter's verdicts have effect.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    /// They have: `"enforce"`.
    #[default]
    Enforce,
    /// They are recorded, and the mail stays as it is: `"observe"`.
    Observe,
}

impl Keyword for Mode {
    const WORDS: &'static [(&'static str, Self)] = &[("enforce", Self::Enforce), ("observe", Self::Observe)];
}

/// How much of a message a filter needs, where the whole is not at hand.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Reads {
    /// All of it: `"message"`.
    #[default]
    Message,
    /// The header block: `"headers"`.
    Headers,
}

impl Keyword for Reads {
    const WORDS: &'static [(&'static str, Self)] = &[("message", Self::Message), ("headers", Self::Headers)];
}

impl Filter {
    /// Where a setting stands, in the configuration or in `config_file`.
    ///
    /// `path` is typed like `rules[0].header`; of a path that leads nowhere, the place of the part that does. So a filter's
    /// "missing key" points at the table where it is missing.
    pub fn setting_place(&self, path: &str) -> &Place {
        let mut path = path;
        loop {
            if let Some(place) = self.setting_places.get(path) {
                return place;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return &self.settings_place,
            }
        }
    }

    /// The plugin of a project, alone: its settings stand below `[settings]`, and everything else is as it is by default.
    pub(crate) fn of_project(top: &mut Section<'_>, name: &str, wasm: PathBuf) -> Self {
        let Settings { value: settings, place: settings_place, places: setting_places } =
            settings::table(top, "settings", "[settings]");
        let (data, data_places) = read_data(top);
        Self {
            name: name.to_owned(),
            plugin: Plugin::File(wasm),
            sha256: None,
            on_error: OnError::Hold,
            on_poison: OnError::Hold,
            timeout: TIMEOUT,
            cpu: CPU,
            memory: MEMORY,
            only: Only::default(),
            oversize: Oversize::default(),
            mode: Mode::default(),
            reads: Reads::default(),
            breaker: Breaker::default(),
            writes: Vec::new(),
            snapshot: Snapshot::Configured,
            cache: false,
            grant: Grant::default(),
            data,
            settings,
            place: top.place().clone(),
            plugin_place: top.place_of("wasm"),
            sha256_place: top.place().clone(),
            settings_place,
            data_places,
            setting_places,
        }
    }

    pub(crate) fn read(mut section: Section<'_>, names: &mut Names, listeners: &Names) -> Self {
        let name = read_name(&mut section, names);
        let plugin = read_plugin(&mut section);
        let name = name.unwrap_or_else(|| default_name(&plugin, &section, names));
        let Settings { value: settings, place: settings_place, places: setting_places } = settings::read(&mut section);
        let (data, data_places) = read_data(&mut section);
        let grant = Grant::read(&mut section);
        let filter = Self {
            name,
            plugin,
            sha256: section.get("sha256").map(|FileHash(hash)| hash),
            on_error: section.get("on_error").unwrap_or_default(),
            on_poison: section.get("on_poison").unwrap_or(OnError::Hold),
            timeout: section.positive("timeout").unwrap_or(TIMEOUT),
            cpu: section.positive("cpu").unwrap_or(CPU),
            memory: section.get("memory").map_or(MEMORY, |Octets(octets)| octets),
            only: read_only(&mut section, listeners),
            oversize: section.get("oversize").unwrap_or_default(),
            mode: section.get("mode").unwrap_or_default(),
            reads: section.get("reads").unwrap_or_default(),
            breaker: Breaker::read(&mut section),
            writes: read_writes(&mut section),
            snapshot: section.get("snapshot").unwrap_or_default(),
            cache: read_cache(&mut section, &grant),
            grant,
            data,
            settings,
            place: section.place().clone(),
            plugin_place: section.place_of("plugin"),
            sha256_place: section.place_of("sha256"),
            settings_place,
            data_places,
            setting_places,
        };
        section.finish();
        filter
    }
}

/// A name goes into header fields and file names, so its characters are few.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
    (1..=64).contains(&name.len()) && name.bytes().all(plain)
}

fn read_name(section: &mut Section<'_>, names: &mut Names) -> Option<String> {
    let name: String = section.get("name")?;
    let place = section.place_of("name");
    if !is_name(&name) {
        let hint = "write 1 to 64 letters, digits, `-`, `_` or `.`";
        section.fault(&place, format!("`name`: `{name}` can't be the name of a filter"), hint);
    }
    names.give(&name, &place, section.faults());
    Some(name)
}

fn read_plugin(section: &mut Section<'_>) -> Plugin {
    let plugin: String = section.require("plugin", "attachments").unwrap_or_default();
    if plugin.contains(['/', '\\']) || plugin.ends_with(".wasm") {
        Plugin::File(section.path("plugin").unwrap_or_default())
    } else {
        Plugin::Bundled(plugin)
    }
}

/// The bundled filter's name or the file's, without folder and ending.
fn default_name(plugin: &Plugin, section: &Section<'_>, names: &mut Names) -> String {
    let name = match plugin {
        Plugin::Bundled(name) => name.clone(),
        Plugin::File(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
    };
    if name.is_empty() {
        return name; // `plugin` is at fault already
    }
    let place = section.place_of("plugin");
    if is_name(&name) {
        names.give(&name, &place, section.faults());
    } else {
        let message = format!("`plugin`: `{name}` can't be the name of a filter");
        section.fault(&place, message, "add a `name` of 1 to 64 letters, digits, `-`, `_` or `.`");
    }
    name
}

fn read_only(section: &mut Section<'_>, listeners: &Names) -> Only {
    let Some(mut only) = section.section("only") else { return Only::default() };
    let user = only.list("user").into_iter().map(|(pattern, _)| pattern).collect();
    let named: Vec<(String, Place)> = only.list("listener");
    for (name, place) in &named {
        listeners.expect(name, place, only.faults());
    }
    let max_size = only.get("max_size").map(|Octets(octets)| octets);
    only.finish();
    Only { user, listener: named.into_iter().map(|(name, _)| name).collect(), max_size }
}

/// What comes in under these names is taken out, so they are names of headers.
fn read_writes(section: &mut Section<'_>) -> Vec<String> {
    let named: Vec<(String, Place)> = section.list("writes");
    for (name, place) in &named {
        let graphic = name.bytes().all(|octet| octet.is_ascii_graphic() && octet != b':');
        if name.is_empty() || !graphic {
            let message = format!("`writes`: `{name}` is not the name of a header");
            section.fault(place, message, "write names such as `X-Spam-Score`, without the colon");
        }
    }
    named.into_iter().map(|(name, _)| name).collect()
}

/// What a service answers today it may not answer tomorrow, and nothing tells when.
fn read_cache(section: &mut Section<'_>, grant: &Grant) -> bool {
    let cache = section.get("cache").unwrap_or(false);
    if cache && !grant.connect.is_empty() {
        let message =
            "`cache` can't be true of a filter that asks a service: its verdicts depend on more than the message";
        section.fault(&section.place_of("cache"), message, "remove `cache`, or `connect` of the grant");
    }
    cache
}

fn read_data(section: &mut Section<'_>) -> (BTreeMap<String, PathBuf>, BTreeMap<String, Place>) {
    let entries = section.section("data").map(Section::paths).unwrap_or_default();
    let places = entries.iter().map(|(name, _, place)| (name.clone(), place.clone())).collect();
    (entries.into_iter().map(|(name, path, _)| (name, path)).collect(), places)
}
