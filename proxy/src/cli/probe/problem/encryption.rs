//! Problems of TLS and certificates, and of doing without.

use std::time::{Duration, SystemTime};

use super::Problem;
use crate::cli::probe::certificate::Certificate;
use crate::cli::probe::facts::{Facts, HandshakeError};
use crate::net::Reason;

/// A certificate that ends sooner should have been renewed, if it is not a short-lived one anyhow.
const SOON: Duration = Duration::from_secs(14 * 86_400);
/// The fewest bits of an RSA key that are accepted.
const RSA_BITS: usize = 2048;
/// What helps a server that speaks old TLS only.
const OLD_SERVER: &str = "turn on TLS 1.2 or 1.3 with ECDHE and AES-GCM on the server, or put a TLS relay that still speaks \
                          the old protocol (stunnel) beside it; `tls = \"none\"` only over a network that you trust";

pub(super) fn problems(facts: &Facts, now: SystemTime) -> Vec<Problem> {
    let mut found = stls(facts);
    found.extend(plaintext(facts));
    found.extend(facts.handshake_error.as_ref().map(|error| failed(facts, error)));
    found.extend(untrusted(facts));
    if let Some(leaf) = facts.leaf() {
        found.extend(leaf_problems(leaf, facts, now));
    }
    found
}

fn offers(list: Option<&Vec<String>>, tag: &str) -> bool {
    list.is_some_and(|lines| lines.iter().any(|line| super::capability::word(line) == tag))
}

/// STLS that is missing, refused or left unused.
fn stls(facts: &Facts) -> Vec<Problem> {
    let offered = offers(facts.capabilities.clear.as_ref(), "STLS");
    let mut found = Vec::new();
    match &facts.stls {
        Some(stls) if !stls.accepted => {
            let text = match offered {
                true => format!("The server offers STLS but refuses it with `{}`.", stls.answer),
                false => format!("The server does not offer STLS and refuses it with `{}`.", stls.answer),
            };
            let hint = "does the server have a certificate? Many serve TLS at port 995: `--tls implicit`";
            found.push(Problem::error("stls-refused", text).hint(hint));
        }
        Some(_) if !offered && facts.capabilities.clear.is_some() => {
            found.push(Problem::note("stls-unlisted", "The server does not list STLS, but accepts it."));
        }
        None if facts.tls == "none" && offered => {
            let text = "The server offers STLS, and it is not used.";
            found.push(Problem::warning("stls-unused", text).hint("set `tls = \"stls\"` on the upstream"));
        }
        None if facts.tls == "none" && facts.capabilities.clear.is_some() => {
            let text = "The server does not offer STLS.";
            let hint = "look for TLS at port 995; without it mail and passwords go over the network in clear";
            found.push(Problem::warning("stls-missing", text).hint(hint));
        }
        None if facts.tls == "none" && facts.capabilities.refused.is_some() => {
            let text = "Without CAPA nobody knows whether the server does STLS.";
            found.push(Problem::warning("stls-unknown", text).hint("try it: `--tls stls`"));
        }
        _ => {}
    }
    if offers(facts.capabilities.tls.as_ref(), "STLS") {
        let text = "The server offers STLS inside of TLS, which RFC 2595 forbids; popgate does not pass it on.";
        found.push(Problem::note("stls-within-tls", text));
    }
    found
}

/// A password that could be sent in clear.
fn plaintext(facts: &Facts) -> Option<Problem> {
    let list = facts.capabilities.clear.as_ref()?;
    let mechanisms = list.iter().filter(|line| super::capability::word(line) == "SASL");
    let mut mechanisms = mechanisms.flat_map(|line| line.split_ascii_whitespace().skip(1));
    let sasl = mechanisms.any(|name| ["PLAIN", "LOGIN"].iter().any(|clear| name.eq_ignore_ascii_case(clear)));
    if !sasl && !offers(Some(list), "USER") {
        return None;
    }
    let text = "The server offers a login with the password in clear before TLS.";
    Some(match facts.handshake {
        Some(_) => {
            let hint = "popgate with `tls = \"stls\"` never does that; other clients might, so forbid it on the server";
            Problem::note("plaintext-login", text).hint(hint)
        }
        None => {
            let hint = "without TLS the password of every user can be read on the way between popgate and the server";
            Problem::warning("plaintext-login", text).hint(hint)
        }
    })
}

/// No handshake.
fn failed(facts: &Facts, error: &HandshakeError) -> Problem {
    if error.not_tls {
        let text = "The server answers in clear where TLS should begin.";
        let hint = match facts.tls {
            "implicit" => "this port is not one of implicit TLS: `--tls stls`, or `--tls none`",
            _ => "the server breaks RFC 2595 behind its +OK to STLS",
        };
        return Problem::error("not-tls", text).hint(hint);
    }
    if let Some(bits) = facts.leaf().and_then(|leaf| leaf.rsa_bits).filter(|bits| *bits < RSA_BITS) {
        let text = format!("The server's key is RSA with {bits} bits; popgate accepts {RSA_BITS} and more.");
        return Problem::error("short-key", text).hint("make a new key and certificate on the server");
    }
    let (Some(version), Some(cipher)) = (error.legacy_version, &error.legacy_cipher) else {
        let text = format!("There is no TLS with the server: {}.", error.text);
        return Problem::error("tls-failed", text).hint("see the server's log");
    };
    let (code, what) = match version {
        "TLS 1.2" if cipher.starts_with("TLS_RSA_") => ("rsa-key-exchange", "RSA key exchange only".to_owned()),
        "TLS 1.2" if cipher.starts_with("TLS_DHE_") => ("dhe-key-exchange", "DHE key exchange only".to_owned()),
        "TLS 1.2" if cipher.contains("_CBC_") => ("cbc-ciphers", "CBC cipher suites only".to_owned()),
        "TLS 1.2" => {
            let text = format!("There is no TLS with the server, although it knows {cipher}: {}.", error.text);
            return Problem::error("tls-failed", text).hint("see the server's log");
        }
        _ => ("old-tls", format!("nothing newer than {version}")),
    };
    let text = format!("The server speaks {what} ({version}, {cipher}), which popgate does not.");
    Problem::error(code, text).hint(OLD_SERVER)
}

/// A certificate that popgate would refuse.
fn untrusted(facts: &Facts) -> Option<Problem> {
    // Without a handshake no pin helps, and trust is not the question yet.
    let refusal = facts.refusal.as_ref().filter(|_| facts.handshake.is_some())?;
    let text =
        format!("popgate would refuse the certificate: {}.", super::super::facts::plain(&refusal.reason.to_string()));
    let code = match &refusal.reason {
        Reason::UnknownIssuer => "unknown-issuer",
        Reason::SelfSigned => "self-signed",
        Reason::Expired { .. } => "expired",
        Reason::NotYetValid { .. } => "not-yet-valid",
        Reason::NameMismatch { presented, .. } if presented.is_empty() => "no-names",
        Reason::NameMismatch { .. } => "wrong-name",
        Reason::PinMismatch | Reason::Other(_) => "certificate-refused",
    };
    let mut hint = refusal.hint();
    let alone = facts.certificate.as_ref().is_some_and(|verdict| verdict.chain.len() == 1);
    if refusal.reason == Reason::UnknownIssuer && alone {
        hint.push_str("; if the authority is a public one, the server forgets to send its intermediate certificate");
    }
    if code == "no-names" {
        let pin = refusal.pin.map(|pin| format!(" = [\"{pin}\"]")).unwrap_or_default();
        hint = format!("issue one with a subject alternative name; until then `pin_sha256{pin}` trusts its key");
    }
    Some(Problem::error(code, text).hint(hint))
}

/// What is wrong with the server's own certificate, trusted or not.
fn leaf_problems(leaf: &Certificate, facts: &Facts, now: SystemTime) -> Vec<Problem> {
    let mut found = Vec::new();
    let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs().cast_signed());
    let (begin, end) = leaf.validity;
    let soon = SOON.as_secs().cast_signed().min((end - begin) / 3);
    if now <= end && end - now < soon {
        let text = match (end - now) / 86_400 {
            0 => "The certificate expires within a day.".to_owned(),
            1 => "The certificate expires in 1 day.".to_owned(),
            days => format!("The certificate expires in {days} days."),
        };
        let hint = format!("renew it on the server before {}", leaf.not_after);
        found.push(Problem::warning("expires-soon", text).hint(hint));
    }
    if leaf.weak_signature && facts.handshake.is_some() {
        let text = "The certificate is signed with SHA-1 or MD5, which popgate accepts by its pin only.";
        found.push(Problem::warning("weak-signature", text).hint("have a new certificate signed"));
    }
    found
}
