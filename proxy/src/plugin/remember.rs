//! What a guest remembers: the checks on the way to the state, and what it has written for one message.
//!
//! Nothing that is written reaches the state before the guest has come to an answer; then all of it does, or nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::text;
use crate::filter::{Facts, Failure};
use crate::store::{Changes, Identity, Lesson, Owner, PATIENCE, State, StateError, Write, expiry};

/// Keys of one call.
pub(super) const KEYS_MAX: usize = 4_096;

/// Octets of keys and values of one call, of what it hands over as of what it takes.
const OCTETS_MAX: usize = 1024 * 1024;

/// Octets of a key.
const KEY_MAX: usize = 256;

/// Octets of a value.
const VALUE_MAX: usize = 65_536;

/// Octets that a guest may write for one message.
const MESSAGE_MAX: usize = 16 * 1024 * 1024;

/// Octets that a write takes besides its key and value.
const WRITE: usize = 64;

/// How long what is learned may wait for the database: people wait for it, and no mail does.
const LEARNING: Duration = Duration::from_mins(10);

/// Whose state is meant.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(super) enum Scope {
    Shared,
    User,
}

/// How a scope stands: it differs when what is in it does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub(super) enum Standing {
    /// There is none: no grant, or no user.
    #[default]
    None,
    /// The scope and its generation, if there ever was something in it.
    At(Option<(i64, i64)>),
}

/// Why a guest can't have what it wants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Problem {
    Refused(String),
    Service(String),
}

/// What one guest remembers.
#[derive(Debug)]
pub(super) struct Memory {
    /// None where there is no grant.
    state: Option<State>,
    shared: Owner,
    user: Option<Owner>,
    /// Whether there is a message; without one there is no state.
    at_work: bool,
    /// For one access.
    patience: Duration,
    changes: Changes,
    octets: usize,
}

impl Memory {
    /// The memory of the filter of this name while it looks at the message that the facts are about.
    pub(super) fn new(filter: &str, state: Option<&State>, facts: Option<&Facts>, timeout: Duration) -> Self {
        let user = facts.and_then(|facts| {
            let identity = Identity { upstream: facts.upstream.clone(), user: facts.user.clone() };
            Owner::user(filter, &identity)
        });
        Self {
            state: state.cloned(),
            shared: Owner::shared(filter),
            user,
            at_work: facts.is_some(),
            // The guest is to have time to answer that the state is out of order.
            patience: PATIENCE.min(timeout / 2),
            changes: Changes::default(),
            octets: 0,
        }
    }

    fn owner(&self, scope: Scope) -> Result<(&State, &Owner), Problem> {
        let refused = |text: &str| Err(Problem::Refused(text.to_owned()));
        match (&self.state, scope, &self.user) {
            (None, ..) => refused("not granted: the configuration does not say `grant = { kv = true }`"),
            _ if !self.at_work => refused("there is no state in `configure`"),
            (Some(state), Scope::Shared, _) => Ok((state, &self.shared)),
            (Some(state), Scope::User, Some(user)) => Ok((state, user)),
            (Some(_), Scope::User, None) => refused("no user is known"),
        }
    }

    /// The values under these keys.
    pub(super) async fn get(&self, scope: Scope, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, Problem> {
        let (state, owner) = self.owner(scope)?;
        check(keys.iter().map(|key| (&**key, 0)))?;
        let values = state.get(owner, keys, self.patience).await.map_err(|error| problem(&error))?;
        let octets: usize = values.iter().flatten().map(Vec::len).sum();
        if octets > OCTETS_MAX {
            return Err(Problem::Refused(format!(
                "the values have {octets} octets, more than {OCTETS_MAX}: ask for fewer"
            )));
        }
        Ok(values)
    }

    /// The counters under the keys that are these numbers.
    pub(super) async fn counters(&self, scope: Scope, keys: &[u64]) -> Result<Vec<i64>, Problem> {
        let (state, owner) = self.owner(scope)?;
        if keys.len() > KEYS_MAX {
            return Err(too_many(keys.len()));
        }
        state.counters(owner, keys, self.patience).await.map_err(|error| problem(&error))
    }

    /// Puts values; each with its key and its lifetime in seconds.
    pub(super) fn put(&mut self, scope: Scope, entries: Vec<(Vec<u8>, Vec<u8>, Option<u64>)>) -> Result<(), Problem> {
        if let Some((_, value, _)) = entries.iter().find(|(_, value, _)| value.len() > VALUE_MAX) {
            return Err(Problem::Refused(format!("a value has at most {VALUE_MAX} octets, not {}", value.len())));
        }
        let sizes: Vec<(&[u8], usize)> = entries.iter().map(|(key, value, _)| (&**key, value.len())).collect();
        self.check(scope, &sizes)?;
        let write = |(key, value, lifetime)| (key, Write::Put { value, expires: expiry(lifetime) });
        self.write(scope, entries.into_iter().map(write))
    }

    /// Removes keys.
    pub(super) fn remove(&mut self, scope: Scope, keys: Vec<Vec<u8>>) -> Result<(), Problem> {
        let sizes: Vec<(&[u8], usize)> = keys.iter().map(|key| (&**key, 0)).collect();
        self.check(scope, &sizes)?;
        self.write(scope, keys.into_iter().map(|key| (key, Write::Remove)))
    }

    /// Adds to counters.
    pub(super) fn add(&mut self, scope: Scope, deltas: Vec<(Vec<u8>, i64)>) -> Result<(), Problem> {
        let sizes: Vec<(&[u8], usize)> = deltas.iter().map(|(key, _)| (&**key, 8)).collect();
        self.check(scope, &sizes)?;
        self.write(scope, deltas.into_iter().map(|(key, delta)| (key, Write::Add(delta))))
    }

    /// Checks a call that writes, before anything of it is recorded.
    fn check(&self, scope: Scope, sizes: &[(&[u8], usize)]) -> Result<(), Problem> {
        self.owner(scope)?;
        let octets = check(sizes.iter().copied())?;
        if self.octets + octets + WRITE * sizes.len() > MESSAGE_MAX {
            return Err(Problem::Refused(format!("a filter writes at most {MESSAGE_MAX} octets for a message")));
        }
        Ok(())
    }

    fn write(&mut self, scope: Scope, writes: impl Iterator<Item = (Vec<u8>, Write)>) -> Result<(), Problem> {
        let owner = self.owner(scope)?.1.clone();
        for (key, write) in writes {
            let value = if let Write::Put { value, .. } = &write { value.len() } else { 8 };
            self.octets += key.len() + value + WRITE;
            self.changes.write(&owner, key, write);
        }
        Ok(())
    }

    /// How the scopes for all and for the user stand.
    ///
    /// # Errors
    /// The state is out of order.
    pub(super) async fn standing(&self) -> Result<[Standing; 2], StateError> {
        let mut standing = [Standing::None; 2];
        for (standing, owner) in standing.iter_mut().zip([Some(&self.shared), self.user.as_ref()]) {
            if let (Some(state), Some(owner)) = (&self.state, owner) {
                *standing = Standing::At(state.generation(owner, self.patience).await?);
            }
        }
        Ok(standing)
    }

    /// Whether there is something to be committed.
    pub(super) fn has_written(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Who learns: the user, where one is known.
    pub(super) fn learner(&self) -> Option<(State, Owner)> {
        Some((self.state.clone()?, self.user.clone().unwrap_or_else(|| self.shared.clone())))
    }

    /// Lets what was written take effect.
    ///
    /// # Errors
    /// The state is out of order, or full.
    pub(super) async fn commit(self, lesson: Option<Lesson>) -> Result<(), StateError> {
        let Some(state) = self.state else { return Ok(()) };
        let changes = match lesson {
            Some(lesson) => self.changes.with_lesson(lesson),
            None => self.changes,
        };
        let patience = if changes.has_lesson() { LEARNING } else { self.patience };
        state.commit(changes, patience).await
    }
}

/// Checks the bounds of one call; each item is a key with the octets of what belongs to it. Gives all octets.
fn check<'a>(items: impl ExactSizeIterator<Item = (&'a [u8], usize)>) -> Result<usize, Problem> {
    let count = items.len();
    if count > KEYS_MAX {
        return Err(too_many(count));
    }
    let mut octets = 0;
    for (key, value) in items {
        if key.is_empty() || key.len() > KEY_MAX {
            return Err(Problem::Refused(format!("a key has 1 to {KEY_MAX} octets, not {}", key.len())));
        }
        octets += key.len() + value;
    }
    if octets > OCTETS_MAX {
        return Err(Problem::Refused(format!("a call takes at most {OCTETS_MAX} octets, not {octets}")));
    }
    Ok(octets)
}

fn too_many(keys: usize) -> Problem {
    Problem::Refused(format!("a call takes at most {KEYS_MAX} keys, not {keys}"))
}

fn problem(error: &StateError) -> Problem {
    let text = text::printable(&error.to_string(), 500);
    match error {
        StateError::Full { .. } => Problem::Refused(text),
        StateError::Raced | StateError::Late(_) | StateError::Database(_) => Problem::Service(text),
    }
}

/// What it means for a message that nothing can be committed.
pub(super) fn failure(error: &StateError) -> Failure {
    Failure::Service(format!("its state: {}", text::printable(&error.to_string(), 500)))
}
