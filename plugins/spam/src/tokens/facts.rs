//! What several fields say together.

use popgate_plugin::Message;

use super::{Side, Tokens};

/// Adds what is true of the message as a whole.
pub(super) fn collect(message: &Message, tokens: &mut Tokens) {
    let subject = message.header("subject");
    let subject_facts = subject.as_deref().map_or_else(|| vec!["no subject"], subject_facts);
    for fact in subject_facts {
        tokens.add_to(Side::Form, "fact", fact);
    }
    let from = domain(message.header("from"));
    for (name, fact) in [
        ("reply-to", "answers go elsewhere"),
        ("message-id", "identifier of another domain"),
        ("return-path", "bounces go elsewhere"),
    ] {
        if let Some(other) = domain(message.header(name))
            && from.as_ref().is_none_or(|from| !related(from, &other))
        {
            tokens.add_to(Side::Form, "fact", fact);
        }
    }
    for (name, fact) in [("to", "no to"), ("from", "no from"), ("message-id", "no message-id"), ("date", "no date")] {
        if message.header(name).is_none() {
            tokens.add_to(Side::Form, "fact", fact);
        }
    }
    let to = message.header("to").unwrap_or_default();
    tokens.add_to(Side::Form, "addresses in to", &to.matches('@').count().min(9).to_string());
    let received = message.headers("received").len().min(12);
    tokens.add_to(Side::Form, "stations", &received.to_string());
}

fn subject_facts(subject: &str) -> Vec<&'static str> {
    let mut facts = Vec::new();
    let letters = subject.chars().filter(|next| next.is_alphabetic());
    let (capitals, all) =
        letters.fold((0, 0), |(capitals, all), next| (capitals + u32::from(next.is_uppercase()), all + 1));
    if all >= 6 && capitals == all {
        facts.push("subject in capitals");
    }
    if subject.trim().is_empty() {
        facts.push("empty subject");
    }
    if subject.contains("      ") {
        facts.push("gap in the subject");
    }
    if subject.trim_end().ends_with('!') {
        facts.push("subject ends in !");
    }
    if subject.trim_end().ends_with('?') {
        facts.push("subject ends in ?");
    }
    if subject.len() >= 3 && subject.as_bytes()[..3].eq_ignore_ascii_case(b"re:") {
        facts.push("subject is an answer");
    }
    facts
}

/// The domain of the first address.
fn domain(value: Option<String>) -> Option<String> {
    let value = value?;
    let (_, behind) = value.split_once('@')?;
    let end =
        behind.find(|next: char| !(next.is_ascii_alphanumeric() || matches!(next, '.' | '-'))).unwrap_or(behind.len());
    Some(behind[..end].to_ascii_lowercase()).filter(|domain| !domain.is_empty())
}

/// Whether one of two domains belongs to the other, or both to the same by their last two labels.
fn related(one: &str, other: &str) -> bool {
    let last_two = |domain: &str| {
        let start = domain.rmatch_indices('.').nth(1).map_or(0, |(at, _)| at + 1);
        domain[start..].to_owned()
    };
    last_two(one) == last_two(other)
}
