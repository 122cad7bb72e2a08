//! The octets of a plugin: from the bundle or a file, checked before anything is done with them.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use popgate_config::{Filter, Plugin};
use sha2::{Digest, Sha256};

use super::error::LoadError;

/// Octets of a plugin file, at most.
const SIZE_MAX: u64 = 64 * 1024 * 1024;

/// The magic number of WebAssembly.
const MAGIC: &[u8] = b"\0asm";

/// What follows it in a core module: version 1, layer 0.
const CORE_MODULE: &[u8] = &[1, 0, 0, 0];

/// A component in WebAssembly's binary format, by its first octets.
#[derive(Debug)]
pub(super) struct Source {
    /// What the configuration calls it.
    pub(super) plugin: String,
    /// The component.
    pub(super) wasm: Vec<u8>,
    /// Its SHA-256.
    pub(super) sha256: [u8; 32],
}

impl Source {
    /// Reads the plugin of a filter.
    ///
    /// # Errors
    /// It can't be read, is not what was pinned, or no component.
    pub(super) fn read(filter: &Filter) -> Result<Self, LoadError> {
        let (plugin, wasm) = match &filter.plugin {
            Plugin::Bundled(name) => (name.clone(), bundled(name)?),
            Plugin::File(path) => (path.display().to_string(), file(path)?),
        };
        let sha256: [u8; 32] = Sha256::digest(&wasm).into();
        if let Some(expected) = filter.sha256.filter(|expected| *expected != sha256) {
            return Err(LoadError::Pin { plugin, expected, actual: sha256 });
        }
        check_kind(&plugin, &wasm)?;
        Ok(Self { plugin, wasm, sha256 })
    }
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

fn file(path: &Path) -> Result<Vec<u8>, LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: PathBuf::from(path), source };
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")));
    }
    let mut wasm = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(SIZE_MAX + 1).read_to_end(&mut wasm).map_err(unreadable)?;
    if wasm.len() as u64 > SIZE_MAX {
        return Err(LoadError::TooLarge { path: path.into(), max: SIZE_MAX });
    }
    Ok(wasm)
}

fn check_kind(plugin: &str, wasm: &[u8]) -> Result<(), LoadError> {
    let plugin = || plugin.to_owned();
    let Some(version) = wasm.strip_prefix(MAGIC) else {
        return Err(LoadError::NotWasm { plugin: plugin(), found: beginning(wasm) });
    };
    if version.starts_with(CORE_MODULE) {
        return Err(LoadError::CoreModule { plugin: plugin() });
    }
    Ok(())
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
