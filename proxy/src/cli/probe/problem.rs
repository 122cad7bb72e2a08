//! What an operator should know about a server, each in a sentence.

mod capability;
mod encryption;

use std::time::SystemTime;

use serde::Serialize;

use super::facts::Facts;

/// A greeting that takes longer makes every check for mail slow, in milliseconds.
const SLOW_GREETING: u64 = 2000;

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// popgate can't use the server as it is.
    Error,
    /// Somebody should act.
    Warning,
    /// Good to know.
    Note,
}

/// Something that is not as it should be. The fields and their names are part of the command's contract.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Problem {
    pub(super) level: Level,
    /// A word for programs.
    pub(super) code: &'static str,
    /// A sentence.
    pub(super) text: String,
    /// The next step.
    pub(super) hint: Option<String>,
}

impl Problem {
    fn error(code: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Error, code, text: text.into(), hint: None }
    }

    fn warning(code: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Warning, code, text: text.into(), hint: None }
    }

    fn note(code: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Note, code, text: text.into(), hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// Every problem that the facts show, the worst first.
pub(super) fn problems(facts: &Facts, now: SystemTime) -> Vec<Problem> {
    let mut found = conversation(facts);
    found.extend(encryption::problems(facts, now));
    found.extend(capability::problems(facts));
    found.sort_by_key(|problem| problem.level);
    found
}

/// How the server talks.
fn conversation(facts: &Facts) -> Vec<Problem> {
    let mut found = Vec::new();
    if let Some(greeting) = &facts.greeting {
        if !greeting.ok {
            let text = format!("The server turns clients away with `{}`.", greeting.line);
            let hint = "see the server's log; many servers limit the connections of one address";
            found.push(Problem::error("greeting-refuses", text).hint(hint));
        }
        if greeting.milliseconds > SLOW_GREETING {
            let seconds = greeting.milliseconds as f64 / 1000.0;
            let text = format!("The server takes {seconds:.1} s to greet, and every session waits for that.");
            let hint = "servers that look up the client's name or ident wait for DNS; `limits.connect` must be longer";
            found.push(Problem::warning("greeting-slow", text).hint(hint));
        }
    }
    if let Some(broken) = &facts.broken {
        let text = format!("The conversation ended early: {broken}.");
        found.push(Problem::error("broken-off", text).hint("what was not reached is missing in this report"));
    }
    found
}

#[cfg(test)]
mod tests;
