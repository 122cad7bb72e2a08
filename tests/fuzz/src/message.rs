//! One mail: read, edited, read again.

use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use popgate::message::{Budget, Builder, Edit, Limits, Message};

use crate::cuts::pieces;

/// The longest line of a mail, its end included (RFC 5322 section 2.1.1), in octets.
const LINE: usize = 1000;

/// A change that a filter asks for.
#[derive(Arbitrary, Debug)]
enum Change {
    Add(Name, String),
    Set(Name, String),
    Remove(Name),
    ReplacePart(u8, String),
    RemovePart(u8),
    ReplaceMessage(Vec<u8>),
}

/// The name of a header field.
#[derive(Arbitrary, Debug)]
enum Name {
    Known(u8),
    Any(String),
}

/// Any octets at all can be read as mail, the same however they arrive; and what edits make of them is mail in which the
/// edits are to be seen, and nothing else has changed.
///
/// Input: edits as `arbitrary` makes them, then the message.
pub fn message(input: &[u8]) {
    let mut choices = Unstructured::new(input);
    let seed: u16 = choices.arbitrary().unwrap_or_default();
    let count = choices.arbitrary::<u8>().unwrap_or_default() % 4;
    let changes: Vec<Change> = (0..count).filter_map(|_| choices.arbitrary().ok()).collect();
    let octets = choices.take_rest();

    let message = Message::from_bytes(octets.to_vec());
    assert_eq!(all(&message), octets);
    let view = look_at(&message);
    assert_eq!(look_at(&arrived(&pieces(seed, octets))), view, "in pieces");
    searched(&message, octets);
    let edits: Vec<Edit> = changes.into_iter().map(Change::edit).collect();
    edited(&message, &edits);
}

impl Name {
    fn text(self) -> String {
        let known = ["Subject", "X-Spam", "Content-Type", "From", "content-transfer-encoding", "MIME-Version"];
        match self {
            Self::Known(at) => known[usize::from(at) % known.len()].into(),
            Self::Any(name) => name,
        }
    }
}

impl Change {
    fn edit(self) -> Edit {
        match self {
            Self::Add(name, value) => Edit::AddHeader { name: name.text(), value },
            Self::Set(name, value) => Edit::SetHeader { name: name.text(), value },
            Self::Remove(name) => Edit::RemoveHeader { name: name.text() },
            Self::ReplacePart(index, text) => Edit::ReplacePart { index: usize::from(index) % 8, text },
            Self::RemovePart(index) => Edit::RemovePart { index: usize::from(index) % 8 },
            Self::ReplaceMessage(octets) => Edit::ReplaceMessage(Message::from_bytes(octets)),
        }
    }
}

fn all(message: &Message) -> Vec<u8> {
    message.segments().collect::<Vec<_>>().concat()
}

/// A message that came in pieces.
fn arrived(pieces: &[&[u8]]) -> Message {
    let limits = Limits { memory: u64::MAX, max: u64::MAX, spool: std::env::temp_dir() };
    let mut builder = Builder::new(limits, Arc::new(Budget::new(u64::MAX, u64::MAX)));
    for piece in pieces {
        builder.push(piece).expect("there is room");
    }
    builder.finish().expect("it is in memory")
}

/// Everything that a filter can see of a message, as text.
fn look_at(message: &Message) -> String {
    let mut view = format!("{} {} {:?}\n", message.len(), message.head_len(), message.ambiguous());
    assert!(message.head_len() <= message.len());
    for field in message.fields() {
        view.push_str(&format!("{:?} {:?}\n", field.name(), field.value()));
        assert!(message.header(field.name()).is_some());
    }
    for (index, part) in message.parts().iter().enumerate() {
        assert!(part.parent().map_or(index == 0, |parent| parent < index), "part {index} stands before its container");
        assert!(part.encoded_size() <= message.len() || part.parent().is_some());
        let (mut whole, mut slices) = (part.content(message), part.content(message));
        let content = whole.read(usize::MAX);
        let mut again = Vec::new();
        loop {
            let slice = slices.read(1 + again.len() % 97);
            if slice.is_empty() {
                break;
            }
            again.extend(slice);
        }
        assert_eq!(content, again, "read in slices");
        assert!(!part.is_container() || content.is_empty());
        let facts = (part.media_type(), part.file_name(), part.disposition(), part.is_ambiguous());
        view.push_str(&format!("{facts:?} {}\n", content.escape_ascii()));
    }
    assert!(!message.parts().is_empty());
    view
}

fn searched(message: &Message, octets: &[u8]) {
    let middle = octets.len() / 2;
    let needle = &octets[middle..octets.len().min(middle + 3)];
    if !needle.is_empty() {
        let expected = octets.windows(needle.len()).position(|window| window == needle);
        assert_eq!(message.find(needle, 0), expected.map(|at| at as u64));
    }
}

fn edited(message: &Message, edits: &[Edit]) {
    let fits = edits.iter().all(|edit| edit.check(message).is_ok());
    let result = message.apply(edits);
    assert_eq!(result.is_ok(), fits, "{result:?}");
    let Ok(result) = result else { return };
    let octets = all(&result);
    // Whatever it has taken over from the message that it was made of, it is what its octets are.
    assert_eq!(look_at(&result), look_at(&Message::from_bytes(octets.clone())));
    if !edits.iter().any(Edit::takes_content) {
        let before = all(message);
        let body = &before[usize::try_from(message.head_len()).expect("it is in memory")..];
        assert!(octets.ends_with(body), "the body has changed");
    }
    if edits.iter().any(|edit| matches!(edit, Edit::ReplaceMessage(_))) {
        let lines = octets.split_inclusive(|&octet| octet == b'\n');
        assert!(lines.clone().all(|line| line.len() <= LINE && !line.ends_with(b"\n") || line.ends_with(b"\r\n")));
        assert!(lines.clone().all(|line| line.len() <= LINE), "a line is too long");
    }
    // A text in the place of the whole message brings its own Content fields with it.
    let described = edits.iter().any(|edit| matches!(edit, Edit::ReplacePart { .. } | Edit::RemovePart { .. }));
    if let Some(last) = edits.last().filter(|_| !described) {
        is_seen(last, &result);
    }
}

/// The last edit has had its effect.
fn is_seen(edit: &Edit, result: &Message) {
    match edit {
        Edit::AddHeader { name, value } | Edit::SetHeader { name, value } => {
            // What looks like an encoded word is one.
            if !value.contains("=?") {
                // A tab may have come to stand at a fold, and is read as a space there.
                let seen = result.header(name).map(|seen| seen.replace('\t', " "));
                assert_eq!(seen, Some(value.trim_matches([' ', '\t']).replace('\t', " ")), "{name}");
            }
            let set = matches!(edit, Edit::SetHeader { .. });
            assert!(!set || result.headers(name).len() == 1, "{name} is there twice");
        }
        Edit::RemoveHeader { name } => assert_eq!(result.header(name), None, "{name}"),
        _ => {}
    }
}
