//! A filter that looks for words in the subject: as many as its settings say. It reads no more of a message than that.

use std::collections::HashSet;

use popgate_plugin::{Failure, Filter, Message, Verdict};

#[derive(serde::Deserialize)]
pub struct Settings {
    patterns: u32,
}

pub struct Patterns(HashSet<String>);

impl Filter for Patterns {
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, String> {
        Ok(Self((0..settings.patterns).map(|number| format!("word{number}")).collect()))
    }

    fn filter(&self, message: &Message) -> Result<Verdict, Failure> {
        let subject = message.header("Subject").unwrap_or_default();
        match subject.split_whitespace().find(|word| self.0.contains(*word)) {
            Some(word) => Ok(Verdict::hold(format!("the subject has the word {word}"))),
            None => Ok(Verdict::Pass),
        }
    }
}

popgate_plugin::export!(Patterns);
