//! Filters in WebAssembly: from a file and its settings to a [`Filter`](crate::filter::Filter).
//!
//! wasmtime lives in this module alone. The way of a filter:
//!
//! ```text
//! load:     source (octets, hash, pin) -> compiled (own cache, else the workshop) -> linked -> `configure`: a snapshot, or a check
//! message:  fresh instance, configured -> `filter` -> verdict, edits and findings from the host's own record
//! command:  fresh instance, the message as its input -> exit status -> verdict, its output as the edit
//! ```
//!
//! A core module is made into a component first, so there are two kinds: components that export the filter's
//! interface, and commands.
//!
//! A guest has nothing but what `plugin-api/wit` gives it: WASI 0.2 is linked, with no file, no socket, no
//! environment and no argument behind it. All checks (limits, bounds, what may be read) stand in `host` and `record`, one
//! layer for all API tracks; `v0_1` only translates between that layer and the generated bindings of its track.
//!
//! Deliberately absent: instances that see two messages, machine code that somebody else compiled, and any
//! trust in what a guest returns.

mod catalogue;
mod code;
mod command;
mod compiled;
mod component;
mod data;
mod engine;
mod error;
mod failure;
mod host;
mod inspect;
mod known;
mod limits;
mod log;
mod meter;
mod module;
mod pipe;
mod record;
mod remember;
mod runner;
mod sandbox;
mod source;
mod text;
mod ticker;
mod v0_1;
mod verdicts;
mod workshop;

#[cfg(test)]
mod tests;

pub use catalogue::{Catalogue, Configuring, Loaded};
pub use error::LoadError;
pub use inspect::{Inspection, Kind, inspect};
pub(crate) use text::{hex, printable};
pub(crate) use workshop::COMMAND as COMPILE_COMMAND;
pub use workshop::{Bounds, Compiler, Confinement, main as compile};
