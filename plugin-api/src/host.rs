//! The functions of the WIT, by whichever host there is.
//!
//! Both sides have the same names and signatures (those that the bindings generator gives), so the rest of the
//! crate is written once.

#[cfg(target_family = "wasm")]
pub(crate) use crate::component::host::{
    Message, Part, Replacement, Splice, data_names, data_read, data_size, findings, header_fields, log, part_infos,
    state_add, state_counters, state_get, state_put, state_remove,
};
#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::testing::host::{
    Message, Part, Replacement, Splice, data_names, data_read, data_size, findings, header_fields, log, part_infos,
};
#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::testing::state::{
    add as state_add, counters as state_counters, get as state_get, put as state_put, remove as state_remove,
};

/// The most octets that one call reads or writes.
pub(crate) const CHUNK: u32 = 65_536;

/// Octets of a part that are read at once: what an instance has written to is cleared behind it, so it writes to the same
/// few pages again and again.
pub(crate) const PIECE: u32 = 16_384;

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Level {
    Debug,
    Info,
    Warn,
}
