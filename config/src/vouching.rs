//! Who vouches for the clients of a master login.
//!
//! An upstream with `auth = "master"` takes the proxy's word for who the client is. So before every such login somebody
//! must have checked the client: the proxy by its `users_file`, or a listener's `client_ca` by the client's
//! certificate. A way from a listener to such an upstream with neither would let anybody read any mailbox, or, since the
//! session refuses what nobody vouches for, nobody at all; both are mistakes that belong to the one who writes the file.

use crate::config::Config;
use crate::error::Fault;
use crate::login::Master;
use crate::section::Faults;

pub(crate) fn check(config: &Config, faults: &Faults) {
    for upstream in &config.upstreams {
        let Some(Master { users_file: None, place, .. }) = upstream.login.master() else { continue };
        let routed = config.routes.iter().any(|route| route.upstream() == Some(&upstream.name));
        let open = config.listeners.iter().find(|listener| {
            let leads_there = match &listener.upstream {
                Some(name) => *name == upstream.name,
                None => routed,
            };
            leads_there && listener.client_ca.is_none()
        });
        // A misspelt key is reported as that alone.
        let Some(listener) = open else { continue };
        let message = format!(
            "`auth = \"master\"`: nobody checks who the clients of listener `{}` are before they are logged in as anyone",
            listener.name
        );
        let hint = "add `users_file` with the clients' password hashes here, or `client_ca` to the listener";
        faults.push(Fault::new(place, message, hint).with_other(&listener.place, "clients come in here"));
    }
}
