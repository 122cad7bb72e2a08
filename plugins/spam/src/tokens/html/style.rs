//! Attributes of a tag, and whether their styles hide what is in the element.

use crate::tokens::cut;

/// A colour by its parts: red, green, blue.
pub(super) type Colour = [u8; 3];

pub(super) const WHITE: Colour = [255; 3];

/// Colours that differ by no more than this in each part look the same.
const ALIKE: u8 = 24;

/// Attributes of a tag that are looked at.
const ATTRIBUTES_MAX: usize = 32;

/// Octets of the value of an attribute.
const VALUE_MAX: usize = 1024;

/// How an element looks, as far as it says so itself.
#[derive(Debug, Default)]
pub(super) struct Look {
    colour: Option<Colour>,
    pub(super) background: Option<Colour>,
    invisible: bool,
}

impl Look {
    /// Takes an attribute into account; its name is in lower case.
    pub(super) fn see(&mut self, name: &str, value: &str) {
        match name {
            "color" | "text" => self.colour = colour(value).or(self.colour),
            "bgcolor" => self.background = colour(value).or(self.background),
            "hidden" => self.invisible = true,
            "style" => value.split(';').for_each(|declaration| self.declare(declaration)),
            _ => {}
        }
    }

    fn declare(&mut self, declaration: &str) {
        let Some((property, value)) = declaration.split_once(':') else { return };
        let value = value.trim().to_ascii_lowercase();
        let value = value.trim_end_matches("!important").trim_end();
        match property.trim().to_ascii_lowercase().as_str() {
            "display" => self.invisible |= value == "none",
            "visibility" => self.invisible |= value == "hidden" || value == "collapse",
            "opacity" => self.invisible |= number(value).is_some_and(|opacity| opacity < 0.1),
            "font-size" => self.invisible |= number(value).is_some_and(|size| size <= 1.0) && !value.ends_with("em"),
            "mso-hide" => self.invisible |= value == "all",
            "color" => self.colour = colour(value).or(self.colour),
            "background" | "background-color" => self.background = colour(value).or(self.background),
            _ => {}
        }
    }

    /// Whether nobody sees the text of the element on this background.
    pub(super) fn hides(&self, background: Colour) -> bool {
        let alike = |colour: Colour| colour.iter().zip(background).all(|(own, other)| own.abs_diff(other) <= ALIKE);
        self.invisible || self.colour.is_some_and(alike)
    }
}

/// The number at the beginning of a value.
fn number(value: &str) -> Option<f32> {
    let end = value.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(value.len());
    value[..end].parse().ok()
}

/// `#fff`, `#ffffff`, `ffffff`, `rgb(255, 255, 255)`, `white` or `black`.
fn colour(value: &str) -> Option<Colour> {
    let value = value.trim();
    if value.eq_ignore_ascii_case("white") {
        return Some(WHITE);
    }
    if value.eq_ignore_ascii_case("black") {
        return Some([0; 3]);
    }
    if let Some(parts) = value.strip_prefix("rgb(") {
        let mut parts = parts.trim_end_matches(')').split(',').map(|part| part.trim().parse().ok());
        return Some([parts.next()??, parts.next()??, parts.next()??]);
    }
    let digits = value.strip_prefix('#').unwrap_or(value).as_bytes();
    let digit = |at: usize| char::from(digits[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    match digits.len() {
        3 => Some([digit(0)? * 17, digit(1)? * 17, digit(2)? * 17]),
        6 => Some([digit(0)? * 16 + digit(1)?, digit(2)? * 16 + digit(3)?, digit(4)? * 16 + digit(5)?]),
        _ => None,
    }
}

/// The attributes of a tag: names in lower case, values without quotes.
pub(super) fn attributes(text: &str) -> impl Iterator<Item = (String, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|next: char| next.is_ascii_whitespace() || matches!(next, '/' | '"' | '\''));
        let end = rest.find(|next: char| next.is_ascii_whitespace() || matches!(next, '=' | '/')).unwrap_or(rest.len());
        if end == 0 && !rest.starts_with('=') {
            return None;
        }
        let name = cut(&rest[..end], 24).to_ascii_lowercase();
        rest = rest[end..].trim_start();
        let Some(behind) = rest.strip_prefix('=') else { return Some((name, "")) };
        let behind = behind.trim_start();
        let quote = behind.chars().next().filter(|next| matches!(next, '"' | '\''));
        let value = match quote {
            Some(quote) => {
                let inside = &behind[1..];
                let end = inside.find(quote).unwrap_or(inside.len());
                rest = inside.get(end + 1..).unwrap_or_default();
                &inside[..end]
            }
            None => {
                let end = behind.find(|next: char| next.is_ascii_whitespace()).unwrap_or(behind.len());
                rest = &behind[end..];
                &behind[..end]
            }
        };
        Some((name, cut(value, VALUE_MAX)))
    })
    .take(ATTRIBUTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::{Look, WHITE, attributes, colour};

    #[test]
    fn attributes_are_read_as_browsers_do_it() {
        let read = |text| attributes(text).collect::<Vec<_>>();
        let pair = |name: &str, value| (name.to_owned(), value);
        assert_eq!(
            read(r#" HREF="a b" size=3 nowrap color = 'red'/"#),
            [pair("href", "a b"), pair("size", "3"), pair("nowrap", ""), pair("color", "red")]
        );
        assert_eq!(read(" a=\"never closed"), [pair("a", "never closed")]);
        assert_eq!(read(" = =x"), [pair("", "=x")]);
        assert_eq!(read(""), []);
    }

    #[test]
    fn colours_are_known_in_their_spellings() {
        for (text, expected) in [
            ("#FFF", Some(WHITE)),
            ("fefefe", Some([254; 3])),
            ("rgb(1, 2,3)", Some([1, 2, 3])),
            ("rgb(1,2)", None),
            ("#12345g", None),
            ("éé", None),
        ] {
            assert_eq!(colour(text), expected, "{text}");
        }
    }

    #[test]
    fn styles_hide() {
        for (name, value, expected) in [
            ("style", "color: red; DISPLAY : none", true),
            ("style", "font-size:0px", true),
            ("style", "font-size:1em", false),
            ("style", "font-size:12px;visibility:visible", false),
            ("style", "color:#fefefe", true),
            ("color", "#000000", false),
            ("hidden", "", true),
        ] {
            let mut look = Look::default();
            look.see(name, value);
            assert_eq!(look.hides(WHITE), expected, "{name}={value}");
        }
    }
}
