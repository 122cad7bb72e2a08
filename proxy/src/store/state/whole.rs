//! All that a scope has, in memory. A classifier asks for hundreds of counters for each message, most of which are not there: in a
//! database each is a search, here it is a look into a table.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::{AnyConnection, Row};

use super::database::{Aborted, Work};
use super::sql::{self, Found};
use super::{NEVER, count};

/// Values of a key's first octet that are read at once.
const RANGE: usize = 16;

/// Octets that a counter takes, about.
const COUNTER: u64 = 32;

/// Octets that any other entry takes besides its key and value.
const OTHER: u64 = 96;

/// A value, and when it expires.
type Kept = (Arc<[u8]>, i64);

/// The entries of a scope. Counters are most of them as a rule: a key of eight octets, a value of eight that does not expire.
#[derive(Debug, Default)]
pub(super) struct Whole {
    counters: HashMap<[u8; 8], [u8; 8]>,
    others: HashMap<Box<[u8]>, Kept>,
    /// Octets that the others take.
    octets: u64,
}

impl Whole {
    /// What is under a key.
    pub(super) fn get(&self, key: &[u8]) -> Found {
        if let Ok(key) = <&[u8; 8]>::try_from(key)
            && let Some(value) = self.counters.get(key)
        {
            return Some((Arc::from(&value[..]), NEVER));
        }
        self.others.get(key).cloned()
    }

    /// The value under a key, at a time.
    pub(super) fn value(&self, key: &[u8], now: i64) -> Option<Vec<u8>> {
        if let Ok(key) = <&[u8; 8]>::try_from(key)
            && let Some(value) = self.counters.get(key)
        {
            return Some(value.to_vec());
        }
        self.other(key, now).map(<[u8]>::to_vec)
    }

    fn other(&self, key: &[u8], now: i64) -> Option<&[u8]> {
        self.others.get(key).filter(|(_, expires)| *expires > now).map(|(value, _)| &**value)
    }

    /// The counter under a key, at a time; 0 if there is none.
    pub(super) fn counter(&self, key: [u8; 8], now: i64) -> i64 {
        match self.counters.get(&key) {
            Some(value) => i64::from_le_bytes(*value),
            None => self.other(&key, now).map_or(0, count),
        }
    }

    /// What is under a key from now on.
    pub(super) fn set(&mut self, key: &[u8], found: Found) {
        if let Some((value, _)) = self.others.remove(key) {
            self.octets -= size(key, &value);
        }
        let counter = <[u8; 8]>::try_from(key);
        match (counter, found) {
            (Ok(key), Some((value, NEVER))) if value.len() == 8 => {
                // It has eight octets.
                self.counters.insert(key, (*value).try_into().unwrap_or_default());
            }
            (counter, found) => {
                if let Ok(key) = counter {
                    self.counters.remove(&key);
                }
                if let Some((value, expires)) = found {
                    self.octets += size(key, &value);
                    self.others.insert(key.into(), (value, expires));
                }
            }
        }
    }

    /// Octets of memory, about.
    pub(super) fn octets(&self) -> u64 {
        self.counters.len() as u64 * COUNTER + self.octets
    }

    /// Octets of memory that a scope of so many octets in the database may take.
    pub(super) fn estimate(octets: i64) -> u64 {
        octets.unsigned_abs() * 2 / 3
    }
}

fn size(key: &[u8], value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64 + OTHER
}

/// Reads all of a scope, and the generation that it has; none if somebody has written meanwhile.
pub(super) struct ReadWhole {
    pub(super) row: i64,
}

impl Work for ReadWhole {
    type Done = Option<(i64, Whole)>;

    async fn run(&self, connection: &mut AnyConnection) -> Result<Self::Done, Aborted> {
        let before = sql::generation(connection, self.row).await?;
        let mut whole = Whole::default();
        for first in (0..=255).step_by(RANGE) {
            let digits = sql::counters(connection, self.row, first, first.checked_add(RANGE as u8)).await?;
            for digits in digits.as_bytes().chunks_exact(32) {
                let (key, value) = digits.split_at(16);
                let (Some(key), Some(value)) = (octets(key), octets(value)) else {
                    return Err(sqlx::Error::Protocol("no hexadecimal digits".into()).into());
                };
                whole.counters.insert(key, value);
            }
        }
        for row in sql::others(connection, self.row).await? {
            let (key, value): (Vec<u8>, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
            whole.set(&key, Some((value.into(), row.try_get(2)?)));
        }
        let after = sql::generation(connection, self.row).await?;
        Ok(before.filter(|before| Some(*before) == after).map(|generation| (generation, whole)))
    }
}

/// The octets for which 16 digits stand.
fn octets(digits: &[u8]) -> Option<[u8; 8]> {
    let digit = |octet: u8| char::from(octet).to_digit(16);
    let mut octets = [0; 8];
    for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
        *octet = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_one_place_whatever_it_was_before() {
        let counter = |number: i64| Some((Arc::from(number.to_le_bytes()), NEVER));
        let value = |text: &str| Some((Arc::from(text.as_bytes()), 5));
        let mut whole = Whole::default();
        for (key, found) in [
            (&b"12345678"[..], counter(7)),
            (b"12345678", value("text")),
            (b"12345678", counter(8)),
            (b"short", counter(9)),
            (b"12345678", None),
            (b"short", value("")),
            (b"short", None),
        ] {
            whole.set(key, found.clone());
            assert_eq!(whole.get(key), found);
        }
        assert_eq!(whole.octets(), 0);
        assert_eq!(octets(b"00ffA0b112345678"), Some([0, 255, 0xa0, 0xb1, 0x12, 0x34, 0x56, 0x78]));
        assert_eq!(octets(b"00ffA0b11234567g"), None);
    }
}
