//! What outlives a reload: the engine for filters, and the counts that sessions still open are part of.

use std::sync::Arc;

use popgate_config::{Config, Limits};

use crate::cli::load::Plugins;
use crate::message::Budget;
use crate::net::{Admission, LoginDelays, UserLimits};
use crate::plugin::Configuring;
use crate::session::driver::Overdue;
use crate::store::{History, LearnTokens};
use crate::upstream::Shared;

/// Counts over all sessions.
#[derive(Clone)]
pub(super) struct Counts {
    limits: Limits,
    pub(super) admission: Admission,
    pub(super) users: UserLimits,
    pub(super) delays: Arc<LoginDelays>,
    pub(super) budget: Arc<Budget>,
    pub(super) overdue: Arc<Overdue>,
}

impl Counts {
    fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            admission: Admission::new(limits.sessions, limits.sessions_per_address),
            users: UserLimits::new(limits.sessions_per_user),
            delays: Arc::new(LoginDelays::new(limits.login_failures_per_minute as usize)),
            budget: Arc::new(Budget::new(limits.memory_total, limits.spool_total)),
            overdue: Arc::default(),
        }
    }
}

/// What a process keeps from one configuration to the next.
#[derive(Default)]
pub(in crate::cli) struct Lasting {
    pub(super) plugins: Plugins,
    pub(super) upstreams: Shared,
    counts: Option<Counts>,
}

impl Lasting {
    /// When a filter that was loaded last gets its settings.
    pub(in crate::cli) fn configuring(&self, filter: &str) -> Option<&Configuring> {
        self.plugins.configuring(filter)
    }

    /// Connects to where filters keep their state, if they do.
    pub(in crate::cli) async fn check_state(&self, config: &Config) -> Result<(), String> {
        self.plugins.check_state(config).await
    }

    /// Where it is noted what becomes of messages, where that is wanted.
    pub(super) fn history(&self, config: &Config) -> Option<History> {
        self.plugins.history(config)
    }

    /// Where it is kept by what filters can learn messages that are gone, where there are such filters.
    pub(super) fn learn_tokens(&self) -> Option<LearnTokens> {
        self.plugins.learn_tokens()
    }

    /// The counts that are in force; new ones where the limits have changed.
    pub(super) fn counts(&mut self, limits: &Limits) -> Counts {
        match &self.counts {
            Some(counts) if counts.limits == *limits => counts.clone(),
            _ => self.counts.insert(Counts::new(limits)).clone(),
        }
    }
}
