//! What became of messages: who, when, what and why, and no text of any of them.
//!
//! No message waits for this: see [`super::writer`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};
use tokio::time::Instant;

use super::database::{Aborted, Work};
use super::writer::{Row as Later, Writer};
use super::{Inner, PATIENCE, State, StateError, sql};
use crate::store::Identity;

/// Judgements that are written at a time, at most.
const BATCH: usize = 256;

/// Judgements that one statement writes, at most. Each has a parameter for each column, and SQLite takes 32,766 of them.
const ROWS: usize = 16;

/// Columns of the table.
const COLUMNS: usize = 11;

/// Characters of a text that are kept.
const TEXT_MAX: usize = 500;

/// What became of a message once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Judgement {
    /// When, to the millisecond.
    pub when: SystemTime,
    /// Whose message.
    pub identity: Identity,
    /// In a word: `pass`, `change`, `hold`, `retry`.
    pub verdict: String,
    /// Who decided; empty if nobody in particular.
    pub filter: String,
    /// Why, in one line for people.
    pub reason: String,
    /// The message's unique id; empty if it is not known.
    pub uidl: String,
    /// Octets of the message as it came.
    pub octets: u64,
    /// The hash of its octets.
    pub sha256: [u8; 32],
    /// Its subject; empty if that is not to be kept.
    pub subject: String,
}

/// Which judgements are wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Of this login name; none: of all.
    pub user: Option<String>,
    /// Not before this time.
    pub since: SystemTime,
    /// The latest so many.
    pub count: u32,
}

/// Takes judgements in. A clone is the same.
#[derive(Clone, Debug)]
pub struct History(Writer<Judgement>);

impl History {
    /// A history that is written into a state as long as somebody has it.
    #[must_use]
    pub fn start(state: &State) -> Self {
        Self(Writer::start(&state.inner))
    }

    /// Notes a judgement; waits for nothing.
    pub fn note(&self, judged: Judgement) {
        self.0.note(judged);
    }

    /// Waits until what was noted is written, but not for long.
    pub async fn flush(&self) {
        self.0.flush().await;
    }
}

impl Later for Judgement {
    const WHAT: &'static str = "what became of messages";
    const BATCH: usize = BATCH;
    // Their number bounds them.
    const OCTETS: usize = usize::MAX;
    type Written = ();

    fn octets(&self) -> usize {
        0
    }

    async fn write(inner: &Inner, rows: &[Self], _: &mut (), deadline: Instant) -> Result<(), StateError> {
        inner.database.transaction(deadline, Insert(rows)).await
    }
}

impl State {
    /// The latest judgements that are wanted, the oldest first.
    ///
    /// # Errors
    ///
    /// The database can't be read.
    pub async fn history(&self, wanted: &Wanted) -> Result<Vec<Judgement>, StateError> {
        let mut judged = self.inner.database.read(5 * PATIENCE, Read(wanted)).await?;
        judged.reverse();
        Ok(judged)
    }
}

/// Writes judgements.
struct Insert<'a>(&'a [Judgement]);

impl Work for Insert<'_> {
    type Done = ();

    async fn run(&self, connection: &mut AnyConnection) -> Result<(), Aborted> {
        for judged in self.0.chunks(ROWS) {
            let text = insertion(connection, judged.len());
            let mut insert = sqlx::query(AssertSqlSafe(text));
            for judged in judged {
                let user = judged.identity.user.as_deref();
                insert = insert
                    .bind(milliseconds(judged.when))
                    .bind(storable(&judged.identity.upstream))
                    .bind(i64::from(user.is_some()))
                    .bind(storable(user.unwrap_or_default()))
                    .bind(storable(&judged.verdict))
                    .bind(storable(&judged.filter))
                    .bind(storable(&judged.reason))
                    .bind(storable(&judged.uidl))
                    .bind(i64::try_from(judged.octets).unwrap_or(i64::MAX))
                    .bind(judged.sha256.to_vec())
                    .bind(storable(&judged.subject));
            }
            insert.execute(&mut *connection).await?;
        }
        Ok(())
    }
}

/// The statement for so many rows.
fn insertion(connection: &AnyConnection, rows: usize) -> String {
    format!(
        "INSERT INTO history (happened, upstream, is_known, login, verdict, filter, reason, uidl, octets, hash, subject) \
         VALUES {}",
        sql::rows(connection, rows, COLUMNS)
    )
}

/// Reads judgements, the latest first.
struct Read<'a>(&'a Wanted);

impl Work for Read<'_> {
    type Done = Vec<Judgement>;

    async fn run(&self, connection: &mut AnyConnection) -> Result<Vec<Judgement>, Aborted> {
        let Wanted { user, since, count } = self.0;
        let user_is_wanted = i64::from(user.is_some());
        let rows = sqlx::query(
            "SELECT happened, upstream, is_known, login, verdict, filter, reason, uidl, octets, hash, subject FROM history \
             WHERE happened >= $1 AND (login = $2 OR $3 = 0) ORDER BY happened DESC LIMIT $4",
        )
        .bind(milliseconds(*since))
        .bind(storable(user.as_deref().unwrap_or_default()))
        .bind(user_is_wanted)
        .bind(i64::from(*count))
        .fetch_all(connection)
        .await?;
        Ok(rows.iter().map(judgement).collect::<Result<_, _>>()?)
    }
}

fn judgement(row: &AnyRow) -> Result<Judgement, sqlx::Error> {
    let is_known: i64 = row.try_get(2)?;
    let user: String = row.try_get(3)?;
    let happened: i64 = row.try_get(0)?;
    let octets: i64 = row.try_get(8)?;
    let hash: Vec<u8> = row.try_get(9)?;
    Ok(Judgement {
        when: UNIX_EPOCH + Duration::from_millis(happened.unsigned_abs()),
        identity: Identity { upstream: row.try_get(1)?, user: (is_known != 0).then_some(user) },
        verdict: row.try_get(4)?,
        filter: row.try_get(5)?,
        reason: row.try_get(6)?,
        uidl: row.try_get(7)?,
        octets: octets.unsigned_abs(),
        sha256: hash.try_into().unwrap_or_default(),
        subject: row.try_get(10)?,
    })
}

/// Removes what is over.
pub(super) struct Forget {
    /// What happened before is over.
    pub(super) before: SystemTime,
}

impl Work for Forget {
    type Done = u64;

    async fn run(&self, connection: &mut AnyConnection) -> Result<u64, Aborted> {
        let forget = sqlx::query("DELETE FROM history WHERE happened < $1").bind(milliseconds(self.before));
        Ok(forget.execute(connection).await?.rows_affected())
    }
}

fn milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A text as databases take it, which know no NUL, cut to a length.
fn storable(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(TEXT_MAX).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::writer::WAITING;
    use super::*;

    fn judged(user: Option<&str>, millisecond: u64) -> Judgement {
        Judgement {
            when: UNIX_EPOCH + Duration::from_millis(1_800_000_000_000 + millisecond),
            identity: Identity { upstream: "u".into(), user: user.map(str::to_owned) },
            verdict: "hold".into(),
            filter: "virus".into(),
            reason: "it's \"bad\"; DROP TABLE history; \u{fc}".into(),
            uidl: "1".into(),
            octets: u64::from(u32::MAX) + 1,
            sha256: [7; 32],
            subject: String::new(),
        }
    }

    fn wanted(user: Option<&str>, since: u64, count: u32) -> Wanted {
        let since = UNIX_EPOCH + Duration::from_millis(1_800_000_000_000 + since);
        Wanted { user: user.map(str::to_owned), since, count }
    }

    /// What holds of a history, whichever database has it.
    pub(in crate::store::state) async fn keeps_its_promises(state: &State) {
        let history = History::start(state);
        for (user, when) in [(Some("alice"), 1), (Some("bob"), 2), (None, 3), (Some("alice"), 4), (Some(""), 5)] {
            history.note(judged(user, when));
        }
        history.note(Judgement { reason: format!("a\0b{}", "x".repeat(2_000)), ..judged(Some("zoe"), 6) });
        history.flush().await;
        let all = state.history(&wanted(None, 0, 100)).await.unwrap();
        assert_eq!(all.len(), 6);
        assert_eq!(all[..3], [judged(Some("alice"), 1), judged(Some("bob"), 2), judged(None, 3)]);
        assert_eq!(all[4].identity.user.as_deref(), Some(""));
        assert!(all[5].reason.starts_with("abx") && all[5].reason.len() == TEXT_MAX);
        let alice = [judged(Some("alice"), 1), judged(Some("alice"), 4)];
        assert_eq!(state.history(&wanted(Some("alice"), 0, 100)).await.unwrap(), alice);
        assert_eq!(state.history(&wanted(Some("alice"), 2, 100)).await.unwrap(), alice[1..]);
        assert_eq!(state.history(&wanted(None, 0, 2)).await.unwrap(), all[4..]);
        let before = UNIX_EPOCH + Duration::from_millis(1_800_000_000_004);
        let forget = state.inner.database.transaction(Instant::now() + PATIENCE, Forget { before }).await;
        assert_eq!(forget.unwrap(), 3);
        assert_eq!(state.history(&wanted(None, 0, 100)).await.unwrap(), all[3..]);
        // Many at a time.
        for n in 0..1_000 {
            history.note(judged(Some("many"), 100 + n));
        }
        history.flush().await;
        assert_eq!(state.history(&wanted(Some("many"), 0, 2_000)).await.unwrap().len(), 1_000);
    }

    #[tokio::test]
    async fn a_history_in_sqlite() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(&popgate_config::Store::default(), folder.path()).unwrap();
        keeps_its_promises(&state).await;
    }

    #[tokio::test]
    async fn nobody_waits_for_a_database_that_is_away() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("state.db")).unwrap();
        let state = State::new(&popgate_config::Store::default(), folder.path()).unwrap();
        let history = History::start(&state);
        let begun = Instant::now();
        for n in 0..2 * WAITING as u64 {
            history.note(judged(None, n));
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        assert!(state.history(&wanted(None, 0, 1)).await.is_err());
    }
}
