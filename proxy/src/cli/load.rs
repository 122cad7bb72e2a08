//! From a configuration to filters, with faults told where they stand.

use std::sync::Arc;

use popgate_config::{Config, Filter, Mode, OnError, Place, Plugin, Reads};

use crate::filter::{Breaker, BreakerPolicy, Chain, Link, OnFailure, Only, Oversize, UserPredicate};
use crate::message::{Budget, Limits};
use crate::plugin::{Catalogue, LoadError};

/// The catalogue of a process: started with the first filter, kept for its whole life.
#[derive(Default)]
pub(super) struct Plugins(Option<Catalogue>);

impl Plugins {
    fn catalogue(&mut self, config: &Config) -> Result<&Catalogue, LoadError> {
        if self.0.is_none() {
            let limits = &config.limits;
            let room = Limits {
                memory: super::server::IN_MEMORY,
                max: limits.max_message,
                spool: super::server::spool(config),
            };
            let budget = Arc::new(Budget::new(limits.memory_total, limits.spool_total));
            self.0 = Some(Catalogue::new(&config.state_dir)?.with_room(room, budget));
        }
        self.0.as_ref().ok_or_else(|| LoadError::Engine("it did not start".into()))
    }

    /// Loads, checks and configures all filters.
    ///
    /// # Errors
    ///
    /// The text for the operator, with the place in the file.
    pub(super) async fn chain(&mut self, config: &Config) -> Result<Chain, String> {
        let mut links = Vec::with_capacity(config.filters.len());
        for filter in &config.filters {
            links.push(self.link(config, filter).await?);
        }
        Ok(Chain::new(links))
    }

    /// Loads, checks and configures one filter, which need not stand in that configuration.
    ///
    /// # Errors
    ///
    /// The text for the operator, with the place in the file.
    pub(super) async fn link(&mut self, config: &Config, filter: &Filter) -> Result<Link, String> {
        let loaded = match self.catalogue(config) {
            Ok(catalogue) => catalogue.load(filter).await,
            Err(error) => Err(error),
        };
        loaded.map(|loaded| link(filter, loaded)).map_err(|error| told(config, filter, &error))
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
