//! Problems from facts.

use std::time::Duration;

use super::super::certificate::Certificate;
use super::super::facts::{Agreement, Greeting, HandshakeError, Lists, Mechanisms, Offers, Stls, Verdict};
use super::*;
use crate::net::{Reason, Refusal};
use crate::pop3::Capabilities;

const NOW: i64 = 1_900_000_000;
const DAY: i64 = 86_400;

fn found(facts: &Facts) -> Vec<&'static str> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.cast_unsigned());
    problems(facts, now).iter().map(|problem| problem.code).collect()
}

fn greeting() -> Option<Greeting> {
    Some(Greeting { line: "+OK ready".into(), ok: true, milliseconds: 20, apop: None })
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(ToString::to_string).collect()
}

/// A server without a fault, under TLS, with this capability list.
fn listing(lines: &[&str]) -> Facts {
    let list = Capabilities::parse(lines.iter().map(|line| line.as_bytes()));
    Facts {
        tls: "implicit",
        greeting: greeting(),
        handshake: Some(Agreement::default()),
        capabilities: Lists { tls: Some(owned(lines)), ..Lists::default() },
        mechanisms: Mechanisms { capa: list.mechanisms(), auth: None },
        offers: Offers::before(&list),
        ..Facts::default()
    }
}

#[test]
fn a_good_server_has_none() {
    assert_eq!(found(&listing(&["USER", "TOP", "UIDL", "SASL PLAIN", "EXPIRE NEVER", "LOGIN-DELAY 0"])), [""; 0]);
}

#[test]
fn capability_lists_are_read_closely() {
    for (more, expected) in [
        (&["CAPA"][..], &["capa-listed"][..]),
        (&["EXPIRENEVER"], &["malformed-capability"]),
        (&["SASL=PLAIN"], &["malformed-capability"]),
        (&["LOGIN-DELAY soon"], &["malformed-capability"]),
        (&["EXPIRE"], &["malformed-capability"]),
        (&[""], &["malformed-capability"]),
        (&["X-EXPIRED", "LANG", "UTF8 USER", "SASL"], &[]),
        (&["LOGIN-DELAY 60"], &["login-delay"]),
        (&["expire 0"], &["expire-0"]),
        (&["STLS"], &["stls-within-tls"]),
        (&["SASL SCRAM-SHA-256 SCRAM-SHA-256-PLUS PLAIN"], &["channel-binding"]),
    ] {
        let lines = [&["USER", "TOP", "UIDL"], more].concat();
        assert_eq!(found(&listing(&lines)), expected, "{more:?}");
    }
    assert_eq!(found(&listing(&["USER"])), ["no-uidl", "no-top"]);
}

#[test]
fn somebody_must_be_able_to_log_in() {
    for (lines, apop, expected) in [
        (&["TOP", "UIDL"][..], None, &["no-login"][..]),
        (&["TOP", "UIDL"], Some("<1@host>"), &[]),
        (&["TOP", "UIDL", "SASL SCRAM-SHA-256-PLUS"], None, &["plus-only"]),
        (&["TOP", "UIDL", "SASL SCRAM-SHA-1 SCRAM-SHA-1-PLUS"], None, &["plus-only"]),
    ] {
        let mut facts = listing(lines);
        facts.greeting = Some(Greeting { apop: apop.map(str::to_owned), ..greeting().unwrap() });
        assert_eq!(found(&facts), expected, "{lines:?}");
    }
}

#[test]
fn what_only_auth_lists_is_told() {
    let mut facts = listing(&["USER", "TOP", "UIDL", "SASL PLAIN"]);
    facts.mechanisms.auth = Some(owned(&["plain", "NTLM "]));
    assert_eq!(found(&facts), ["auth-lists-more"]);
}

#[test]
fn doing_without_tls_is_told() {
    let clear = |lines: &[&str], stls: Option<bool>| {
        let mut facts = listing(lines);
        facts.capabilities = Lists { clear: Some(owned(lines)), ..Lists::default() };
        facts.handshake = None;
        facts.tls = if stls.is_some() { "stls" } else { "none" };
        facts.stls = stls.map(|accepted| Stls { accepted, answer: "-ERR no".into() });
        found(&facts)
    };
    assert_eq!(clear(&["USER", "TOP", "UIDL"], None), ["stls-missing", "plaintext-login"]);
    assert_eq!(clear(&["USER", "TOP", "UIDL", "STLS"], None), ["stls-unused", "plaintext-login"]);
    assert_eq!(clear(&["SASL LOGIN", "TOP", "UIDL", "STLS"], Some(false)), ["stls-refused", "plaintext-login"]);
    assert_eq!(clear(&["SASL CRAM-MD5", "TOP", "UIDL", "STLS"], Some(true)), [""; 0]);
    let facts = Facts {
        tls: "none",
        greeting: greeting(),
        capabilities: Lists { refused: Some("-ERR what?".into()), ..Lists::default() },
        ..Facts::default()
    };
    assert_eq!(found(&facts), ["stls-unknown", "no-capa"]);
}

#[test]
fn what_popgate_does_not_speak_is_named() {
    for (version, cipher, expected) in [
        (Some("TLS 1.0"), Some("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"), "old-tls"),
        (Some("TLS 1.2"), Some("TLS_RSA_WITH_AES_128_GCM_SHA256"), "rsa-key-exchange"),
        (Some("TLS 1.2"), Some("TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"), "dhe-key-exchange"),
        (Some("TLS 1.2"), Some("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"), "cbc-ciphers"),
        (Some("TLS 1.2"), Some("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"), "tls-failed"),
        (None, None, "tls-failed"),
    ] {
        let error = HandshakeError {
            legacy_version: version,
            legacy_cipher: cipher.map(str::to_owned),
            ..HandshakeError::default()
        };
        let facts = Facts { tls: "implicit", handshake_error: Some(error), ..Facts::default() };
        assert_eq!(found(&facts), [expected]);
    }
    let error = HandshakeError { not_tls: true, ..HandshakeError::default() };
    assert_eq!(found(&Facts { tls: "implicit", handshake_error: Some(error), ..Facts::default() }), ["not-tls"]);
}

#[test]
fn certificates_are_looked_at() {
    let with = |begin: i64, end: i64, reason: Option<Reason>| {
        let mut facts = listing(&["USER", "TOP", "UIDL"]);
        let leaf = Certificate { validity: (begin, end), ..Certificate::default() };
        facts.certificate = Some(Verdict { verified: reason.is_none(), reason: None, chain: vec![leaf] });
        facts.refusal = reason.map(|reason| Refusal { reason, fingerprint: String::new(), pin: None });
        found(&facts)
    };
    assert_eq!(with(NOW - 300 * DAY, NOW + 65 * DAY, None), [""; 0]);
    assert_eq!(with(NOW - 80 * DAY, NOW + 10 * DAY, None), ["expires-soon"]);
    // One that lives six days is not renewed weeks before its end.
    assert_eq!(with(NOW - DAY, NOW + 5 * DAY, None), [""; 0]);
    let since = SystemTime::UNIX_EPOCH;
    assert_eq!(with(NOW - 90 * DAY, NOW - DAY, Some(Reason::Expired { since })), ["expired"]);
    let mismatch = |presented: &[&str]| Reason::NameMismatch { expected: "a".into(), presented: owned(presented) };
    assert_eq!(with(NOW - DAY, NOW + 300 * DAY, Some(mismatch(&[]))), ["no-names"]);
    assert_eq!(with(NOW - DAY, NOW + 300 * DAY, Some(mismatch(&["b"]))), ["wrong-name"]);
    assert_eq!(with(NOW - DAY, NOW + 300 * DAY, Some(Reason::SelfSigned)), ["self-signed"]);
}

#[test]
fn the_worst_comes_first() {
    let mut facts = listing(&["CAPA", "TOP"]);
    facts.greeting = Some(Greeting { milliseconds: 2500, ..greeting().unwrap() });
    assert_eq!(found(&facts), ["no-login", "greeting-slow", "no-uidl", "capa-listed"]);
}
