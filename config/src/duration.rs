//! Durations: `"500ms"`, `"15s"`, `"10m"`, `"1h"`, `"30d"`.

use std::time::Duration;

use toml::de::DeValue;

use crate::setting::{Refusal, Setting, text};

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Longer ones are slips, and would leave the range of the system's clock when added to it.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

impl Setting for Duration {
    fn kind() -> String {
        "a duration".to_owned()
    }

    fn example() -> String {
        "\"5s\"".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Refusal> {
        if let Some(number) = value.as_integer() {
            return Err(Refusal::value(
                format!("`{number}` has no unit"),
                format!("for seconds write `\"{number}s\"`"),
            ));
        }
        parse(text(value)?)
    }
}

/// A duration as it is typed in a configuration, for durations that are typed elsewhere.
///
/// # Errors
///
/// What is wrong with the text, and what to write.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    parse(text).map_err(|refusal| match refusal {
        Refusal::Value { message, hint } => format!("{message}; {hint}"),
        Refusal::Kind => "it is not a duration".to_owned(),
    })
}

fn parse(text: &str) -> Result<Duration, Refusal> {
    // It needs no unit to be understood.
    let text = if text == "0" { "0s" } else { text };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = UNITS.iter().find(|(name, _)| *name == unit.trim_start()).map(|(_, milliseconds)| *milliseconds);
    let milliseconds = number.parse::<u64>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    match milliseconds.map(Duration::from_millis) {
        Some(duration) if duration <= LONGEST => Ok(duration),
        Some(_) => Err(Refusal::value(format!("`{text}` is longer than a year"), "write a shorter duration")),
        None => {
            let hint = "write a whole number and one of `ms`, `s`, `m`, `h`, `d`, as in `500ms` or `10m`";
            Err(Refusal::value(format!("`{text}` is not a duration"), hint))
        }
    }
}

/// A duration as it would be typed.
pub(crate) fn typed(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let exact = UNITS.iter().rev().find(|(_, unit)| milliseconds.is_multiple_of(u128::from(*unit)));
    exact.map_or_else(String::new, |(name, unit)| format!("{}{name}", milliseconds / u128::from(*unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_whole_numbers_with_a_unit() {
        for (text, milliseconds) in [
            ("0s", 0),
            ("500ms", 500),
            ("15s", 15_000),
            ("10m", 600_000),
            ("1h", 3_600_000),
            ("30d", 2_592_000_000),
            ("0", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
            assert_eq!(parse(&typed(Duration::from_millis(milliseconds))), parse(text));
        }
    }

    #[test]
    fn refuses_what_could_be_misread() {
        for text in ["", "10", "s", "1.5s", "-1s", "10M", "10min", "1h30m", "10000h", "366d", "18446744073709551615h"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
