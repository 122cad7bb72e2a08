//! Where plugins are compiled, and configured beforehand: work that takes strange code to pieces and can't be interrupted.
//!
//! It is done by a process of its own, the same program again, which bounds itself and is ended when it takes too long
//! ([`confine`], [`child`]). It gets its order on standard input and answers on standard output ([`order`]), both of
//! them files without a name; what it does is in [`work`]. At a time there are as many as there are processors.

mod child;
mod confine;
mod nest;
mod order;
mod snapshot;
mod trial;
mod work;

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::Semaphore;

pub(crate) use child::COMMAND;
pub(super) use child::Died;
pub use confine::Confinement;
pub(super) use order::{Materials, Product, Setting, Task};

use super::compiled::Compiled;
use super::engine::{Engine, Kind};

/// Who compiles plugins.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// A process that this program is started for, with the subcommand that [`main`] stands behind.
    Process(PathBuf),
    /// This process itself, without a bound of time or memory: for tests, and for plugins that are trusted.
    Here,
}

impl Compiler {
    /// The running program, whatever has become of its file meanwhile.
    #[must_use]
    pub fn this_program() -> Self {
        Self::Process("/proc/self/exe".into())
    }
}

/// What compiling a plugin may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// Octets of its file.
    pub plugin_size: u64,
    /// Octets of a configured component.
    pub snapshot_size: u64,
    /// Processor time for compiling it, and as much again for its snapshot.
    pub compile_time: Duration,
    /// Octets of memory for the same.
    pub compile_memory: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            plugin_size: 64 << 20,
            snapshot_size: 128 << 20,
            compile_time: Duration::from_secs(60),
            compile_memory: 1 << 30,
        }
    }
}

/// Gives orders, and gets what came of them.
pub(super) struct Workshop {
    compiler: Compiler,
    engine: Arc<Engine>,
    places: Semaphore,
}

/// What came of an order, and the digest of the data files that went with it.
pub(super) type Work = (Product, [u8; 32]);

impl Workshop {
    /// A workshop for this engine.
    pub(super) fn new(compiler: Compiler, engine: Arc<Engine>) -> Self {
        let places = Semaphore::new(thread::available_parallelism().map_or(1, usize::from));
        Self { compiler, engine, places }
    }

    /// Has something made.
    ///
    /// # Errors
    /// It takes more than it may, or the system is in the way.
    pub(super) async fn make(
        &self,
        bounds: Bounds,
        scratch: &Compiled,
        task: Task,
        materials: Materials,
    ) -> Result<Work, Died> {
        // The semaphore is never closed.
        let _place = self.places.acquire().await.ok();
        let (compiler, engine, scratch) = (self.compiler.clone(), Arc::clone(&self.engine), scratch.clone());
        let work = move || {
            let mut input = scratch.scratch()?;
            let narrow = engine.kind() == Kind::Narrow;
            let data = order::write(&mut input, narrow, task, &materials)?;
            drop(materials);
            let mut output = scratch.scratch()?;
            match compiler {
                Compiler::Process(program) => child::run(&program, &bounds, input, &output, scratch.scratch()?)?,
                Compiler::Here => fulfil(input, &mut output, |_| Ok(engine), &Handle::current())?,
            }
            Ok((Product::read(&mut output)?, data))
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|error| Err(Died::Otherwise(format!("has failed: {error}"))))
    }
}

fn fulfil(
    input: File,
    output: &mut File,
    engine: impl FnOnce(Kind) -> std::io::Result<Arc<Engine>>,
    runtime: &Handle,
) -> std::io::Result<()> {
    let (narrow, task, materials) = order::read(input)?;
    let engine = engine(if narrow { Kind::Narrow } else { Kind::Roomy })?;
    work::work(&engine, runtime, task, materials).write(output)
}

/// The process of the workshop: the whole program, from its first moment to its end.
#[must_use]
pub fn main(confinement: Confinement) -> ExitCode {
    match serve(confinement) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(confinement: Confinement) -> std::io::Result<()> {
    confinement.limit()?;
    let input = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    confine::close_doors();
    let engine = |kind| Engine::to_compile_for(kind).map(Arc::new).map_err(std::io::Error::other);
    fulfil(input, &mut output, engine, runtime.handle())
}
