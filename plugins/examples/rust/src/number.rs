//! Numbers of payment cards and bank accounts in octets that may be any text.

use std::ops::Range;

/// What a number is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Card,
    Iban,
}

/// A number, and where it stands.
#[derive(Debug, Eq, PartialEq)]
pub struct Number {
    pub kind: Kind,
    at: Range<usize>,
}

/// How many characters stay.
const SHOWN: usize = 4;

impl Number {
    /// Puts stars over it. Its spaces and its last characters stay, and so does the length.
    pub fn redact(&self, text: &mut [u8]) {
        let mut characters: Vec<_> =
            text[self.at.clone()].iter_mut().filter(|octet| octet.is_ascii_alphanumeric()).collect();
        let hidden = characters.len().saturating_sub(SHOWN);
        for octet in &mut characters[..hidden] {
            **octet = b'*';
        }
    }
}

/// All numbers in the text, in their order.
pub fn find(text: &[u8]) -> Vec<Number> {
    let mut numbers = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let number = match text[start] {
            b'0'..=b'9' if starts_word(text, start) => card(text, start),
            b'A'..=b'Z' if starts_word(text, start) => iban(text, start),
            _ => None,
        };
        start = number.as_ref().map_or(start + 1, |number| number.at.end);
        numbers.extend(number);
    }
    numbers
}

fn starts_word(text: &[u8], start: usize) -> bool {
    !start.checked_sub(1).is_some_and(|before| text[before].is_ascii_alphanumeric())
}

/// 13 to 19 digits with their check digit.
fn card(text: &[u8], start: usize) -> Option<Number> {
    let is_card = |digits: &[u8]| digits.len() >= 13 && luhn(digits);
    let at = read(text, start, 19, |octet| octet.is_ascii_digit(), is_card)?;
    Some(Number { kind: Kind::Card, at })
}

/// Two letters for the country, two check digits, 11 to 30 letters and digits.
fn iban(text: &[u8], start: usize) -> Option<Number> {
    let is_iban = |octets: &[u8]| {
        octets.len() >= 15
            && octets[..2].iter().all(u8::is_ascii_uppercase)
            && octets[2..4].iter().all(u8::is_ascii_digit)
            && modulus_97(octets) == 1
    };
    let at = read(text, start, 34, |octet| octet.is_ascii_digit() || octet.is_ascii_uppercase(), is_iban)?;
    Some(Number { kind: Kind::Iban, at })
}

/// The longest run from `start` that is a number: at most `most` characters that belong, in groups with a space or a hyphen
/// between. The next word may look like one more group, so shorter runs are tried, too.
fn read(
    text: &[u8],
    start: usize,
    most: usize,
    belongs: impl Fn(u8) -> bool,
    is_number: impl Fn(&[u8]) -> bool,
) -> Option<Range<usize>> {
    let (mut octets, mut groups) = (Vec::new(), Vec::new());
    for (position, &octet) in text.iter().enumerate().skip(start) {
        let next = text.get(position + 1).copied().unwrap_or(b' ');
        if belongs(octet) && octets.len() < most {
            octets.push(octet);
            if !next.is_ascii_alphanumeric() {
                groups.push((octets.len(), position + 1));
            }
        } else if !matches!(octet, b' ' | b'-') || !belongs(next) {
            break;
        }
    }
    let (_, end) = groups.into_iter().rev().find(|&(length, _)| is_number(&octets[..length]))?;
    Some(start..end)
}

/// The check digit of ISO/IEC 7812: every second digit from the right counts twice. All zeros are no number.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(position, digit)| u32::from(digit - b'0') * (1 + position as u32 % 2))
        .map(|value| value / 10 + value % 10)
        .sum();
    sum > 0 && sum.is_multiple_of(10)
}

/// ISO 7064 as ISO 13616 uses it: the first four characters go to the end, letters count 10 to 35.
fn modulus_97(octets: &[u8]) -> u32 {
    octets[4..].iter().chain(&octets[..4]).fold(0, |rest, octet| match octet {
        b'0'..=b'9' => (rest * 10 + u32::from(octet - b'0')) % 97,
        octet => (rest * 100 + u32::from(octet - b'A') + 10) % 97,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str) -> String {
        let mut octets = text.as_bytes().to_vec();
        find(text.as_bytes()).iter().for_each(|number| number.redact(&mut octets));
        String::from_utf8(octets).expect("stars are ASCII")
    }

    #[test]
    fn numbers_are_found_by_their_check_digits() {
        for (text, expected) in [
            ("4111111111111111", "************1111"),
            ("(4111-1111-1111-1111)", "(****-****-****-1111)"),
            ("378282246310005 and 5555 5555 5555 4444", "***********0005 and **** **** **** 4444"),
            ("4111111111111112", "4111111111111112"),
            ("x4111111111111111", "x4111111111111111"),
            ("4111111111111111x", "4111111111111111x"),
            ("0000000000000000", "0000000000000000"),
            ("411111111111111100000000", "411111111111111100000000"),
            ("4111 1111 1111 1111 ", "**** **** **** 1111 "),
            ("4111 1111 1111 1111 2nd, 12", "**** **** **** 1111 2nd, 12"),
            ("4111 1111 1111 1111 12 34 56", "**** **** **** 1111 12 34 56"),
            ("DE89 3704 0044 0532 0130 00.", "**** **** **** **** **30 00."),
            ("GB82WEST12345698765432 IS IT", "******************5432 IS IT"),
            ("DE89 3704 0044 0532 0130 00 Thanks", "**** **** **** **** **30 00 Thanks"),
            ("DE88 3704 0044 0532 0130 00", "DE88 3704 0044 0532 0130 00"),
            ("", ""),
        ] {
            assert_eq!(redacted(text), expected);
        }
    }
}
