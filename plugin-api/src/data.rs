//! The data files that the configuration gives the filter.
//!
//! With `data = { signatures = "virus.sha256" }` in the configuration, the file is read as `signatures`. Files
//! can be read in `configure`: they are read once then, not once for each message.

use crate::{Reader, TooLarge, host};

/// The names that the configuration has, in alphabetical order: a filter can refuse those that it does not read.
#[must_use]
pub fn names() -> Vec<String> {
    host::data_names()
}

/// The size in octets of the file of this name; none if the configuration names no such file.
#[must_use]
pub fn size(name: &str) -> Option<u64> {
    host::data_size(name)
}

/// Reads the file of this name as a stream; none if the configuration names no such file.
#[must_use]
pub fn open(name: &str) -> Option<Reader<'static>> {
    host::data_size(name)?;
    let name = name.to_owned();
    let mut offset = 0;
    Some(Reader::new(move || {
        let chunk = host::data_read(&name, offset, host::CHUNK);
        offset += chunk.len() as u64;
        chunk
    }))
}

/// Reads the whole file of this name; none if the configuration names no such file.
///
/// # Errors
///
/// [`TooLarge`] if it is longer than `limit` octets.
pub fn read_all(name: &str, limit: usize) -> Result<Option<Vec<u8>>, TooLarge> {
    match open(name) {
        Some(file) => file.collect(limit, &format!("the data file `{name}`")).map(Some),
        None => Ok(None),
    }
}
