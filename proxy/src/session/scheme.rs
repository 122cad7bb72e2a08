//! How a session gets into its upstream, and what the client may be asked for that.

use super::Session;
use crate::pop3::{Capabilities, Secret};

/// How a session logs in; known once the upstream is.
#[derive(Clone, Debug, Default)]
pub enum Scheme {
    /// With what the client sends.
    #[default]
    Relay,
    /// With APOP, made from the client's password (RFC 1939 section 7).
    Apop,
    /// On behalf of a client for whom somebody else vouches (RFC 4616 section 2).
    Master(Box<Master>),
}

/// A user of the upstream who may log in on behalf of others.
#[derive(Clone, Debug)]
pub struct Master {
    /// The name.
    pub user: Vec<u8>,
    /// The password.
    pub password: Secret,
    /// Whether clients' passwords can be checked here; else certificates alone say who they are.
    pub checks_passwords: bool,
}

/// The mechanisms by which a password can be had from a client.
const WITH_PASSWORD: [&str; 2] = ["PLAIN", "LOGIN"];
/// The mechanism for clients who have shown a certificate (RFC 4422 appendix A).
pub(super) const EXTERNAL: &str = "EXTERNAL";

impl Session {
    /// True if what the client says to log in goes to the upstream as it is.
    pub(super) fn relays_logins(&self) -> bool {
        self.policy.fixed_upstream && matches!(self.scheme, Scheme::Relay)
    }

    /// True if a name and a password may lead to a login.
    pub(super) fn takes_passwords(&self) -> bool {
        match &self.scheme {
            Scheme::Master(master) if self.policy.fixed_upstream => master.checks_passwords,
            _ => true,
        }
    }

    /// The mechanisms that the proxy itself can go through with this client.
    pub(super) fn own_mechanisms(&self) -> Vec<&'static str> {
        let mut mechanisms = match (self.policy.fixed_upstream, self.takes_passwords()) {
            (false, _) => self.policy.sasl.to_vec(),
            (true, true) => WITH_PASSWORD.to_vec(),
            (true, false) => Vec::new(),
        };
        // What a certificate is worth, an upstream that takes the proxy's word knows, and no other.
        let leads_on = !self.policy.fixed_upstream || matches!(self.scheme, Scheme::Master(_));
        if self.certificate.is_some() && leads_on {
            mechanisms.push(EXTERNAL);
        }
        mechanisms
    }

    /// What a client is told where the proxy logs in by itself: the upstream's list as far as it is known, but for the ways in.
    pub(super) fn own_capabilities(&self, upstream: &Capabilities) -> Capabilities {
        let way_in = |line: &&str| {
            let word = line.split_ascii_whitespace().next().unwrap_or_default();
            word.eq_ignore_ascii_case("USER") || word.eq_ignore_ascii_case("SASL")
        };
        let mut lines: Vec<String> = upstream.iter().filter(|line| !way_in(line)).map(str::to_owned).collect();
        if self.takes_passwords() {
            lines.push("USER".into());
        }
        let mechanisms = self.own_mechanisms();
        if !mechanisms.is_empty() {
            lines.push(format!("SASL {}", mechanisms.join(" ")));
        }
        lines.into_iter().collect()
    }
}
