//! Why a filter can't be loaded, by who can mend it.

use std::io;
use std::path::PathBuf;

use super::text;
use super::v0_1;

/// A filter can't be loaded. [`hint`](Self::hint) says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file is missing or can't be read.
    #[error("the plugin file `{}` can't be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is larger than any plugin.
    #[error("the plugin file `{}` is larger than {}", path.display(), text::octets(*max))]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in octets.
        max: u64,
    },
    /// The file is no WebAssembly at all.
    #[error("`{plugin}` is not WebAssembly: it begins with {found}")]
    NotWasm {
        /// The plugin as the configuration names it.
        plugin: String,
        /// Its first octets, described.
        found: String,
    },
    /// A core module that can't be made into a component.
    #[error("`{plugin}` is a core WebAssembly module that can't be made into a component: {reason}")]
    CoreModule {
        /// The plugin as the configuration names it.
        plugin: String,
        /// What stands against it.
        reason: String,
    },
    /// A command is given data files, which it can't read.
    #[error("`{plugin}` is a command, and commands have no data files")]
    CommandData {
        /// The plugin as the configuration names it.
        plugin: String,
    },
    /// A component that is no filter.
    #[error("`{plugin}` is a component, but no filter: {}", exported(exports))]
    OtherWorld {
        /// The plugin as the configuration names it.
        plugin: String,
        /// The names that it exports.
        exports: Vec<String>,
    },
    /// A filter for another track of the interface.
    #[error("`{plugin}` is a filter for `{found}`, this popgate speaks `{}`", v0_1::EXPORT)]
    OtherTrack {
        /// The plugin as the configuration names it.
        plugin: String,
        /// The interface that it exports.
        found: String,
    },
    /// The component needs something that filters do not get.
    #[error("`{plugin}` imports `{import}`, which filters do not get: {reason}")]
    UnknownImport {
        /// The plugin as the configuration names it.
        plugin: String,
        /// The import.
        import: String,
        /// What does not fit.
        reason: String,
    },
    /// The file is not the one that was pinned.
    #[error("`{plugin}` has the SHA-256 `{}`, the configuration says `{}`", text::hex(actual), text::hex(expected))]
    Pin {
        /// The plugin as the configuration names it.
        plugin: String,
        /// What the configuration says.
        expected: [u8; 32],
        /// What the file has.
        actual: [u8; 32],
    },
    /// There is no bundled filter of this name.
    #[error("there is no bundled filter `{name}`")]
    UnknownBundled {
        /// The name.
        name: String,
        /// The names that there are.
        known: Vec<&'static str>,
    },
    /// A data file is missing or can't be read.
    #[error("the data file `{name}` (`{}`) can't be read: {source}", path.display())]
    DataFile {
        /// Its name in the configuration.
        name: String,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A data file that is open can't be read.
    #[error("a data file can't be read: {0}")]
    DataContent(io::Error),
    /// The component is broken, incomplete, or uses something that is not supported.
    #[error("`{plugin}` can't be used: {reason}")]
    Compile {
        /// The plugin as the configuration names it.
        plugin: String,
        /// What the compiler or the linker says.
        reason: String,
    },
    /// Compiling it takes more than it may, or the process that does so has died.
    #[error("`{plugin}` can't be used: {reason}")]
    Compiler {
        /// The plugin as the configuration names it.
        plugin: String,
        /// What became of it.
        reason: String,
    },
    /// The filter does not accept its settings.
    #[error("`{plugin}` refuses its settings: {reason}")]
    Settings {
        /// The plugin as the configuration names it.
        plugin: String,
        /// What it says.
        reason: String,
    },
    /// The filter fails while it is configured.
    #[error("`{plugin}` fails when it is configured: it {reason}")]
    Configure {
        /// The plugin as the configuration names it.
        plugin: String,
        /// How.
        reason: String,
    },
    /// The engine for filters does not run on this system.
    #[error("filters can't be run on this system: {0}")]
    Engine(String),
}

impl LoadError {
    /// What to do about it, in one sentence; none where the text itself says it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreadable { path, source }
                if source.kind() == io::ErrorKind::NotFound && path.parent().is_some() =>
            {
                Some("relative paths start at the folder of the configuration file, on the command line at the current one".into())
            }
            Self::Unreadable { .. } => Some("the file must be readable for the user that popgate runs as".into()),
            Self::TooLarge { .. } => Some(
                "build it without debug information, for example with `strip = true` in the profile; `plugin_size` below \
                 `[limits]` is the bound"
                    .into(),
            ),
            Self::Compiler { .. } => Some(
                "if you trust the plugin, raise `compile_time` or `compile_memory` below `[limits]`; else tell its author".into(),
            ),
            Self::NotWasm { .. } => Some("name the `.wasm` file that the build of the filter has made".into()),
            Self::CoreModule { .. } => Some(
                "a core module is a program for WASI (`_start`), or brings the description of the filter's world along; it imports \
                 nothing but WASI 0.1 and `popgate:filter`"
                    .into(),
            ),
            Self::CommandData { .. } => Some("put what it needs into `[filter.config]`, it finds that in POPGATE_SETTINGS".into()),
            Self::OtherWorld { .. } => Some(format!("a filter exports `{}`, a command `wasi:cli/run`", v0_1::EXPORT)),
            Self::OtherTrack { .. } => {
                Some("use a version of the filter and a version of popgate that speak the same track".into())
            }
            Self::UnknownImport { .. } => {
                Some("a filter can import `popgate:filter` (mail, log, data) and WASI 0.2, without `wasi:http`".into())
            }
            Self::Pin { .. } => {
                Some("check where the file comes from; if it is the right one, write its hash into `sha256`".into())
            }
            Self::UnknownBundled { known, .. } => {
                Some(format!("bundled are {}; a file is named by a path that ends in `.wasm`", known.join(", ")))
            }
            Self::DataFile { .. } | Self::DataContent(_) => Some("see `data` of this filter".into()),
            Self::Compile { .. } => Some("build the filter again, or tell its author".into()),
            Self::Settings { .. } => Some("see `[filter.config]` of this filter".into()),
            Self::Configure { .. } => Some(
                "raise `cpu`, `memory` or `timeout` of this filter if a limit is meant, else tell its author".into(),
            ),
            Self::Engine(_) => None,
        }
    }
}

fn exported(exports: &[String]) -> String {
    if exports.is_empty() {
        return "it exports nothing".into();
    }
    let names: Vec<_> = exports.iter().map(|name| format!("`{}`", text::printable(name, 100))).collect();
    format!("it exports {}", names.join(", "))
}
