//! One filter: a linked component, its settings and limits. Each message gets a fresh instance.

use std::future::Future;
use std::pin::Pin;

use wasmtime::Store;

use super::failure;
use super::host::Host;
use super::runner::Runner;
use super::text;
use super::v0_1::{Guest, Linked};
use crate::filter::{Decision, Failure, Filter, Input, Verdict};

/// A filter that is ready to examine messages.
pub(super) struct ComponentFilter {
    linked: Linked,
    runner: Runner,
    configured: Configured,
}

/// When a filter gets its settings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Configured {
    /// Beforehand: a fresh instance has them.
    Once,
    /// For each message.
    EachTime,
}

/// Why a filter is not fit to be loaded.
pub(super) enum Misfit {
    /// It refuses its settings, for this reason.
    Settings(String),
    /// It fails, in this way.
    Failure(String),
}

impl ComponentFilter {
    pub(super) fn new(linked: Linked, runner: Runner, configured: Configured) -> Self {
        Self { linked, runner, configured }
    }

    /// Configures an instance once, to see that it can be done.
    ///
    /// # Errors
    /// It can't.
    pub(super) async fn try_configure(&self) -> Result<(), Misfit> {
        let _place = self.runner.place().await.map_err(|failure| Misfit::Failure(failure.to_string()))?;
        let mut store = self.runner.store(Host::new(&self.runner.profile, None));
        let answer = self
            .runner
            .run(&mut store, async |store| self.configured(store).await.map(|configured| configured.map(drop)))
            .await;
        let host = store.data();
        host.log.finish();
        match answer {
            Ok(configured) => configured.map_err(Misfit::Settings),
            Err(ended) => Err(Misfit::Failure(ended.failure(host, &self.runner.profile).to_string())),
        }
    }

    async fn examined(&self, input: Input) -> Result<Decision, Failure> {
        let _place = self.runner.place().await?;
        let message = input.message.clone();
        let mut store = self.runner.store(Host::new(&self.runner.profile, Some(input)));
        let answer = self
            .runner
            .run(&mut store, async |store| match self.configured(store).await? {
                Ok(guest) => guest.filter(store).await,
                Err(reason) => Ok(Err(refused_later(&reason))),
            })
            .await;
        let host = store.data();
        host.log.finish();
        let verdict = match answer {
            Ok(Ok(verdict)) => printable(verdict),
            Ok(Err(reported)) => return Err(failure::reported(reported, host)),
            Err(ended) => return Err(ended.failure(host, &self.runner.profile)),
        };
        let record = store.into_data().record;
        let busy = record.was_busy();
        match record.close(&verdict, &message) {
            Ok((edits, findings)) => Ok(Decision { verdict, edits, findings }),
            Err(unfit) => Err(failure::unfit(&unfit, busy)),
        }
    }

    /// A fresh instance that is configured, or the reason why it refuses to be.
    ///
    /// The one place that knows how an instance gets its settings.
    async fn configured(&self, store: &mut Store<Host>) -> wasmtime::Result<Result<Guest, String>> {
        let guest = self.linked.instantiate(store).await?;
        if self.configured == Configured::Once {
            return Ok(Ok(guest));
        }
        Ok(guest.configure(store, &self.runner.settings).await?.map(|()| guest))
    }
}

impl Filter for ComponentFilter {
    fn examine(&self, input: Input) -> Pin<Box<dyn Future<Output = Result<Decision, Failure>> + Send + '_>> {
        Box::pin(self.examined(input))
    }

    fn fingerprint(&self) -> [u8; 32] {
        self.runner.fingerprint
    }
}

/// A filter that took its settings when it was loaded does not take them now: a data file, the clock.
fn refused_later(reason: &str) -> Failure {
    Failure::Service(format!("refuses its settings: {reason}"))
}

/// The verdict with a reason that is fit for people.
pub(super) fn printable(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Pass => Verdict::Pass,
        Verdict::Hold(reason) => match text::printable(&reason, failure::REASON_MAX) {
            reason if reason.is_empty() => Verdict::Hold("no reason given".into()),
            reason => Verdict::Hold(reason),
        },
    }
}
