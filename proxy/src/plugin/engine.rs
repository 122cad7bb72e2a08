//! The one wasmtime engine of the process: how guests are compiled, where they live, how they are interrupted.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmparser::WasmFeatures;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

use super::ticker::{self, Running, Ticker};

/// Guests at the same time for each processor.
///
/// Guests compute, so more of them finish nothing earlier; and when all of them compute as long as they may, everything else
/// on a thread waits for a tick of each.
const PLACES_EACH: usize = 16;

/// Guests at the same time at least: some may wait for something after all.
const PLACES_MIN: usize = 32;

/// Guests at the same time at most. The pool reserves address space, 4 GiB for each memory.
const PLACES_MAX: usize = 128;

/// Memories in the pool for each guest. Nearly all components have one.
const MEMORIES_EACH: u32 = 2;

/// Tables in the pool for each guest. Interpreters have many, Python about forty.
const TABLES_EACH: u32 = 20;

/// Core modules for each guest. A counter only, the memory for them is taken as they live.
const CORE_INSTANCES_EACH: u32 = 64;

/// Octets of what wasmtime keeps for one component besides its memory. Python takes 4 MiB.
const INSTANCE_SIZE: usize = 8 * 1024 * 1024;

/// Octets of stack for the guest's own frames. Most guests keep a second stack in their memory and run out of that first.
const WASM_STACK: usize = 512 * 1024;

/// Octets of stack for a guest and the host functions that it calls.
const STACK: usize = 2 * 1024 * 1024;

/// Octets at the start of a memory that are cleared instead of given back, where the system can tell which pages were used.
const KEEP_RESIDENT: usize = 2 * 1024 * 1024;

/// The same where it can't: all of them are cleared each time, so more would cost more than it saves.
const KEEP_RESIDENT_BLINDLY: usize = 64 * 1024;

/// The engine, its clock, and the places for guests.
pub(super) struct Engine {
    wasmtime: wasmtime::Engine,
    kind: Kind,
    ticker: Ticker,
    places: Arc<Semaphore>,
}

/// How an engine takes memory for guests. Machine code for one kind does not run in the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Out of address space that was reserved beforehand.
    Roomy,
    /// As little as need be.
    Narrow,
}

/// The engine can't be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    #[error("{0:#}")]
    Wasmtime(wasmtime::Error),
    #[error("its clock can't be started: {0}")]
    Clock(#[from] std::io::Error),
}

/// A place for one guest. The clock runs as long as it is taken.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    _running: Running,
}

impl Engine {
    /// Starts the engine and its clock.
    ///
    /// # Errors
    /// wasmtime does not run on this system, or there is no thread for the clock.
    pub(super) fn start() -> Result<Self, EngineError> {
        let roomy = wasmtime::Engine::new(&pooled(places() as u32));
        let (wasmtime, kind) = match roomy {
            Ok(engine) => (engine, Kind::Roomy),
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "no address space for a pool of filter instances (a limit as by `ulimit -v`?); filters run more slowly"
                );
                let engine = wasmtime::Engine::new(&narrow()).map_err(EngineError::Wasmtime)?;
                (engine, Kind::Narrow)
            }
        };
        Self::around(wasmtime, kind)
    }

    /// An engine that compiles for one of this kind, and runs a guest or two: it reserves nothing.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub(super) fn to_compile_for(kind: Kind) -> Result<Self, EngineError> {
        let config = match kind {
            Kind::Roomy => common(),
            Kind::Narrow => narrow(),
        };
        Self::around(wasmtime::Engine::new(&config).map_err(EngineError::Wasmtime)?, kind)
    }

    fn around(wasmtime: wasmtime::Engine, kind: Kind) -> Result<Self, EngineError> {
        let ticker = Ticker::start(wasmtime.weak(), ticker::QUIET)?;
        Ok(Self { wasmtime, kind, ticker, places: Arc::new(Semaphore::new(places())) })
    }

    /// How it takes memory.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The engine itself.
    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.wasmtime
    }

    /// Waits for a place for one guest, at most as long as given. None if there is none by then.
    pub(super) async fn place(&self, patience: Duration) -> Option<Place> {
        let permit = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let permit = Arc::clone(&self.places).acquire_owned();
                tokio::time::timeout(patience, permit).await.ok()?.ok()?
            }
        };
        Some(Place { _permit: permit, _running: self.ticker.running() })
    }
}

/// How many guests there are at the same time.
fn places() -> usize {
    let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    (PLACES_EACH * processors).clamp(PLACES_MIN, PLACES_MAX)
}

fn pooled(places: u32) -> Config {
    let pagemap = PoolingAllocationConfig::is_pagemap_scan_available();
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(places)
        .total_core_instances(CORE_INSTANCES_EACH * places)
        .total_memories(MEMORIES_EACH * places)
        .total_tables(TABLES_EACH * places)
        .total_stacks(places)
        .max_component_instance_size(INSTANCE_SIZE)
        .max_core_instance_size(INSTANCE_SIZE)
        .max_tables_per_module(20)
        .max_memories_per_module(4)
        .table_elements(20_000)
        .pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(if pagemap { KEEP_RESIDENT } else { KEEP_RESIDENT_BLINDLY })
        .table_keep_resident(if pagemap { KEEP_RESIDENT } else { KEEP_RESIDENT_BLINDLY });
    let mut config = common();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// For systems with little address space: memories are no larger than they have to be, and are moved when they grow.
fn narrow() -> Config {
    let mut config = common();
    config
        .allocation_strategy(InstanceAllocationStrategy::OnDemand)
        .memory_reservation(0)
        .memory_guard_size(64 * 1024)
        .memory_reservation_for_growth(1024 * 1024)
        .memory_may_move(true);
    config
}

fn common() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(STACK)
        // Names of functions come from the module itself; line tables would be read at each trap.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_memory64(false)
        .wasm_multi_memory(true);
    config
}

/// What of WebAssembly the engine takes, for looking at a plugin without it: what wasmtime has by default, without what it was
/// built without or is told not to take above.
pub(super) fn features() -> WasmFeatures {
    let without = WasmFeatures::CM_ASYNC
        | WasmFeatures::EXCEPTIONS
        | WasmFeatures::GC_TYPES
        | WasmFeatures::MEMORY64
        | WasmFeatures::THREADS;
    (WasmFeatures::WASM3 | WasmFeatures::COMPONENT_MODEL).difference(without)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_are_bounded_and_come_back() {
        let engine = Engine::start().unwrap();
        let mut taken = Vec::new();
        for _ in 0..places() {
            taken.push(engine.place(Duration::ZERO).await.unwrap());
        }
        assert!(engine.place(Duration::from_millis(1)).await.is_none());
        taken.pop();
        assert!(engine.place(Duration::ZERO).await.is_some());
    }

    #[test]
    fn code_of_an_engine_that_compiles_runs_in_the_one_that_it_compiles_for() {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let hash = |engine: &wasmtime::Engine| {
            let mut hasher = DefaultHasher::new();
            engine.precompile_compatibility_hash().hash(&mut hasher);
            hasher.finish()
        };
        let roomy = wasmtime::Engine::new(&pooled(8)).unwrap();
        let narrow = wasmtime::Engine::new(&narrow()).unwrap();
        for (kind, engine) in [(Kind::Roomy, &roomy), (Kind::Narrow, &narrow)] {
            assert_eq!(hash(Engine::to_compile_for(kind).unwrap().wasmtime()), hash(engine));
        }
        assert_ne!(hash(&roomy), hash(&narrow));
    }

    #[test]
    fn what_the_engine_takes_is_known_without_it() {
        let engine = wasmtime::Engine::new(&narrow()).unwrap();
        for (text, taken) in [
            ("(module (memory 1) (memory 1))", true),
            ("(module (table 1 funcref) (func (param funcref)) (func (result v128) unreachable))", true),
            ("(module (func (param externref)))", false),
            ("(module (memory i64 1))", false),
            ("(module (memory 1 1 shared))", false),
            ("(module (type (struct)))", false),
            ("(module (tag))", false),
            ("(component (core func (canon task.cancel)))", false),
        ] {
            let wasm = wat::parse_str(text).unwrap();
            let looked_at = wasmparser::Validator::new_with_features(features()).validate_all(&wasm).is_ok();
            let compiled = match text.starts_with("(module") {
                true => wasmtime::Module::new(&engine, &wasm).is_ok(),
                false => wasmtime::component::Component::new(&engine, &wasm).is_ok(),
            };
            assert_eq!((looked_at, compiled), (taken, taken), "{text}");
        }
    }

    #[test]
    fn the_engine_for_little_address_space_starts_too() {
        assert!(wasmtime::Engine::new(&narrow()).is_ok());
    }
}
