//! Everything of a configuration that sessions use, loaded and checked.

use std::collections::HashMap;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use popgate_config::{Config, Language, Listener, ListenerTls, QuarantinePlace, Tls};
use tokio::runtime::Handle;
use tracing::warn;

use super::history::{Notes, observers};
use super::{Lasting, StartError};
use crate::message::Limits;
use crate::message::notice::{TEMPLATE_MAX, Template};
use crate::net::{
    Admission, CertificateFiles, CertificateSource, MadeCertificates, MakingTls, ServerTls, own_certificate,
};
use crate::session::driver::{Observer, Services, Times};
use crate::store::{Hints, OpenError, Poison, Quarantine};
use crate::upstream::{Opener, Passage, PrepareError, Router};

/// Octets of a message that stay in memory; a larger one goes to a spool file.
pub(in crate::cli) const IN_MEMORY: u64 = 1024 * 1024;

/// The folder of spool files; they have no name in it.
pub(in crate::cli) fn spool(config: &Config) -> PathBuf {
    config.state_dir.join("spool")
}

/// What connections get that come in while a configuration is in force.
pub(in crate::cli) struct Parts {
    pub(super) services: Arc<Services>,
    pub(super) listeners: HashMap<String, Listener>,
    tls: Option<Arc<ServerTls>>,
    /// For the listeners of these names, that ask clients for certificates.
    mutual_tls: HashMap<String, Arc<ServerTls>>,
    /// For transparent listeners.
    making: Option<MakingTls>,
    /// Of the transparent listeners, by their names.
    pub(super) passages: HashMap<String, Arc<Passage>>,
    /// The SASL mechanisms of each listener, by its name.
    sasl: HashMap<String, Arc<[&'static str]>>,
    pub(super) admission: Admission,
    pub(super) handshake: Duration,
    pub(super) bad_commands: u32,
    authority: Option<PathBuf>,
    notes: Notes,
}

impl Parts {
    /// Loads all of it; opens no port.
    pub(in crate::cli) async fn load(
        config: &Config,
        lasting: &mut Lasting,
        observer: Option<Observer>,
    ) -> Result<Self, StartError> {
        let spool = spool(config);
        for folder in [&config.state_dir, &spool] {
            make_folder(folder)?;
        }
        let chain = lasting.plugins.chain(config).await.map_err(StartError::Configuration)?;
        let (tls, own) = certificate(config)?;
        let mutual_tls = mutual_tls(config, tls.as_deref())?;
        let (making, making_authority) = making(config)?;
        let passages = passages(config)?;
        let opener = Opener::new(config, lasting.upstreams.clone()).map_err(|error| opener_fault(config, &error))?;
        let running =
            |what: &'static str| move |error: std::io::Error| StartError::Running(format!("error: {what}: {error}"));
        let limits = &config.limits;
        let counts = lasting.counts(limits);
        let notes = Notes { history: lasting.history(config), learn_tokens: lasting.learn_tokens() };
        let services = Services {
            opener,
            router: Router::new(config),
            chain,
            quarantine: Arc::new(quarantine(config)?),
            notice: notice(config)?,
            poison: Arc::new(Poison::open(&config.state_dir).map_err(running("the notes on failures"))?),
            hints: Arc::new(Hints::open(&config.state_dir).map_err(running("the notes on messages"))?),
            delays: counts.delays,
            users: counts.users,
            message: Limits { memory: IN_MEMORY, max: limits.max_message, spool },
            budget: counts.budget,
            times: Times { login: limits.login, idle: limits.idle, stall: limits.stall, handshake: limits.connect },
            kept_per_session: limits.kept_per_session,
            overdue: counts.overdue,
            pool: Handle::current(),
            observer: observers(observer, notes.clone(), config.store.history_subject),
        };
        Ok(Self {
            services: Arc::new(services),
            listeners: config.listeners.iter().map(|listener| (listener.name.clone(), listener.clone())).collect(),
            tls,
            mutual_tls,
            making,
            passages,
            sasl: config.listeners.iter().map(|listener| (listener.name.clone(), mechanisms(listener))).collect(),
            admission: counts.admission,
            handshake: limits.connect,
            bad_commands: limits.bad_commands,
            authority: own.or(making_authority),
            notes,
        })
    }

    /// Asks the quarantine whether it can be used.
    pub(in crate::cli) async fn check_quarantine(&self) -> Result<(), StartError> {
        self.services.quarantine.check().await.map_err(|error| {
            let hint = "until it can be used, what filters hold is refused and stays on its server";
            StartError::Running(format!("error: the quarantine: {error}\nhint: {hint}"))
        })
    }

    /// Waits until it is written down what became of messages.
    pub(super) async fn finish(&self) {
        self.notes.flush().await;
    }

    /// Removes what is in quarantine for too long, while these parts are in use.
    pub(super) fn keep_expired(&self) -> impl Future<Output = ()> + Send + 'static {
        Quarantine::keep_expired(Arc::downgrade(&self.services.quarantine))
    }

    /// TLS for a client of this listener that was going to this address.
    pub(super) fn tls(&self, listener: &Listener, destination: IpAddr) -> Option<Arc<ServerTls>> {
        match &listener.transparent {
            Some(_) => self.making.as_ref().map(|making| Arc::new(making.towards(destination))),
            None => self.mutual_tls.get(&listener.name).or(self.tls.as_ref()).cloned(),
        }
    }

    /// The SASL mechanisms that a listener offers where routes decide.
    pub(super) fn sasl(&self, listener: &Listener) -> Arc<[&'static str]> {
        self.sasl.get(&listener.name).cloned().unwrap_or_else(|| mechanisms(listener))
    }

    /// The file of the own certificate authority, if one was made.
    pub(super) fn authority(&self) -> Option<&Path> {
        self.authority.as_deref()
    }
}

fn mechanisms(listener: &Listener) -> Arc<[&'static str]> {
    listener.sasl.iter().map(|mechanism| mechanism.name()).collect()
}

/// Where held mail is kept.
pub(in crate::cli) fn quarantine(config: &Config) -> Result<Quarantine, StartError> {
    Quarantine::open(&config.state_dir, &config.store.quarantine, &config.quarantine).map_err(|error| {
        let bucket = match &config.store.quarantine {
            QuarantinePlace::Bucket(bucket) => bucket,
            QuarantinePlace::Folder => return StartError::Running(format!("error: the quarantine: {error}")),
        };
        let (place, key, hint) = match &error {
            OpenError::Credentials(_) => {
                let hint = "write `aws_access_key_id = ...` and `aws_secret_access_key = ...` into it, a line each";
                (&bucket.credentials_place, "s3_credentials_file", hint)
            }
            _ => (&bucket.place, "quarantine", "see config/README.md, and AWS_* in the environment"),
        };
        StartError::Configuration(config.fault_at(place, &format!("`{key}`: {error}"), hint).to_string())
    })
}

/// What the owner of a held message gets instead.
fn notice(config: &Config) -> Result<Template, StartError> {
    let rules = &config.quarantine;
    let (Some(path), Some(place)) = (&rules.notice, &rules.notice_place) else {
        return Ok(match rules.language {
            Language::English => Template::english(),
            Language::German => Template::german(),
        });
    };
    let fault = |what: &dyn std::fmt::Display, hint| {
        let message = format!("`notice`: `{}`: {what}", path.display());
        StartError::Configuration(config.fault_at(place, &message, hint).to_string())
    };
    let octets = std::fs::read(path).map_err(|error| fault(&error, "name a file of text that popgate may read"))?;
    if octets.len() > TEMPLATE_MAX {
        return Err(fault(&format!("it is longer than {TEMPLATE_MAX} octets"), "name a file of text"));
    }
    let text = String::from_utf8(octets).map_err(|_| fault(&"it is not UTF-8", "save the file as UTF-8"))?;
    Template::parse(&text).map_err(|error| fault(&error, error.hint))
}

/// The parts that are in force now.
pub(super) fn current(parts: &RwLock<Arc<Parts>>) -> Arc<Parts> {
    Arc::clone(&parts.read().unwrap_or_else(PoisonError::into_inner))
}

fn make_folder(path: &Path) -> Result<(), StartError> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
        StartError::Running(format!(
            "error: the folder `{}` can't be made: {error}\nhint: set `state_dir` to a folder that popgate may write",
            path.display()
        ))
    })
}

/// The certificate towards clients: the configured one, or one of an own authority; none if no listener needs one.
fn certificate(config: &Config) -> Result<(Option<Arc<ServerTls>>, Option<PathBuf>), StartError> {
    let needed = config.listeners.iter().any(|it| it.tls != ListenerTls::None && it.transparent.is_none());
    if !needed && config.tls.is_none() {
        return Ok((None, None));
    }
    let (files, authority) = match &config.tls {
        Some(tls) => (CertificateFiles::from(tls), None),
        None => {
            let hosts = config.listeners.iter().map(|listener| listener.address.host.clone()).collect::<Vec<_>>();
            let own = own_certificate(&config.state_dir, &hosts)
                .map_err(|error| StartError::Running(format!("error: {error}")))?;
            (own.files, Some(own.authority))
        }
    };
    let source = CertificateSource::open(&files).map_err(|error| match &config.tls {
        Some(tls) => config_fault(config, tls, &error.to_string()),
        None => StartError::Running(format!("error: {error}")),
    })?;
    for warning in source.warnings() {
        warn!("{warning}");
    }
    let tls = ServerTls::new(Arc::new(source)).map_err(|error| StartError::Running(format!("error: TLS: {error}")))?;
    Ok((Some(Arc::new(tls)), authority))
}

/// TLS for the listeners that ask clients for certificates.
fn mutual_tls(config: &Config, tls: Option<&ServerTls>) -> Result<HashMap<String, Arc<ServerTls>>, StartError> {
    let mut found = HashMap::new();
    for listener in &config.listeners {
        let (Some(authorities), Some(tls)) = (&listener.client_ca, tls) else { continue };
        let tls = tls.for_clients_of(authorities).map_err(|error| {
            let text = error.to_string();
            let (message, hint) = text.split_once("\nhint: ").unwrap_or((&text, "see config/README.md"));
            StartError::Configuration(config.fault_at(&listener.client_ca_place, message, hint).to_string())
        })?;
        found.insert(listener.name.clone(), Arc::new(tls));
    }
    Ok(found)
}

/// A fault of an upstream, at its place where there is one.
fn opener_fault(config: &Config, error: &PrepareError) -> StartError {
    StartError::Configuration(match error {
        PrepareError::Tls(error) => format!("error: {error}"),
        PrepareError::Login(fault) => config.fault_at(&fault.place, &fault.message, &fault.hint).to_string(),
    })
}

/// TLS for transparent listeners, whatever certificate is configured for the others; none if no such listener has TLS.
fn making(config: &Config) -> Result<(Option<MakingTls>, Option<PathBuf>), StartError> {
    if !config.listeners.iter().any(|it| it.tls != ListenerTls::None && it.transparent.is_some()) {
        return Ok((None, None));
    }
    let made = MadeCertificates::open(&config.state_dir);
    let made = made.map_err(|error| StartError::Running(format!("error: {error}")))?;
    let authority = made.authority().to_owned();
    let tls = MakingTls::new(Arc::new(made)).map_err(|error| StartError::Running(format!("error: TLS: {error}")))?;
    Ok((Some(tls), Some(authority)))
}

fn passages(config: &Config) -> Result<HashMap<String, Arc<Passage>>, StartError> {
    let mut passages = HashMap::new();
    for listener in &config.listeners {
        if let Some(transparent) = &listener.transparent {
            let passage = Passage::new(transparent, listener.tls != ListenerTls::None).map_err(|error| {
                let text = error.to_string();
                let (message, hint) = text.split_once("\nhint: ").unwrap_or((&text, ""));
                StartError::Configuration(config.fault_at(&transparent.ca_place, message, hint).to_string())
            })?;
            passages.insert(listener.name.clone(), Arc::new(passage));
        }
    }
    Ok(passages)
}

/// A fault of `[tls]`, at its place.
fn config_fault(config: &Config, tls: &Tls, text: &str) -> StartError {
    let (message, hint) = text.split_once("\nhint: ").unwrap_or((text, "see config/README.md"));
    StartError::Configuration(config.fault_at(&tls.place, message, hint).to_string())
}
