//! The parts of a message: structure, files, and the text in them.

use std::io::Read as _;

use popgate_plugin::{Message, Part};

use super::words::Words;
use super::{Bounds, Side, Tokens, html, urls};

/// Parts that are looked at.
const PARTS_MAX: usize = 64;

/// Adds the tokens of all parts.
pub(super) fn collect(message: &Message, bounds: &Bounds, tokens: &mut Tokens) {
    let mut left = bounds.message;
    for part in message.parts().take(PARTS_MAX) {
        let media_type = part.media_type();
        add_structure(&part, &media_type, tokens);
        if part.is_container() {
            continue;
        }
        if media_type.starts_with("text/") && left > 0 {
            left -= add_text(&part, &media_type, bounds.part.min(left), bounds.pairs, tokens);
        }
    }
}

fn add_structure(part: &Part<'_>, media_type: &str, tokens: &mut Tokens) {
    let inside = part.parent().map_or_else(|| "message".to_owned(), |parent| parent.media_type());
    tokens.add_to(Side::Structure, "part", &format!("{media_type} in {inside}"));
    if part.is_ambiguous() {
        tokens.add_to(Side::Structure, "part", "ambiguous");
    }
    if let Some(charset) = part.parameter("charset") {
        tokens.add_to(Side::Structure, "charset", charset.trim());
    }
    if let Some(encoding) = part.header("content-transfer-encoding") {
        tokens.add_to(Side::Structure, "encoding", &format!("{} of {media_type}", encoding.trim()));
    }
    if let Some(disposition) = part.disposition() {
        tokens.add_to(Side::Structure, "disposition", &format!("{disposition} of {media_type}"));
    }
    if let Some(name) = part.file_name() {
        let name: String = name.chars().take(200).collect();
        if let Some((_, extension)) = name.rsplit_once('.') {
            tokens.add_to(Side::Structure, "extension", extension);
        }
        let context = tokens.context(Side::Structure, "file");
        Words::of_field(tokens, context, 0).push_str(&name);
    }
}

/// Adds the words of a text and returns how many octets it had.
fn add_text(part: &Part<'_>, media_type: &str, limit: usize, pairs: usize, tokens: &mut Tokens) -> usize {
    let mut octets = Vec::new();
    // Reading from the host never fails.
    let _ = part.text().take(limit as u64).read_to_end(&mut octets);
    let text = String::from_utf8_lossy(&octets);
    let is_html = media_type == "text/html" || looks_like_html(&text);
    if is_html {
        html::collect(&text, pairs, tokens);
    } else {
        Words::of_text(tokens, pairs).push_str(&text);
    }
    urls::find(&text, tokens);
    octets.len()
}

/// Plain text that clients show as HTML all the same.
fn looks_like_html(text: &str) -> bool {
    let start = text.trim_start().as_bytes();
    [&b"<html"[..], b"<!doctype html", b"<body"]
        .iter()
        .any(|tag| start.len() >= tag.len() && start[..tag.len()].eq_ignore_ascii_case(tag))
}
