//! The `[[upstream]]` section for a configuration.

use std::path::Path;

use popgate_config::Address;

use super::facts::Facts;
use crate::net::Reason;
use crate::pop3::Stamp;

/// The section that fits what was found, with comments where the operator has to decide; none where popgate can't
/// talk to the server at all.
pub(super) fn block(address: &Address, ca: Option<&Path>, facts: &Facts) -> Option<String> {
    let usable = facts.greeting.is_some() && facts.handshake_error.is_none();
    if !usable {
        return None;
    }
    let mut lines = vec!["[[upstream]]".to_owned()];
    lines.push(format!("name = {}", quoted(&address.host)));
    lines.push(format!("address = {}", quoted(&address.to_string())));
    let encrypted = facts.handshake.is_some();
    match (encrypted, address.is_loopback()) {
        (true, _) => lines.push(format!("tls = {}", quoted(facts.tls))),
        (false, true) => lines.push("tls = \"none\"".to_owned()),
        (false, false) => lines.push("tls = \"none\"  # passwords and mail go over the network in clear".to_owned()),
    }
    let stamp = facts.greeting.as_ref().and_then(|greeting| greeting.apop.as_ref());
    if !encrypted && stamp.is_some_and(|stamp| Stamp::of(stamp.as_bytes()).is_some()) {
        lines.push(
            "# auth = \"apop\"  # sends digests in the place of passwords, if the server keeps secrets for APOP"
                .to_owned(),
        );
    }
    if encrypted {
        lines.extend(trust(ca, facts));
    }
    Some(lines.join("\n") + "\n")
}

/// What makes the certificate trusted.
fn trust(ca: Option<&Path>, facts: &Facts) -> Vec<String> {
    let authority = || ca.map(|path| format!("ca = {}", quoted(&path.display().to_string())));
    let Some(refusal) = &facts.refusal else { return authority().into_iter().collect() };
    // The chain was checked before the name, so another name is all that is missing.
    if let Reason::NameMismatch { presented, .. } = &refusal.reason
        && let Some(name) = presented.iter().find(|name| !name.contains('*'))
    {
        let name = format!("server_name = {}", quoted(name));
        return authority().into_iter().chain([name]).collect();
    }
    let Some(pin) = refusal.pin else { return Vec::new() };
    let pin = format!("pin_sha256 = [\"{pin}\"]");
    if let Reason::NotYetValid { .. } = refusal.reason {
        return authority().into_iter().chain([format!("# {pin}  # if the clocks are right")]).collect();
    }
    vec![format!("# The fingerprint must be what the server's operator says: {}", refusal.fingerprint), pin]
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use popgate_config::{Pin, UpstreamTls};

    use super::super::facts::{Agreement, Greeting};
    use super::*;
    use crate::net::Refusal;

    fn found(tls: &'static str, reason: Option<Reason>) -> Facts {
        Facts {
            tls,
            greeting: Some(Greeting::default()),
            handshake: (tls != "none").then(Agreement::default),
            refusal: reason.map(|reason| Refusal { reason, fingerprint: "ab".repeat(32), pin: Some(Pin([7; 32])) }),
            ..Facts::default()
        }
    }

    fn parsed(text: &str) -> popgate_config::Upstream {
        let config = format!("[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"pop.example.org\"\n{text}");
        let config = popgate_config::parse(&config, Path::new("/etc/popgate.toml")).unwrap_or_else(|error| {
            panic!("{text}\n{error}");
        });
        config.upstreams[0].clone()
    }

    #[test]
    fn the_section_is_one_that_popgate_takes() {
        let mismatch = |presented: &[&str]| Reason::NameMismatch {
            expected: "pop.example.org".into(),
            presented: presented.iter().map(ToString::to_string).collect(),
        };
        let ca = Path::new("/etc/ssl/an \"odd\" ca.pem");
        for (tls, reason, ca, expected) in [
            ("none", None, None, (false, 0, None)),
            ("stls", None, Some(ca), (true, 0, None)),
            ("implicit", None, None, (false, 0, None)),
            ("stls", Some(Reason::SelfSigned), Some(ca), (false, 1, None)),
            ("implicit", Some(Reason::Expired { since: SystemTime::UNIX_EPOCH }), None, (false, 1, None)),
            ("implicit", Some(mismatch(&["*.x.example", "mx.example"])), Some(ca), (true, 0, Some("mx.example"))),
            ("implicit", Some(mismatch(&[])), Some(ca), (false, 1, None)),
            ("implicit", Some(Reason::NotYetValid { from: SystemTime::UNIX_EPOCH }), Some(ca), (true, 0, None)),
        ] {
            let address = "pop.example.org:995".parse().unwrap();
            let upstream = parsed(&block(&address, ca, &found(tls, reason)).unwrap());
            assert_eq!(upstream.address, address);
            let found = (upstream.ca.is_some(), upstream.pin_sha256.len(), upstream.server_name.as_deref());
            assert_eq!(found, expected, "{tls}");
            let tls = ["none", "stls", "implicit"].iter().position(|word| *word == tls);
            let modes = [UpstreamTls::None, UpstreamTls::Stls, UpstreamTls::Implicit];
            assert_eq!(modes.iter().position(|mode| *mode == upstream.tls), tls);
        }
    }

    #[test]
    fn passwords_need_not_go_in_clear_where_there_is_a_timestamp() {
        for (tls, stamp, advised) in [
            ("none", Some("<1.2@host>"), true),
            ("none", Some("<1@2@host>"), false),
            ("none", None, false),
            ("stls", Some("<1.2@host>"), false),
        ] {
            let mut facts = found(tls, None);
            facts.greeting = Some(Greeting { apop: stamp.map(str::to_owned), ..Greeting::default() });
            let text = block(&"pop.example.org:110".parse().unwrap(), None, &facts).unwrap();
            assert_eq!(text.contains("auth = \"apop\""), advised, "{tls} {stamp:?}");
            // It is a comment until the operator decides, and then a key that is known.
            parsed(&text.replace("# auth", "auth"));
        }
    }

    #[test]
    fn there_is_none_for_a_server_that_can_not_be_used() {
        let address = "pop.example.org:995".parse().unwrap();
        assert_eq!(block(&address, None, &Facts { tls: "implicit", ..Facts::default() }), None);
    }
}
