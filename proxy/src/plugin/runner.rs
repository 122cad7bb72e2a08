//! How a guest of any kind is run: in a place of its own, under all limits, against both clocks.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use wasmtime::{Store, UpdateDeadline};

use super::engine::{Engine, Place};
use super::failure::{self, Ended};
use super::host::{Host, Profile};
use super::limits::{ARGUMENTS_MAX, Exceeded, HANDLES_MAX, Limits, STATE_ARGUMENTS_MAX};
use super::verdicts::Known;
use crate::filter::Failure;
use crate::store::Verdicts;

/// Runs the guests of one filter.
pub(super) struct Runner {
    engine: Arc<Engine>,
    pub(super) profile: Profile,
    /// The settings as JSON.
    pub(super) settings: String,
    /// A hash of all that decides what the filter does.
    pub(super) fingerprint: [u8; 32],
    /// The verdicts that are known, of a filter that may keep them.
    pub(super) known: Option<Known>,
}

impl Runner {
    /// A runner for a filter with these settings, that is made of files with these hashes, and may keep its verdicts here.
    pub(super) fn new(
        engine: Arc<Engine>,
        profile: Profile,
        files: &[[u8; 32]],
        settings: String,
        verdicts: Option<Verdicts>,
    ) -> Self {
        let Limits { timeout, cpu, memory } = profile.limits;
        let mut hash = Sha256::new();
        files.iter().for_each(|file| hash.update(file));
        hash.update(format!("{timeout:?} {cpu:?} {memory} {settings}"));
        let fingerprint = hash.finalize().into();
        let known = verdicts.map(|verdicts| Known::new(verdicts, &profile, &fingerprint));
        Self { engine, profile, settings, fingerprint, known }
    }

    /// A place for a guest.
    ///
    /// # Errors
    /// There is none for as long as the filter may take.
    pub(super) async fn place(&self) -> Result<Place, Failure> {
        self.place_within(self.profile.limits.timeout).await
    }

    /// A place for a guest that may wait for so long.
    ///
    /// # Errors
    /// There is none.
    pub(super) async fn place_within(&self, patience: Duration) -> Result<Place, Failure> {
        self.engine.place(patience).await.ok_or_else(|| Failure::Service(failure::no_room()))
    }

    /// A store with all limits in force.
    pub(super) fn store(&self, host: Host) -> Store<Host> {
        let mut store = Store::new(self.engine.wasmtime(), host);
        store.limiter(|host| &mut host.memory);
        store.set_hostcall_fuel(match self.profile.state {
            Some(_) => STATE_ARGUMENTS_MAX,
            None => ARGUMENTS_MAX,
        });
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
    pub(super) async fn run<T>(
        &self,
        store: &mut Store<Host>,
        work: impl AsyncFnOnce(&mut Store<Host>) -> wasmtime::Result<T>,
    ) -> Result<T, Ended> {
        let cpu = Arc::clone(&store.data().cpu);
        match tokio::time::timeout(self.profile.limits.timeout, cpu.measure(work(store))).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Ended::Error(error)),
            Err(_) => Err(Ended::Timeout),
        }
    }
}
