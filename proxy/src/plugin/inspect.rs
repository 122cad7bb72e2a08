//! What a plugin file is, without running or compiling it: read from its types, by a validator alone.
//!
//! Time and memory go with the size of the file, which is bounded. What it says of a plugin that would be refused is what
//! loading would say first; a plugin that passes here can still be refused for what only running it shows, its settings.

use std::path::Path;

use popgate_config::Plugin;
use sha2::{Digest, Sha256};
use wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;
use wasmparser::component_types::{ComponentEntityType, ComponentItem};
use wasmparser::types::Types;
use wasmparser::{Parser, Payload, Validator};

use super::command;
use super::engine;
use super::error::LoadError;
use super::failure::REASON_MAX;
use super::known::Known;
use super::source::{self, Form};
use super::text;
use super::workshop::Bounds;

/// Names that are listed of each kind; hostile files have many.
const NAMES_MAX: usize = 1_000;

/// Octets of the reason for a refusal.
const REFUSED_MAX: usize = 2_000;

/// Octets of a name that are shown.
const NAME_MAX: usize = 200;

/// What was found out about a plugin file.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// What it is.
    pub kind: Kind,
    /// The version of the interface that it exports, as in `0.1.0`; of commands none.
    pub track: Option<String>,
    /// Octets of the file.
    pub size: u64,
    /// The SHA-256 of the file.
    pub sha256: [u8; 32],
    /// What it imports, in the order of the file: interfaces of components, functions of core modules.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
    /// Whether it can learn from mail whose class is known.
    pub learns: bool,
    /// Whether it has what it takes to connect to something, which needs `grant.connect`.
    pub connects: bool,
    /// Whether it keeps state, which needs `grant.kv`.
    pub keeps_state: bool,
    /// Why it would be refused, if it would.
    pub refused: Option<String>,
}

/// What a plugin file is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A component that exports the filter's interface.
    Filter,
    /// A component that exports `wasi:cli/run`.
    Command,
    /// A core module that is a program for WASI 0.1.
    ModuleCommand,
    /// A core module that popgate makes a component of.
    ModuleFilter,
    /// WebAssembly, but no plugin.
    Other,
}

impl Kind {
    /// The kind in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Filter => "component",
            Self::Command => "command component",
            Self::ModuleCommand => "core module command",
            Self::ModuleFilter => "core module filter",
            Self::Other => "no plugin",
        }
    }
}

/// Looks at a plugin file.
///
/// # Errors
/// [`LoadError::Unreadable`], [`LoadError::TooLarge`] or [`LoadError::NotWasm`]: there is nothing to look at.
pub fn inspect(path: &Path) -> Result<Inspection, LoadError> {
    let (name, wasm) = source::octets(&Plugin::File(path.to_owned()), Bounds::default().plugin_size)?;
    let mut found = Inspection {
        kind: Kind::Other,
        track: None,
        size: wasm.len() as u64,
        sha256: Sha256::digest(&wasm).into(),
        imports: Vec::new(),
        exports: Vec::new(),
        learns: false,
        connects: false,
        keeps_state: false,
        refused: None,
    };
    let module = source::is_module(&name, &wasm)?;
    let looked = match module {
        false => found.look_at_component(&name, &wasm),
        true => found.look_at_module(&name, wasm),
    };
    found.refused = looked.err().map(|error| text::printable(&error.to_string(), REFUSED_MAX));
    Ok(found)
}

impl Inspection {
    fn look_at_module(&mut self, name: &str, module: Vec<u8>) -> Result<(), LoadError> {
        validated(name, &module)?;
        // Until it is known better, what stands in the file itself.
        (self.imports, self.exports) = module_names(&module).map_err(|error| broken(name, &error))?;
        match source::from_module(name, module) {
            Ok((Form::Program, _)) => {
                self.kind = Kind::ModuleCommand;
                self.refuse_functions(name)
            }
            Ok((Form::Component, component)) => {
                self.kind = Kind::ModuleFilter;
                self.look_at_component(name, &component)
            }
            Err(error) => Err(error),
        }
    }

    fn look_at_component(&mut self, name: &str, component: &[u8]) -> Result<(), LoadError> {
        let types = validated(name, component)?;
        let (imports, exports) = component_names(component).map_err(|error| broken(name, &error))?;
        self.imports = imports.iter().take(NAMES_MAX).map(|name| text::printable(name, NAME_MAX)).collect();
        self.exports = exports.iter().take(NAMES_MAX).map(|name| text::printable(name, NAME_MAX)).collect();
        self.connects = imports.iter().any(|name| name.starts_with("wasi:sockets/"));
        self.keeps_state = imports.iter().any(|name| name.starts_with("popgate:filter/state@"));
        let track = exports.iter().find_map(|name| name.strip_prefix("popgate:filter/filter@"));
        self.track = track.map(|track| text::printable(track, NAME_MAX));
        self.learns = exports.iter().any(|name| {
            let functions = functions(&types, types.component_item_for_export(name));
            name.starts_with("popgate:filter/") && functions.iter().any(|function| function == "learn")
        });
        let is_command = self.track.is_none() && exports.iter().any(|name| name.starts_with(command::TRACK));
        if self.kind == Kind::Other {
            self.kind = match (&self.track, is_command) {
                (Some(_), _) => Kind::Filter,
                (None, true) => Kind::Command,
                (None, false) => Kind::Other,
            };
        }
        super::catalogue::is_command(name, exports)?;
        refuse_imports(name, &types, &imports)
    }

    /// A program imports functions of WASI 0.1 alone.
    fn refuse_functions(&self, name: &str) -> Result<(), LoadError> {
        let known = Known::of_programs().map_err(|reason| LoadError::Engine(reason.into()))?;
        let foreign = |import: &&String| {
            let (module, function) = import.split_once("::").unwrap_or((import, ""));
            module != WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME || !known.contains(&function)
        };
        match self.imports.iter().find(foreign) {
            Some(import) => Err(unknown(name, import, "programs get WASI 0.1 alone")),
            None => Ok(()),
        }
    }
}

/// The first import that filters do not get.
fn refuse_imports(name: &str, types: &Types, imports: &[String]) -> Result<(), LoadError> {
    for import in imports {
        let wanted = functions(types, types.component_item_for_import(import));
        match Known::interface(import) {
            None => return Err(unknown(name, import, "there is no such interface")),
            Some(Known::Wasi) => {}
            Some(Known::Own(known)) => {
                if let Some(lacking) = wanted.iter().find(|function| !known.contains(*function)) {
                    let lacking = text::printable(lacking, NAME_MAX);
                    return Err(unknown(name, import, &format!("it has no `{lacking}` here")));
                }
            }
        }
    }
    Ok(())
}

fn unknown(plugin: &str, import: &str, reason: &str) -> LoadError {
    let import = text::printable(import, NAME_MAX);
    LoadError::UnknownImport { plugin: plugin.to_owned(), import, reason: reason.to_owned() }
}

fn broken(plugin: &str, error: &wasmparser::BinaryReaderError) -> LoadError {
    LoadError::Compile { plugin: plugin.to_owned(), reason: text::printable(&error.to_string(), REASON_MAX) }
}

fn validated(name: &str, wasm: &[u8]) -> Result<Types, LoadError> {
    Validator::new_with_features(engine::features()).validate_all(wasm).map_err(|error| broken(name, &error))
}

/// The names of the functions of an interface.
fn functions(types: &Types, interface: Option<&ComponentItem>) -> Vec<String> {
    let Some(ComponentEntityType::Instance(id)) = interface.map(|item| item.ty) else { return Vec::new() };
    let exports = types[id].exports.iter();
    let functions = exports.filter(|(_, item)| matches!(item.ty, ComponentEntityType::Func(_)));
    functions.map(|(name, _)| name.clone()).collect()
}

pub(super) type Names = (Vec<String>, Vec<String>);

fn module_names(module: &[u8]) -> wasmparser::Result<Names> {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::ImportSection(section) => {
                for import in section.into_imports().take(NAMES_MAX) {
                    let import = import?;
                    imports.push(text::printable(&format!("{}::{}", import.module, import.name), NAME_MAX));
                }
            }
            Payload::ExportSection(section) => {
                for export in section.into_iter().take(NAMES_MAX) {
                    exports.push(text::printable(export?.name, NAME_MAX));
                }
            }
            _ => {}
        }
    }
    Ok((imports, exports))
}

/// The names of the outermost component. All of them: one that is not looked at could be the one that matters.
pub(super) fn component_names(component: &[u8]) -> wasmparser::Result<Names> {
    let (mut imports, mut exports, mut depth) = (Vec::new(), Vec::new(), 0_usize);
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok((imports, exports))
}
