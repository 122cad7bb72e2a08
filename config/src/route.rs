//! `[[route]]`: from the user's name to the upstream, or to the server that the name holds.

use crate::address::Address;
use crate::allowed::AllowedServer;
use crate::names::Names;
use crate::pattern::UserPattern;
use crate::place::Place;
use crate::rewrite;
use crate::section::Section;
use crate::upstream::{Upstream, UpstreamTls};

/// Which upstream some users have. The first route that matches wins.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The users.
    pub user: UserPattern,
    /// Their server.
    pub to: RouteTo,
    /// The template of the name that the upstream gets; none: the name as the client sent it.
    pub rewrite_user: Option<String>,
    /// The section.
    pub place: Place,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq)]
pub enum RouteTo {
    /// To the upstream of this name, which exists.
    Upstream(String),
    /// To the server that stands in the user's name behind the last `#`. Names without one go on to the next route.
    ServerInUser(Box<ServerInUser>),
}

/// The servers that users may name.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerInUser {
    /// The servers; at least one.
    pub allowed: Vec<AllowedServer>,
    /// What all of them have in common, as if they were one upstream; the address and `tls` are those of none.
    pub common: Upstream,
}

impl ServerInUser {
    /// The entry for a server in the form of [`crate::server_address`]; those that name it come before wildcards.
    pub fn entry(&self, server: &Address) -> Option<&AllowedServer> {
        let entries = || self.allowed.iter().filter(|entry| entry.allows(server));
        entries().find(|entry| entry.is_literal()).or_else(|| entries().next())
    }

    fn read(section: &mut Section<'_>) -> Self {
        let allowed: Vec<_> = section.list("allowed_servers");
        let ca = section.path("ca");
        let place = section.place_of("allowed_servers");
        if section.lacks("allowed_servers") {
            let hint = "list them, for example `allowed_servers = [\"*.example.org:995\"]`";
            section.fault(&place, "`[[route]]` has no `allowed_servers`, the servers that users may name", hint);
        }
        let allowed: Vec<_> = allowed.into_iter().map(|(server, _): (AllowedServer, _)| server).collect();
        if ca.is_some() && !allowed.is_empty() && allowed.iter().all(|entry| entry.tls == UpstreamTls::None) {
            let message = "`ca` checks nothing, since all of `allowed_servers` are `cleartext`";
            section.fault(&section.place_of("ca"), message, "remove `ca`, or the word `cleartext`");
        }
        let common = Upstream { ca, ca_place: section.place_of("ca"), ..Upstream::of_users(section.place().clone()) };
        Self { allowed, common }
    }
}

impl Route {
    /// The name that the upstream gets for this user.
    ///
    /// `{user}` is the whole name; `{local}` and `{domain}` are what stands before and after the separator that the
    /// pattern names (the last of `@`, `+`, `%` and `#` in it, `@` if there is none), where it is last in the name. A
    /// name without that separator is all `{local}`. Where the server stood in the name, it is `@`: the pattern's
    /// separator is that of the server.
    pub fn rewrite(&self, user: &str) -> String {
        let separator = match self.to {
            RouteTo::Upstream(_) => self.user.separator().unwrap_or('@'),
            RouteTo::ServerInUser(_) => '@',
        };
        match &self.rewrite_user {
            Some(template) => rewrite::fill(template, user, separator),
            None => user.to_owned(),
        }
    }

    /// The name of the upstream, if there is one.
    pub fn upstream(&self) -> Option<&str> {
        match &self.to {
            RouteTo::Upstream(name) => Some(name),
            RouteTo::ServerInUser(_) => None,
        }
    }

    pub(crate) fn read(mut section: Section<'_>, upstreams: &Names) -> Self {
        let by_name = section.get("server_in_user").unwrap_or(false);
        let (user, to) = if by_name {
            let user = section.get("user").unwrap_or_else(UserPattern::any);
            (user, RouteTo::ServerInUser(Box::new(ServerInUser::read(&mut section))))
        } else {
            let user = section.require("user", "*@dept.example").unwrap_or_else(UserPattern::any);
            (user, RouteTo::Upstream(section.require("upstream", "dept").unwrap_or_default()))
        };
        let route = Self { user, to, rewrite_user: section.get("rewrite_user"), place: section.place().clone() };
        if let Some(upstream) = route.upstream().filter(|name| !name.is_empty()) {
            upstreams.expect(upstream, &section.place_of("upstream"), section.faults());
        }
        route.check_keys(&mut section);
        if let Some(Err(wrong)) = route.rewrite_user.as_deref().map(rewrite::check) {
            let hint = "the placeholders are `{user}`, `{local}` and `{domain}`";
            section.fault(
                &section.place_of("rewrite_user"),
                format!("`rewrite_user`: `{wrong}` is not a placeholder"),
                hint,
            );
        }
        section.finish();
        route
    }

    /// Keys of the other kind of route.
    fn check_keys(&self, section: &mut Section<'_>) {
        let (keys, message, hint): (&[&'static str], _, _) = match self.to {
            RouteTo::Upstream(_) => (
                &["allowed_servers", "ca"],
                "has no effect without `server_in_user = true`",
                "add that in the place of `upstream`; an upstream has its `ca` in its own section",
            ),
            RouteTo::ServerInUser(_) => (
                &["upstream"],
                "contradicts `server_in_user`, where the user names the server",
                "remove it; a route for names without a server may follow this one",
            ),
        };
        for key in keys {
            if section.value(key).is_some() {
                section.fault(&section.place_of(key), format!("`{key}` {message}"), hint);
            }
        }
    }
}
