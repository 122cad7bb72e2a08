//! What filters remember from one message to the next: values under keys, each filter's and each user's apart. Beside it, in
//! the same database, what became of messages, and by what filters can learn those that are gone.
//!
//! ```text
//! get:    the whole scope in memory, if it is small enough and asked for much; else cache (bounded) -> database
//! commit: one transaction for all who wait: lock the scopes in their order -> read what is there -> write what becomes of it -> quotas
//! ```
//!
//! A scope is what one filter keeps of one user, or of all. Its row in the database is locked by whoever writes, and its
//! generation counts the commits, so that what other processes have written is noticed. SQLite and PostgreSQL have one code
//! path: plain SQL, and nothing that only one of them knows.
//!
//! Whatever the database does, nothing here waits for longer than it is told to.

mod arrivals;
mod cache;
mod commit;
mod database;
mod history;
mod learned;
mod queue;
mod sql;
mod tokens;
mod verdicts;
mod whole;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use popgate_config::Store;
use sqlx::AnyConnection;
use tokio::time::Instant;

use super::Identity;
use cache::{Cache, Seen};
use database::{Aborted, Database, Work};
use queue::Queue;
use sql::{Entry, Found, ScopeRow};
use whole::ReadWhole;

pub use arrivals::{Arrivals, HashStart};
pub use commit::{Changes, Write};
pub use history::{History, Judgement, Wanted};
pub use learned::{Label, Lesson};
pub use tokens::{LearnToken, LearnTokens};
pub use verdicts::Verdicts;

/// How long one access to the database may take at most.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// How much longer a commit that has begun is waited for.
const BEGUN: Duration = Duration::from_millis(500);

/// How long reading all of a scope may take.
const LOADING: Duration = Duration::from_secs(20);

/// How often it is looked for what is over.
const SWEEP: Duration = Duration::from_mins(10);

/// When an entry without a lifetime is forgotten.
const NEVER: i64 = i64::MAX;

/// Whose state it is.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Owner {
    filter: String,
    /// The key of the user; empty for all users.
    user: String,
}

impl Owner {
    /// What a filter, by its configured name, keeps for all users.
    #[must_use]
    pub fn shared(filter: &str) -> Self {
        Self { filter: filter.to_owned(), user: String::new() }
    }

    /// What a filter keeps of one user; none where no user is known.
    #[must_use]
    pub fn user(filter: &str, identity: &Identity) -> Option<Self> {
        identity.user.as_ref()?;
        Some(Self { filter: filter.to_owned(), user: identity.key() })
    }
}

/// Why the state can't be read or written. The texts are for operators and for filters; no text has a password or a value.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StateError {
    /// There is no more room for this filter, or for this user.
    #[error("{whose} has {octets} octets, which is all that `{key}` allows")]
    Full {
        /// Whose state it is, in words.
        whose: &'static str,
        /// Octets that it would have.
        octets: u64,
        /// The setting.
        key: &'static str,
    },
    /// A message was learned, or forgotten, by somebody else at the same time.
    #[error("the message was learned by somebody else at the same time")]
    Raced,
    /// The database did not answer in time.
    #[error("the database did not answer within {0:?}")]
    Late(Duration),
    /// The database can't be used.
    #[error("the database: {0}")]
    Database(String),
}

/// What all filters remember. A clone is the same.
#[derive(Clone, Debug)]
pub struct State {
    inner: Arc<Inner>,
    /// Whether commits have an effect.
    writes: bool,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    cache: Cache,
    queue: Queue,
    limits: Store,
}

impl State {
    /// The state that the configuration names. Connects to nothing yet.
    ///
    /// # Errors
    ///
    /// The password can't be read, or the URL can't be understood.
    pub fn new(store: &Store, state_dir: &Path) -> Result<Self, StateError> {
        Ok(Self::with(Database::new(&store.database, state_dir)?, store.clone()))
    }

    /// A state in memory, that is gone when it is dropped.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn in_memory() -> Result<Self, StateError> {
        Ok(Self::with(Database::in_memory()?, Store::default()))
    }

    fn with(database: Database, limits: Store) -> Self {
        let cache = Cache::new(limits.kv_cache);
        Self { inner: Arc::new(Inner { database, cache, queue: Queue::default(), limits }), writes: true }
    }

    /// The same without effect: what is committed is discarded.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self { writes: false, ..self }
    }

    /// Connects, and makes the tables if need be.
    ///
    /// # Errors
    ///
    /// What is wrong with the database.
    pub async fn check(&self) -> Result<(), StateError> {
        self.inner.database.check(5 * PATIENCE).await
    }

    /// The values under these keys, in their order.
    ///
    /// What other processes have written within the last second may be missing.
    ///
    /// # Errors
    ///
    /// The database can't be read within `patience`.
    pub async fn get(
        &self,
        owner: &Owner,
        keys: &[Vec<u8>],
        patience: Duration,
    ) -> Result<Vec<Option<Vec<u8>>>, StateError> {
        let inner = &self.inner;
        let (scope, seen) = self.seen(owner, patience).await?;
        let now = now();
        if let Some(values) = scope.all(&seen, keys, now) {
            return Ok(values);
        }
        let mut found = inner.cache.all(&seen, keys);
        let missing: Vec<usize> = (0..keys.len()).filter(|at| found[*at].is_none()).collect();
        if !missing.is_empty() {
            let wanted: Vec<&[u8]> = missing.iter().map(|at| &*keys[*at]).collect();
            let there: HashMap<Vec<u8>, Found> = match seen.row {
                // Where there is no scope there are no keys.
                None => HashMap::new(),
                Some(row) => {
                    let entries = inner.database.read(patience, ReadEntries { row, keys: &wanted }).await?;
                    entries
                        .into_iter()
                        .map(|entry| (entry.key, Some((Arc::from(entry.value), entry.expires))))
                        .collect()
                }
            };
            let read: Vec<(&[u8], Found)> =
                wanted.iter().map(|key| (*key, there.get(*key).cloned().flatten())).collect();
            for (at, (_, value)) in missing.iter().zip(&read) {
                found[*at] = Some(value.clone());
            }
            scope.keep(&inner.cache, &seen, read);
            if let Some(row) = scope.to_load(&inner.cache) {
                // Nobody waits for it: until it is there, entries are looked for one by one.
                let inner = Arc::clone(inner);
                tokio::spawn(async move { inner.load(&scope, row).await });
            }
        }
        let value = |found: Option<Found>| {
            found.flatten().filter(|(_, expires)| *expires > now).map(|(value, _)| value.to_vec())
        };
        Ok(found.into_iter().map(value).collect())
    }

    /// The counters under the keys that are these numbers' eight octets, little-endian; 0 where there is none.
    ///
    /// # Errors
    ///
    /// Those of [`Self::get`].
    pub async fn counters(&self, owner: &Owner, keys: &[u64], patience: Duration) -> Result<Vec<i64>, StateError> {
        let (scope, seen) = self.seen(owner, patience).await?;
        if let Some(counters) = scope.counters(&seen, keys, now()) {
            return Ok(counters);
        }
        let keys: Vec<Vec<u8>> = keys.iter().map(|key| key.to_le_bytes().to_vec()).collect();
        let values = self.get(owner, &keys, patience).await?;
        Ok(values.into_iter().map(|value| value.map_or(0, |value| count(&value))).collect())
    }

    /// The number of a scope and its generation, which changes with each commit; none if nothing was ever committed.
    ///
    /// What other processes have written within the last second may be missing.
    ///
    /// # Errors
    ///
    /// The database can't be read within `patience`.
    pub async fn generation(&self, owner: &Owner, patience: Duration) -> Result<Option<(i64, i64)>, StateError> {
        Ok(self.seen(owner, patience).await?.1.number())
    }

    /// A scope as it was lately.
    async fn seen(&self, owner: &Owner, patience: Duration) -> Result<(Arc<cache::Scope>, Seen), StateError> {
        let scope = self.inner.cache.scope(owner);
        let seen = match scope.fresh() {
            Some(seen) => seen,
            None => {
                let row = self.inner.database.read(patience, ReadScope(owner)).await?;
                scope.checked(row, self.inner.cache.epoch())
            }
        };
        Ok((scope, seen))
    }

    /// Commits all changes together, or none.
    ///
    /// # Errors
    ///
    /// Nothing has changed then. [`StateError::Late`]: whether it has is not known.
    pub async fn commit(&self, changes: Changes, patience: Duration) -> Result<(), StateError> {
        if changes.is_empty() || !self.writes {
            return Ok(());
        }
        // A commit whose message is given up goes on to its end: it is not to be cut off in its middle.
        let (inner, deadline) = (Arc::clone(&self.inner), Instant::now() + patience);
        let work = tokio::spawn(async move { inner.commit(changes, deadline).await });
        // It gives up by itself unless it has begun.
        match tokio::time::timeout_at(deadline + BEGUN, work).await {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => Err(StateError::Database(error.to_string())),
            Err(_) => Err(StateError::Late(patience)),
        }
    }

    /// How a filter has learned a message, if it has.
    ///
    /// # Errors
    ///
    /// The database can't be read.
    pub async fn learned(&self, owner: &Owner, message: &[u8; 32]) -> Result<Option<Label>, StateError> {
        self.inner.database.read(PATIENCE, learned::LookUp { owner, message }).await
    }

    /// Removes what is over now and then, as long as there is such a state.
    pub fn keep_swept(&self) {
        tokio::spawn(sweep(Arc::downgrade(&self.inner)));
    }
}

struct ReadScope<'a>(&'a Owner);

impl Work for ReadScope<'_> {
    type Done = Option<ScopeRow>;

    async fn run(&self, connection: &mut AnyConnection) -> Result<Option<ScopeRow>, Aborted> {
        Ok(sql::scope(connection, self.0).await?)
    }
}

struct ReadEntries<'a> {
    row: i64,
    keys: &'a [&'a [u8]],
}

impl Work for ReadEntries<'_> {
    type Done = Vec<Entry>;

    async fn run(&self, connection: &mut AnyConnection) -> Result<Vec<Entry>, Aborted> {
        Ok(sql::entries(connection, self.row, self.keys).await?)
    }
}

impl Inner {
    /// Reads a scope as a whole.
    async fn load(&self, scope: &cache::Scope, row: i64) {
        let since = std::time::Instant::now();
        let read = self.database.read(LOADING, ReadWhole { row }).await;
        scope.loaded(since, read.ok().flatten());
    }

    /// Removes verdicts that are over.
    async fn forget_verdicts(&self) -> Result<(), StateError> {
        let max = i64::try_from(self.limits.verdict_cache).unwrap_or(i64::MAX);
        self.database.transaction(Instant::now() + PATIENCE, verdicts::Trim { now: now(), max }).await
    }

    /// Removes tokens that are over.
    async fn forget_tokens(&self, now: i64) -> Result<(), StateError> {
        self.database.transaction(Instant::now() + PATIENCE, tokens::Forget { now }).await
    }

    /// Removes what happened longer ago than the configuration keeps it.
    async fn forget_history(&self) -> Result<(), StateError> {
        let Some(before) = self.limits.history.and_then(|keep| SystemTime::now().checked_sub(keep)) else {
            return Ok(());
        };
        let deadline = Instant::now() + PATIENCE;
        self.database.transaction(deadline, history::Forget { before }).await.map(drop)
    }
}

/// A state that is still in use.
async fn sweep(state: Weak<Inner>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(state) = state.upgrade() else { return };
        match state.sweep(now()).await {
            Ok(0) => {}
            Ok(swept) => tracing::debug!(swept, "removed what filters remember no longer"),
            Err(error) => tracing::warn!(%error, "what filters remember no longer can't be removed"),
        }
        if let Err(error) = state.forget_verdicts().await {
            tracing::warn!(%error, "verdicts that were kept for too long can't be removed");
        }
        if let Err(error) = state.forget_tokens(now()).await {
            tracing::warn!(%error, "learn tokens that were kept for too long can't be removed");
        }
        if let Err(error) = state.forget_history().await {
            tracing::warn!(%error, "what is in the history for too long can't be removed");
        }
    }
}

/// The counter that a value is; 0 if it is none.
fn count(value: &[u8]) -> i64 {
    value.try_into().map_or(0, i64::from_le_bytes)
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(NEVER)
}

/// When something is forgotten that lives for so many seconds; it may be never.
#[must_use]
pub fn expiry(lifetime: Option<u64>) -> i64 {
    match lifetime {
        None => NEVER,
        Some(seconds) => now().saturating_add_unsigned(seconds),
    }
}
