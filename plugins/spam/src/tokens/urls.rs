//! Links: hosts with the domains that they belong to, words of their paths, and the tricks that hide where they lead.

use super::words::Words;
use super::{Side, Tokens, cut};

/// Links of a message that are looked at.
pub(super) const MOST: usize = 128;

/// Labels of a host name that are told of: `a.b.example.org` gives `org`, `example.org`, `b.example.org`, ...
const LABELS_MAX: usize = 5;

/// Octets of a link.
const LINK_MAX: usize = 1024;

/// Octets of a path that are looked at.
const PATH_MAX: usize = 200;

/// Finds links in plain text and adds their tokens.
pub(super) fn find(text: &str, tokens: &mut Tokens) {
    let octets = text.as_bytes();
    let mut found = 0;
    for at in memchr::memmem::find_iter(octets, b"://") {
        let start = at - octets[..at].iter().rev().take(8).take_while(|octet| octet.is_ascii_alphabetic()).count();
        // No link is longer, and a text without spaces must not be read once for each of its links.
        let behind = cut(&text[at + 3..], LINK_MAX);
        let end = behind
            .find(|next: char| next.is_ascii_whitespace() || matches!(next, '<' | '>' | '"' | '\'' | ')' | ']'))
            .map_or(at + 3 + behind.len(), |length| at + 3 + length);
        add(&text[start..end], tokens);
        found += 1;
        if found == MOST {
            break;
        }
    }
}

/// Adds the tokens of a link.
pub(super) fn add(url: &str, tokens: &mut Tokens) {
    let url: String = url.chars().filter(|next| !next.is_control() && !next.is_whitespace()).collect();
    let Some((scheme, rest)) = url.split_once(':') else { return };
    let scheme = scheme.to_ascii_lowercase();
    let Some(rest) = rest.strip_prefix("//").filter(|_| scheme.len() <= 8) else {
        let short: String = scheme.chars().take(16).collect();
        tokens.add_to(Side::Links, "url scheme", &short);
        return;
    };
    tokens.add_to(Side::Links, "url scheme", &scheme);
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = match authority.rsplit_once('@') {
        Some((_, host)) => {
            tokens.add_to(Side::Links, "url", "user before host");
            host
        }
        None => authority,
    };
    let (host, port) = host.split_once(':').unwrap_or((host, ""));
    if !port.is_empty() && port.len() <= 5 {
        tokens.add_to(Side::Links, "url port", port);
    }
    add_host(host, tokens);
    add_path(path, tokens);
}

fn add_host(host: &str, tokens: &mut Tokens) {
    if host.contains('%') {
        tokens.add_to(Side::Links, "url", "encoded host");
    }
    let host = host.trim_end_matches('.');
    if !host.is_empty() && host.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.') {
        tokens.add_to(Side::Links, "url", "address for host");
        let network = host.rsplit_once('.').map_or(host, |(network, _)| network);
        tokens.add_to(Side::Links, "url host", network);
    }
    add_domains(Side::Links, "url host", host, tokens);
}

/// Adds a host and the domains that it belongs to.
pub(super) fn add_domains(side: Side, context: &str, host: &str, tokens: &mut Tokens) {
    if host.is_empty() || host.len() > 255 {
        return;
    }
    let context = tokens.context(side, context);
    let mut labels = 0;
    for (at, _) in host.rmatch_indices('.').take(LABELS_MAX) {
        tokens.add(context, &host[at + 1..]);
        labels += 1;
    }
    if labels < LABELS_MAX {
        tokens.add(context, host);
    }
}

fn add_path(path: &str, tokens: &mut Tokens) {
    let path: String = path.chars().take(PATH_MAX).collect();
    if path.contains("%4") || path.contains("%6") || path.contains("%7") {
        tokens.add_to(Side::Links, "url", "encoded letters");
    }
    let context = tokens.context(Side::Links, "url path");
    let mut words = Words::of_field(tokens, context, 0);
    for piece in path.split(['/', '.', '=', '&', '?', '_', '-']) {
        // What looks like a number of a customer or of a message is new in every message.
        if piece.len() <= 24 && piece.bytes().filter(u8::is_ascii_digit).count() < 6 {
            words.push_str(piece);
            words.end_word();
        }
    }
}
