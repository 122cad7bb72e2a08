//! `snapshot` of a filter: when it gets its settings.

use toml::de::DeValue;

use crate::setting::{Refusal, Setting};

/// When a filter gets its settings.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Snapshot {
    /// For each message: `false`.
    Never,
    /// Once, where that is possible: `true`.
    #[default]
    Configured,
    /// The same, and it has examined a made-up message by then: `"warm"`.
    Warm,
}

impl Setting for Snapshot {
    fn kind() -> String {
        "`true`, `false` or `\"warm\"`".to_owned()
    }

    fn example() -> String {
        "true".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Refusal> {
        match (value.as_bool(), value.as_str()) {
            (Some(true), _) => Ok(Self::Configured),
            (Some(false), _) => Ok(Self::Never),
            (None, Some("warm")) => Ok(Self::Warm),
            (None, Some(typed)) => {
                Err(Refusal::value(format!("unknown value `{typed}`"), format!("write {}", Self::kind())))
            }
            (None, None) => Err(Refusal::Kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_word_or_none() {
        let read = |text: &str| Snapshot::read(DeValue::parse(text).unwrap().get_ref());
        for (typed, expected) in
            [("true", Snapshot::Configured), ("false", Snapshot::Never), ("\"warm\"", Snapshot::Warm)]
        {
            assert_eq!(read(typed), Ok(expected), "{typed}");
        }
        assert_eq!(read("1"), Err(Refusal::Kind));
        assert!(matches!(read("\"hot\""), Err(Refusal::Value { message, .. }) if message.contains("hot")));
    }
}
