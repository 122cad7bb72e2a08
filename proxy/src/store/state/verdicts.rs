//! What is known already: verdicts that took long to find, kept for a day, so that nobody waits for the same again.
//!
//! ```text
//! get: memory -> database
//! put: memory, and a queue (bounded) -> a task -> one transaction for many
//! ```
//!
//! Nothing depends on it: whatever is lost here is found out anew. No message waits for long for it, and what the database
//! gives back is checked against its key, so that it is never the verdict on something else.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use sqlx::{AnyConnection, Row};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use super::database::{Aborted, Work};
use super::{Inner, State, now};

/// How long an entry lives, in seconds.
const LIFETIME: i64 = 24 * 60 * 60;

/// Octets of an entry, at most; what is larger is not kept.
const ENTRY_MAX: usize = 256 * 1024;

/// Octets of entries in memory.
const MEMORY: u64 = 8 * 1024 * 1024;

/// Octets that an entry takes besides its value.
const OVERHEAD: u64 = 128;

/// Entries that wait to be written, at most; later ones are lost.
const WAITING: usize = 256;

/// Entries that are written at a time, at most.
const BATCH: usize = 64;

/// How long the task waits for more before it writes.
const GATHER: Duration = Duration::from_millis(200);

/// How long a message waits for the database.
const PATIENCE: Duration = Duration::from_millis(500);

/// For how many seconds the database is left alone after it has failed.
const PAUSE: i64 = 5;

/// Octets of the digest in front of an entry.
const DIGEST: usize = 32;

/// Verdicts that are known. A clone is the same.
#[derive(Clone)]
pub struct Verdicts {
    inner: Arc<Inner>,
    memory: Arc<Cache<[u8; 32], Entry, Octets>>,
    queue: mpsc::Sender<([u8; 32], Entry)>,
    /// Until when the database is left alone, in seconds since 1970.
    away: Arc<AtomicI64>,
}

impl std::fmt::Debug for Verdicts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verdicts").field("in_memory", &self.memory.len()).finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Entry {
    value: Arc<[u8]>,
    expires: i64,
}

#[derive(Clone)]
struct Octets;

impl Weighter<[u8; 32], Entry> for Octets {
    fn weight(&self, _: &[u8; 32], entry: &Entry) -> u64 {
        entry.value.len() as u64 + OVERHEAD
    }
}

impl Verdicts {
    /// What is known in a state, as long as somebody asks for it. To be called where tasks may live on.
    #[must_use]
    pub fn start(state: &State) -> Self {
        let (queue, told) = mpsc::channel(WAITING);
        let items = usize::try_from(MEMORY / 1024).unwrap_or(usize::MAX);
        let verdicts = Self {
            inner: Arc::clone(&state.inner),
            memory: Arc::new(Cache::with_weighter(items, MEMORY, Octets)),
            queue,
            away: Arc::default(),
        };
        tokio::spawn(write(Arc::clone(&state.inner), Arc::clone(&verdicts.away), told));
        verdicts
    }

    /// What was put under this key within a day, as far as it is still there.
    pub async fn get(&self, key: &[u8; 32]) -> Option<Arc<[u8]>> {
        let now = now();
        if let Some(entry) = self.memory.get(key) {
            return (entry.expires > now).then_some(entry.value);
        }
        if self.away.load(Ordering::Relaxed) > now {
            return None;
        }
        match self.inner.database.read(PATIENCE, Look { key, now }).await {
            Ok(found) => {
                let entry = found?;
                let Some(value) = checked(key, &entry.value) else {
                    warn!("a verdict that was kept is not as it was written; it is found out anew");
                    return None;
                };
                let value: Arc<[u8]> = value.into();
                self.memory.insert(*key, Entry { value: Arc::clone(&value), expires: entry.expires });
                Some(value)
            }
            Err(error) => {
                warn!(%error, "verdicts that were kept can't be read for now");
                self.away.store(now + PAUSE, Ordering::Relaxed);
                None
            }
        }
    }

    /// Keeps this under a key, in the place of what is there. What is too large is not kept, nor what comes too fast.
    pub fn put(&self, key: [u8; 32], value: Vec<u8>) {
        if value.len() > ENTRY_MAX {
            debug!(octets = value.len(), "a verdict is too large to be kept");
            return;
        }
        let entry = Entry { value: value.into(), expires: now().saturating_add(LIFETIME) };
        self.memory.insert(key, entry.clone());
        if self.queue.try_send((key, entry)).is_err() {
            debug!("a verdict is kept in memory alone: too many wait");
        }
    }
}

/// What stands in the database for a value under a key: its digest and the value.
fn sealed(key: &[u8; 32], value: &[u8]) -> Vec<u8> {
    [&digest(key, value)[..], value].concat()
}

/// The value in what stands in the database; none if it is not what was written under this key.
fn checked<'a>(key: &[u8; 32], sealed: &'a [u8]) -> Option<&'a [u8]> {
    let (found, value) = sealed.split_at_checked(DIGEST)?;
    (found == digest(key, value)).then_some(value)
}

fn digest(key: &[u8; 32], value: &[u8]) -> [u8; DIGEST] {
    Sha256::new().chain_update(key).chain_update(value).finalize().into()
}

/// Writes what is told until nobody can tell more.
async fn write(inner: Arc<Inner>, away: Arc<AtomicI64>, mut told: mpsc::Receiver<([u8; 32], Entry)>) {
    let max = i64::try_from(inner.limits.verdict_cache).unwrap_or(i64::MAX);
    // What is there from before is not known.
    let mut written = max;
    let mut batch = Vec::new();
    while told.recv_many(&mut batch, BATCH).await > 0 {
        sleep(GATHER).await;
        while batch.len() < BATCH
            && let Ok(next) = told.try_recv()
        {
            batch.push(next);
        }
        written = batch.iter().fold(written, |sum, (_, entry)| sum.saturating_add(octets(entry)));
        let deadline = || Instant::now() + super::PATIENCE;
        let mut result = inner.database.transaction(deadline(), Insert(&batch)).await;
        // Between two looks an eighth more may come.
        if result.is_ok() && written > max / 8 {
            result = inner.database.transaction(deadline(), Trim { now: now(), max }).await;
            written = 0;
        }
        if let Err(error) = result {
            warn!(%error, "verdicts can't be kept for now");
            away.store(now() + PAUSE, Ordering::Relaxed);
        }
        batch.clear();
    }
}

fn octets(entry: &Entry) -> i64 {
    i64::try_from(entry.value.len() as u64 + OVERHEAD).unwrap_or(i64::MAX)
}

/// Looks for what is under a key.
struct Look<'a> {
    key: &'a [u8; 32],
    now: i64,
}

struct Sealed {
    value: Vec<u8>,
    expires: i64,
}

impl Work for Look<'_> {
    type Done = Option<Sealed>;

    async fn run(&self, connection: &mut AnyConnection) -> Result<Option<Sealed>, Aborted> {
        let row = sqlx::query("SELECT value, expires FROM verdict WHERE key = $1 AND expires > $2")
            .bind(self.key.to_vec())
            .bind(self.now)
            .fetch_optional(connection)
            .await?;
        Ok(row
            .map(|row| Ok::<_, sqlx::Error>(Sealed { value: row.try_get(0)?, expires: row.try_get(1)? }))
            .transpose()?)
    }
}

/// Writes entries.
struct Insert<'a>(&'a [([u8; 32], Entry)]);

impl Work for Insert<'_> {
    type Done = ();

    async fn run(&self, connection: &mut AnyConnection) -> Result<(), Aborted> {
        for (key, entry) in self.0 {
            sqlx::query(
                "INSERT INTO verdict (key, value, expires) VALUES ($1, $2, $3) \
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires",
            )
            .bind(key.to_vec())
            .bind(sealed(key, &entry.value))
            .bind(entry.expires)
            .execute(&mut *connection)
            .await?;
        }
        Ok(())
    }
}

/// Removes what is over, and the oldest of what is too much.
pub(super) struct Trim {
    /// Seconds since 1970.
    pub(super) now: i64,
    /// Octets that may stay.
    pub(super) max: i64,
}

impl Work for Trim {
    type Done = ();

    async fn run(&self, connection: &mut AnyConnection) -> Result<(), Aborted> {
        sqlx::query("DELETE FROM verdict WHERE expires <= $1").bind(self.now).execute(&mut *connection).await?;
        // One statement, since the oldest are found by adding up from the newest.
        sqlx::query(
            "DELETE FROM verdict WHERE key IN (SELECT key FROM \
             (SELECT key, SUM(LENGTH(value) + 128) OVER (ORDER BY expires DESC, key) AS octets FROM verdict) AS kept \
             WHERE octets > $1)",
        )
        .bind(self.max)
        .execute(connection)
        .await?;
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use popgate_config::Store;

    use super::*;

    async fn rows(state: &State) -> i64 {
        struct Count;
        impl Work for Count {
            type Done = i64;
            async fn run(&self, connection: &mut AnyConnection) -> Result<i64, Aborted> {
                Ok(sqlx::query("SELECT COUNT(*) FROM verdict").fetch_one(connection).await?.try_get(0)?)
            }
        }
        state.inner.database.read(super::super::PATIENCE, Count).await.unwrap()
    }

    async fn until_there_are(state: &State, wanted: i64) {
        while rows(state).await != wanted {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// What holds of kept verdicts, whichever database has them; there are none at first.
    pub(in crate::store::state) async fn keeps_its_promises(open: impl Fn() -> State) {
        let state = open();
        let verdicts = Verdicts::start(&state);
        assert_eq!(verdicts.get(&[1; 32]).await, None);
        verdicts.put([1; 32], b"one".to_vec());
        verdicts.put([2; 32], vec![0, 255, 7]);
        verdicts.put([3; 32], vec![0; ENTRY_MAX + 1]);
        assert_eq!(verdicts.get(&[1; 32]).await.as_deref(), Some(&b"one"[..]));
        until_there_are(&state, 2).await;
        // Another process finds them, too.
        let other = Verdicts::start(&open());
        assert_eq!(other.get(&[2; 32]).await.as_deref(), Some(&[0, 255, 7][..]));
        assert_eq!(other.get(&[3; 32]).await, None);
        verdicts.put([1; 32], b"another".to_vec());
        let begun = Instant::now();
        let fresh = loop {
            let fresh = Verdicts::start(&open()).get(&[1; 32]).await;
            if fresh.as_deref() != Some(b"one") || begun.elapsed() > Duration::from_secs(60) {
                break fresh;
            }
        };
        assert_eq!(fresh.as_deref(), Some(&b"another"[..]));
        // What somebody has written under another key is not taken for it, nor what was touched.
        for damage in ["UPDATE verdict SET key = $2 WHERE key = $1", "UPDATE verdict SET value = $1 WHERE key = $2"] {
            struct Damage(&'static str);
            impl Work for Damage {
                type Done = ();
                async fn run(&self, connection: &mut AnyConnection) -> Result<(), Aborted> {
                    sqlx::query(self.0).bind(vec![2; 32]).bind(vec![9; 32]).execute(connection).await?;
                    Ok(())
                }
            }
            let deadline = Instant::now() + super::super::PATIENCE;
            state.inner.database.transaction(deadline, Damage(damage)).await.unwrap();
            assert_eq!(rows(&state).await, 2);
            assert_eq!(Verdicts::start(&open()).get(&[9; 32]).await, None);
        }
        // What is over goes, and the rest within its bounds.
        let trim = async |now, max| {
            let deadline = Instant::now() + super::super::PATIENCE;
            state.inner.database.transaction(deadline, Trim { now, max }).await.unwrap();
            rows(&state).await
        };
        assert_eq!(trim(now(), 1_000).await, 2);
        assert_eq!(trim(now(), 300).await, 1);
        assert_eq!(trim(now() + LIFETIME + 60, 1_000).await, 0);
    }

    fn bounded(folder: &Path, verdict_cache: u64) -> State {
        State::new(&Store { verdict_cache, ..Store::default() }, folder).unwrap()
    }

    #[tokio::test]
    async fn verdicts_in_sqlite() {
        let folder = tempfile::tempdir().unwrap();
        keeps_its_promises(|| bounded(folder.path(), 1 << 20)).await;
    }

    #[tokio::test]
    async fn the_oldest_go_when_there_are_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let state = bounded(folder.path(), 10_000);
        let verdicts = Verdicts::start(&state);
        for n in 0..40 {
            verdicts.put([n; 32], vec![n; 1_000]);
        }
        until_there_are(&state, 8).await;
    }

    #[tokio::test]
    async fn nobody_waits_for_a_database_that_is_away() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("state.db")).unwrap();
        let verdicts = Verdicts::start(&bounded(folder.path(), 1 << 20));
        assert_eq!(verdicts.get(&[1; 32]).await, None);
        // It is not even asked.
        assert!(verdicts.away.load(Ordering::Relaxed) > now());
        verdicts.put([1; 32], b"one".to_vec());
        assert_eq!(verdicts.get(&[1; 32]).await.as_deref(), Some(&b"one"[..]));
    }
}
