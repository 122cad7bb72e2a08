//! HTML as people see it, and what it hides from them.
//!
//! A scanner, not a parser: it knows tags, comments, character references and the elements that are not shown. What is there but not
//! seen (styles that hide, text in the colour of its background) gives words of a context of its own, so that random words
//! behind the scenes do not speak for the message. Tags that do not break a line do not break a word either.

use std::collections::BTreeSet;

use memchr::memchr;

use super::words::Words;
use super::{Side, Tokens, urls};

mod entities;
mod style;

/// Different tags and attributes that are told of, at most.
const MARKS_MAX: usize = 256;

/// Octets of a value in quotes, at most.
const QUOTED_MAX: usize = 4096;

/// Elements within a line: `fr<b></b>ee` is read as one word.
const INLINE: [&[u8]; 19] = [
    b"a", b"abbr", b"acronym", b"b", b"bdo", b"big", b"code", b"em", b"font", b"i", b"ins", b"s", b"small", b"span",
    b"strike", b"strong", b"tt", b"u", b"wbr",
];

/// Elements without content.
const VOID: [&[u8]; 12] =
    [b"area", b"base", b"br", b"col", b"hr", b"img", b"input", b"link", b"meta", b"param", b"source", b"wbr"];

/// Adds the tokens of an HTML text.
pub(super) fn collect(html: &str, pairs: usize, tokens: &mut Tokens) {
    let mut scanner = Scanner::new(pairs);
    scanner.read(html, &mut Words::of_text(tokens, pairs));
    for mark in scanner.marks {
        tokens.add_to(Side::Structure, "html", &mark);
    }
    for url in scanner.urls {
        urls::add(&url, tokens);
    }
}

struct Scanner {
    marks: BTreeSet<String>,
    urls: BTreeSet<String>,
    /// The element that hides what is in it, and how many of its name are open.
    hidden: Option<(Vec<u8>, u32)>,
    /// The background as it was set last.
    background: style::Colour,
    /// A comment or a tag stands where a word is under way.
    in_word: bool,
    /// Words before a word that make pairs with it.
    pairs: usize,
}

impl Scanner {
    fn new(pairs: usize) -> Self {
        let (marks, urls) = (BTreeSet::new(), BTreeSet::new());
        Self { marks, urls, hidden: None, background: style::WHITE, in_word: false, pairs }
    }

    fn read(&mut self, html: &str, words: &mut Words<'_>) {
        let octets = html.as_bytes();
        let mut at = 0;
        while at < octets.len() {
            let end = memchr(b'<', &octets[at..]).map_or(octets.len(), |length| at + length);
            self.text(&html[at..end], words);
            at = if end == octets.len() { end } else { self.markup(html, end, words) };
        }
    }

    fn text(&mut self, text: &str, words: &mut Words<'_>) {
        let starts_word = text.bytes().next().is_some_and(|octet| octet.is_ascii_alphanumeric());
        if self.in_word && starts_word {
            self.mark("comment in a word");
        }
        if !text.is_empty() {
            self.in_word = false;
        }
        let mut rest = text;
        while let Some(at) = memchr(b'&', rest.as_bytes()) {
            words.push_str(&rest[..at]);
            let (character, length) = entities::decode(&rest[at..]);
            words.push(character);
            rest = &rest[at + length..];
        }
        words.push_str(rest);
    }

    /// Reads what begins with `<` and returns where the text goes on.
    fn markup(&mut self, html: &str, start: usize, words: &mut Words<'_>) -> usize {
        let octets = html.as_bytes();
        let rest = &octets[start..];
        if rest.starts_with(b"<!--") {
            self.in_word = words.in_word();
            return find(octets, start + 4, b"-->").map_or(octets.len(), |at| at + 3);
        }
        let named = rest.get(1).is_some_and(|next| next.is_ascii_alphabetic() || matches!(next, b'/' | b'!' | b'?'));
        if !named {
            words.push('<');
            return start + 1;
        }
        let end = tag_end(octets, start + 1);
        let tag = &html[start + 1..end.min(html.len())];
        let behind = (end + 1).min(octets.len());
        if let Some(name) = tag.strip_prefix('/') {
            let name = name_of(name);
            self.close(&name, words);
            return behind;
        }
        if tag.starts_with(['!', '?']) {
            self.in_word = words.in_word();
            return behind;
        }
        let name = name_of(tag);
        self.open(&name, &tag[name.len()..], words);
        match name.as_slice() {
            b"script" | b"style" => close_of(octets, behind, &name),
            _ => behind,
        }
    }

    fn open(&mut self, name: &[u8], attributes: &str, words: &mut Words<'_>) {
        if !INLINE.contains(&name) {
            words.end_word();
        }
        let name_text = String::from_utf8_lossy(name);
        self.mark(&name_text);
        let mut look = style::Look::default();
        for (attribute, value) in style::attributes(attributes) {
            self.attribute(&name_text, &attribute, value);
            look.see(&attribute, value);
        }
        if let Some(background) = look.background {
            self.background = background;
        }
        if let Some((hiding, depth)) = &mut self.hidden {
            *depth += u32::from(hiding == name);
        } else if !VOID.contains(&name) && name != b"body" && look.hides(self.background) {
            self.mark("hidden text");
            self.hidden = Some((name.to_vec(), 1));
            let context = words.tokens.context(Side::Words, "hidden");
            words.turn_to(context, 0);
        }
    }

    fn close(&mut self, name: &[u8], words: &mut Words<'_>) {
        if !INLINE.contains(&name) {
            words.end_word();
        }
        let Some((hiding, depth)) = &mut self.hidden else { return };
        *depth -= u32::from(hiding == name);
        if *depth == 0 {
            self.hidden = None;
            let context = words.tokens.context(Side::Words, "");
            words.turn_to(context, self.pairs);
        }
    }

    fn attribute(&mut self, tag: &str, name: &str, value: &str) {
        match name {
            "href" | "src" | "action" | "background" => {
                let value = entities::decode_all(value);
                if self.urls.len() < urls::MOST {
                    self.urls.insert(value);
                }
                self.mark(&format!("{tag} {name}"));
            }
            "color" | "bgcolor" | "size" | "face" | "width" | "height" | "border" | "align" | "method"
            | "http-equiv" | "type" => {
                let value: String = value.chars().take(24).collect();
                self.mark(&format!("{tag} {name}={}", value.trim().to_lowercase()));
            }
            _ => self.mark(&format!("{tag} {name}")),
        }
    }

    fn mark(&mut self, text: &str) {
        if self.marks.len() < MARKS_MAX && !self.marks.contains(text) {
            self.marks.insert(text.to_owned());
        }
    }
}

/// The name at the beginning of a tag, in lower case.
fn name_of(tag: &str) -> Vec<u8> {
    let name = tag.bytes().take(24).take_while(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b':' | b'-'));
    name.map(|octet| octet.to_ascii_lowercase()).collect()
}

/// Where a tag ends: at `>` outside of quotes that follow `=`, or with the text.
fn tag_end(octets: &[u8], start: usize) -> usize {
    let (mut at, mut last) = (start, b' ');
    while let Some(&octet) = octets.get(at) {
        match octet {
            b'>' => return at,
            b'"' | b'\'' if last == b'=' => at += quoted(octets, at),
            _ => {}
        }
        if !octet.is_ascii_whitespace() {
            last = octet;
        }
        at += 1;
    }
    octets.len()
}

/// Octets up to the quote that closes the one at `start`; 0 if none does soon: it would swallow the rest of the message.
fn quoted(octets: &[u8], start: usize) -> usize {
    let value = &octets[start + 1..octets.len().min(start + 1 + QUOTED_MAX)];
    memchr(octets[start], value).map_or(0, |length| length + 1)
}

fn find(octets: &[u8], start: usize, needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(octets.get(start..)?, needle).map(|at| start + at)
}

/// Where the end tag of a script or style begins, or the end of the text.
fn close_of(octets: &[u8], start: usize, name: &[u8]) -> usize {
    let mut at = start;
    while let Some(found) = find(octets, at, b"</") {
        let behind = &octets[found + 2..];
        if behind.len() >= name.len() && behind[..name.len()].eq_ignore_ascii_case(name) {
            return found;
        }
        at = found + 2;
    }
    octets.len()
}
