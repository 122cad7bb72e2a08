//! Sizes in octets: `"64KiB"`, `"20MB"`, `1048576`.

use toml::de::DeValue;

use crate::setting::{Refusal, Setting, integer};

/// A number of octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq, PartialOrd)]
pub(crate) struct Octets(pub(crate) u64);

/// Binary and decimal units; mail's own limits are usually given in the first, disks' in the second.
const UNITS: [(&str, u64); 9] = [
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

impl Setting for Octets {
    fn kind() -> String {
        "a size".to_owned()
    }

    fn example() -> String {
        "\"64MiB\"".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Refusal> {
        if let Some(text) = value.as_str() {
            return parse(text).map(Self);
        }
        let number = integer(value)?;
        number.try_into().map(Self).map_err(|_| refusal(&number.to_string()))
    }
}

fn parse(text: &str) -> Result<u64, Refusal> {
    parse_exact(text).ok_or_else(|| refusal(text))
}

fn parse_exact(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = UNITS.iter().find(|(name, _)| *name == unit.trim_start()).map(|(_, factor)| *factor);
    number.parse::<u64>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit))
}

/// What is meant by `64m`, `64mb` and `64 mib`: the binary unit, since mail's limits are counted so.
fn meant(text: &str) -> Option<String> {
    let (number, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "k" | "kb" | "kib" => "KiB",
        "m" | "mb" | "mib" => "MiB",
        "g" | "gb" | "gib" => "GiB",
        "t" | "tb" | "tib" => "TiB",
        _ => return None,
    };
    let meant = format!("{number}{unit}");
    parse_exact(&meant).map(|_| meant)
}

fn refusal(text: &str) -> Refusal {
    let hint = match meant(text) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "write a whole number with `KiB`, `MiB`, `GiB`, `KB`, `MB` or `GB`, as in `64MiB`".to_owned(),
    };
    Refusal::value(format!("`{text}` is not a size"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_whole_numbers_with_a_unit() {
        for (text, octets) in [
            ("0", 0),
            ("1048576", 1_048_576),
            ("12B", 12),
            ("64KiB", 65_536),
            ("256MiB", 268_435_456),
            ("8 GiB", 8_589_934_592),
            ("20MB", 20_000_000),
        ] {
            assert_eq!(parse(text), Ok(octets), "{text}");
        }
    }

    #[test]
    fn refuses_what_could_be_misread() {
        for text in [
            "",
            "MiB",
            "64M",
            "64mb",
            "1.5MiB",
            "-1",
            "+1",
            "64MiB ",
            "18446744073709551615KiB",
            "99999999999999999999",
            "6٤",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
