//! A circuit breaker: a filter whose service is out of order is left alone for a while, so that not every message waits
//! for its time-out.
//!
//! Only failures of services count; a message that a filter fails on says nothing about the next one.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::{Decision, Failure, Filter, Input, Learned, Lesson};

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BreakerPolicy {
    /// After so many failures in a row; 0: never.
    pub failures: u32,
    /// How long the filter is left alone; then one message tries.
    pub pause: Duration,
}

/// A filter with a breaker before it.
pub struct Breaker {
    name: String,
    filter: Arc<dyn Filter>,
    policy: BreakerPolicy,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In a row.
    failures: u32,
    /// Nobody is asked before this.
    open_until: Option<Instant>,
    /// A message tries whether the service is back.
    tried: bool,
}

impl State {
    /// Whether the filter may be asked now, or when it may next; and whether this is the try.
    fn admit(&mut self, now: Instant, pause: Duration) -> Result<bool, Duration> {
        let Some(until) = self.open_until else { return Ok(false) };
        match until.checked_duration_since(now).filter(|left| !left.is_zero()) {
            Some(left) => Err(left),
            None if self.tried => Err(pause),
            None => {
                self.tried = true;
                Ok(true)
            }
        }
    }

    /// The filter has been asked. True if the breaker has opened or closed by that.
    fn asked(&mut self, failed: bool, now: Instant, policy: BreakerPolicy) -> bool {
        let was_open = self.open_until.is_some();
        if !failed {
            *self = Self::default();
            return was_open;
        }
        self.failures = self.failures.saturating_add(1);
        let opens = policy.failures > 0 && self.failures >= policy.failures;
        if opens {
            self.open_until = Some(now + policy.pause);
            self.tried = false;
        }
        opens && !was_open
    }
}

/// The try of an open breaker; another one may begin when it ends, however it ends.
struct Try<'a>(&'a Breaker);

impl Drop for Try<'_> {
    fn drop(&mut self) {
        self.0.state().tried = false;
    }
}

impl Breaker {
    /// A breaker before this filter.
    #[must_use]
    pub fn before(name: &str, filter: Arc<dyn Filter>, policy: BreakerPolicy) -> Self {
        Self { name: name.to_owned(), filter, policy, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn examined(&self, input: Input) -> Result<Decision, Failure> {
        let admitted = self.state().admit(Instant::now(), self.policy.pause);
        let tried = admitted.map_err(|left| {
            let seconds = left.as_secs_f64().ceil();
            Failure::Service(format!("not asked, since it has failed repeatedly; next try in {seconds} s at most"))
        })?;
        let _try = tried.then(|| Try(self));
        let result = self.filter.examine(input).await;
        let failure = match &result {
            Err(Failure::Service(reason)) => Some(reason),
            _ => None,
        };
        let turned = self.state().asked(failure.is_some(), Instant::now(), self.policy);
        match failure {
            Some(reason) if turned => {
                let BreakerPolicy { failures, pause } = self.policy;
                warn!(
                    filter = self.name,
                    reason,
                    failures,
                    ?pause,
                    "filter is out of order and left alone for a while"
                );
            }
            None if turned => info!(filter = self.name, "filter is back"),
            _ => {}
        }
        result
    }
}

impl Filter for Breaker {
    fn examine(&self, input: Input) -> Pin<Box<dyn Future<Output = Result<Decision, Failure>> + Send + '_>> {
        Box::pin(self.examined(input))
    }

    fn fingerprint(&self) -> [u8; 32] {
        self.filter.fingerprint()
    }

    fn remembers(&self) -> bool {
        self.filter.remembers()
    }

    fn learns(&self) -> bool {
        self.filter.learns()
    }

    fn learns_by_token(&self) -> bool {
        self.filter.learns_by_token()
    }

    fn learn(&self, lesson: Lesson) -> Pin<Box<dyn Future<Output = Result<Learned, Failure>> + Send + '_>> {
        self.filter.learn(lesson)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: BreakerPolicy = BreakerPolicy { failures: 3, pause: Duration::from_secs(30) };

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_try() {
        let (mut state, now) = (State::default(), Instant::now());
        let later = |seconds| now + Duration::from_secs(seconds);
        for failed in [true, true, false, true, true] {
            assert_eq!(state.admit(now, POLICY.pause), Ok(false));
            assert!(!state.asked(failed, now, POLICY));
        }
        assert!(state.asked(true, now, POLICY), "it opens");
        assert_eq!(state.admit(later(10), POLICY.pause), Err(Duration::from_secs(20)));
        assert_eq!(state.admit(later(30), POLICY.pause), Ok(true));
        assert_eq!(state.admit(later(31), POLICY.pause), Err(POLICY.pause), "one tries");
        assert!(!state.asked(true, later(31), POLICY), "it stays open");
        assert_eq!(state.admit(later(32), POLICY.pause), Err(Duration::from_secs(29)));
        assert_eq!(state.admit(later(61), POLICY.pause), Ok(true));
        assert!(state.asked(false, later(62), POLICY), "it closes");
        assert_eq!(state.admit(later(62), POLICY.pause), Ok(false));
    }

    #[test]
    fn it_can_be_switched_off() {
        let (mut state, now) = (State::default(), Instant::now());
        for _ in 0..100 {
            assert!(!state.asked(true, now, BreakerPolicy { failures: 0, ..POLICY }));
        }
        assert_eq!(state.admit(now, POLICY.pause), Ok(false));
    }
}
