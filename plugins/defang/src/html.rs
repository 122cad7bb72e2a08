//! What is to be changed in an HTML text.
//!
//! The text is cut into tags as browsers do it (WHATWG HTML, section 13.2.5). Elements after which a browser may read on
//! in another way than this does (`svg`, `select`, `noframes`, ...) are taken out, so that what is left is read by everybody as
//! it was read here.

use html5gum::emitters::default::{DefaultEmitter, StartTag};
use html5gum::{Token, Tokenizer};
use popgate_plugin::Splice;

use crate::attributes;
use crate::link::{self, Anchor};
use crate::{Active, Links, Report, Settings, css};

/// Elements that go with their content, which is no HTML.
const WITH_CONTENT: [&[u8]; 5] = [b"script", b"iframe", b"noembed", b"noframe", b"xmp"];

/// Elements that go, and whose content stays.
const TAGS: [&[u8]; 24] = [
    b"applet",
    b"base",
    b"bgsound",
    b"button",
    b"embed",
    b"fieldset",
    b"form",
    b"frame",
    b"frameset",
    b"input",
    b"layer",
    b"link",
    b"math",
    b"noframes",
    b"object",
    b"optgroup",
    b"option",
    b"param",
    b"portal",
    b"select",
    b"svg",
    b"template",
    b"foreignobject",
    b"keygen",
];

/// Deeper than this in elements that hold HTML as a raw text is no honest mail.
const DEPTH: u32 = 8;

/// The changes of a text, in their order.
pub(crate) fn changes(html: &str, settings: Settings, report: &mut Report) -> Vec<Splice> {
    let mut scan = Scan { settings, report, changes: Vec::new(), anchor: None };
    scan.read(html, 0, DEPTH);
    scan.changes
}

struct Scan<'r> {
    settings: Settings,
    report: &'r mut Report,
    changes: Vec<Splice>,
    /// The link that is open.
    anchor: Option<Anchor>,
}

/// An element whose content is a raw text.
struct Raw {
    name: Vec<u8>,
    /// Where its start tag begins and ends.
    tag: (usize, usize),
}

impl Scan<'_> {
    /// Reads HTML that stands at `base` in the text.
    fn read(&mut self, html: &str, base: usize, depth: u32) {
        let mut emitter = DefaultEmitter::<usize>::new_with_span();
        emitter.naively_switch_states(true);
        let mut raw: Option<Raw> = None;
        let mut read_to = 0;
        for token in Tokenizer::new_with_emitter(html, emitter).flatten() {
            match token {
                Token::StartTag(tag) => {
                    read_to = tag.span.end;
                    self.start_tag(&tag, base);
                    raw =
                        is_raw(&tag.name).then(|| Raw { name: tag.name.to_vec(), tag: (tag.span.start, tag.span.end) });
                }
                Token::EndTag(tag) => {
                    read_to = tag.span.end;
                    match raw.take() {
                        Some(open) => self.raw_text(html, &open, tag.span.start, Some(tag.span.end), base, depth),
                        None => self.end_tag(&tag.name, tag.span.start, tag.span.end, base),
                    }
                }
                Token::String(text) => {
                    read_to = text.span.end;
                    if let (Some(anchor), None) = (&mut self.anchor, &raw) {
                        anchor.add(&String::from_utf8_lossy(&text));
                    }
                }
                Token::Comment(comment) => read_to = comment.span.end,
                Token::Doctype(doctype) => read_to = doctype.span.end,
                Token::Error(_) => {}
            }
        }
        match raw {
            Some(open) => self.raw_text(html, &open, html.len(), None, base, depth),
            // A tag that does not end is shown by nobody, until somebody adds something behind it.
            None if self.settings.active == Active::Remove && html[read_to.min(html.len())..].contains('<') => {
                self.change(base + read_to, base + html.len(), "");
            }
            None => {}
        }
    }

    fn change(&mut self, start: usize, end: usize, text: &str) {
        self.changes.push(Splice::replace(start..end, text));
    }

    fn start_tag(&mut self, tag: &StartTag<usize>, base: usize) {
        let (start, end) = (base + tag.span.start, base + tag.span.end);
        let name = &**tag.name;
        if self.settings.active == Active::Remove && goes(tag) {
            // With its content, it goes when that has been read.
            if !is_raw(name) {
                self.report.note("ACTIVE_HTML", &String::from_utf8_lossy(name));
                self.change(start, end, "");
            }
            return;
        }
        if is_raw(name)
            && self.settings.active == Active::Remove
            && name != b"style"
            && name != b"title"
            && name != b"textarea"
        {
            return;
        }
        if name == b"a" {
            self.close_anchor(start);
        }
        if let Some(new) = attributes::changed(tag, self.settings, self.report) {
            self.change(start, end, &new);
        }
        if name == b"a" && self.settings.links != Links::Keep {
            self.anchor =
                tag.attributes.get(&b"href"[..]).and_then(|href| link::Anchor::new(&String::from_utf8_lossy(href)));
        }
    }

    fn end_tag(&mut self, name: &[u8], start: usize, end: usize, base: usize) {
        if name == b"a" {
            self.close_anchor(base + start);
        }
        if self.settings.active == Active::Remove
            && (TAGS.contains(&name) || is_raw(name))
            && name != b"style"
            && name != b"title"
        {
            self.change(base + start, base + end, "");
        }
    }

    /// The link ends here.
    fn close_anchor(&mut self, at: usize) {
        let Some(anchor) = self.anchor.take() else { return };
        let mismatch = anchor.mismatch();
        if let Some(shown) = &mismatch {
            self.report.note("LINK_MISMATCH", &format!("{shown} leads to {}", anchor.host));
        }
        if mismatch.is_some() || self.settings.links == Links::All {
            self.change(at, at, &format!(" [{}]", link::escaped(&anchor.host)));
        }
    }

    /// The content of an element that is read as a raw text, up to `end`; its end tag ends at `tag_end`.
    fn raw_text(&mut self, html: &str, open: &Raw, end: usize, tag_end: Option<usize>, base: usize, depth: u32) {
        if self.settings.active == Active::Keep {
            return;
        }
        let whole_end = tag_end.unwrap_or(html.len());
        let content = &html[open.tag.1..end];
        match &*open.name {
            b"style" => {
                if let Some(new) = css::harmless_sheet(content, self.settings.remote_images, self.report) {
                    self.change(base + open.tag.1, base + end, &new);
                }
            }
            b"title" | b"textarea" => {}
            // Without scripts, as mail is shown, this is HTML.
            b"noscript" => {
                self.change(base + open.tag.0, base + open.tag.1, "");
                if depth == 0 {
                    self.change(base + open.tag.1, base + end, "");
                } else {
                    self.read(content, base + open.tag.1, depth - 1);
                }
                self.change(base + end, base + whole_end, "");
            }
            // All that follows is text.
            b"plaintext" => {
                self.change(base + open.tag.0, base + whole_end, &format!("<pre>{}", link::escaped(content)));
            }
            name => {
                self.report.note("ACTIVE_HTML", &String::from_utf8_lossy(name));
                self.change(base + open.tag.0, base + whole_end, "");
            }
        }
    }
}

/// Whether the tag goes.
fn goes(tag: &StartTag<usize>) -> bool {
    let name = &**tag.name;
    let refresh = || {
        let value = tag.attributes.get(&b"http-equiv"[..]).map(|value| value.to_ascii_lowercase());
        // A charset here may be another one than that of the part, and stays.
        value.is_some_and(|value| {
            !matches!(value.trim_ascii(), b"content-type" | b"content-language" | b"x-ua-compatible")
        })
    };
    // A tag in a tag's name is an attempt at something.
    name.contains(&b'<') || TAGS.contains(&name) || WITH_CONTENT.contains(&name) || (name == b"meta" && refresh())
}

/// Whether a browser reads the content of this element as a raw text.
fn is_raw(name: &[u8]) -> bool {
    WITH_CONTENT.contains(&name) || matches!(name, b"style" | b"title" | b"textarea" | b"plaintext" | b"noscript")
}
