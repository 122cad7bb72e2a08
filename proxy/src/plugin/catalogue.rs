//! All filters that the configuration names: found, checked, compiled, linked, tried.

use std::path::Path;
use std::sync::Arc;

use popgate_config::Filter as Configured;
use wasmtime::component::{Component, Linker};

use super::compiled::Compiled;
use super::component::{ComponentFilter, Misfit};
use super::data::DataFiles;
use super::engine::Engine;
use super::error::LoadError;
use super::failure::REASON_MAX;
use super::host::{Host, Profile};
use super::limits::Limits;
use super::record::Room;
use super::source::Source;
use super::text;
use super::v0_1::{self, Linked};
use crate::filter::Filter;
use crate::message;

/// Loads filters. There is one for the whole life of the process, since it holds the memory that all filters run in.
pub struct Catalogue {
    engine: Arc<Engine>,
    linker: Linker<Host>,
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
        let compiled = Compiled::under(state_dir);
        Ok(Self { engine: Arc::new(engine), linker, compiled, room: Room::default() })
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
        let (plugin, wasm, component) = self.component(filter).await?;
        let linked = self.link(&plugin, &component)?;
        let profile = Profile {
            name: filter.name.as_str().into(),
            limits: Limits { timeout: filter.timeout, cpu: filter.cpu, memory: filter.memory },
            data: Arc::new(data),
            room: self.room.clone(),
        };
        let loaded = ComponentFilter::new(Arc::clone(&self.engine), linked, profile, wasm, filter.settings.to_string());
        match loaded.try_configure().await {
            Ok(()) => Ok(Arc::new(loaded)),
            Err(Misfit::Settings(reason)) => {
                Err(LoadError::Settings { plugin, reason: text::printable(&reason, REASON_MAX) })
            }
            Err(Misfit::Failure(reason)) => Err(LoadError::Configure { plugin, reason }),
        }
    }

    /// The plugin's name, its hash and its component. Reading and compiling is done where a thread may be busy for long.
    async fn component(&self, filter: &Configured) -> Result<(String, [u8; 32], Component), LoadError> {
        let (engine, compiled, filter) = (Arc::clone(&self.engine), self.compiled.clone(), filter.clone());
        let work = move || {
            let source = Source::read(&filter)?;
            match compiled.component(engine.wasmtime(), &source) {
                Ok(component) => Ok((source.plugin, source.sha256, component)),
                Err(error) => {
                    let reason = text::printable(&format!("{error:#}"), REASON_MAX);
                    Err(LoadError::Compile { plugin: source.plugin, reason })
                }
            }
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(LoadError::Engine(error.to_string())))
    }

    fn link(&self, plugin: &str, component: &Component) -> Result<Linked, LoadError> {
        let engine = self.engine.wasmtime();
        let ty = component.component_type();
        let exports: Vec<String> = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
        check_exports(plugin, exports)?;
        Linked::new(&self.linker, component).map_err(|error| {
            let text = format!("{error:#}");
            let plugin = plugin.to_owned();
            // wasmtime names the first import that it can't satisfy.
            match ty.imports(engine).find(|(name, _)| text.contains(&format!("`{name}`"))) {
                Some((import, _)) => {
                    let reason = text::printable(&error.root_cause().to_string(), REASON_MAX);
                    LoadError::UnknownImport { plugin, import: import.into(), reason }
                }
                None => LoadError::Compile { plugin, reason: text::printable(&text, REASON_MAX) },
            }
        })
    }
}

/// Reads the track from the name of the export.
fn check_exports(plugin: &str, exports: Vec<String>) -> Result<(), LoadError> {
    let plugin = plugin.to_owned();
    if exports.iter().any(|name| name.starts_with(v0_1::TRACK)) {
        return Ok(());
    }
    match exports.iter().find(|name| name.starts_with("popgate:filter/filter@")) {
        Some(found) => Err(LoadError::OtherTrack { plugin, found: text::printable(found, 100) }),
        None => Err(LoadError::OtherWorld { plugin, exports }),
    }
}
