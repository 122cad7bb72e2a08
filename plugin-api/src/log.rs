//! Lines for the operator's log.
//!
//! A line has at most 1,024 octets, the lines of one message 64 KiB in sum; what is above is dropped. A log is read by
//! strangers to the mail: no text of messages, no secrets.

use crate::host::{Level, log};

/// Writes a line that only somebody who searches for a fault wants to see.
pub fn debug(line: impl AsRef<str>) {
    log(Level::Debug, line.as_ref());
}

/// Writes a line about what the filter did.
pub fn info(line: impl AsRef<str>) {
    log(Level::Info, line.as_ref());
}

/// Writes a line that asks the operator to act.
pub fn warn(line: impl AsRef<str>) {
    log(Level::Warn, line.as_ref());
}
