//! What plugins can import, by name: the list that the linkers of the engine stand behind.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
use wasmparser::{Parser, Payload};
use wit_parser::Resolve;

/// The interfaces of WASI 0.2 that are linked. Which version of 0.2 does not matter.
const WASI: [&str; 27] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// The interfaces of popgate itself, with their functions: the text that guests are built against.
static OWN: LazyLock<Vec<(String, BTreeSet<String>)>> = LazyLock::new(own);

/// An interface that plugins can import.
pub(super) enum Known {
    /// One of WASI's.
    Wasi,
    /// One of popgate's own, with the names of its functions.
    Own(&'static BTreeSet<String>),
}

impl Known {
    /// The interface of this name, as in `wasi:io/streams@0.2.6`.
    pub(super) fn interface(import: &str) -> Option<Self> {
        let (name, version) = import.split_once('@')?;
        if version.starts_with("0.2.") && WASI.contains(&name) {
            return Some(Self::Wasi);
        }
        if !version.starts_with("0.1.") {
            return None;
        }
        OWN.iter().find(|(own, _)| own == name).map(|(_, functions)| Self::Own(functions))
    }

    /// The functions of WASI 0.1: those that its adapter has.
    ///
    /// # Errors
    /// The adapter that popgate brings along can't be read.
    pub(super) fn of_programs() -> Result<Vec<&'static str>, &'static str> {
        let mut names = Vec::new();
        for payload in Parser::new(0).parse_all(WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER) {
            if let Payload::ExportSection(exports) = payload.map_err(|_| "the adapter of WASI 0.1 is broken")? {
                names.extend(exports.into_iter().flatten().map(|export| export.name));
            }
        }
        Ok(names)
    }
}

fn own() -> Vec<(String, BTreeSet<String>)> {
    let mut resolve = Resolve::default();
    let mut interfaces = Vec::new();
    for (path, text) in popgate_plugins::projects::WIT {
        // The bindings of popgate itself are made of the same text, so it can be read.
        if resolve.push_str(path, &String::from_utf8_lossy(text)).is_err() {
            tracing::error!(path, "popgate's own interface can't be read");
        }
    }
    for (_, interface) in &resolve.interfaces {
        let Some(package) = interface.package else { continue };
        let package = &resolve.packages[package].name;
        let Some(name) = &interface.name else { continue };
        let functions = interface.functions.keys().cloned().collect();
        interfaces.push((format!("{}:{}/{name}", package.namespace, package.name), functions));
    }
    interfaces
}
