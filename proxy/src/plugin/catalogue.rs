//! All filters that the configuration names: found, checked, compiled, linked, configured.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use popgate_config::{Filter as Wanted, Plugin, Snapshot};
use wasmtime::component::Linker;

use super::code::{Code, MachineCode};
use super::command::{self, Command, CommandFilter};
use super::compiled::{Compiled, Kept, Key};
use super::component::{ComponentFilter, Configured, Misfit};
use super::data::DataFiles;
use super::engine::Engine;
use super::error::LoadError;
use super::failure::REASON_MAX;
use super::host::{Host, Profile};
use super::inspect;
use super::limits::Limits;
use super::log::Log;
use super::record::Room;
use super::runner::Runner;
use super::sandbox::Reach;
use super::source::{Form, Source};
use super::text;
use super::v0_1::{self, Linked};
use super::workshop::{Bounds, Compiler, Materials, Setting, Task, Workshop};
use crate::filter::Filter;
use crate::message;
use crate::store::{State, Verdicts};

/// What snapshots are made with: another tool makes others. A test compares it with what is built in.
const TOOL: &str = "wasmtime-wizer 48.0.8";

/// What components are kept for that were made ready for a snapshot, those inside of others as well.
const INSTRUMENTED: &str = "wasmtime-wizer 48.0.8, inside too";

/// Loads filters. There is one for the whole life of the process, since it holds the memory that all filters run in.
pub struct Catalogue {
    engine: Arc<Engine>,
    linker: Linker<Host>,
    programs: wasmtime::Linker<Host>,
    compiled: Compiled,
    workshop: Workshop,
    room: Room,
    state: RwLock<Option<State>>,
    verdicts: RwLock<Option<Verdicts>>,
}

/// A filter, and what is known about its plugin.
pub struct Loaded {
    /// The filter.
    pub filter: Arc<dyn Filter>,
    /// The SHA-256 of the plugin.
    pub sha256: [u8; 32],
    /// When it gets its settings.
    pub configuring: Configuring,
}

/// When a filter gets its settings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Configuring {
    /// Once, when it was loaded: instances are made of a snapshot.
    Once,
    /// For each message, for this reason.
    EachTime(String),
    /// It is a program, and finds them in its environment.
    Program,
}

impl Catalogue {
    /// A catalogue that keeps compiled filters under `state_dir`, and has them compiled by `compiler`.
    ///
    /// Makes the folder `compiled` there. Where that can't be done it goes on without, and logs a warning.
    ///
    /// # Errors
    /// [`LoadError::Engine`]: this system can't run filters.
    pub fn new(state_dir: &Path, compiler: Compiler) -> Result<Self, LoadError> {
        let engine = Engine::start().map_err(|error| LoadError::Engine(error.to_string()))?;
        let linker = v0_1::linker(engine.wasmtime()).map_err(|error| LoadError::Engine(format!("{error:#}")))?;
        let programs = command::linker(engine.wasmtime()).map_err(|error| LoadError::Engine(format!("{error:#}")))?;
        let (engine, compiled) = (Arc::new(engine), Compiled::under(state_dir));
        let workshop = Workshop::new(compiler, Arc::clone(&engine));
        Ok(Self {
            engine,
            linker,
            programs,
            compiled,
            workshop,
            room: Room::default(),
            state: RwLock::default(),
            verdicts: RwLock::default(),
        })
    }

    /// The same with another place for the messages that filters write: these limits, out of this budget.
    ///
    /// Without it they are in memory up to 1 MiB, else in the system's folder for temporary files.
    #[must_use]
    pub fn with_room(self, limits: message::Limits, budget: Arc<message::Budget>) -> Self {
        Self { room: Room { limits, budget }, ..self }
    }

    /// From now on filters that are loaded keep their state here. Without one there is nothing to be granted.
    pub fn keep_state_in(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Some(state);
    }

    /// From now on filters that are loaded, and may, keep their verdicts here.
    pub fn keep_verdicts_in(&self, verdicts: Option<Verdicts>) {
        *self.verdicts.write().unwrap_or_else(PoisonError::into_inner) = verdicts;
    }

    /// Loads a filter: reads its plugin, compiles it if need be (which may take seconds), and configures it once.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub async fn load(&self, wanted: &Wanted, bounds: &Bounds) -> Result<Loaded, LoadError> {
        let found = Found::read(wanted, bounds).await?;
        let kind = match found.source.form {
            Form::Component if wanted.snapshot != Snapshot::Never && found.is_filter => {
                self.snapshot(wanted, &found, bounds).await?
            }
            _ => {
                let reason = "so the configuration has it".to_owned();
                self.plain(&found, bounds, false).await.map(|(kind, _)| (kind, Configuring::EachTime(reason)))?
            }
        };
        let plugin = found.source.plugin.clone();
        let runner = self.runner(wanted, &found);
        let sha256 = found.source.sha256;
        let (linked, configuring) = match kind {
            (Kind::Component(linked), configuring) => (linked, configuring),
            (Kind::Command(_), _) if !wanted.data.is_empty() => return Err(LoadError::CommandData { plugin }),
            (Kind::Command(command), _) => {
                let filter = Arc::new(CommandFilter::new(command, runner));
                return Ok(Loaded { filter, sha256, configuring: Configuring::Program });
            }
        };
        if configuring == Configuring::Once {
            let filter = Arc::new(ComponentFilter::new(linked, runner, Configured::Once));
            return Ok(Loaded { filter, sha256, configuring });
        }
        let filter = ComponentFilter::new(linked, runner, Configured::EachTime);
        match filter.try_configure().await {
            Ok(()) => Ok(Loaded { filter: Arc::new(filter), sha256, configuring }),
            Err(Misfit::Settings(reason)) => {
                Err(LoadError::Settings { plugin, reason: text::printable(&reason, REASON_MAX) })
            }
            Err(Misfit::Failure(reason)) => Err(LoadError::Configure { plugin, reason }),
        }
    }

    fn state(&self) -> Option<State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn runner(&self, wanted: &Wanted, found: &Found) -> Runner {
        let verdicts = self.verdicts.read().unwrap_or_else(PoisonError::into_inner).clone().filter(|_| wanted.cache);
        let profile = Profile {
            name: wanted.name.as_str().into(),
            limits: limits(wanted),
            grant: Arc::new(wanted.grant.clone()),
            data: Arc::clone(&found.data),
            room: self.room.clone(),
            reach: Reach::default(),
            state: self.state().filter(|_| keeps_state(wanted)),
            notes: verdicts.is_some(),
        };
        let files = [found.source.sha256, found.data_sha256];
        Runner::new(Arc::clone(&self.engine), profile, &files, wanted.settings.to_string(), verdicts)
    }

    /// The plugin as it is. `instrumented`: such that a snapshot can be taken, or with the reason why not.
    async fn plain(
        &self,
        found: &Found,
        bounds: &Bounds,
        instrumented: bool,
    ) -> Result<(Kind, (MachineCode, String)), LoadError> {
        let source = &found.source;
        let (purpose, task) = match (source.form, instrumented) {
            (Form::Program, _) => ("program", Task::Program),
            (Form::Component, false) => ("component", Task::Component { instrumented }),
            (Form::Component, true) => (INSTRUMENTED, Task::Component { instrumented }),
        };
        let key = Key::new(self.engine.wasmtime(), purpose, &[&source.sha256]);
        if let Some(Kept { note, code: Some(code) }) = self.compiled.find(&key)
            && let Ok(loaded) = self.loaded(source.form, &code)
        {
            return Ok((self.link(&source.plugin, &loaded)?, (code, note)));
        }
        let (wasm, data) = (source.wasm.clone(), Arc::new(DataFiles::default()));
        let materials = Materials { wasm, code: MachineCode::come_back(Vec::new()), data };
        let plugin = || source.plugin.clone();
        let made = self.workshop.make(*bounds, &self.compiled, task, materials).await;
        let (product, _) = made.map_err(|died| LoadError::Compiler { plugin: plugin(), reason: died.to_string() })?;
        let (code, note) =
            product.made.map_err(|refused| LoadError::Compile { plugin: plugin(), reason: refused.reason })?;
        let loaded = self.loaded(source.form, &code);
        let loaded = loaded.map_err(|reason| LoadError::Compile { plugin: plugin(), reason })?;
        let kind = self.link(&source.plugin, &loaded)?;
        self.compiled.keep(&key, &Kept { note: note.clone(), code: Some(code.clone()) });
        Ok((kind, (code, note)))
    }

    /// The plugin, configured already if that can be, else as it is.
    async fn snapshot(
        &self,
        wanted: &Wanted,
        found: &Found,
        bounds: &Bounds,
    ) -> Result<(Kind, Configuring), LoadError> {
        let (source, settings) = (&found.source, wanted.settings.to_string());
        let (limits, how) = (limits(wanted), wanted.snapshot);
        let limits = format!("{limits:?} {} {} {how:?}", bounds.snapshot_size, wanted.grant);
        let parts: [&[u8]; 5] = [
            &source.sha256,
            &found.data_sha256,
            settings.as_bytes(),
            limits.as_bytes(),
            env!("CARGO_PKG_VERSION").as_bytes(),
        ];
        let key = Key::new(self.engine.wasmtime(), &format!("{TOOL}, configured"), &parts);
        let known = self.compiled.find(&key);
        if let Some(Kept { code: Some(code), .. }) = &known
            && let Ok(loaded) = self.loaded(Form::Component, code)
        {
            return Ok((self.link(&source.plugin, &loaded)?, Configuring::Once));
        }
        let (kind, (code, note)) = self.plain(found, bounds, true).await?;
        let refused = match known {
            _ if !note.is_empty() => Some(note),
            Some(Kept { note, code: None }) => Some(note),
            _ => None,
        };
        if let Some(reason) = refused {
            return Ok((kind, Configuring::EachTime(reason)));
        }
        match self.taken(wanted, found, bounds, &key, code).await {
            Ok(linked) => Ok((linked, Configuring::Once)),
            Err(reason) => Ok((kind, Configuring::EachTime(reason))),
        }
    }

    /// The plugin, configured; or why that can't be.
    async fn taken(
        &self,
        wanted: &Wanted,
        found: &Found,
        bounds: &Bounds,
        key: &Key,
        code: MachineCode,
    ) -> Result<Kind, String> {
        let Limits { timeout, cpu, memory } = limits(wanted);
        let setting = Setting {
            name: wanted.name.clone(),
            settings: wanted.settings.to_string(),
            timeout,
            cpu,
            memory,
            connect: wanted.grant.connect.clone(),
            size_max: bounds.snapshot_size,
            warm: wanted.snapshot == Snapshot::Warm,
        };
        let materials = Materials { wasm: found.source.wasm.clone(), code, data: Arc::clone(&found.data) };
        let made = self.workshop.make(*bounds, &self.compiled, Task::Snapshot(Box::new(setting)), materials).await;
        let (product, data_sha256) = made.map_err(|died| died.to_string())?;
        if data_sha256 != found.data_sha256 {
            return Err("its data files change".into());
        }
        let code = match product.made {
            Ok((code, _)) => code,
            Err(refused) => {
                if refused.for_good {
                    self.compiled.keep(key, &Kept { note: refused.reason.clone(), code: None });
                }
                return Err(refused.reason);
            }
        };
        let loaded = self.loaded(Form::Component, &code)?;
        let linked = self.link(&found.source.plugin, &loaded).map_err(|error| error.to_string())?;
        self.compiled.keep(key, &Kept { note: String::new(), code: Some(code) });
        let log = Log::new(wanted.name.as_str().into());
        product.log.iter().for_each(|(level, line)| log.write(*level, line));
        Ok(linked)
    }

    fn loaded(&self, form: Form, code: &MachineCode) -> Result<Code, String> {
        Code::load(self.engine.wasmtime(), form, code)
            .map_err(|error| text::printable(&format!("{error:#}"), REASON_MAX))
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

/// What a filter is made of.
struct Found {
    source: Source,
    /// Whether the plugin exports the interface of filters.
    is_filter: bool,
    data: Arc<DataFiles>,
    data_sha256: [u8; 32],
}

impl Found {
    /// Reads it, where a thread may be busy for long.
    async fn read(wanted: &Wanted, bounds: &Bounds) -> Result<Self, LoadError> {
        let (wanted, size_max) = (wanted.clone(), bounds.plugin_size);
        let work = move || {
            let data = DataFiles::open(&wanted.data)?;
            let source = Source::read(&wanted, size_max)?;
            let data_sha256 = data.digest()?;
            let exports = inspect::component_names(&source.wasm).map(|(_, exports)| exports).unwrap_or_default();
            let is_filter = exports.iter().any(|name| name.starts_with(v0_1::TRACK));
            Ok(Self { source, is_filter, data: Arc::new(data), data_sha256 })
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(LoadError::Engine(error.to_string())))
    }
}

fn limits(wanted: &Wanted) -> Limits {
    Limits { timeout: wanted.timeout, cpu: wanted.cpu, memory: wanted.memory }
}

/// Whether a filter may keep state. What popgate brings along may.
fn keeps_state(wanted: &Wanted) -> bool {
    wanted.grant.kv || matches!(wanted.plugin, Plugin::Bundled(_))
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

#[cfg(test)]
mod tests {
    #[test]
    fn snapshots_are_told_apart_by_the_tool_that_is_built_in() {
        let lock = include_str!("../../../Cargo.lock");
        let (name, version) = super::TOOL.split_once(' ').unwrap();
        assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"")));
        assert!(super::INSTRUMENTED.starts_with(super::TOOL));
    }
}
