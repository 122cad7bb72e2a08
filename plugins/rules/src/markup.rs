//! HTML without its markup, as far as patterns need it: tags, comments, scripts and styles go, references to characters are decoded.

/// Character references that occur in words and prices.
const REFERENCES: [(&str, &str); 6] =
    [("&nbsp;", " "), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#36;", "$")];

/// Adds the text of an HTML document.
pub(crate) fn strip(html: &str, text: &mut String) {
    let mut plain = String::with_capacity(html.len() / 2);
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        plain.push_str(&rest[..at]);
        rest = behind_markup(&rest[at..], &mut plain);
    }
    plain.push_str(rest);
    for (reference, character) in REFERENCES {
        if plain.contains(reference) {
            plain = plain.replace(reference, character);
        }
    }
    squeeze(&plain, text);
}

/// What stands behind the tag, comment or element that begins here; a tag that is none is text.
fn behind_markup<'h>(html: &'h str, plain: &mut String) -> &'h str {
    if let Some(comment) = html.strip_prefix("<!--") {
        return comment.find("-->").map_or("", |end| &comment[end + 3..]);
    }
    if !html[1..].starts_with(|next: char| next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?')) {
        plain.push('<');
        return &html[1..];
    }
    let Some(end) = html.find('>') else { return "" };
    let tag = html[1..end].trim_start_matches('/');
    let name: String = tag.chars().take_while(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    // Tags within a line do not break words.
    if !matches!(name.as_str(), "a" | "b" | "i" | "u" | "em" | "font" | "span" | "strong" | "big" | "small") {
        plain.push(' ');
    }
    let behind = &html[end + 1..];
    match name.as_str() {
        "script" | "style" if !html.starts_with("</") => behind.find("</").map_or("", |end| &behind[end..]),
        _ => behind,
    }
}

/// Adds a text with its white space as single spaces.
pub(crate) fn squeeze(plain: &str, text: &mut String) {
    text.reserve(plain.len() + 1);
    // Octets are faster to look at than characters. A vertical tab is white space, but for one of the two functions.
    if plain.is_ascii() && !plain.contains('\u{b}') {
        plain.split_ascii_whitespace().for_each(|word| push(word, text));
    } else {
        plain.split_whitespace().for_each(|word| push(word, text));
    }
}

fn push(word: &str, text: &mut String) {
    text.push_str(word);
    text.push(' ');
}

#[cfg(test)]
mod tests {
    use super::strip;

    #[test]
    fn markup_goes_and_text_stays() {
        for (html, expected) in [
            ("<p>one<br>two</p>", "one two "),
            ("fr<b>ee</b> &nbsp; now", "free now "),
            ("a<!-- x > y -->b<!-- open", "ab "),
            ("<style>p { }</style>a<script>if (a<b) x()</script>b", "a b "),
            ("1 < 2 <unclosed", "1 < 2 "),
            ("<", "< "),
            ("é<é>", "é<é> "),
            ("one\u{b}two\t three\u{a0}four\r\n", "one two three four "),
            ("one\u{b}two\tthree\r\n", "one two three "),
        ] {
            let mut text = String::new();
            strip(html, &mut text);
            assert_eq!(text, expected, "{html}");
        }
    }
}
