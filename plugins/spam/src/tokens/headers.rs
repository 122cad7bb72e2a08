//! Header fields as tokens: words by field, the order of the fields, and the way in which some of them are written.

use popgate_plugin::{Header, Message};

use super::words::Words;
use super::{Side, Tokens, urls};

/// Fields that are looked at.
const FIELDS_MAX: usize = 128;

/// Octets of a value that are looked at.
const VALUE_MAX: usize = 2048;

/// What popgate and its filters write, and what the programs of readers write when a message is stored: the first would be a
/// filter that believes itself, the second says what people did with a message, not where it came from.
const IGNORED: [&str; 16] = [
    "content-length",
    "lines",
    "replied",
    "status",
    "x-account-key",
    "x-evolution",
    "x-evolution-source",
    "x-imapbase",
    "x-keywords",
    "x-mozilla-keys",
    "x-mozilla-status",
    "x-mozilla-status2",
    "x-status",
    "x-uid",
    "x-uidl",
    "forwarded",
];

/// Adds the tokens of the header.
pub(super) fn collect(message: &Message, tokens: &mut Tokens) {
    let mut before = "begin".to_owned();
    for field in message.header_fields().take(FIELDS_MAX) {
        let name: String = field.name.chars().take(40).collect::<String>().to_ascii_lowercase();
        if IGNORED.contains(&&*name) || name.starts_with("x-spam-") || name.starts_with("x-popgate-") {
            continue;
        }
        if name != before {
            // The order of the fields tells the program that wrote them.
            tokens.add_to(Side::Form, "field", &name);
            let order = format!("{before} {name}");
            tokens.add_to(Side::Form, "order", &order);
        }
        let written: String = field.name.chars().take(40).collect();
        add_field(&name, &field, tokens);
        before.clone_from(&name);
        if written.bytes().all(|octet| !octet.is_ascii_lowercase()) {
            tokens.add_to(Side::Form, "field in capitals", &name);
        }
    }
}

fn add_field(name: &str, field: &Header, tokens: &mut Tokens) {
    let value: String = field.value.chars().take(VALUE_MAX).collect();
    match name {
        "received" => add_received(&value, tokens),
        "date" => add_date(&value, tokens),
        "message-id" | "content-id" => add_id(name, &value, tokens),
        "references" | "in-reply-to" => {
            for id in value.split_whitespace().take(8) {
                add_id("references", id, tokens);
            }
        }
        "dkim-signature" | "arc-seal" | "arc-message-signature" | "domainkey-signature" => {
            add_signature(&value, tokens);
        }
        "content-type" => {
            let kind = value.split(';').next().unwrap_or_default();
            tokens.add_to(Side::Structure, "content-type", kind.trim());
            if let Some((_, boundary)) = value.split_once("boundary=") {
                tokens.add_to(Side::Structure, "boundary", &shape(boundary.trim_matches('"')));
            }
            if let Some((_, charset)) = value.split_once("charset=") {
                let charset: String =
                    charset.trim_matches('"').chars().take_while(|next| !matches!(next, '"' | ';' | ' ')).collect();
                tokens.add_to(Side::Structure, "charset", &charset);
            }
        }
        "return-path" => add_addresses(name, &value, tokens),
        "subject" => add_words(Side::Subject, name, &value, 1, tokens),
        "from" | "to" | "cc" | "reply-to" | "sender" => add_words(Side::Fields, name, &value, 1, tokens),
        _ => {
            add_words(Side::Fields, name, &value, 0, tokens);
            if value.len() <= 80 {
                let whole = format!("{name} is");
                tokens.add_to(Side::Fields, &whole, value.trim());
            }
        }
    }
}

fn add_words(side: Side, name: &str, value: &str, pairs: usize, tokens: &mut Tokens) {
    let context = tokens.context(side, name);
    let mut words = Words::of_field(tokens, context, pairs);
    words.push_str(value);
    drop(words);
    if matches!(name, "from" | "reply-to" | "sender") {
        add_addresses(name, value, tokens);
    }
}

/// The domains of addresses.
fn add_addresses(name: &str, value: &str, tokens: &mut Tokens) {
    let context = format!("{name} domain");
    for address in value.split(['<', '>', ' ', ',', '"']).filter(|word| word.contains('@')).take(4) {
        let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
        urls::add_domains(Side::Fields, &context, domain, tokens);
    }
}

/// Hosts and addresses with their networks; not the date, and not the identifiers, which are new in each message.
fn add_received(value: &str, tokens: &mut Tokens) {
    let value = value.rsplit_once(';').map_or(value, |(value, _)| value);
    let mut before = "";
    let mut pieces =
        value.split(|next: char| next.is_whitespace() || matches!(next, '(' | ')' | '[' | ']' | ';' | ',' | '<' | '>'));
    for piece in pieces.by_ref().filter(|piece| !piece.is_empty()).take(48) {
        let digits = piece.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.');
        if digits && piece.bytes().filter(|&octet| octet == b'.').count() == 3 {
            add_address(piece, tokens);
        } else if before.eq_ignore_ascii_case("id") {
            tokens.add_to(Side::Route, "received id", &shape(piece));
        } else if is_host(piece) {
            let host = piece.to_ascii_lowercase();
            urls::add_domains(Side::Route, "received", &host, tokens);
        } else if piece.len() <= 24 && !digits {
            tokens.add_to(Side::Route, "received word", piece);
            if before.eq_ignore_ascii_case("helo") || before.starts_with("helo=") {
                tokens.add_to(Side::Route, "helo", piece);
            }
        }
        before = piece;
    }
}

/// An IPv4 address and the networks around it.
fn add_address(address: &str, tokens: &mut Tokens) {
    let context = tokens.context(Side::Route, "received address");
    let mut rest = address;
    for _ in 0..3 {
        tokens.add(context, rest);
        rest = rest.rsplit_once('.').map_or("", |(network, _)| network);
    }
}

/// A date says when, which learns nothing for tomorrow; how it is written says something.
fn add_date(value: &str, tokens: &mut Tokens) {
    let value = value.trim();
    let words: Vec<&str> = value.split_whitespace().collect();
    let zone = words.iter().find(|word| word.len() == 5 && word.starts_with(['+', '-'])).copied().unwrap_or("none");
    tokens.add_to(Side::Form, "zone", zone);
    let letters: String = shape(value).chars().filter(|next| !next.is_ascii_alphanumeric()).collect();
    let form = format!("{} words {letters}", words.len());
    tokens.add_to(Side::Form, "date", &form);
}

/// The host of an identifier, and how the part before it looks.
fn add_id(context: &str, value: &str, tokens: &mut Tokens) {
    let value = value.trim().trim_matches(['<', '>']);
    let (local, host) = value.rsplit_once('@').unwrap_or((value, ""));
    tokens.add_to(Side::Fields, &format!("{context} form"), &shape(local));
    urls::add_domains(Side::Fields, &format!("{context} host"), host, tokens);
}

/// Who signed, not the signature.
fn add_signature(value: &str, tokens: &mut Tokens) {
    for tag in value.split(';').map(str::trim) {
        if let Some(domain) = tag.strip_prefix("d=") {
            urls::add_domains(Side::Fields, "signed by", domain.trim(), tokens);
        }
    }
}

/// How something looks: runs of digits as `9`, of capitals as `A`, of small letters as `a`, all else as it is.
pub(super) fn shape(text: &str) -> String {
    let mut shape = String::new();
    for next in text.chars().take(80) {
        let class = match next {
            '0'..='9' => '9',
            'A'..='Z' => 'A',
            'a'..='z' => 'a',
            _ if next.is_whitespace() => ' ',
            _ => next,
        };
        if !(class.is_ascii_alphanumeric() && shape.ends_with(class)) {
            shape.push(class);
        }
        if shape.len() > 32 {
            break;
        }
    }
    shape
}

/// A name with a dot whose last label has letters alone.
fn is_host(text: &str) -> bool {
    let letters = |last: &str| last.len() >= 2 && last.bytes().all(|octet| octet.is_ascii_alphabetic());
    let fits = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_');
    text.bytes().all(fits) && text.rsplit_once('.').is_some_and(|(_, last)| letters(last))
}
