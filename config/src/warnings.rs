//! What is allowed in a configuration and yet probably not meant.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::allowed::AllowedServer;
use crate::config::Config;
use crate::filter::Filter;
use crate::listener::{Listener, ListenerTls};
use crate::place::Place;
use crate::route::{Route, RouteTo};
use crate::upstream::{Upstream, UpstreamTls};

/// Below it hardly any filter can start.
const LITTLE_MEMORY: u64 = 1 << 20;

/// One line for each, with the file and line where it stands.
pub(crate) fn collect(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    for listener in &config.listeners {
        listener_warnings(listener, &mut warnings);
    }
    upstream_warnings(config, &mut warnings);
    route_warnings(config, &mut warnings);
    tls_warnings(config, &mut warnings);
    for upstream in &config.upstreams {
        master_warnings(upstream, &mut warnings);
    }
    for filter in &config.filters {
        filter_warnings(filter, &mut warnings);
    }
    warnings
}

fn warn(warnings: &mut Vec<String>, place: &Place, text: &str) {
    warnings.push(format!("{}:{}: {text}", place.path().display(), place.line()));
}

fn listener_warnings(listener: &Listener, warnings: &mut Vec<String>) {
    let name = &listener.name;
    let text = match (listener.tls, listener.allow_cleartext) {
        (ListenerTls::Implicit, true) => {
            format!("`allow_cleartext` of listener `{name}` has no effect, since all of it is encrypted")
        }
        (ListenerTls::None | ListenerTls::Stls, true) if !listener.address.is_loopback() => {
            format!("listener `{name}` takes passwords in cleartext from the network (`allow_cleartext`)")
        }
        (ListenerTls::None, false) if !listener.address.is_loopback() && !listener.kpop => format!(
            "listener `{name}` has no TLS, so it refuses the passwords of clients on other machines; \
             write `tls`, or `allow_cleartext = true` if that is on purpose"
        ),
        _ => return,
    };
    warn(warnings, &listener.address_place, &text);
}

fn upstream_warnings(config: &Config, warnings: &mut Vec<String>) {
    for upstream in &config.upstreams {
        let fixed = config.listeners.iter().filter_map(|listener| listener.upstream.as_deref());
        let routed = config.routes.iter().filter_map(|route| route.upstream());
        kpop_warnings(config, upstream, warnings);
        if !fixed.chain(routed).any(|name| name == upstream.name) {
            warn(warnings, &upstream.place, &format!("no listener and no route leads to upstream `{}`", upstream.name));
        }
    }
}

/// A server's port either waits for the Kerberos exchange or greets at once.
fn kpop_warnings(config: &Config, upstream: &Upstream, warnings: &mut Vec<String>) {
    let name = &upstream.name;
    let leads = |listener: &&Listener| listener.upstream.as_ref() == Some(name);
    let Some(kpop) = config.listeners.iter().filter(leads).find(|listener| listener.kpop) else { return };
    let plain = config.listeners.iter().filter(leads).any(|listener| !listener.kpop);
    if plain || config.routes.iter().any(|route| route.upstream() == Some(name.as_str())) {
        let text = format!("upstream `{name}` is reached with and without KPOP, but one port speaks only one of them");
        warn(warnings, &kpop.kpop_place, &text);
    }
}

fn route_warnings(config: &Config, warnings: &mut Vec<String>) {
    if let (Some(route), true) = (config.routes.first(), config.listeners.iter().all(|listener| !listener.is_routed()))
    {
        warn(warnings, &route.place, "routes have no effect, since every listener has an `upstream` or is transparent");
    }
    for (index, route) in config.routes.iter().enumerate() {
        let earlier = &config.routes[..index];
        // Names without a server pass by a route for those with one.
        let covers = |earlier: &&Route| earlier.upstream().is_some() || route.upstream().is_none();
        let same = earlier.iter().filter(covers).find(|earlier| earlier.user.is_any() || earlier.user == route.user);
        if let Some(earlier) = same {
            let text = format!(
                "this route is never reached, since `{}` in line {} comes first",
                earlier.user,
                earlier.place.line()
            );
            warn(warnings, &route.place, &text);
        }
        server_warnings(config, route, warnings);
    }
}

fn server_warnings(config: &Config, route: &Route, warnings: &mut Vec<String>) {
    let RouteTo::ServerInUser(servers) = &route.to else { return };
    for domain in servers.allowed.iter().filter_map(AllowedServer::wide) {
        let text = format!("`*.{domain}` lets users name any server whose name ends in `.{domain}`, whoever runs it");
        warn(warnings, &route.place, &text);
    }
    // What is kept for a user is kept under the name of the server.
    for upstream in &config.upstreams {
        if servers.allowed.iter().any(|entry| entry.allows_host(&upstream.name)) {
            let text = format!(
                "upstream `{}` bears the name of a server that users may name: both count as the same server",
                upstream.name
            );
            warn(warnings, &upstream.place, &text);
        }
    }
}

fn tls_warnings(config: &Config, warnings: &mut Vec<String>) {
    let Some(tls) = &config.tls else { return };
    if config.listeners.iter().all(|listener| listener.tls == ListenerTls::None) {
        warn(warnings, &tls.place, "the certificate is never shown, since no listener has TLS");
    }
    readable_warning(&tls.private_key, "the private key", &tls.private_key_place, warnings);
}

fn master_warnings(upstream: &Upstream, warnings: &mut Vec<String>) {
    let Some(master) = upstream.login.master() else { return };
    readable_warning(&master.password_file, "the master password", &master.password_file_place, warnings);
    if let Some(users) = &master.users_file {
        readable_warning(users, "the password hashes", &master.users_file_place, warnings);
    }
    if upstream.tls == UpstreamTls::None && !upstream.address.is_loopback() {
        let text =
            format!("the master password of upstream `{}` goes over the network in clear; write `tls`", upstream.name);
        warn(warnings, &master.place, &text);
    }
}

/// A secret file that is not for everybody. One that can't be looked at is a fault for whoever loads it.
fn readable_warning(path: &Path, what: &str, place: &Place, warnings: &mut Vec<String>) {
    let Ok(metadata) = std::fs::metadata(path) else { return };
    if metadata.permissions().mode() & 0o004 != 0 {
        let path = path.display();
        warn(warnings, place, &format!("every user of this machine can read {what} `{path}`; chmod o-r it"));
    }
}

fn filter_warnings(filter: &Filter, warnings: &mut Vec<String>) {
    let name = &filter.name;
    if filter.memory < LITTLE_MEMORY {
        let text = format!(
            "filter `{name}` has {} octets of memory, with less than 1 MiB hardly any can start",
            filter.memory
        );
        warn(warnings, &filter.place, &text);
    }
    if filter.cpu > filter.timeout {
        warn(
            warnings,
            &filter.place,
            &format!("`cpu` of filter `{name}` is never used up, since its `timeout` is shorter"),
        );
    }
}
