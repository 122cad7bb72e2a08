//! The state of filters in memory, with the real host's bounds.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::state::{Entry, Problem, Scope, counter};

/// Octets of a key at most.
const KEY_MAX: usize = 256;

/// Octets of a value at most.
const VALUE_MAX: usize = 65_536;

thread_local! {
    static STATE: RefCell<State> = RefCell::new(State::default());
}

/// What the filters of this thread remember.
struct State {
    /// Who the user is.
    user: Option<String>,
    /// What every call answers instead of what it does.
    problem: Option<Problem>,
    /// By the user (none: shared) and the key.
    there: BTreeMap<(Option<String>, Vec<u8>), Vec<u8>>,
    /// What was asked for and has not taken effect.
    pending: Vec<Write>,
}

impl Default for State {
    fn default() -> Self {
        Self { user: Some("user".to_owned()), problem: None, there: BTreeMap::new(), pending: Vec::new() }
    }
}

enum Write {
    Put((Option<String>, Vec<u8>), Vec<u8>),
    Remove((Option<String>, Vec<u8>)),
    Add((Option<String>, Vec<u8>), i64),
}

/// Whose messages the filters of this thread see from now on, as far as their state is concerned; none: nobody knows. At first
/// it is `user`.
pub fn set_state_user(user: Option<&str>) {
    STATE.with_borrow_mut(|state| state.user = user.map(str::to_owned));
}

/// What every access to the state answers from now on; none: what it should.
pub fn set_state_problem(problem: Option<Problem>) {
    STATE.with_borrow_mut(|state| state.problem = problem);
}

/// Lets what filters of this thread have written take effect, as it does after a verdict.
pub fn commit() {
    STATE.with_borrow_mut(|state| {
        for write in std::mem::take(&mut state.pending) {
            match write {
                Write::Put(key, value) => drop(state.there.insert(key, value)),
                Write::Remove(key) => drop(state.there.remove(&key)),
                Write::Add(key, delta) => {
                    let count = state.there.entry(key).or_default();
                    let before = <[u8; 8]>::try_from(&**count).map_or(0, i64::from_le_bytes);
                    *count = before.wrapping_add(delta).to_le_bytes().to_vec();
                }
            }
        }
    });
}

/// Forgets what filters of this thread have written and has not taken effect, as it is done after a failure.
pub fn discard() {
    STATE.with_borrow_mut(|state| state.pending.clear());
}

pub(crate) fn get(scope: Scope, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, Problem> {
    let keys: Result<Vec<_>, _> = keys.iter().map(|key| full(scope, key)).collect();
    let keys = keys?;
    Ok(STATE.with_borrow(|state| keys.iter().map(|key| state.there.get(key).cloned()).collect()))
}

pub(crate) fn counters(scope: Scope, keys: &[u64]) -> Result<Vec<i64>, Problem> {
    let keys: Vec<Vec<u8>> = keys.iter().map(|key| key.to_le_bytes().to_vec()).collect();
    Ok(get(scope, &keys)?.into_iter().map(counter).collect())
}

pub(crate) fn put(scope: Scope, entries: &[Entry]) -> Result<(), Problem> {
    if entries.iter().any(|entry| entry.value.len() > VALUE_MAX) {
        return Err(Problem::Refused(format!("a value has at most {VALUE_MAX} octets")));
    }
    // An entry whose time is over at once is not there.
    let write = |entry: &Entry, key| match entry.lifetime {
        Some(0) => Write::Remove(key),
        _ => Write::Put(key, entry.value.clone()),
    };
    record(entries.iter().map(|entry| full(scope, &entry.key).map(|key| write(entry, key))))
}

pub(crate) fn remove(scope: Scope, keys: &[Vec<u8>]) -> Result<(), Problem> {
    record(keys.iter().map(|key| full(scope, key).map(Write::Remove)))
}

pub(crate) fn add(scope: Scope, deltas: &[(Vec<u8>, i64)]) -> Result<(), Problem> {
    record(deltas.iter().map(|(key, delta)| full(scope, key).map(|key| Write::Add(key, *delta))))
}

fn record(writes: impl Iterator<Item = Result<Write, Problem>>) -> Result<(), Problem> {
    let writes = writes.collect::<Result<Vec<_>, _>>()?;
    STATE.with_borrow_mut(|state| state.pending.extend(writes));
    Ok(())
}

/// The key with whose it is.
fn full(scope: Scope, key: &[u8]) -> Result<(Option<String>, Vec<u8>), Problem> {
    STATE.with_borrow(|state| {
        let user = match (&state.problem, scope, &state.user) {
            (Some(problem), ..) => return Err(problem.clone()),
            (None, Scope::Shared, _) => None,
            (None, Scope::User, Some(user)) => Some(user.clone()),
            (None, Scope::User, None) => return Err(Problem::Refused("no user is known".to_owned())),
        };
        match key.len() {
            1..=KEY_MAX => Ok((user, key.to_vec())),
            _ => Err(Problem::Refused(format!("a key has 1 to {KEY_MAX} octets"))),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state;

    #[test]
    fn writes_take_effect_together_and_reads_do_not_see_them_before() {
        state::put(Scope::Shared, [Entry::new("a", "1")]).unwrap();
        state::add(Scope::Shared, [("n", 2), ("n", 3)]).unwrap();
        assert_eq!(state::get(Scope::Shared, ["a"]).unwrap(), [None]);
        commit();
        assert_eq!(state::get(Scope::Shared, ["a", "b"]).unwrap(), [Some(b"1".to_vec()), None]);
        assert_eq!(state::counts(Scope::Shared, ["n"]).unwrap(), [5]);
        state::remove(Scope::Shared, ["a"]).unwrap();
        discard();
        commit();
        assert_eq!(state::get(Scope::Shared, ["a"]).unwrap(), [Some(b"1".to_vec())]);
    }

    #[test]
    fn users_do_not_see_each_other() {
        set_state_user(Some("alice"));
        state::add(Scope::User, [("n", 1)]).unwrap();
        commit();
        set_state_user(Some("bob"));
        assert_eq!(state::counts(Scope::User, ["n"]).unwrap(), [0]);
        set_state_user(None);
        assert!(matches!(state::counts(Scope::User, ["n"]), Err(Problem::Refused(_))));
    }

    #[test]
    fn what_the_host_refuses_is_refused() {
        assert!(state::get(Scope::Shared, [""]).is_err());
        assert!(state::add(Scope::Shared, [("k".repeat(257), 1)]).is_err());
        assert!(state::put(Scope::Shared, [Entry::new("k", vec![0; 65_537])]).is_err());
        set_state_problem(Some(Problem::Service("locked".into())));
        assert_eq!(state::counts(Scope::Shared, ["k"]), Err(Problem::Service("locked".into())));
    }

    #[test]
    fn many_keys_are_several_calls() {
        let deltas = (0..10_000).map(|n| (format!("{n}"), n));
        state::add(Scope::Shared, deltas).unwrap();
        commit();
        let keys = (0..10_000).map(|n| format!("{n}"));
        assert_eq!(state::counts(Scope::Shared, keys).unwrap(), (0..10_000).collect::<Vec<_>>());
    }
}
