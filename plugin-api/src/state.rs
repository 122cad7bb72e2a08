//! What a filter remembers from one message to the next, where the configuration says `grant = { kv = true }`.
//!
//! Every filter has names of its own. What is written for a message takes effect together when the filter has returned a
//! verdict, and is discarded when it fails; reads do not see it. In `configure` there is no state.
//!
//! Each call crosses into the host once, whatever it asks for: a filter asks for all keys of a message together. What is
//! more than one call takes is split here into several.
//!
//! ```
//! use popgate_plugin::state::{self, Scope};
//! use popgate_plugin::testing;
//!
//! state::add(Scope::User, [("mails from bob@example.org", 1)]).unwrap();
//! testing::commit();
//! assert_eq!(state::counts(Scope::User, ["mails from bob@example.org", "others"]).unwrap(), [1, 0]);
//! ```

use std::time::Duration;

use crate::{Failure, host};

/// The most keys of one call.
const KEYS: usize = 4_096;

/// The most octets of keys and values of one call.
const OCTETS: usize = 1024 * 1024;

/// Whose state it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    /// The same for all users.
    Shared,
    /// That of the user whose message it is. Refused where no user is known.
    User,
}

/// A value under its key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// 1 to 256 octets.
    pub key: Vec<u8>,
    /// At most 65,536 octets.
    pub value: Vec<u8>,
    /// After how many seconds it is forgotten; none: never.
    pub lifetime: Option<u64>,
}

impl Entry {
    /// A value that is never forgotten.
    pub fn new(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self { key: key.into(), value: value.into(), lifetime: None }
    }

    /// The same, forgotten after a time; of less than a second, nothing counts.
    #[must_use]
    pub fn for_time(self, time: Duration) -> Self {
        Self { lifetime: Some(time.as_secs()), ..self }
    }
}

/// Why the state can't be read or written.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Problem {
    /// Not granted, no user, a bound or the quota exceeded.
    #[error("{0}")]
    Refused(String),
    /// The store is out of order.
    #[error("{0}")]
    Service(String),
}

/// Nothing that the message is to blame for, so that `on_error` decides.
impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Service(problem.to_string())
    }
}

/// The values under these keys, in their order; none where there is nothing.
///
/// # Errors
///
/// [`Problem`]; also when one call would hand over more than 1 MiB.
pub fn get<K: Into<Vec<u8>>>(scope: Scope, keys: impl IntoIterator<Item = K>) -> Result<Vec<Option<Vec<u8>>>, Problem> {
    let mut values = Vec::new();
    in_calls(keys.into_iter().map(Into::into), Vec::len, |keys| {
        values.extend(host::state_get(scope, keys)?);
        Ok(())
    })?;
    Ok(values)
}

/// The counters under these keys, in their order; 0 where there is nothing, or no counter.
///
/// # Errors
///
/// [`Problem`].
pub fn counts<K: Into<Vec<u8>>>(scope: Scope, keys: impl IntoIterator<Item = K>) -> Result<Vec<i64>, Problem> {
    Ok(get(scope, keys)?.into_iter().map(counter).collect())
}

/// The counter that a value is; 0 if it is none, or not there.
pub(crate) fn counter(value: Option<Vec<u8>>) -> i64 {
    value.and_then(|value| value.try_into().ok()).map_or(0, i64::from_le_bytes)
}

/// The counters under the keys that are these numbers' eight octets, little-endian; in their order, 0 where there is nothing, or
/// no counter. For what asks for hundreds of counters for a message: keys and values cross as one list of numbers each.
///
/// # Errors
///
/// [`Problem`].
pub fn counters(scope: Scope, keys: &[u64]) -> Result<Vec<i64>, Problem> {
    let mut counters = Vec::with_capacity(keys.len());
    for keys in keys.chunks(KEYS) {
        counters.append(&mut host::state_counters(scope, keys)?);
    }
    Ok(counters)
}

/// Puts values in place of those that are there.
///
/// # Errors
///
/// [`Problem`].
pub fn put(scope: Scope, entries: impl IntoIterator<Item = Entry>) -> Result<(), Problem> {
    let octets = |entry: &Entry| entry.key.len() + entry.value.len();
    in_calls(entries.into_iter(), octets, |entries| host::state_put(scope, entries))
}

/// Removes keys; those that are not there do no harm.
///
/// # Errors
///
/// [`Problem`].
pub fn remove<K: Into<Vec<u8>>>(scope: Scope, keys: impl IntoIterator<Item = K>) -> Result<(), Problem> {
    in_calls(keys.into_iter().map(Into::into), Vec::len, |keys| host::state_remove(scope, keys))
}

/// Adds to counters; what is not there counts from 0. No count is lost, whoever else counts at the same time.
///
/// # Errors
///
/// [`Problem`].
pub fn add<K: Into<Vec<u8>>>(scope: Scope, deltas: impl IntoIterator<Item = (K, i64)>) -> Result<(), Problem> {
    let deltas = deltas.into_iter().map(|(key, delta)| (key.into(), delta));
    in_calls(deltas, |(key, _)| key.len() + size_of::<i64>(), |deltas| host::state_add(scope, deltas))
}

/// Calls the host with as many items at a time as it takes.
fn in_calls<T>(
    items: impl Iterator<Item = T>,
    octets: impl Fn(&T) -> usize,
    mut call: impl FnMut(&[T]) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let (mut batch, mut sum) = (Vec::new(), 0);
    for item in items {
        let size = octets(&item);
        if !batch.is_empty() && (batch.len() == KEYS || sum + size > OCTETS) {
            call(&batch)?;
            batch.clear();
            sum = 0;
        }
        sum += size;
        batch.push(item);
    }
    if batch.is_empty() { Ok(()) } else { call(&batch) }
}
