//! One filter: a linked component, its settings and limits. Each message gets a fresh instance.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmtime::{Store, UpdateDeadline};

use super::engine::{Engine, Place};
use super::failure::{self, Ended};
use super::host::{Host, Profile};
use super::limits::{ARGUMENTS_MAX, Exceeded, HANDLES_MAX, Limits};
use super::text;
use super::v0_1::{Guest, Linked};
use crate::filter::{Decision, Failure, Filter, Input, Verdict};

/// A filter that is ready to examine messages.
pub(super) struct ComponentFilter {
    engine: Arc<Engine>,
    linked: Linked,
    profile: Profile,
    /// The settings as JSON, with which each instance is configured.
    settings: String,
    fingerprint: [u8; 32],
}

/// Why a filter is not fit to be loaded.
pub(super) enum Misfit {
    /// It refuses its settings, for this reason.
    Settings(String),
    /// It fails, in this way.
    Failure(String),
}

/// What a guest gives when it comes to its end by itself.
type Answer<T> = Result<T, Ended>;

impl ComponentFilter {
    pub(super) fn new(engine: Arc<Engine>, linked: Linked, profile: Profile, wasm: [u8; 32], settings: String) -> Self {
        let Limits { timeout, cpu, memory } = profile.limits;
        let mut hash = Sha256::new();
        hash.update(wasm);
        hash.update(format!("{timeout:?} {cpu:?} {memory} {settings}"));
        Self { engine, linked, profile, settings, fingerprint: hash.finalize().into() }
    }

    /// Configures an instance once, to see that it can be done.
    ///
    /// # Errors
    /// It can't.
    pub(super) async fn try_configure(&self) -> Result<(), Misfit> {
        let no_room = || Misfit::Failure(failure::no_room());
        let _place = self.place().await.ok_or_else(no_room)?;
        let mut store = self.store(None);
        let answer = self
            .run(&mut store, async |store| self.configured(store).await.map(|configured| configured.map(drop)))
            .await;
        let host = store.data();
        host.log.finish();
        match answer {
            Ok(configured) => configured.map_err(Misfit::Settings),
            Err(ended) => Err(Misfit::Failure(ended.failure(host, &self.profile).to_string())),
        }
    }

    async fn examined(&self, input: Input) -> Result<Decision, Failure> {
        let _place = self.place().await.ok_or_else(|| Failure::Service(failure::no_room()))?;
        let message = input.message.clone();
        let mut store = self.store(Some(input));
        let answer = self
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
            Err(ended) => return Err(ended.failure(host, &self.profile)),
        };
        let record = store.into_data().record;
        let busy = record.was_busy();
        match record.close(&verdict, &message) {
            Ok((edits, findings)) => Ok(Decision { verdict, edits, findings }),
            Err(unfit) => Err(failure::unfit(&unfit, busy)),
        }
    }

    async fn place(&self) -> Option<Place> {
        self.engine.place(self.profile.limits.timeout).await
    }

    /// A store with all limits in force.
    fn store(&self, input: Option<Input>) -> Store<Host> {
        let mut store = Store::new(self.engine.wasmtime(), Host::new(&self.profile, input));
        store.limiter(|host| &mut host.memory);
        store.set_hostcall_fuel(ARGUMENTS_MAX);
        store.set_max_component_handles(HANDLES_MAX);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| {
            let cpu = &store.data().cpu;
            if cpu.is_over() {
                return Err(Exceeded::Cpu(cpu.limit()).into());
            }
            // At each tick others get their turn on this thread.
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        store
    }

    /// Has a guest work, against both clocks.
    async fn run<T>(
        &self,
        store: &mut Store<Host>,
        work: impl AsyncFnOnce(&mut Store<Host>) -> wasmtime::Result<T>,
    ) -> Answer<T> {
        let cpu = Arc::clone(&store.data().cpu);
        match tokio::time::timeout(self.profile.limits.timeout, cpu.measure(work(store))).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Ended::Error(error)),
            Err(_) => Err(Ended::Timeout),
        }
    }

    /// A fresh instance that is configured, or the reason why it refuses to be.
    ///
    /// The one place that knows how an instance gets its settings; a snapshot of a configured instance would stand here.
    async fn configured(&self, store: &mut Store<Host>) -> wasmtime::Result<Result<Guest, String>> {
        let guest = self.linked.instantiate(store).await?;
        Ok(guest.configure(store, &self.settings).await?.map(|()| guest))
    }
}

impl Filter for ComponentFilter {
    fn examine(&self, input: Input) -> Pin<Box<dyn Future<Output = Result<Decision, Failure>> + Send + '_>> {
        Box::pin(self.examined(input))
    }

    fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }
}

/// A filter that took its settings when it was loaded does not take them now: a data file, the clock.
fn refused_later(reason: &str) -> Failure {
    Failure::Service(format!("refuses its settings: {reason}"))
}

fn printable(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Pass => Verdict::Pass,
        Verdict::Hold(reason) => match text::printable(&reason, failure::REASON_MAX) {
            reason if reason.is_empty() => Verdict::Hold("no reason given".into()),
            reason => Verdict::Hold(reason),
        },
    }
}
