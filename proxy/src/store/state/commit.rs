//! What filters write, and how it gets into the database: all of it or nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::AnyConnection;
use tokio::time::Instant;

use super::cache::Committed;
use super::database::{Aborted, Work};
use super::learned::{self, Lesson};
use super::sql::{self, Entry, Found};
use super::{Inner, Owner, StateError, now};

/// Octets that an entry takes besides its key and value, as far as quotas go.
const ENTRY: i64 = 32;

/// What becomes of a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Write {
    /// A value takes the place of what is there.
    Put {
        /// The value.
        value: Vec<u8>,
        /// When it is forgotten, in seconds since 1970; see [`super::expiry`].
        expires: i64,
    },
    /// There is nothing any more.
    Remove,
    /// A counter of eight octets, little-endian, wraps around; it counts from 0, and does not expire.
    Add(i64),
}

impl Write {
    /// Both one after the other.
    fn then(self, next: Self) -> Self {
        match (self, next) {
            (Self::Add(first), Self::Add(second)) => Self::Add(first.wrapping_add(second)),
            (Self::Put { value, .. }, Self::Add(delta)) => {
                Self::Put { value: added(&value, delta), expires: super::NEVER }
            }
            (Self::Remove, Self::Add(delta)) => Self::Put { value: added(&[], delta), expires: super::NEVER },
            (_, next) => next,
        }
    }

    /// What is there afterwards; none: nothing.
    fn onto(self, key: &[u8], before: Option<&Entry>, now: i64) -> Option<Entry> {
        let (value, expires) = match self {
            Self::Put { value, expires } => (value, expires),
            Self::Remove => return None,
            Self::Add(delta) => {
                let before = before.filter(|entry| entry.expires > now).map_or(&[][..], |entry| &entry.value);
                (added(before, delta), super::NEVER)
            }
        };
        (expires > now).then(|| Entry { key: key.to_vec(), value, expires })
    }
}

/// A counter after an addition. What is no counter counts as 0.
fn added(before: &[u8], delta: i64) -> Vec<u8> {
    super::count(before).wrapping_add(delta).to_le_bytes().to_vec()
}

/// What a filter has written for one message. Scopes and keys are in order, so that no two commits wait for each other.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub(super) writes: BTreeMap<Owner, BTreeMap<Vec<u8>, Write>>,
    pub(super) lesson: Option<Lesson>,
}

impl Changes {
    /// Adds a write, which comes after those that are there.
    pub fn write(&mut self, owner: &Owner, key: Vec<u8>, write: Write) {
        if !self.writes.contains_key(owner) {
            self.writes.insert(owner.clone(), BTreeMap::new());
        }
        // It has just been made.
        let Some(keys) = self.writes.get_mut(owner) else { return };
        let write = match keys.remove(&key) {
            Some(first) => first.then(write),
            None => write,
        };
        keys.insert(key, write);
    }

    /// The same with the note that this was learned.
    #[must_use]
    pub fn with_lesson(self, lesson: Lesson) -> Self {
        Self { lesson: Some(lesson), ..self }
    }

    /// Whether something was learned.
    #[must_use]
    pub fn has_lesson(&self) -> bool {
        self.lesson.is_some()
    }

    /// Whether there is nothing to commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.lesson.is_none()
    }
}

impl Inner {
    /// Commits all of them in one transaction, if that begins before the deadline.
    pub(super) async fn commit_together(
        &self,
        all: &[&Changes],
        deadline: Instant,
    ) -> Result<Vec<Committed>, StateError> {
        let mut together = Together::default();
        for changes in all {
            for (owner, writes) in &changes.writes {
                let (sum, _) = together.entry(owner).or_default();
                for (key, write) in writes {
                    let write = match sum.remove(key) {
                        Some(first) => first.then(write.clone()),
                        None => write.clone(),
                    };
                    sum.insert(key.clone(), write);
                }
            }
            if let Some(lesson) = &changes.lesson {
                together.entry(&lesson.owner).or_default().1.push(lesson);
            }
        }
        self.database.transaction(deadline, Commit { inner: self, together }).await
    }

    async fn commit_scope(
        &self,
        connection: &mut AnyConnection,
        owner: &Owner,
        writes: &BTreeMap<Vec<u8>, Write>,
        lessons: &[&Lesson],
    ) -> Result<Committed, Aborted> {
        let now = now();
        // From here on nobody else writes to this scope, so what is read holds until the commit.
        let mut row = sql::lock(connection, owner).await?;
        let is_new = row.octets == 0;
        for lesson in lessons {
            learned::note(connection, row.id, lesson, now).await?;
        }
        let keys: Vec<&[u8]> = writes.keys().map(|key| &**key).collect();
        let known = if is_new { Some(Vec::new()) } else { self.cache.before(owner, &row, &keys) };
        let before = match known {
            Some(known) => known,
            None => sql::entries(connection, row.id, &keys).await?,
        };
        let before: BTreeMap<&[u8], &Entry> = before.iter().map(|entry| (&*entry.key, entry)).collect();
        let (mut puts, mut removed, mut became) = (Vec::new(), Vec::new(), Vec::new());
        let mut growth = 0;
        for (key, write) in writes {
            let there = before.get(&**key).copied();
            growth -= there.map_or(0, size);
            let found: Found = match write.clone().onto(key, there, now) {
                Some(entry) => {
                    growth += size(&entry);
                    let found = Some((Arc::from(&*entry.value), entry.expires));
                    puts.push(entry);
                    found
                }
                None => {
                    if there.is_some() {
                        removed.push(&**key);
                    }
                    None
                }
            };
            became.push((key.clone(), found));
        }
        row.octets += growth;
        if growth > 0 {
            self.check_quota(connection, owner, row.octets, growth).await?;
        }
        sql::put(connection, row.id, &puts).await?;
        sql::remove(connection, row.id, &removed).await?;
        if growth != 0 {
            sql::resize(connection, row.id, row.octets).await?;
        }
        Ok(Committed { owner: owner.clone(), row, became, is_new })
    }

    /// Refuses what would grow beyond its bounds. Of the filter's other scopes the last commits of others count.
    async fn check_quota(
        &self,
        connection: &mut AnyConnection,
        owner: &Owner,
        octets: i64,
        growth: i64,
    ) -> Result<(), Aborted> {
        let bound = |limit: u64| i64::try_from(limit).unwrap_or(i64::MAX);
        let full = |whose, octets: i64, key| StateError::Full { whose, octets: octets.unsigned_abs(), key };
        if !owner.user.is_empty() && octets > bound(self.limits.kv_per_user) {
            return Err(full("the filter's state of this user", octets, "kv_per_user").into());
        }
        let all = sql::octets_of(connection, &owner.filter).await? + growth;
        if all > bound(self.limits.kv_per_filter) {
            return Err(full("the filter's state", all, "kv_per_filter").into());
        }
        Ok(())
    }

    /// Removes what is over, a thousand entries at a time.
    pub(super) async fn sweep(&self, now: i64) -> Result<u64, StateError> {
        let mut swept = 0;
        loop {
            let overdue = self.database.read(super::PATIENCE, Overdue(now)).await?;
            if overdue.is_empty() {
                return Ok(swept);
            }
            swept += overdue.len() as u64;
            let mut owners: BTreeMap<Owner, Vec<Vec<u8>>> = BTreeMap::new();
            for (owner, key) in overdue {
                owners.entry(owner).or_default().push(key);
            }
            let sweep = Sweep { owners, now };
            self.cache.committed(self.database.transaction(Instant::now() + super::PATIENCE, sweep).await?);
        }
    }
}

/// What becomes of each scope, and what is learned there.
type Together<'a> = BTreeMap<&'a Owner, (BTreeMap<Vec<u8>, Write>, Vec<&'a Lesson>)>;

/// All changes of some messages.
struct Commit<'a> {
    inner: &'a Inner,
    together: Together<'a>,
}

impl Work for Commit<'_> {
    type Done = Vec<Committed>;

    async fn run(&self, connection: &mut AnyConnection) -> Result<Vec<Committed>, Aborted> {
        let mut committed = Vec::with_capacity(self.together.len());
        for (owner, (writes, lessons)) in &self.together {
            committed.push(self.inner.commit_scope(connection, owner, writes, lessons).await?);
        }
        Ok(committed)
    }
}

/// Looks for what is over at a time.
struct Overdue(i64);

impl Work for Overdue {
    type Done = Vec<(Owner, Vec<u8>)>;

    async fn run(&self, connection: &mut AnyConnection) -> Result<Self::Done, Aborted> {
        Ok(sql::overdue(connection, self.0).await?)
    }
}

/// Removes what is over at a time.
struct Sweep {
    owners: BTreeMap<Owner, Vec<Vec<u8>>>,
    now: i64,
}

impl Work for Sweep {
    type Done = Vec<Committed>;

    async fn run(&self, connection: &mut AnyConnection) -> Result<Vec<Committed>, Aborted> {
        let mut committed = Vec::new();
        for (owner, keys) in &self.owners {
            committed.push(sweep_scope(connection, owner, keys, self.now).await?);
        }
        Ok(committed)
    }
}

async fn sweep_scope(
    connection: &mut AnyConnection,
    owner: &Owner,
    keys: &[Vec<u8>],
    now: i64,
) -> Result<Committed, Aborted> {
    let mut row = sql::lock(connection, owner).await?;
    let keys: Vec<&[u8]> = keys.iter().map(|key| &**key).collect();
    // Some may have been written again since.
    let over: Vec<Entry> =
        sql::entries(connection, row.id, &keys).await?.into_iter().filter(|entry| entry.expires <= now).collect();
    let keys: Vec<&[u8]> = over.iter().map(|entry| &*entry.key).collect();
    sql::remove(connection, row.id, &keys).await?;
    row.octets -= over.iter().map(size).sum::<i64>();
    sql::resize(connection, row.id, row.octets).await?;
    let became = over.into_iter().map(|entry| (entry.key, None)).collect();
    Ok(Committed { owner: owner.clone(), row, became, is_new: false })
}

/// What an entry counts.
fn size(entry: &Entry) -> i64 {
    i64::try_from(entry.key.len() + entry.value.len()).unwrap_or(i64::MAX - ENTRY) + ENTRY
}
