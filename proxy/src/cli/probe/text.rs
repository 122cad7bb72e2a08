//! The report for people.

use std::fmt::Write as _;

use super::Report;
use super::certificate::Certificate;
use super::facts::{Facts, Verdict};

/// The width of the column of labels.
const LABEL: usize = 16;

/// The whole report; ends with a line end.
pub(super) fn text(report: &Report) -> String {
    let facts = &report.facts;
    let mut out = String::new();
    let how = match facts.tls {
        "implicit" => "implicit TLS",
        "stls" => "STLS",
        _ => "no TLS",
    };
    line(&mut out, "server", &format!("{} ({}), {how}", facts.address, facts.peer));
    conversation(&mut out, facts);
    if let Some(verdict) = &facts.certificate {
        certificates(&mut out, verdict);
    }
    capabilities(&mut out, facts);
    if !facts.offers.secure.is_empty() {
        out.push_str("\npopgate before this server offers to clients\n");
        line(&mut out, "  under TLS", &facts.offers.secure.join(", "));
        line(&mut out, "  before STLS", &facts.offers.before_stls.join(", "));
    }
    problems(&mut out, report);
    if let Some(block) = &report.upstream {
        out.push_str("\nfor the configuration\n\n");
        for row in block.lines() {
            let _ = writeln!(out, "{row}");
        }
    }
    out
}

fn line(out: &mut String, label: &str, value: &str) {
    let _ = writeln!(out, "{label:<LABEL$}{value}");
}

fn conversation(out: &mut String, facts: &Facts) {
    if let Some(greeting) = &facts.greeting {
        line(out, "greeting", &format!("{} ({} ms)", greeting.line, greeting.milliseconds));
        line(out, "APOP", greeting.apop.as_deref().unwrap_or("no timestamp in the greeting"));
    }
    if let Some(stls) = &facts.stls {
        line(out, "STLS", &stls.answer);
    }
    if let Some(agreed) = &facts.handshake {
        let parts = [&agreed.version, &agreed.cipher, &agreed.key_exchange];
        let parts: Vec<&str> = parts.iter().map(|part| part.as_str()).filter(|part| !part.is_empty()).collect();
        line(out, "TLS", &parts.join(", "));
    }
    if let Some(error) = &facts.handshake_error {
        line(out, "TLS", &error.text);
    }
}

fn certificates(out: &mut String, verdict: &Verdict) {
    let reason = verdict.reason.as_deref().map(|reason| format!("not trusted: {reason}"));
    line(out, "certificate", reason.as_deref().unwrap_or("trusted"));
    for (at, certificate) in verdict.chain.iter().enumerate() {
        let Certificate { subject, names, issuer, not_before, not_after, key, sha256, pin_sha256, .. } = certificate;
        line(out, &format!("  {} subject", at + 1), subject);
        if !names.is_empty() {
            line(out, "    names", &names.join(", "));
        }
        line(out, "    issuer", issuer);
        line(out, "    valid", &format!("{not_before} to {not_after}"));
        line(out, "    key", key);
        line(out, "    SHA-256", sha256);
        if at == 0 {
            line(out, "    pin_sha256", pin_sha256);
        }
    }
}

/// Both lists side by side: most of their lines are the same.
fn capabilities(out: &mut String, facts: &Facts) {
    if let Some(refused) = &facts.capabilities.refused {
        line(out, "CAPA", refused);
    }
    let (clear, tls) = (facts.capabilities.clear.as_deref(), facts.capabilities.tls.as_deref());
    match (clear, tls) {
        (None, None) => {}
        (Some(list), None) => listed(out, "in clear", list),
        (None, Some(list)) => listed(out, "under TLS", list),
        (Some(clear), Some(tls)) => {
            out.push_str("\ncapabilities\n  in clear  under TLS\n");
            let only_clear = clear.iter().filter(|line| !tls.contains(line));
            for capability in tls.iter().chain(only_clear) {
                let mark = |list: &[String]| if list.contains(capability) { "yes" } else { "-" };
                let _ = writeln!(out, "  {:<10}{:<11}{capability}", mark(clear), mark(tls));
            }
        }
    }
    if let Some(mechanisms) = &facts.mechanisms.auth {
        line(out, "AUTH lists", &mechanisms.join(" "));
    }
}

fn listed(out: &mut String, when: &str, list: &[String]) {
    let _ = writeln!(out, "\ncapabilities {when}");
    for capability in list {
        let _ = writeln!(out, "  {capability}");
    }
}

fn problems(out: &mut String, report: &Report) {
    if report.problems.is_empty() {
        out.push_str("\nno problems found\n");
        return;
    }
    out.push_str("\nproblems\n");
    for problem in &report.problems {
        let level = format!("{:?}", problem.level).to_lowercase();
        let _ = writeln!(out, "  {level:<9}{}", problem.text);
        if let Some(hint) = &problem.hint {
            let _ = writeln!(out, "  {:<9}hint: {hint}", "");
        }
    }
}
