//! Message numbers.

use std::fmt;
use std::num::NonZeroU32;

/// The position of a message in the maildrop, counted from 1.
///
/// Source: RFC 1939, sections 3 and 5.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MessageNumber(NonZeroU32);

impl MessageNumber {
    /// None for 0.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }

    /// Reads decimal digits; none for anything else, for 0 and for what no server could have numbered.
    #[must_use]
    pub fn parse(digits: &[u8]) -> Option<Self> {
        if digits.is_empty() || digits.len() > 10 || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        std::str::from_utf8(digits).ok()?.parse().ok().map(Self)
    }
}

impl fmt::Display for MessageNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::MessageNumber;

    #[test]
    fn only_positive_decimal_numbers_are_message_numbers() {
        for good in ["1", "007", "4294967295"] {
            assert!(MessageNumber::parse(good.as_bytes()).is_some(), "{good}");
        }
        for bad in ["", "0", "-1", "+1", "1x", " 1", "4294967296", "18446744073709551617", "00000000001"] {
            assert!(MessageNumber::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
