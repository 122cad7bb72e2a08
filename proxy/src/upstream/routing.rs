//! From a user to an upstream.

use popgate_config::{Config, Route};

/// Where a session goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Destination {
    /// The name of the upstream.
    pub upstream: String,
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
        let route = self.routes.iter().find(|route| route.user.matches(&name))?;
        let user = match route.rewrite_user {
            Some(_) => route.rewrite(&name).into_bytes(),
            // Octets that are no text pass as they are.
            None => user.to_vec(),
        };
        Some(Destination { upstream: route.upstream.clone(), user })
    }
}
