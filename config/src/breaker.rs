//! `breaker` of a filter: when it is left alone for a while.

use std::time::Duration;

use crate::section::Section;

/// When a filter whose service is out of order is left alone, and for how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Breaker {
    /// After so many failures of a service in a row; 0: never.
    pub failures: u32,
    /// For how long.
    pub pause: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 5, pause: Duration::from_secs(30) }
    }
}

impl Breaker {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let Some(mut breaker) = section.section("breaker") else { return default };
        let read = Self {
            failures: breaker.get("failures").unwrap_or(default.failures),
            pause: breaker.positive("pause").unwrap_or(default.pause),
        };
        breaker.finish();
        read
    }
}
