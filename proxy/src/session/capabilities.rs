//! What the client is told that it may do: what the upstream offers, less what can't be kept, plus the proxy's own.

use super::{Effect, Effects, Purpose, Session, client};
use crate::pop3::Capabilities;

/// Capabilities that pass through as the upstream states them.
const PASSED: [&str; 8] = ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "EXPIRE", "LOGIN-DELAY", "UTF8", "LANG"];

/// What decides, besides the upstream's list, about what a client is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    /// The client has logged in.
    pub logged_in: bool,
    /// A password would be accepted as the connection is.
    pub may_log_in: bool,
    /// USER would be accepted all the same, since Kerberos has proved who the client is.
    pub kpop: bool,
    /// STLS would be accepted.
    pub offers_stls: bool,
}

/// The lines of the reply to CAPA for a client, before an upstream that offers this.
#[must_use]
pub fn offered_capabilities(upstream: &Capabilities, standing: Standing) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    if !standing.logged_in && (standing.may_log_in || standing.kpop) && upstream.offers("USER") {
        lines.push("USER".into());
    }
    if !standing.logged_in && standing.may_log_in {
        let mechanisms = offered(&upstream.mechanisms());
        if !mechanisms.is_empty() {
            lines.push(format!("SASL {}", mechanisms.join(" ")));
        }
    }
    lines.extend(upstream.only(&PASSED).map(str::to_owned));
    if standing.offers_stls {
        lines.push("STLS".into());
    }
    lines.push("PIPELINING".into());
    if standing.logged_in {
        lines.extend(upstream.only(&["IMPLEMENTATION"]).map(str::to_owned));
    }
    lines
}

impl Session {
    /// The list of a proxy that does not know its upstream yet.
    pub(super) fn unrouted_capabilities(&self) -> Capabilities {
        self.own_capabilities(&Capabilities::unannounced())
    }

    /// The upstream's list is there, or it has none.
    pub(super) fn capabilities_are(&self, purpose: &Purpose, list: Option<Capabilities>) -> Effects {
        let list = list.unwrap_or_else(Capabilities::unannounced);
        let list = if self.relays_logins() { list } else { self.own_capabilities(&list) };
        match purpose {
            Purpose::Mechanisms => vec![self.mechanisms_reply(&list)],
            _ => vec![self.capability_reply(&list)],
        }
    }

    /// The reply to CAPA.
    pub(super) fn capability_reply(&self, upstream: &Capabilities) -> Effect {
        let granted = !self.policy.passes_stls || upstream.offers("STLS");
        let standing = Standing {
            logged_in: self.logged_in(),
            may_log_in: self.may_log_in(),
            kpop: self.policy.kpop,
            offers_stls: self.offers_stls() && granted,
        };
        multi("+OK capabilities", &offered_capabilities(upstream, standing))
    }

    /// The reply to AUTH without a mechanism.
    pub(super) fn mechanisms_reply(&self, upstream: &Capabilities) -> Effect {
        let mechanisms = if self.may_log_in() { offered(&upstream.mechanisms()) } else { Vec::new() };
        if mechanisms.is_empty() {
            return client("-ERR no mechanism is offered");
        }
        multi("+OK mechanisms", &mechanisms)
    }

    /// True if STLS would be accepted.
    pub(super) fn offers_stls(&self) -> bool {
        self.policy.stls && !self.secure && !self.logged_in()
    }

    /// True if a password would be accepted as the connection is.
    pub(super) fn may_log_in(&self) -> bool {
        self.secure
            || !self.policy.encryption_required && (self.policy.allow_cleartext || self.policy.client.is_loopback())
    }
}

/// The mechanisms that work through a proxy which ends TLS: no channel binding, and where the upstream could bind, none of
/// the same family without it, since such a client must be refused as downgraded (RFC 5802 section 6).
fn offered(mechanisms: &[String]) -> Vec<String> {
    let binding = |name: &str| mechanisms.iter().any(|other| other.strip_suffix("-PLUS") == Some(name));
    mechanisms.iter().filter(|name| !name.ends_with("-PLUS") && !binding(name)).cloned().collect()
}

fn multi(status: &str, lines: &[String]) -> Effect {
    let mut reply = format!("{status}\r\n");
    for line in lines {
        reply.push_str(line);
        reply.push_str("\r\n");
    }
    reply.push('.');
    client(reply)
}
