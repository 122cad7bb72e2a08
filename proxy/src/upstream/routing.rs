//! From a user to a server.

use popgate_config::{Config, Route, RouteTo};

use super::server::{NamedServer, Server, split};

/// Where a session goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Destination {
    /// The server.
    pub server: Server,
    /// The login name to use there.
    pub user: Vec<u8>,
}

/// The configured routes in their order.
#[derive(Clone, Debug)]
pub struct Router {
    routes: Vec<Route>,
}

impl Router {
    /// The routes of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { routes: config.routes.clone() }
    }

    /// The first route that matches; none means that nobody of this name is served.
    #[must_use]
    pub fn find(&self, user: &[u8]) -> Option<Destination> {
        let name = String::from_utf8_lossy(user);
        let mut names_server = false;
        for (index, route) in self.routes.iter().enumerate().filter(|(_, route)| route.user.matches(&name)) {
            match (&route.to, split(user)) {
                (RouteTo::ServerInUser(servers), Some((local, server))) => {
                    names_server = true;
                    if let Some(server) = NamedServer::of(server, servers, index) {
                        let user = rewritten(route, local);
                        return (!user.is_empty()).then_some(Destination { server: Server::Named(server), user });
                    }
                }
                (RouteTo::ServerInUser(_), None) => {}
                // The password is meant for another server: one that may not be named, so for nobody.
                (RouteTo::Upstream(_), _) if names_server => {}
                (RouteTo::Upstream(upstream), _) => {
                    let server = Server::Configured(upstream.clone());
                    return Some(Destination { server, user: rewritten(route, user) });
                }
            }
        }
        None
    }
}

/// The name that the server gets.
fn rewritten(route: &Route, user: &[u8]) -> Vec<u8> {
    match route.rewrite_user {
        Some(_) => route.rewrite(&String::from_utf8_lossy(user)).into_bytes(),
        // Octets that are no text pass as they are.
        None => user.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn router(routes: &str) -> Router {
        let text = format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\n[[upstream]]\nname = \"main\"\naddress = \"a:110\"\n\
             [[upstream]]\nname = \"dept\"\naddress = \"b:110\"\n{routes}"
        );
        Router::new(&popgate_config::parse(&text, Path::new("/popgate.toml")).unwrap())
    }

    /// Where a name leads, in short: `alice at main`.
    fn found(router: &Router, user: &str) -> Option<String> {
        let Destination { server, user } = router.find(user.as_bytes())?;
        let user = String::from_utf8(user).unwrap();
        Some(match server {
            Server::Configured(name) => format!("{user} at {name}"),
            Server::Named(NamedServer { address, tls, listed, route }) => {
                format!("{user} at {address} {tls:?} listed={listed} route={route}")
            }
            Server::Meant(_) => unreachable!("routes lead to servers that are known"),
        })
    }

    #[test]
    fn every_separator_can_cut_a_name() {
        for separator in ["@", "+", "%", "#"] {
            let router = router(&format!(
                "[[route]]\nuser = \"john{separator}x.example\"\nupstream = \"main\"\n\
                 [[route]]\nuser = \"*{separator}dept.example\"\nupstream = \"dept\"\nrewrite_user = \"{{local}}\"\n\
                 [[route]]\nuser = \"sales-*\"\nupstream = \"main\"\nrewrite_user = \"{{local}}.{{domain}}\"\n"
            ));
            for (user, expected) in [
                (format!("john{separator}X.example"), Some(format!("john{separator}X.example at main"))),
                (format!("jim{separator}x.example"), None),
                (format!("john{separator}dept.example"), Some("john at dept".to_owned())),
                (format!("a.b{separator}DEPT.example"), Some("a.b at dept".to_owned())),
                (format!("john{separator}sub.dept.example"), None),
                ("john".to_owned(), None),
                ("sales-1@a".to_owned(), Some("sales-1.a at main".to_owned())),
            ] {
                assert_eq!(found(&router, &user), expected, "{user}");
            }
        }
    }

    #[test]
    fn the_user_names_the_server() {
        let router = router(
            "[[route]]\nserver_in_user = true\nallowed_servers = [\"*.example.org\", \"pop.example.net:110\", \"10.0.0.7:110 cleartext\", \"[::1]\"]\n\
             [[route]]\nserver_in_user = true\nallowed_servers = [\"other.example\"]\nrewrite_user = \"{local}\"\n\
             [[route]]\nuser = \"*\"\nupstream = \"main\"\n",
        );
        for (user, expected) in [
            ("alice#pop.example.org:995", Some("alice at pop.example.org:995 Implicit listed=false route=0")),
            ("alice#POP.Example.org.", Some("alice at pop.example.org:995 Implicit listed=false route=0")),
            ("a@b.example#pop.example.org", Some("a@b.example at pop.example.org:995 Implicit listed=false route=0")),
            ("a#b#pop.example.org", Some("a#b at pop.example.org:995 Implicit listed=false route=0")),
            ("alice#pop.example.net:110", Some("alice at pop.example.net:110 Stls listed=true route=0")),
            ("alice#10.0.0.7:110", Some("alice at 10.0.0.7:110 None listed=true route=0")),
            ("alice#[::ffff:10.0.0.7]:110", Some("alice at 10.0.0.7:110 None listed=true route=0")),
            ("alice#[0::1]", Some("alice at [::1]:995 Implicit listed=true route=0")),
            ("alice@a#other.example", Some("alice at other.example:995 Implicit listed=true route=1")),
            ("alice", Some("alice at main")),
            ("alice@example.org", Some("alice@example.org at main")),
            // The password of these is for nobody.
            ("alice#pop.example.org:110", None),
            ("alice#pop.example.net", None),
            ("alice#example.org", None),
            ("alice#evil.example", None),
            ("alice#pop.example.org:0", None),
            ("alice#pop.example.org:", None),
            ("alice#pop.example.org:99999", None),
            ("alice#pop.example.org:+995", None),
            ("alice#pop.example.org:995:995", None),
            ("alice#pop.example.org\r\n", None),
            ("alice#a b.example.org", None),
            ("alice#..example.org", None),
            ("alice#b\u{fc}cher.example.org", None),
            ("alice#::1", None),
            ("alice#[::1", None),
            ("alice#[fe80::1%lo]:995", None),
            ("alice#127.0.0.1:110", None),
            ("alice#", None),
            ("#pop.example.org", None),
            ("#", None),
        ] {
            assert_eq!(found(&router, user).as_deref(), expected, "{user}");
        }
        assert_eq!(router.find(b"\xff\xfe#pop.example.org").unwrap().user, b"\xff\xfe");
        assert_eq!(router.find(b"alice#\xff.example.org"), None);
    }
}
