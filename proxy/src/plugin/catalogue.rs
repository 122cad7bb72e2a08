//! All filters that the configuration names: found, checked, compiled, linked, tried.

use std::path::Path;
use std::sync::Arc;

use popgate_config::Filter as Configured;
use wasmtime::component::Linker;

use super::command::{self, Command, CommandFilter};
use super::compiled::{Code, Compiled};
use super::component::{ComponentFilter, Misfit};
use super::data::DataFiles;
use super::engine::Engine;
use super::error::LoadError;
use super::failure::REASON_MAX;
use super::host::{Host, Profile};
use super::limits::Limits;
use super::record::Room;
use super::runner::Runner;
use super::source::Source;
use super::text;
use super::v0_1::{self, Linked};
use crate::filter::Filter;
use crate::message;

/// Loads filters. There is one for the whole life of the process, since it holds the memory that all filters run in.
pub struct Catalogue {
    engine: Arc<Engine>,
    linker: Linker<Host>,
    programs: wasmtime::Linker<Host>,
    compiled: Compiled,
    room: Room,
}

impl Catalogue {
    /// A catalogue that keeps compiled filters under `state_dir`.
    ///
    /// Makes the folder `compiled` there. Where that can't be done it goes on without, and logs a warning.
    ///
    /// # Errors
    /// [`LoadError::Engine`]: this system can't run filters.
    pub fn new(state_dir: &Path) -> Result<Self, LoadError> {
        let engine = Engine::start().map_err(|error| LoadError::Engine(error.to_string()))?;
        let linker = v0_1::linker(engine.wasmtime()).map_err(|error| LoadError::Engine(format!("{error:#}")))?;
        let programs = command::linker(engine.wasmtime()).map_err(|error| LoadError::Engine(format!("{error:#}")))?;
        let compiled = Compiled::under(state_dir);
        Ok(Self { engine: Arc::new(engine), linker, programs, compiled, room: Room::default() })
    }

    /// The same with another place for the messages that filters write: these limits, out of this budget.
    ///
    /// Without it they are in memory up to 1 MiB, else in the system's folder for temporary files.
    #[must_use]
    pub fn with_room(self, limits: message::Limits, budget: Arc<message::Budget>) -> Self {
        Self { room: Room { limits, budget }, ..self }
    }

    /// Loads a filter: reads its plugin, compiles it if need be (which may take seconds), and configures it once.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub async fn load(&self, filter: &Configured) -> Result<Arc<dyn Filter>, LoadError> {
        let data = DataFiles::open(&filter.data)?;
        let (plugin, wasm, code) = self.code(filter).await?;
        let kind = self.link(&plugin, &code)?;
        let profile = Profile {
            name: filter.name.as_str().into(),
            limits: Limits { timeout: filter.timeout, cpu: filter.cpu, memory: filter.memory },
            grant: Arc::new(filter.grant.clone()),
            data: Arc::new(data),
            room: self.room.clone(),
        };
        let runner = Runner::new(Arc::clone(&self.engine), profile, wasm, filter.settings.to_string());
        let linked = match kind {
            Kind::Component(linked) => linked,
            Kind::Command(_) if !filter.data.is_empty() => return Err(LoadError::CommandData { plugin }),
            Kind::Command(command) => return Ok(Arc::new(CommandFilter::new(command, runner))),
        };
        let loaded = ComponentFilter::new(linked, runner);
        match loaded.try_configure().await {
            Ok(()) => Ok(Arc::new(loaded)),
            Err(Misfit::Settings(reason)) => {
                Err(LoadError::Settings { plugin, reason: text::printable(&reason, REASON_MAX) })
            }
            Err(Misfit::Failure(reason)) => Err(LoadError::Configure { plugin, reason }),
        }
    }

    /// The plugin's name, its hash and its code. Reading and compiling is done where a thread may be busy for long.
    async fn code(&self, filter: &Configured) -> Result<(String, [u8; 32], Code), LoadError> {
        let (engine, compiled, filter) = (Arc::clone(&self.engine), self.compiled.clone(), filter.clone());
        let work = move || {
            let source = Source::read(&filter)?;
            match compiled.code(engine.wasmtime(), &source) {
                Ok(code) => Ok((source.plugin, source.sha256, code)),
                Err(error) => {
                    let reason = text::printable(&format!("{error:#}"), REASON_MAX);
                    Err(LoadError::Compile { plugin: source.plugin, reason })
                }
            }
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(LoadError::Engine(error.to_string())))
    }

    fn link(&self, plugin: &str, code: &Code) -> Result<Kind, LoadError> {
        let engine = self.engine.wasmtime();
        let (linked, imports) = match code {
            Code::Component(component) => {
                let ty = component.component_type();
                let exports: Vec<String> = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
                let linked = match is_command(plugin, exports)? {
                    true => Command::component(&self.linker, component).map(Kind::Command),
                    false => Linked::new(&self.linker, component).map(Kind::Component),
                };
                (linked, ty.imports(engine).map(|(name, _)| name.to_owned()).collect::<Vec<_>>())
            }
            Code::Program(module) => {
                let linked = Command::program(&self.programs, module).map(Kind::Command);
                (linked, module.imports().map(|import| format!("{}::{}", import.module(), import.name())).collect())
            }
        };
        linked.map_err(|error| {
            let text = format!("{error:#}");
            let plugin = plugin.to_owned();
            // wasmtime names the first import that it can't satisfy.
            match imports.into_iter().find(|name| text.contains(&format!("`{name}`"))) {
                Some(import) => {
                    let reason = text::printable(&error.root_cause().to_string(), REASON_MAX);
                    LoadError::UnknownImport { plugin, import, reason }
                }
                None => LoadError::Compile { plugin, reason: text::printable(&text, REASON_MAX) },
            }
        })
    }
}

/// A plugin whose imports are resolved.
enum Kind {
    Component(Linked),
    Command(Command),
}

/// Reads kind and track from the names of the exports.
pub(super) fn is_command(plugin: &str, exports: Vec<String>) -> Result<bool, LoadError> {
    let plugin = plugin.to_owned();
    let has = |start: &str| exports.iter().any(|name| name.starts_with(start));
    if has(v0_1::TRACK) {
        return Ok(false);
    }
    match exports.iter().find(|name| name.starts_with("popgate:filter/filter@")) {
        Some(found) => Err(LoadError::OtherTrack { plugin, found: text::printable(found, 100) }),
        None if has(command::TRACK) => Ok(true),
        None => Err(LoadError::OtherWorld { plugin, exports }),
    }
}
