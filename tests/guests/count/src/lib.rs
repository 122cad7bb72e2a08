//! A filter that remembers: how many messages it has seen of a user and of all, and the words that it has learned.
//!
//! It puts what it knows into header fields. What a message asks for in `X-Do` it tries, and says what came of it:
//! `fail` fails after the writes, `fill SIZE` puts a value of that size under a new key. Of each message it leaves a learn token, unless it
//! asks to `leave nothing`.
//!
//! Of a message with `X-Read` it remembers nothing: it reads the things that are named there, and puts a number into `X-Run` that no
//! other run has.

use popgate_plugin::state::{self, Entry, Scope};
use popgate_plugin::{Failure, Filter, Label, Learning, LearningByToken, Message, NoSettings, Verdict, data, random};

struct Count;

/// What it leaves of a message: it knows all messages alike.
const TOKEN: &[u8] = b"a message";

popgate_plugin::export!(Count, learning_by_token);

impl Filter for Count {
    type Settings = NoSettings;

    fn configure(_: NoSettings) -> Result<Self, String> {
        Ok(Self)
    }

    fn filter(&self, message: &Message) -> Result<Verdict, Failure> {
        let wanted = message.header("X-Do").unwrap_or_default();
        if wanted != "leave nothing" {
            message.leave_learn_token(TOKEN)?;
        }
        if let Some(wanted) = message.header("X-Read") {
            return read(message, &wanted);
        }
        if let Some(size) = wanted.strip_prefix("fill ") {
            let size = size.parse().map_err(|_| Failure::Message(format!("`{size}` is no size")))?;
            let key = message.header("Subject").unwrap_or_default();
            state::put(Scope::User, [Entry::new(key, vec![0; size])])?;
        }
        for (scope, name) in [(Scope::User, "X-User"), (Scope::Shared, "X-Shared")] {
            let said = match state::counts(scope, ["messages", "learned"]) {
                Ok(counts) => format!("{} {}", counts[0], counts[1]),
                Err(problem) => format!("{problem:?}"),
            };
            message.set_header(name, &said)?;
            if !said.contains("Refused") {
                state::add(scope, [("messages", 1)])?;
            }
        }
        match &*wanted {
            "fail" => Err(Failure::Message("asked to fail".into())),
            "hold" => Ok(Verdict::hold("asked to hold")),
            _ => Ok(Verdict::Pass),
        }
    }
}

/// Reads facts by their names, or `findings`, `shared`, `data`.
fn read(message: &Message, wanted: &str) -> Result<Verdict, Failure> {
    for name in wanted.split_whitespace() {
        match name {
            "findings" => drop(message.findings()),
            "shared" => drop(state::get(Scope::Shared, ["messages"])?),
            "data" => drop(data::size("list")),
            fact => drop(message.fact(fact)),
        }
    }
    message.set_header("X-Run", &u64::from_le_bytes(random()).to_string())?;
    Ok(Verdict::Pass)
}

impl Learning for Count {
    fn learn(&self, message: &Message, label: Label) -> Result<(), Failure> {
        learn(message, label, 1)
    }

    fn forget(&self, message: &Message, label: Label) -> Result<(), Failure> {
        learn(message, label, -1)
    }
}

impl LearningByToken for Count {
    fn learn_token(&self, token: &[u8], _: Option<&str>, label: Label) -> Result<(), Failure> {
        learn_token(token, label, 1)
    }

    fn forget_token(&self, token: &[u8], _: Option<&str>, label: Label) -> Result<(), Failure> {
        learn_token(token, label, -1)
    }
}

fn learn(message: &Message, label: Label, times: i64) -> Result<(), Failure> {
    match message.header("X-Do").as_deref() {
        Some("fail") => Err(Failure::Message("asked to fail".into())),
        _ => weigh(label, times),
    }
}

fn learn_token(token: &[u8], label: Label, times: i64) -> Result<(), Failure> {
    match token {
        TOKEN => weigh(label, times),
        other => Err(Failure::Message(format!("{other:?} is no token of this filter"))),
    }
}

/// Spam counts upwards and ham in thousands, so that one number tells both.
fn weigh(label: Label, times: i64) -> Result<(), Failure> {
    let weight = match label {
        Label::Spam => 1,
        Label::Ham => 1_000,
    };
    for scope in [Scope::User, Scope::Shared] {
        match state::add(scope, [("learned", weight * times)]) {
            Err(state::Problem::Refused(_)) if scope == Scope::User => {}
            other => other?,
        }
    }
    Ok(())
}
