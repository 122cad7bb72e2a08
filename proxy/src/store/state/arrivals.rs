//! Messages by the beginning of their hash, as people type it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::database::{Aborted, Work};
use super::{PATIENCE, State, StateError, now};

/// Digits that a beginning has, at least: fewer would soon be those of many messages.
const DIGITS_MIN: usize = 8;

/// Digits of a whole hash.
const DIGITS: usize = 64;

/// The beginning of a message's hash, or all of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HashStart {
    text: String,
    /// The first and the last hash that begin like that.
    range: [[u8; 32]; 2],
}

/// What is known of messages whose hash has a beginning.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Arrivals {
    /// Those of which filters have left tokens; two, if there are several.
    pub with_token: Vec<[u8; 32]>,
    /// If there is none: when the last one came, as far as the history knows.
    pub without: Option<SystemTime>,
}

impl HashStart {
    /// 8 to 64 hexadecimal digits; none if the text is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_hash = (DIGITS_MIN..=DIGITS).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_hexdigit());
        let filled = |digit: &str| {
            let digits = format!("{text}{}", digit.repeat(DIGITS - text.len()));
            let mut hash = [0; 32];
            for (octet, at) in hash.iter_mut().zip((0..).step_by(2)) {
                *octet = u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()?;
            }
            Some(hash)
        };
        if !is_hash {
            return None;
        }
        Some(Self { text: text.to_owned(), range: [filled("0")?, filled("f")?] })
    }

    /// The digits as they were typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl State {
    /// What is known of messages whose hash has this beginning.
    ///
    /// # Errors
    ///
    /// The database can't be read.
    pub async fn arrivals(&self, start: &HashStart) -> Result<Arrivals, StateError> {
        self.inner.database.read(5 * PATIENCE, LookUp { start, now: now() }).await
    }
}

struct LookUp<'a> {
    start: &'a HashStart,
    now: i64,
}

impl Work for LookUp<'_> {
    type Done = Arrivals;

    async fn run(&self, connection: &mut AnyConnection) -> Result<Arrivals, Aborted> {
        let [first, last] = self.start.range.map(|hash| hash.to_vec());
        let rows = sqlx::query(
            "SELECT DISTINCT message FROM learn_token WHERE message >= $1 AND message <= $2 AND expires > $3 LIMIT 2",
        )
        .bind(first.clone())
        .bind(last.clone())
        .bind(self.now)
        .fetch_all(&mut *connection)
        .await?;
        let hash = |row: &AnyRow| Ok(row.try_get::<Vec<u8>, _>(0)?.try_into().unwrap_or_default());
        let with_token = rows.iter().map(hash).collect::<Result<Vec<[u8; 32]>, sqlx::Error>>()?;
        if !with_token.is_empty() {
            return Ok(Arrivals { with_token, without: None });
        }
        // There is no index for it: it is asked for by people alone, and seldom.
        let row = sqlx::query("SELECT MAX(happened) FROM history WHERE hash >= $1 AND hash <= $2")
            .bind(first)
            .bind(last)
            .fetch_one(connection)
            .await?;
        let happened: Option<i64> = row.try_get(0)?;
        let without = happened.map(|when| UNIX_EPOCH + Duration::from_millis(when.unsigned_abs()));
        Ok(Arrivals { with_token, without })
    }
}

#[cfg(test)]
mod tests {
    use super::HashStart;

    #[test]
    fn a_beginning_has_8_to_64_digits() {
        for text in ["", "0123456", "0123456g", "0123 456", "\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}", &"0".repeat(65)] {
            assert_eq!(HashStart::parse(text), None, "{text}");
        }
        let [first, last] = HashStart::parse("0123abCDe").unwrap().range;
        assert_eq!(first[..6], [0x01, 0x23, 0xab, 0xcd, 0xe0, 0]);
        assert_eq!(last[..6], [0x01, 0x23, 0xab, 0xcd, 0xef, 0xff]);
        let [first, last] = HashStart::parse(&"7a".repeat(32)).unwrap().range;
        assert_eq!((first, last), ([0x7a; 32], [0x7a; 32]));
    }
}
