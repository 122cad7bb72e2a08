//! What was learned: how many spam and ham messages have a token.
//!
//! Both counts of a token are one counter of 64 bits, so that learning adds and forgetting subtracts, in whatever order and
//! however many do it at the same time. Where the counters are kept is behind [`Counters`].

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use popgate_plugin::state::{self, Scope};
use popgate_plugin::{Failure, Label};

/// What one message adds to a counter.
fn unit(label: Label) -> i64 {
    match label {
        Label::Spam => 1 << 32,
        Label::Ham => 1,
    }
}

/// Messages of both kinds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Spam messages.
    pub spam: u32,
    /// Ham messages.
    pub ham: u32,
}

impl Counts {
    /// The counts in a counter: ham in the low 32 bits, spam above. Both are signed, so that a message too many that was forgotten
    /// does not take away one of the other kind; below 0 nothing counts.
    #[must_use]
    pub fn unpack(counter: i64) -> Self {
        let ham = i64::from(counter as i32);
        let spam = (counter - ham) >> 32;
        let count = |number: i64| u32::try_from(number.max(0)).unwrap_or(u32::MAX);
        Self { spam: count(spam), ham: count(ham) }
    }

    /// True if nothing was counted.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }
}

/// What was learned in a scope, as far as it concerns the tokens of a message.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    /// Messages that were learned.
    pub totals: Counts,
    /// Of them those with a token, for each of the tokens.
    pub tokens: Vec<Counts>,
}

/// Where the counters are kept: one for each token, and one for the messages.
pub trait Counters {
    /// Reads the counters of these tokens, and that of the messages.
    ///
    /// # Errors
    ///
    /// Why they can't be read.
    fn read(&self, scope: Scope, tokens: &[u64]) -> Result<Learned, Failure>;

    /// Adds to the counters of these tokens, and to that of the messages.
    ///
    /// # Errors
    ///
    /// Why they can't be written.
    fn add(&self, scope: Scope, tokens: &[u64], delta: i64) -> Result<(), Failure>;
}

/// Learns a message with these tokens.
pub(crate) fn learn(counters: &impl Counters, scope: Scope, tokens: &[u64], label: Label) -> Result<(), Failure> {
    counters.add(scope, tokens, unit(label))
}

/// Undoes [`learn`].
pub(crate) fn forget(counters: &impl Counters, scope: Scope, tokens: &[u64], label: Label) -> Result<(), Failure> {
    counters.add(scope, tokens, -unit(label))
}

/// The key of the counter of messages; those of tokens have eight octets.
const TOTALS: &[u8] = b"totals";

/// The counters in the filter's state.
#[derive(Clone, Copy, Debug, Default)]
pub struct InState;

impl Counters for InState {
    fn read(&self, scope: Scope, tokens: &[u64]) -> Result<Learned, Failure> {
        let totals = state::counts(scope, [TOTALS])?.into_iter().next().map(Counts::unpack).unwrap_or_default();
        // Where nothing was learned, nothing need be asked.
        let counts = if totals.is_zero() { vec![0; tokens.len()] } else { state::counters(scope, tokens)? };
        Ok(Learned { totals, tokens: counts.into_iter().map(Counts::unpack).collect() })
    }

    fn add(&self, scope: Scope, tokens: &[u64], delta: i64) -> Result<(), Failure> {
        Ok(state::add(scope, keys(tokens).map(|key| (key, delta)))?)
    }
}

/// The keys of the counters, that of the messages first.
fn keys(tokens: &[u64]) -> impl Iterator<Item = Vec<u8>> {
    std::iter::once(TOTALS.to_vec()).chain(tokens.iter().map(|token| token.to_le_bytes().to_vec()))
}

/// Counters in memory, for tests; one user.
#[derive(Debug, Default)]
pub struct InMemory {
    totals: RefCell<BTreeMap<Scope, i64>>,
    tokens: RefCell<[HashMap<u64, i64>; 2]>,
}

impl InMemory {
    /// How many counters of tokens are not 0.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.borrow().iter().map(HashMap::len).sum()
    }

    /// True if nothing was learned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Counters for InMemory {
    fn read(&self, scope: Scope, tokens: &[u64]) -> Result<Learned, Failure> {
        let total = self.totals.borrow().get(&scope).copied().unwrap_or_default();
        let counters = &self.tokens.borrow()[scope as usize];
        let count = |&token: &u64| Counts::unpack(counters.get(&token).copied().unwrap_or_default());
        Ok(Learned { totals: Counts::unpack(total), tokens: tokens.iter().map(count).collect() })
    }

    fn add(&self, scope: Scope, tokens: &[u64], delta: i64) -> Result<(), Failure> {
        let mut totals = self.totals.borrow_mut();
        let total = totals.entry(scope).or_default();
        *total = total.wrapping_add(delta);
        let counters = &mut self.tokens.borrow_mut()[scope as usize];
        for &token in tokens {
            let counter = counters.entry(token).or_default();
            *counter = counter.wrapping_add(delta);
            if *counter == 0 {
                counters.remove(&token);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use popgate_plugin::Label;
    use popgate_plugin::state::Scope;
    use popgate_plugin::testing;

    use super::{Counters, Counts, InMemory, InState, forget, learn, unit};

    #[test]
    fn both_counts_are_in_one_counter() {
        let (spam, ham) = (unit(Label::Spam), unit(Label::Ham));
        for (counter, expected) in [
            (0, (0, 0)),
            (3 * spam, (3, 0)),
            (2 * ham, (0, 2)),
            (5 * spam + 7 * ham, (5, 7)),
            // Forgotten once too often: the other count stays.
            (5 * spam - ham, (5, 0)),
            (7 * ham - spam, (0, 7)),
        ] {
            assert_eq!(Counts::unpack(counter), Counts { spam: expected.0, ham: expected.1 }, "{counter}");
        }
    }

    #[test]
    fn forgetting_undoes_learning_in_whatever_order() {
        learn_and_forget(&InMemory::default());
        learn_and_forget(&InState);
    }

    fn learn_and_forget(counters: &impl Counters) {
        let messages = [(&[1, 2, 3][..], Label::Spam), (&[2, 3], Label::Ham), (&[3], Label::Spam)];
        for (tokens, label) in messages {
            learn(counters, Scope::Shared, tokens, label).unwrap();
            testing::commit();
        }
        let learned = counters.read(Scope::Shared, &[1, 2, 3, 4]).unwrap();
        assert_eq!(learned.totals, Counts { spam: 2, ham: 1 });
        let pairs: Vec<_> = learned.tokens.iter().map(|counts| (counts.spam, counts.ham)).collect();
        assert_eq!(pairs, [(1, 0), (1, 1), (2, 1), (0, 0)]);
        assert!(counters.read(Scope::User, &[1]).unwrap().tokens[0].is_zero());
        for (tokens, label) in messages {
            forget(counters, Scope::Shared, tokens, label).unwrap();
            testing::commit();
        }
        let learned = counters.read(Scope::Shared, &[1, 2, 3]).unwrap();
        assert!(learned.totals.is_zero() && learned.tokens.iter().all(|counts| counts.is_zero()));
    }
}
