//! Character references of HTML.

/// Names of references, in order, with the character that people see.
const NAMES: [(&str, char); 49] = [
    ("Auml", 'Ä'),
    ("Ouml", 'Ö'),
    ("Uuml", 'Ü'),
    ("aacute", 'á'),
    ("acirc", 'â'),
    ("agrave", 'à'),
    ("amp", '&'),
    ("apos", '\''),
    ("aring", 'å'),
    ("auml", 'ä'),
    ("bull", '•'),
    ("ccedil", 'ç'),
    ("cent", '¢'),
    ("copy", '©'),
    ("dollar", '$'),
    ("eacute", 'é'),
    ("ecirc", 'ê'),
    ("egrave", 'è'),
    ("euml", 'ë'),
    ("euro", '€'),
    ("excl", '!'),
    ("gt", '>'),
    ("hellip", '…'),
    ("iacute", 'í'),
    ("laquo", '«'),
    ("ldquo", '“'),
    ("lsquo", '‘'),
    ("lt", '<'),
    ("mdash", '—'),
    ("middot", '·'),
    ("nbsp", ' '),
    ("ndash", '–'),
    ("ntilde", 'ñ'),
    ("oacute", 'ó'),
    ("ocirc", 'ô'),
    ("oslash", 'ø'),
    ("ouml", 'ö'),
    ("pound", '£'),
    ("quot", '"'),
    ("raquo", '»'),
    ("rdquo", '”'),
    ("reg", '®'),
    ("rsquo", '’'),
    ("shy", '\u{ad}'),
    ("szlig", 'ß'),
    ("trade", '™'),
    ("uacute", 'ú'),
    ("uuml", 'ü'),
    ("zwnj", '\u{200c}'),
];

/// The character of the reference at the beginning of the text (which begins with `&`), and the octets that it takes.
/// What is no reference is an `&`.
pub(super) fn decode(text: &str) -> (char, usize) {
    let behind = &text[1..];
    if let Some(number) = behind.strip_prefix('#') {
        return number_of(number).map_or(('&', 1), |(character, length)| (character, length + 2));
    }
    let length = behind.bytes().take(8).take_while(u8::is_ascii_alphanumeric).count();
    let name = &behind[..length];
    let Ok(found) = NAMES.binary_search_by(|(known, _)| (*known).cmp(name)) else { return ('&', 1) };
    let semicolon = usize::from(behind.as_bytes().get(length) == Some(&b';'));
    (NAMES[found].1, 1 + length + semicolon)
}

/// The character of `65;` or `x41;`, and the octets that it takes.
fn number_of(text: &str) -> Option<(char, usize)> {
    let hexadecimal = text.starts_with(['x', 'X']);
    let (radix, prefix) = if hexadecimal { (16, 1) } else { (10, 0) };
    let digits = &text[prefix..];
    let length = digits.bytes().take(8).take_while(|octet| char::from(*octet).is_digit(radix)).count();
    let number = u32::from_str_radix(&digits[..length], radix).ok()?;
    let semicolon = usize::from(digits.as_bytes().get(length) == Some(&b';'));
    Some((char::from_u32(number).unwrap_or('\u{fffd}'), prefix + length + semicolon))
}

/// A text with all of its references decoded, for attributes.
pub(super) fn decode_all(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        decoded.push_str(&rest[..at]);
        let (character, length) = decode(&rest[at..]);
        decoded.push(character);
        rest = &rest[at + length..];
    }
    decoded.push_str(rest);
    decoded
}

#[cfg(test)]
mod tests {
    use super::{NAMES, decode_all};

    #[test]
    fn references_are_decoded_and_what_is_none_stays() {
        assert!(NAMES.is_sorted());
        for (text, expected) in [
            ("a&amp;b &lt;&gt;&quot", "a&b <>\""),
            ("&#65;&#x42;&#67", "ABC"),
            ("&#0;&#xd800;&#99999999;", "\0\u{fffd}\u{fffd}"),
            ("&nosuch; & &", "&nosuch; & &"),
            ("&#; &#x;", "&#; &#x;"),
        ] {
            assert_eq!(decode_all(text), expected, "{text}");
        }
    }
}
