//! From a configuration to filters, with faults told where they stand.

use std::sync::Arc;

use popgate_config::{Config, Database, Filter, Mode, OnError, Place, Plugin, Reads, Store};
use tokio::task::JoinSet;
use tracing::info;

use crate::filter::{Breaker, BreakerPolicy, Chain, Link, OnFailure, Only, Oversize, UserPredicate};
use crate::message::{Budget, Limits};
use crate::plugin::{Bounds, Catalogue, Compiler, Configuring, LoadError, Loaded, hex};
use crate::store::{History, LearnTokens, State, Verdicts};

/// The catalogue of a process: started with the first filter, kept for its whole life; and what filters remember.
#[derive(Default)]
pub(super) struct Plugins {
    catalogue: Option<Arc<Catalogue>>,
    /// When the filters that were loaded last get their settings, by their names.
    configuring: Vec<(String, Configuring)>,
    keeping: Keeping,
    /// The state, and what the configuration said of it.
    state: Option<(Store, State)>,
    /// Verdicts that are known, once a filter may keep them.
    verdicts: Option<Verdicts>,
    /// Whether there is a filter that uses it.
    used: bool,
    /// Whether there is one that leaves tokens there.
    leaves: bool,
}

/// What becomes of what filters write to their state.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Keeping {
    /// It is kept where the configuration says.
    #[default]
    Configured,
    /// What is there is read, and nothing is written.
    Reading,
    /// It is in memory, and gone with the process.
    Memory,
}

impl Plugins {
    /// For filters that see what is remembered, and leave it as it is.
    pub(super) fn reading() -> Self {
        Self { keeping: Keeping::Reading, ..Self::default() }
    }

    /// For filters whose state is nobody's.
    pub(super) fn in_memory() -> Self {
        Self { keeping: Keeping::Memory, ..Self::default() }
    }

    fn catalogue(&mut self, config: &Config) -> Result<Arc<Catalogue>, LoadError> {
        if self.catalogue.is_none() {
            let limits = &config.limits;
            let room = Limits {
                memory: super::server::IN_MEMORY,
                max: limits.max_message,
                spool: super::server::spool(config),
            };
            let budget = Arc::new(Budget::new(limits.memory_total, limits.spool_total));
            let catalogue = Catalogue::new(&config.state_dir, Compiler::this_program())?;
            self.catalogue = Some(Arc::new(catalogue.with_room(room, budget)));
        }
        let catalogue = self.catalogue.clone().ok_or_else(|| LoadError::Engine("it did not start".into()))?;
        if let Some((_, state)) = &self.state {
            catalogue.keep_state_in(state.clone());
            // Tools find out anew.
            if self.keeping == Keeping::Configured && config.filters.iter().any(|filter| filter.cache) {
                self.verdicts.get_or_insert_with(|| Verdicts::start(state));
            }
            catalogue.keep_verdicts_in(self.verdicts.clone());
        }
        Ok(catalogue)
    }

    /// The state of a configuration, which is the same as long as the configuration says the same of it.
    fn state(&mut self, config: &Config) -> Result<(), String> {
        if self.state.as_ref().is_some_and(|(store, _)| *store == config.store) {
            return Ok(());
        }
        let made = match self.keeping {
            Keeping::Configured => State::new(&config.store, &config.state_dir),
            Keeping::Reading => State::new(&config.store, &config.state_dir).map(State::read_only),
            Keeping::Memory => State::in_memory(),
        };
        let state = made.map_err(|error| unusable(config, &error.to_string()))?;
        if self.keeping == Keeping::Configured {
            state.keep_swept();
        }
        self.state = Some((config.store.clone(), state));
        self.verdicts = None;
        Ok(())
    }

    /// Where it is noted what becomes of messages, where that is wanted.
    pub(super) fn history(&self, config: &Config) -> Option<History> {
        let is_wanted = config.store.history.is_some() && self.keeping == Keeping::Configured;
        self.state.as_ref().filter(|_| is_wanted).map(|(_, state)| History::start(state))
    }

    /// Where it is kept by what filters can learn messages that are gone, where there are such filters.
    pub(super) fn learn_tokens(&self) -> Option<LearnTokens> {
        let is_wanted = self.leaves && self.keeping == Keeping::Configured;
        self.state.as_ref().filter(|_| is_wanted).map(|(_, state)| LearnTokens::start(state))
    }

    /// The state of the filters that were loaded last.
    pub(super) fn store(&self) -> Option<&State> {
        self.state.as_ref().map(|(_, state)| state)
    }

    /// Connects to the database of the state, where there is a filter that is told to use it.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for the operator.
    pub(super) async fn check_state(&self, config: &Config) -> Result<(), String> {
        // A server has been named on purpose; the file is made when it is needed.
        let is_server = config.store.database != Database::Sqlite && config.store.history.is_some();
        match &self.state {
            Some((_, state)) if self.used || is_server => {
                state.check().await.map_err(|error| unusable(config, &error.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// When a filter that was loaded last gets its settings.
    pub(super) fn configuring(&self, filter: &str) -> Option<&Configuring> {
        self.configuring.iter().find(|(name, _)| name == filter).map(|(_, configuring)| configuring)
    }

    /// Loads, checks and configures all filters.
    ///
    /// # Errors
    ///
    /// The text for the operator, with the place in the file.
    pub(super) async fn chain(&mut self, config: &Config) -> Result<Chain, String> {
        self.state(config)?;
        let mut loading = Vec::with_capacity(config.filters.len());
        for filter in &config.filters {
            loading.push((filter, self.begin(config, filter)));
        }
        self.configuring.clear();
        let mut links = Vec::with_capacity(config.filters.len());
        for (filter, loading) in loading {
            links.push(self.end(config, filter, loading).await?);
        }
        self.used = links.iter().any(|link| link.filter.remembers());
        self.leaves = links.iter().any(|link| link.filter.learns_by_token());
        Ok(Chain::new(links))
    }

    /// Loads, checks and configures one filter, which need not stand in that configuration.
    ///
    /// # Errors
    ///
    /// The text for the operator, with the place in the file.
    pub(super) async fn link(&mut self, config: &Config, filter: &Filter) -> Result<Link, String> {
        self.state(config)?;
        let loading = self.begin(config, filter);
        self.end(config, filter, loading).await
    }

    /// Starts to load a filter. It ends when nobody waits for it.
    fn begin(&mut self, config: &Config, filter: &Filter) -> Loading {
        let (catalogue, bounds, filter) = (self.catalogue(config), bounds(config), filter.clone());
        let mut loading = JoinSet::new();
        loading.spawn(async move { catalogue?.load(&filter, &bounds).await });
        loading
    }

    async fn end(&mut self, config: &Config, filter: &Filter, mut loading: Loading) -> Result<Link, String> {
        let loaded = match loading.join_next().await {
            Some(Ok(loaded)) => loaded,
            Some(Err(error)) => Err(LoadError::Engine(error.to_string())),
            None => Err(LoadError::Engine("it was not loaded".into())),
        };
        let loaded = loaded.map_err(|error| told(config, filter, &error))?;
        announce(filter, &loaded);
        self.configuring.push((filter.name.clone(), loaded.configuring));
        Ok(link(filter, loaded.filter))
    }
}

/// A filter that is being loaded.
type Loading = JoinSet<Result<Loaded, LoadError>>;

fn bounds(config: &Config) -> Bounds {
    let limits = &config.limits;
    Bounds {
        plugin_size: limits.plugin_size,
        snapshot_size: limits.snapshot_size,
        compile_time: limits.compile_time,
        compile_memory: limits.compile_memory,
    }
}

/// Tells the log which plugin this is, and what it may.
fn announce(filter: &Filter, loaded: &Loaded) {
    let plugin = match &filter.plugin {
        Plugin::Bundled(name) => name.clone(),
        Plugin::File(path) => path.display().to_string(),
    };
    let grant = if filter.grant.is_empty() { "none".to_owned() } else { filter.grant.to_string() };
    let (filter, sha256, configured) = (&filter.name, hex(&loaded.sha256), told_when(&loaded.configuring));
    info!(filter, plugin, sha256, grant, configured, "filter loaded");
}

/// When a filter gets its settings, in words.
pub(super) fn told_when(configuring: &Configuring) -> String {
    match configuring {
        Configuring::Once => "configured once (snapshot)".into(),
        Configuring::EachTime(reason) => format!("configured for each message: {reason}"),
        Configuring::Program => "a program, started for each message".into(),
    }
}

/// A database that can't be used, at its place in the configuration.
fn unusable(config: &Config, error: &str) -> String {
    let hint = "filters with `grant.kv` fail until it can be used";
    match &config.store.database {
        Database::Sqlite => {
            let path = config.state_dir.join("state.db");
            format!("error: what filters remember, in `{}`: {error}\nhint: {hint}", path.display())
        }
        Database::Postgres { password_file: Some(_), password_file_place, .. } if error.contains("No such file") => {
            config.fault_at(password_file_place, error, hint).to_string()
        }
        Database::Postgres { place, .. } => config.fault_at(place, &format!("`database`: {error}"), hint).to_string(),
    }
}

/// A fault at its place in the configuration.
fn told(config: &Config, filter: &Filter, error: &LoadError) -> String {
    let hint = error.hint().unwrap_or_else(|| "see config/README.md".into());
    config.fault_at(place(filter, error), &error.to_string(), &hint).to_string()
}

fn place<'a>(filter: &'a Filter, error: &LoadError) -> &'a Place {
    match error {
        LoadError::Pin { .. } => &filter.sha256_place,
        LoadError::DataFile { name, .. } => filter.data_places.get(name).unwrap_or(&filter.place),
        // Filters name the setting in backticks first.
        LoadError::Settings { reason, .. } => match reason.strip_prefix('`').and_then(|rest| rest.split_once('`')) {
            Some((path, _)) => filter.setting_place(path),
            None => &filter.settings_place,
        },
        LoadError::Configure { .. } => &filter.place,
        _ => &filter.plugin_place,
    }
}

fn link(filter: &Filter, loaded: Arc<dyn crate::filter::Filter>) -> Link {
    let patterns = filter.only.user.clone();
    let user = (!patterns.is_empty())
        .then(|| -> UserPredicate { Arc::new(move |name: &str| patterns.iter().any(|pattern| pattern.matches(name))) });
    let writes = match &filter.plugin {
        Plugin::Bundled(name) => popgate_plugins::find(name).map(|plugin| plugin.writes).unwrap_or_default(),
        Plugin::File(_) => &[],
    };
    let policy = BreakerPolicy { failures: filter.breaker.failures, pause: filter.breaker.pause };
    Link {
        name: filter.name.clone(),
        filter: Arc::new(Breaker::before(&filter.name, loaded, policy)),
        only: Only { user, listeners: filter.only.listener.clone(), max_size: filter.only.max_size },
        on_error: on_failure(filter.on_error),
        on_poison: on_failure(filter.on_poison),
        oversize: match filter.oversize {
            popgate_config::Oversize::Skip => Oversize::Skip,
            popgate_config::Oversize::Hold => Oversize::Hold,
            popgate_config::Oversize::Retry => Oversize::Retry,
        },
        observe: filter.mode == Mode::Observe,
        reads_headers: filter.reads == Reads::Headers,
        writes: writes.iter().map(|&name| name.to_owned()).chain(filter.writes.iter().cloned()).collect(),
    }
}

fn on_failure(policy: OnError) -> OnFailure {
    match policy {
        OnError::Retry => OnFailure::Retry,
        OnError::Deliver => OnFailure::Deliver,
        OnError::Hold => OnFailure::Hold,
    }
}
