//! By what filters can learn messages that are gone: a token of each message, filter and user.
//!
//! No message waits for them: see [`super::writer`]. They live for 30 days. Of one user, and of one filter, there are as
//! many octets as of its keys and values; beyond, the oldest go. They count on their own, so that a flood of mail takes
//! no room from what was learned.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sqlx::{AnyConnection, AssertSqlSafe, Row};
use tokio::time::Instant;

use super::database::{Aborted, Work};
use super::writer::{Row as Later, Writer};
use super::{Inner, Owner, PATIENCE, State, StateError, now, sql};

/// How long a token lives, in seconds.
const LIFETIME: i64 = 30 * 24 * 60 * 60;

/// Octets that a token takes besides its own.
const OVERHEAD: usize = 192;

/// Tokens that one statement writes, at most.
const ROWS: usize = 16;

/// Columns of the table.
const COLUMNS: usize = 6;

/// Owners whose octets a task knows, at most.
const OWNERS: usize = 10_000;

/// A token that a filter has left of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LearnToken {
    /// The filter, and whose message it is.
    pub owner: Owner,
    /// The hash of the message.
    pub message: [u8; 32],
    /// What only the filter understands.
    pub token: Arc<[u8]>,
}

/// Takes tokens in. A clone is the same.
#[derive(Clone, Debug)]
pub struct LearnTokens(Writer<LearnToken>);

impl LearnTokens {
    /// Tokens are written into a state as long as somebody has it.
    #[must_use]
    pub fn start(state: &State) -> Self {
        Self(Writer::start(&state.inner))
    }

    /// Takes a token, in the place of the one of the same message and owner; waits for nothing.
    pub fn note(&self, token: LearnToken) {
        self.0.note(token);
    }

    /// Waits until what was taken is written, but not for long.
    pub async fn flush(&self) {
        self.0.flush().await;
    }
}

impl State {
    /// The token of a message; for all users, the latest that any of them has.
    ///
    /// # Errors
    ///
    /// The database can't be read.
    pub async fn learn_token(&self, owner: &Owner, message: &[u8; 32]) -> Result<Option<Vec<u8>>, StateError> {
        self.inner.database.read(PATIENCE, LookUp { owner, message, now: now() }).await
    }
}

impl Later for LearnToken {
    const WHAT: &'static str = "what messages can be learned by";
    const BATCH: usize = 64;
    const OCTETS: usize = 16 * 1024 * 1024;
    type Written = Written;

    fn octets(&self) -> usize {
        self.token.len() + OVERHEAD
    }

    async fn write(inner: &Inner, rows: &[Self], written: &mut Written, deadline: Instant) -> Result<(), StateError> {
        // The latest of each message and owner; in one order, so that no two nodes wait for each other.
        let latest: BTreeMap<_, &Self> = rows.iter().map(|row| ((row.message, &row.owner), row)).collect();
        let sorted: Vec<&Self> = latest.into_values().collect();
        inner.database.transaction(deadline, Insert { tokens: &sorted, expires: now() + LIFETIME }).await?;
        let bound = |limit: u64| i64::try_from(limit).unwrap_or(i64::MAX);
        let (of_user, of_filter) = (bound(inner.limits.kv_per_user), bound(inner.limits.kv_per_filter));
        for row in rows {
            let octets = i64::try_from(row.octets()).unwrap_or(i64::MAX);
            let LearnToken { owner: Owner { filter, user }, .. } = row;
            for (user, max) in [(Some(user), of_user), (None, of_filter)] {
                if user.is_some_and(String::is_empty) || !written.is_much(filter, user, octets, max) {
                    continue;
                }
                let trim = Trim { filter, user: user.map(String::as_str), max };
                inner.database.transaction(Instant::now() + PATIENCE, trim).await?;
                written.trimmed(filter, user);
            }
        }
        Ok(())
    }
}

/// Octets that were written of each user, and of each filter, since it was looked for what is too much.
#[derive(Debug, Default)]
pub(super) struct Written(HashMap<(String, Option<String>), i64>);

impl Written {
    /// Adds some. Whether it is time to look: between two looks an eighth more may come.
    fn is_much(&mut self, filter: &str, user: Option<&String>, octets: i64, max: i64) -> bool {
        if self.0.len() > OWNERS {
            self.0.clear();
        }
        // What is there from before is not known.
        let sum = self.0.entry((filter.to_owned(), user.cloned())).or_insert(max);
        *sum = sum.saturating_add(octets);
        *sum > max / 8
    }

    fn trimmed(&mut self, filter: &str, user: Option<&String>) {
        self.0.insert((filter.to_owned(), user.cloned()), 0);
    }
}

struct LookUp<'a> {
    owner: &'a Owner,
    message: &'a [u8; 32],
    now: i64,
}

impl Work for LookUp<'_> {
    type Done = Option<Vec<u8>>;

    async fn run(&self, connection: &mut AnyConnection) -> Result<Option<Vec<u8>>, Aborted> {
        let row = sqlx::query(
            "SELECT token FROM learn_token WHERE message = $1 AND filter = $2 AND (owner = $3 OR $4 = 1) AND expires > $5 \
             ORDER BY expires DESC LIMIT 1",
        )
        .bind(self.message.to_vec())
        .bind(&*self.owner.filter)
        .bind(&*self.owner.user)
        .bind(i64::from(self.owner.user.is_empty()))
        .bind(self.now)
        .fetch_optional(connection)
        .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }
}

struct Insert<'a> {
    tokens: &'a [&'a LearnToken],
    expires: i64,
}

impl Work for Insert<'_> {
    type Done = ();

    async fn run(&self, connection: &mut AnyConnection) -> Result<(), Aborted> {
        for tokens in self.tokens.chunks(ROWS) {
            let text = insertion(connection, tokens.len());
            let mut insert = sqlx::query(AssertSqlSafe(text));
            for left in tokens {
                insert = insert
                    .bind(left.message.to_vec())
                    .bind(&*left.owner.filter)
                    .bind(&*left.owner.user)
                    .bind(left.token.to_vec())
                    .bind(i64::try_from(left.octets()).unwrap_or(i64::MAX))
                    .bind(self.expires);
            }
            insert.execute(&mut *connection).await?;
        }
        Ok(())
    }
}

/// The statement for so many rows, no two of them of the same message and owner.
fn insertion(connection: &AnyConnection, rows: usize) -> String {
    format!(
        "INSERT INTO learn_token (message, filter, owner, token, octets, expires) VALUES {} \
         ON CONFLICT (message, filter, owner) DO UPDATE \
         SET token = excluded.token, octets = excluded.octets, expires = excluded.expires",
        sql::rows(connection, rows, COLUMNS)
    )
}

/// Removes the oldest of what is too much, of a user or of a filter.
struct Trim<'a> {
    filter: &'a str,
    user: Option<&'a str>,
    /// Octets that may stay.
    max: i64,
}

impl Work for Trim<'_> {
    type Done = ();

    async fn run(&self, connection: &mut AnyConnection) -> Result<(), Aborted> {
        // The oldest are found by adding up from the newest.
        let trim = sqlx::query(
            "DELETE FROM learn_token WHERE filter = $1 AND (owner = $2 OR $3 = 1) AND (message, owner) IN \
             (SELECT message, owner FROM (SELECT message, owner, \
             CAST(SUM(octets) OVER (ORDER BY expires DESC, message, owner) AS BIGINT) AS kept FROM learn_token \
             WHERE filter = $1 AND (owner = $2 OR $3 = 1)) AS summed WHERE kept > $4)",
        );
        let trim = trim.bind(self.filter).bind(self.user.unwrap_or_default()).bind(i64::from(self.user.is_none()));
        trim.bind(self.max).execute(connection).await?;
        Ok(())
    }
}

/// Removes what is over.
pub(super) struct Forget {
    /// Seconds since 1970.
    pub(super) now: i64,
}

impl Work for Forget {
    type Done = ();

    async fn run(&self, connection: &mut AnyConnection) -> Result<(), Aborted> {
        sqlx::query("DELETE FROM learn_token WHERE expires <= $1").bind(self.now).execute(connection).await?;
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests;
