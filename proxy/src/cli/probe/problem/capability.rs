//! Problems of what a server says that it can do.

use super::Problem;
use crate::cli::probe::facts::Facts;

/// The capabilities that have arguments, and whether the argument has to be there.
const WITH_ARGUMENTS: [(&str, bool); 4] =
    [("EXPIRE", true), ("IMPLEMENTATION", true), ("LOGIN-DELAY", true), ("SASL", false)];

/// The word of a capability line in capitals.
pub(super) fn word(line: &str) -> String {
    line.split_ascii_whitespace().next().unwrap_or_default().to_ascii_uppercase()
}

pub(super) fn problems(facts: &Facts) -> Vec<Problem> {
    let mut found = Vec::new();
    if let Some(line) = &facts.capabilities.refused {
        let text = format!("The server does not know CAPA (`{line}`); popgate takes it to offer USER, TOP and UIDL.");
        found.push(Problem::note("no-capa", text));
    }
    let Some(lines) = facts.last() else { return found };
    found.extend(lines.iter().filter_map(|line| malformed(line)));
    found.extend(lines.iter().filter_map(|line| restriction(line)));
    let offered = |tag: &str| lines.iter().any(|line| word(line) == tag);
    if !offered("UIDL") {
        let text = "The server does not list UIDL; clients that leave mail on the server can't tell what is new.";
        found.push(Problem::warning("no-uidl", text));
    }
    if !offered("TOP") {
        found.push(Problem::note("no-top", "The server does not list TOP; clients can't look at headers alone."));
    }
    found.extend(logins(facts, offered("USER")));
    found
}

/// A line that RFC 2449 does not allow.
fn malformed(line: &str) -> Option<Problem> {
    let word = word(line);
    let mut arguments = line.split_ascii_whitespace().skip(1);
    if word == "CAPA" {
        let text = "The capability list names `CAPA` itself, which is no capability; popgate leaves it out.";
        return Some(Problem::note("capa-listed", text));
    }
    let glued = WITH_ARGUMENTS.iter().find(|(tag, _)| word != *tag && word.starts_with(tag));
    let bare = WITH_ARGUMENTS.iter().find(|(tag, needed)| word == *tag && *needed);
    let text = match (glued, bare, arguments.next()) {
        (Some((tag, _)), _, _) => {
            let argument = word[tag.len()..].trim_start_matches(['=', ':']).to_owned();
            format!(
                "The capability line `{line}` is malformed (it should be `{tag} {argument}`); popgate leaves it out."
            )
        }
        (_, Some((tag, _)), None) => format!("The capability `{tag}` has no argument."),
        (_, Some(("LOGIN-DELAY", _)), Some(value)) if value.parse::<u64>().is_err() => {
            format!("The capability line `{line}` is malformed: `{value}` is not a number of seconds.")
        }
        (_, Some(("EXPIRE", _)), Some(value))
            if value.parse::<u64>().is_err() && !value.eq_ignore_ascii_case("NEVER") =>
        {
            format!("The capability line `{line}` is malformed: `{value}` is neither a number of days nor `NEVER`.")
        }
        _ if line.trim().is_empty() => "The capability list has an empty line.".to_owned(),
        _ if line.contains('\u{fffd}') => format!("The capability line `{line}` is not text."),
        _ => return None,
    };
    Some(Problem::warning("malformed-capability", text).hint("some clients stop at such a list; update the server"))
}

/// What the server does to clients.
fn restriction(line: &str) -> Option<Problem> {
    let argument = line.split_ascii_whitespace().nth(1)?;
    match (word(line).as_str(), argument) {
        ("LOGIN-DELAY", seconds) if seconds.parse::<u64>().is_ok_and(|seconds| seconds > 0) => {
            let text = format!("The server refuses users who log in again within {seconds} s (LOGIN-DELAY).");
            Some(Problem::note("login-delay", text).hint("let mail clients check for mail less often than that"))
        }
        ("EXPIRE", "0") => {
            let text = "The server deletes messages once they are fetched (EXPIRE 0).";
            Some(Problem::warning("expire-0", text).hint("no client can leave mail on this server"))
        }
        _ => None,
    }
}

/// Whether, and how, somebody can log in through a proxy.
fn logins(facts: &Facts, user: bool) -> Vec<Problem> {
    let mut found = Vec::new();
    let mechanisms = &facts.mechanisms.capa;
    let passed: Vec<&str> = facts
        .offers
        .secure
        .iter()
        .filter(|line| word(line) == "SASL")
        .flat_map(|line| line.split_ascii_whitespace().skip(1))
        .collect();
    let apop = facts.greeting.as_ref().is_some_and(|greeting| greeting.apop.is_some());
    let binding = mechanisms.iter().any(|name| name.ends_with("-PLUS"));
    if passed.is_empty() && !user && !apop {
        found.push(if binding {
            let text = "The server offers logins with channel binding only (SCRAM-...-PLUS), which can't pass a proxy that ends TLS.";
            Problem::error("plus-only", text).hint("turn on PLAIN or USER under TLS on the server")
        } else {
            let text = "The server offers no way to log in that popgate could pass on.";
            let hint = match facts.handshake {
                None => "many servers allow logins under TLS only",
                Some(_) => "turn on USER or SASL PLAIN on the server",
            };
            Problem::error("no-login", text).hint(hint)
        });
    } else if binding {
        let left_out: Vec<&str> = mechanisms.iter().map(String::as_str).filter(|name| !passed.contains(name)).collect();
        let text = format!("popgate does not pass on {}: channel binding ends where TLS ends.", left_out.join(", "));
        found.push(Problem::note("channel-binding", text));
    }
    if let Some(listed) = &facts.mechanisms.auth {
        let known = |name: &&String| !mechanisms.iter().any(|other| other.eq_ignore_ascii_case(name.trim()));
        let more: Vec<&str> =
            listed.iter().filter(known).map(|name| name.trim()).filter(|name| !name.is_empty()).collect();
        if !more.is_empty() {
            let text =
                format!("AUTH lists {}, which the capability SASL does not; popgate goes by CAPA.", more.join(", "));
            found.push(Problem::note("auth-lists-more", text));
        }
    }
    found
}
