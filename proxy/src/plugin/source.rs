//! The octets of a plugin: from the bundle or a file, checked before anything is done with them.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use popgate_config::{Filter, Plugin};
use sha2::{Digest, Sha256};

use super::error::LoadError;
use super::failure::REASON_MAX;
use super::module;
use super::text;

/// The magic number of WebAssembly.
const MAGIC: &[u8] = b"\0asm";

/// What follows it in a core module: version 1, layer 0.
const CORE_MODULE: &[u8] = &[1, 0, 0, 0];

/// What a plugin is, once it has been read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// A component, from the file or made of a core module.
    Component,
    /// A core module that is a program for WASI 0.1.
    Program,
}

/// A plugin in WebAssembly's binary format, by its first octets.
#[derive(Debug)]
pub(super) struct Source {
    /// What the configuration calls it.
    pub(super) plugin: String,
    /// What `wasm` is.
    pub(super) form: Form,
    /// The component or the program.
    pub(super) wasm: Vec<u8>,
    /// The SHA-256 of what was read.
    pub(super) sha256: [u8; 32],
}

impl Source {
    /// Reads the plugin of a filter.
    ///
    /// # Errors
    /// It can't be read, is not what was pinned, or can't be made a component.
    pub(super) fn read(filter: &Filter, size_max: u64) -> Result<Self, LoadError> {
        let (plugin, wasm) = octets(&filter.plugin, size_max)?;
        let sha256: [u8; 32] = Sha256::digest(&wasm).into();
        if let Some(expected) = filter.sha256.filter(|expected| *expected != sha256) {
            return Err(LoadError::Pin { plugin, expected, actual: sha256 });
        }
        let (form, wasm) = match is_module(&plugin, &wasm)? {
            false => (Form::Component, wasm),
            true => from_module(&plugin, wasm)?,
        };
        Ok(Self { plugin, form, wasm, sha256 })
    }
}

/// What a plugin is called, and its octets.
///
/// # Errors
/// There are none, or too many.
pub(super) fn octets(plugin: &Plugin, size_max: u64) -> Result<(String, Vec<u8>), LoadError> {
    Ok(match plugin {
        Plugin::Bundled(name) => (name.clone(), bundled(name)?),
        Plugin::File(path) => (path.display().to_string(), file(path, size_max)?),
    })
}

/// What a core module is to be used as.
///
/// # Errors
/// It is broken, or can't be made a component.
pub(super) fn from_module(plugin: &str, module: Vec<u8>) -> Result<(Form, Vec<u8>), LoadError> {
    let form = match module::is_program(&module) {
        Ok(true) => Ok((Form::Program, module)),
        Ok(false) => module::to_component(&module).map(|component| (Form::Component, component)),
        Err(reason) => Err(reason),
    };
    let refused = |reason: String| text::printable(&reason, REASON_MAX);
    form.map_err(|reason| LoadError::CoreModule { plugin: plugin.to_owned(), reason: refused(reason) })
}

fn bundled(name: &str) -> Result<Vec<u8>, LoadError> {
    match popgate_plugins::find(name) {
        Some(bundled) => Ok(bundled.wasm.to_vec()),
        None => Err(LoadError::UnknownBundled {
            name: name.into(),
            known: popgate_plugins::BUNDLED.iter().map(|bundled| bundled.name).collect(),
        }),
    }
}

fn file(path: &Path, size_max: u64) -> Result<Vec<u8>, LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: PathBuf::from(path), source };
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")));
    }
    let mut wasm = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(size_max.saturating_add(1)).read_to_end(&mut wasm).map_err(unreadable)?;
    if wasm.len() as u64 > size_max {
        return Err(LoadError::TooLarge { path: path.into(), max: size_max });
    }
    Ok(wasm)
}

/// Whether it is a core module, not a component.
///
/// # Errors
/// It is no WebAssembly.
pub(super) fn is_module(plugin: &str, wasm: &[u8]) -> Result<bool, LoadError> {
    let Some(version) = wasm.strip_prefix(MAGIC) else {
        return Err(LoadError::NotWasm { plugin: plugin.to_owned(), found: beginning(wasm) });
    };
    Ok(version.starts_with(CORE_MODULE))
}

/// What a file that is not WebAssembly seems to be.
fn beginning(octets: &[u8]) -> String {
    let start = &octets[..octets.len().min(8)];
    if octets.is_empty() {
        "nothing, the file is empty".into()
    } else if octets.starts_with(b"\x7fELF") {
        "`\\x7fELF`, as programs and precompiled plugins do; popgate compiles plugins itself".into()
    } else if octets.starts_with(b"(") {
        format!("`{}`; if it is the text format, it has to be made binary", start.escape_ascii())
    } else {
        format!("`{}`", start.escape_ascii())
    }
}
