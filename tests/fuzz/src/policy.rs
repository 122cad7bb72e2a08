//! Listeners of all kinds.

use std::net::IpAddr;

use popgate::session::Policy;

/// A policy out of the bits of an octet.
pub(crate) fn policy(bits: u8) -> Policy {
    let bit = |at: u8| bits >> at & 1 == 1;
    let client = if bit(0) { [192, 0, 2, 1] } else { [127, 0, 0, 1] };
    Policy {
        client: IpAddr::from(client),
        implicit_tls: bit(1),
        stls: bit(2),
        encryption_required: bit(3),
        allow_cleartext: bit(4),
        fixed_upstream: bit(5),
        // Kerberos is spoken with an upstream that is known.
        kpop: bit(5) && bit(7),
        sasl: ["PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER", "SCRAM-SHA-256"].into(),
        passes_stls: bit(5) && !bit(7),
        bad_commands: if bit(6) { 20 } else { 3 },
    }
}
