//! The whole configuration: the conversion from a file's text, and the checks that need more than one section.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use crate::error::{Error, Fault};
use crate::filter::Filter;
use crate::limits::Limits;
use crate::listener::Listener;
use crate::login::Login;
use crate::names::Names;
use crate::place::{Place, Source};
use crate::quarantine::Quarantine;
use crate::route::Route;
use crate::section::{Faults, Section};
use crate::state_dir;
use crate::store::Store;
use crate::tls::Tls;
use crate::upstream::{Greeting, Upstream, UpstreamTls};
use crate::vouching;
use crate::warnings;

/// What the program runs by. Two are equal if they mean the same, wherever in a file it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The file, as the user named it.
    pub path: PathBuf,
    /// The folder of popgate's state.
    pub state_dir: PathBuf,
    /// The system's user to become once the ports are open.
    pub user: Option<String>,
    /// Where clients connect; at least one, no two at the same address and port.
    pub listeners: Vec<Listener>,
    /// The servers; at least one, unless users name theirs or all listeners are transparent.
    pub upstreams: Vec<Upstream>,
    /// From users to servers, the first match wins.
    pub routes: Vec<Route>,
    /// The certificate for clients; none: an own one is made.
    pub tls: Option<Tls>,
    /// The chain of filters, in order.
    pub filters: Vec<Filter>,
    /// Where filters keep what they remember.
    pub store: Store,
    /// What becomes of held mail.
    pub quarantine: Quarantine,
    /// The bounds.
    pub limits: Limits,
    /// What is probably not meant, a line each, with file and line number.
    pub warnings: Vec<String>,
}

/// Reads a configuration file.
///
/// # Errors
///
/// [`Error::Read`] if there is no text to be had, else [`Error::Faults`] with all that is wrong with it.
pub fn load(path: &Path) -> Result<Config, Error> {
    let text = text(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    parse(&text, path)
}

/// The text of a file.
pub(crate) fn text(path: &Path) -> std::io::Result<String> {
    String::from_utf8(std::fs::read(path)?).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|octet| **octet == b'\n').count() + 1;
        std::io::Error::new(std::io::ErrorKind::InvalidData, format!("line {line} is not UTF-8"))
    })
}

/// Reads the text of a configuration. The path is for messages, and its folder is where relative paths start.
///
/// # Errors
///
/// [`Error::Faults`] with all that is wrong; a fault of TOML's own syntax comes alone.
pub fn parse(text: &str, path: &Path) -> Result<Config, Error> {
    let source = Source::new(path, text);
    let table = DeTable::parse(&source.text).map_err(|error| Error::Faults(vec![syntax_fault(&source, &error)]))?;
    let faults = Faults::new(Arc::clone(&source));
    let mut config = Config::read(Section::top(table.get_ref(), &faults), path);
    let faults = faults.into_vec();
    if !faults.is_empty() {
        return Err(Error::Faults(faults));
    }
    config.warnings = warnings::collect(&config);
    Ok(config)
}

/// What TOML's parser says, in our form.
pub(crate) fn syntax_fault(source: &Arc<Source>, error: &toml::de::Error) -> Fault {
    let place = Place::new(source, error.span().unwrap_or(0..0));
    let typed = place.typed().lines().next().unwrap_or_default();
    let message = error.message();
    if message == "duplicate key" {
        return Fault::new(&place, format!("the key `{typed}` is there twice"), "keep one of the two");
    }
    if message.starts_with("string values must be quoted") {
        let message =
            if typed.is_empty() { "a value is missing".to_owned() } else { format!("`{typed}` is not a value") };
        return Fault::new(&place, message, "write strings in double quotes, numbers, `true` and `false` without");
    }
    if message.ends_with("string, expected `\"`") {
        return Fault::new(&place, "the string does not end", "close it with the quotes that it begins with");
    }
    if message.starts_with("missing escaped value") {
        let hint =
            "write two backslashes for one, or the string in single quotes, where a backslash is a character as others";
        return Fault::new(&place, "this is not an escape", hint);
    }
    let message = if typed.is_empty() { message.to_owned() } else { format!("{message}: `{typed}`") };
    Fault::new(&place, message, "TOML has `key = \"value\"` lines below `[section]` headers")
}

impl Config {
    /// The upstream of this name.
    pub fn upstream(&self, name: &str) -> Option<&Upstream> {
        self.upstreams.iter().find(|upstream| upstream.name == name)
    }

    /// An error for something that was found wrong later, such as a plugin that is not there: it points at the value
    /// that it is about. The message names the value in backticks; the hint says what to do, or is empty.
    pub fn fault_at(&self, place: &Place, message: &str, hint: &str) -> Error {
        Error::Faults(vec![Fault::new(place, message, hint)])
    }

    fn read(mut top: Section<'_>, path: &Path) -> Self {
        let (mut upstream_names, mut listener_names) = (Names::new("upstream"), Names::new("listener"));
        let mut filter_names = Names::new("filter");
        let state_dir = read_state_dir(&mut top);
        let user = top.get("user");
        // Listeners refer to upstreams, filters to listeners; the file may have them in any order.
        let listeners = top.sections("listener");
        let upstreams = top.sections("upstream");
        let upstreams: Vec<Upstream> =
            upstreams.into_iter().map(|section| Upstream::read(section, &mut upstream_names)).collect();
        let listeners: Vec<Listener> = listeners
            .into_iter()
            .map(|section| Listener::read(section, &mut listener_names, &upstream_names))
            .collect();
        let routes = top.sections("route").into_iter().map(|section| Route::read(section, &upstream_names)).collect();
        let tls = top.section("tls").map(Tls::read);
        let filters = top.sections("filter");
        let filters =
            filters.into_iter().map(|section| Filter::read(section, &mut filter_names, &listener_names)).collect();
        let store = top.section("store").map_or_else(Store::default, Store::read);
        let quarantine = top.section("quarantine").map_or_else(Quarantine::default, Quarantine::read);
        let limits = top.section("limits").map_or_else(Limits::default, Limits::read);
        let path = path.to_owned();
        let config = Self {
            path,
            state_dir,
            user,
            listeners,
            upstreams,
            routes,
            tls,
            filters,
            store,
            quarantine,
            limits,
            warnings: Vec::new(),
        };
        config.check(&mut top);
        top.finish();
        config
    }

    fn check(&self, top: &mut Section<'_>) {
        let named_by_users = self.routes.iter().any(|route| route.upstream().is_none());
        let all_transparent =
            !self.listeners.is_empty() && self.listeners.iter().all(|listener| listener.transparent.is_some());
        let upstreams = !named_by_users && !all_transparent;
        let needed = [("listener", "127.0.0.1:1110", true), ("upstream", "mail.internal:110", upstreams)];
        for (key, address, needed) in needed {
            if needed && top.lacks(key) {
                let name = if key == "upstream" { "`name` and " } else { "" };
                let hint = format!("add `[[{key}]]` with {name}`address = \"{address}\"`");
                top.miss(key, format!("there is no `[[{key}]]`"), hint);
            }
        }
        for listener in &self.listeners {
            if listener.is_routed() && !listener.kpop && top.lacks("route") {
                let message = format!(
                    "listener `{}` leads nowhere: it has no `upstream`, and there are no routes",
                    listener.name
                );
                let hint = match self.upstreams.first() {
                    Some(upstream) => format!("add `upstream = \"{}\"`, or a `[[route]]`", upstream.name),
                    None => "add `upstream` with the name of an `[[upstream]]`".to_owned(),
                };
                top.fault(&listener.place, message, hint);
            }
        }
        self.check_kpop(top);
        self.check_loops(top);
        self.check_mechanisms(top);
        vouching::check(self, top.faults());
        let mut taken: HashMap<_, &Place> = HashMap::new();
        for Listener { address, address_place: place, .. } in self.listeners.iter().filter(|it| it.address.port != 0) {
            if let Some(first) = taken.get(address) {
                let fault =
                    Fault::new(place, format!("two listeners have the address `{address}`"), "change the port of one");
                top.faults().push(fault.with_other(first, "the first one"));
            } else {
                taken.insert(address, place);
            }
        }
    }

    /// An upstream that is popgate itself, as far as that can be read off the addresses.
    fn check_loops(&self, top: &Section<'_>) {
        for upstream in &self.upstreams {
            let own = self.listeners.iter().find(|listener| listener.address.receives(&upstream.address));
            if let Some(listener) = own {
                let message =
                    format!("`address`: `{}` is popgate's own listener `{}`", upstream.address, listener.name);
                let fault = Fault::new(&upstream.address_place, message, "write the address of the mail server itself");
                top.faults().push(fault.with_other(&listener.address_place, "the listener"));
            }
        }
    }
}

impl Config {
    /// A server that greets offers its own mechanisms.
    fn check_mechanisms(&self, top: &Section<'_>) {
        for listener in &self.listeners {
            let (Some(place), Some(upstream)) = (&listener.sasl_place, &listener.upstream) else { continue };
            if self.upstream(upstream).is_some_and(|upstream| listener.kpop || upstream.greeting == Greeting::Relay) {
                let message = format!(
                    "`sasl` has no effect beside `upstream`: the mechanisms of `{upstream}` itself are offered"
                );
                let hint = "remove `sasl`; it is for listeners without `upstream`, and for upstreams with `greeting = \"own\"`";
                top.fault(place, message, hint);
            }
        }
    }

    /// What a Kerberos exchange at the very beginning asks of the server's side.
    fn check_kpop(&self, top: &Section<'_>) {
        for listener in self.listeners.iter().filter(|listener| listener.kpop) {
            let Some(upstream) = listener.upstream.as_ref().and_then(|name| self.upstream(name)) else { continue };
            let name = &upstream.name;
            let (why, hint) = if upstream.tls == UpstreamTls::Stls {
                let why = "`tls = \"stls\"` comes behind the greeting, and the Kerberos exchange before it";
                (why, format!("write `tls = \"implicit\"` or `tls = \"none\"` for `{name}`"))
            } else if upstream.login != Login::Relay {
                let why = "`auth` needs a password of the client's, and behind Kerberos there is none";
                (why, format!("remove `auth` from `{name}`"))
            } else {
                continue;
            };
            let message = format!("`kpop = true` can't be had with upstream `{name}`: its {why}");
            top.fault(&listener.kpop_place, message, hint);
        }
    }
}

fn read_state_dir(top: &mut Section<'_>) -> PathBuf {
    if top.has("state_dir") {
        return top.path("state_dir").unwrap_or_default();
    }
    let _: Option<PathBuf> = top.path("state_dir"); // a known key
    state_dir::default().unwrap_or_else(|| {
        let message = "there is no `state_dir`, and neither XDG_STATE_HOME nor HOME is set";
        top.fault(top.place(), message, "add it, for example `state_dir = \"/var/lib/popgate\"`");
        PathBuf::new()
    })
}
