//! The functions of [`crate::host`] in memory.
//!
//! Names and signatures are those of the generated bindings.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::{DATA, Edit, LOG, mime};
use crate::host::{CHUNK, Level};
use crate::part::Info;
use crate::{Finding, Header};

pub(crate) struct Message {
    mail: mime::Mail,
    pub(super) facts: BTreeMap<String, String>,
    pub(super) findings: Vec<Finding>,
    pub(super) edits: Rc<RefCell<Vec<Edit>>>,
    pub(super) reported: RefCell<Vec<Finding>>,
    pub(super) learn_token: RefCell<Option<Vec<u8>>>,
}

impl Message {
    pub(super) fn new(raw: Vec<u8>) -> Self {
        let mail = mime::Mail::parse(raw);
        let mut facts = BTreeMap::new();
        if mail.parts.iter().any(|part| part.ambiguous) {
            facts.insert("ambiguous".to_owned(), "true".to_owned());
        }
        Self {
            mail,
            facts,
            findings: Vec::new(),
            edits: Rc::default(),
            reported: RefCell::default(),
            learn_token: RefCell::default(),
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.mail.raw.len() as u64
    }

    pub(crate) fn header_size(&self) -> u64 {
        self.mail.header_size as u64
    }

    pub(crate) fn read(&self, offset: u64, length: u32) -> Vec<u8> {
        cut(&self.mail.raw, offset, length)
    }

    pub(crate) fn find(&self, needle: &[u8], start: u64) -> Option<u64> {
        find(&self.mail.raw, needle, start)
    }

    pub(crate) fn fact(&self, name: &str) -> Option<String> {
        self.facts.get(name).cloned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers(name).into_iter().next()
    }

    pub(crate) fn headers(&self, name: &str) -> Vec<String> {
        let same = |field: &&Header| field.name.eq_ignore_ascii_case(name);
        self.mail.fields.iter().filter(same).map(|field| field.value.clone()).collect()
    }

    pub(crate) fn raw_headers(&self, name: &str) -> Vec<Vec<u8>> {
        self.mail
            .raw_fields
            .iter()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, raw)| raw.clone())
            .collect()
    }

    pub(crate) fn part_count(&self) -> u32 {
        u32::try_from(self.mail.parts.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn part(&self, index: u32) -> Option<Part> {
        self.mail.parts.get(index as usize).cloned().map(Part)
    }

    pub(crate) fn report(&self, symbol: &str, points: f64, value: Option<f64>, text: &str) -> Result<(), String> {
        let letters = symbol.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'_');
        if symbol.is_empty() || symbol.len() > 64 || !letters {
            return Err(format!("`{symbol}` is no symbol: 1 to 64 letters, digits and `_`"));
        }
        if text.len() > 1024 {
            return Err("the text of a finding has at most 1,024 octets".to_owned());
        }
        let finding = Finding { points, value, ..Finding::new(symbol, text) };
        self.reported.borrow_mut().push(finding);
        Ok(())
    }

    pub(crate) fn leave_learn_token(&self, token: &[u8]) -> Result<(), String> {
        if token.is_empty() || token.len() > CHUNK as usize {
            return Err(format!("a learn token has 1 to 65,536 octets, not {}", token.len()));
        }
        self.learn_token.replace(Some(token.to_vec()));
        Ok(())
    }

    pub(crate) fn add_header(&self, name: &str, value: &str) -> Result<(), String> {
        check_field(name, value)?;
        self.record(Edit::AddHeader { name: name.to_owned(), value: value.to_owned() })
    }

    pub(crate) fn set_header(&self, name: &str, value: &str) -> Result<(), String> {
        check_field(name, value)?;
        self.record(Edit::SetHeader { name: name.to_owned(), value: value.to_owned() })
    }

    pub(crate) fn remove_header(&self, name: &str) -> Result<(), String> {
        check_field(name, "")?;
        self.record(Edit::RemoveHeader { name: name.to_owned() })
    }

    pub(crate) fn replace_part(&self, index: u32, text: &str) -> Result<(), String> {
        self.check_part(index)?;
        if text.len() > CHUNK as usize {
            return Err("the text in the place of a part has at most 65,536 octets".to_owned());
        }
        self.record(Edit::ReplacePart { index, text: text.to_owned() })
    }

    pub(crate) fn edit_text(&self, index: u32, changes: &[Splice]) -> Result<(), String> {
        self.check_part(index)?;
        let part = &self.mail.parts[index as usize];
        if part.container || !part.media_type.starts_with("text/") {
            return Err(format!("part {index} is no text"));
        }
        let old = part.text();
        let (mut text, mut at) = (String::new(), 0);
        for change in changes {
            let range = change.start as usize..change.end as usize;
            let between = old.get(at..range.start).filter(|_| old.get(range.clone()).is_some());
            text.push_str(between.ok_or("the changes are out of order, or inside of a character")?);
            text.push_str(&change.text);
            at = range.end;
        }
        text.push_str(&old[at..]);
        self.record(Edit::EditText { index, text })
    }

    pub(crate) fn remove_part(&self, index: u32) -> Result<(), String> {
        self.check_part(index)?;
        if index == 0 {
            return Err("part 0 is the message itself and can't be removed".to_owned());
        }
        self.record(Edit::RemovePart { index })
    }

    #[allow(clippy::unnecessary_wraps, reason = "the signature is that of the generated bindings")]
    pub(crate) fn replace_message(&self) -> Result<Replacement, String> {
        let position = self.edits.borrow().len();
        self.edits.borrow_mut().push(Edit::Replace { message: Vec::new() });
        Ok(Replacement { edits: Rc::clone(&self.edits), position })
    }

    fn check_part(&self, index: u32) -> Result<(), String> {
        if index < self.part_count() { Ok(()) } else { Err(format!("there is no part {index}")) }
    }

    #[allow(clippy::unnecessary_wraps, reason = "the last step of the functions above")]
    fn record(&self, edit: Edit) -> Result<(), String> {
        self.edits.borrow_mut().push(edit);
        Ok(())
    }
}

fn find(octets: &[u8], needle: &[u8], start: u64) -> Option<u64> {
    let start = usize::try_from(start).ok()?;
    if needle.is_empty() || needle.len() > 1024 {
        return None;
    }
    let found = octets.get(start..)?.windows(needle.len()).position(|window| window == needle)?;
    Some((start + found) as u64)
}

/// RFC 5322, section 2.2: a name has printable ASCII characters without the colon.
fn check_field(name: &str, value: &str) -> Result<(), String> {
    if name.is_empty() || !name.bytes().all(|octet| octet.is_ascii_graphic() && octet != b':') {
        return Err(format!("`{}` is no header name", name.escape_debug()));
    }
    if value.contains(['\r', '\n', '\0']) {
        return Err(format!("the value of `{name}` has CR, LF or NUL"));
    }
    Ok(())
}

/// A change of a text, as the generated bindings have it.
pub(crate) struct Splice {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) text: String,
}

pub(crate) struct Part(Rc<mime::Part>);

impl Part {
    pub(crate) fn headers(&self, name: &str) -> Vec<String> {
        let same = |field: &&Header| field.name.eq_ignore_ascii_case(name);
        self.0.fields.iter().filter(same).map(|field| field.value.clone()).collect()
    }

    pub(crate) fn content_size(&self) -> u64 {
        self.0.content.len() as u64
    }

    pub(crate) fn find(&self, needle: &[u8], start: u64) -> Option<u64> {
        find(&self.0.content, needle, start)
    }

    pub(crate) fn content(&self) -> Content {
        Content { octets: self.0.content.clone().into(), offset: Cell::new(0) }
    }

    pub(crate) fn text(&self) -> Content {
        Content { octets: self.0.text().into_bytes().into(), offset: Cell::new(0) }
    }
}

pub(crate) struct Content {
    octets: Rc<[u8]>,
    offset: Cell<u64>,
}

impl Content {
    pub(crate) fn read(&self, length: u32) -> Vec<u8> {
        let chunk = cut(&self.octets, self.offset.get(), length);
        self.offset.set(self.offset.get() + chunk.len() as u64);
        chunk
    }
}

pub(crate) struct Replacement {
    edits: Rc<RefCell<Vec<Edit>>>,
    /// Which of the edits it is.
    position: usize,
}

impl Replacement {
    pub(crate) fn write(&self, octets: &[u8]) -> Result<(), String> {
        match self.edits.borrow_mut().get_mut(self.position) {
            Some(Edit::Replace { message }) => {
                message.extend_from_slice(octets);
                Ok(())
            }
            _ => Err("there is no replacement under way".to_owned()),
        }
    }
}

pub(crate) fn findings(message: &Message) -> Vec<Finding> {
    message.findings.clone()
}

pub(crate) fn header_fields(message: &Message, start: u32, count: u32) -> Vec<Header> {
    message.mail.fields.iter().skip(start as usize).take(count.min(256) as usize).cloned().collect()
}

pub(crate) fn part_infos(message: &Message, start: u32, count: u32) -> Vec<Info> {
    let info = |part: &Rc<mime::Part>| Info {
        media_type: part.media_type.clone(),
        parameters: part.parameters.clone(),
        file_name: part.file_name.clone(),
        disposition: part.disposition.clone(),
        parent: part.parent,
        container: part.container,
        ambiguous: part.ambiguous,
        encoded_size: part.encoded_size as u64,
    };
    message.mail.parts.iter().skip(start as usize).take(count.min(256) as usize).map(info).collect()
}

pub(crate) fn data_names() -> Vec<String> {
    DATA.with_borrow(|data| data.keys().cloned().collect())
}

pub(crate) fn data_size(name: &str) -> Option<u64> {
    DATA.with_borrow(|data| data.get(name).map(|content| content.len() as u64))
}

pub(crate) fn data_read(name: &str, offset: u64, length: u32) -> Vec<u8> {
    DATA.with_borrow(|data| data.get(name).map(|content| cut(content, offset, length)).unwrap_or_default())
}

pub(crate) fn log(level: Level, line: &str) {
    let level = match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
    };
    LOG.with_borrow_mut(|lines| lines.push(format!("{level}: {line}")));
}

/// A chunk, cut to what is there.
fn cut(octets: &[u8], offset: u64, length: u32) -> Vec<u8> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(octets.len());
    let length = length.min(CHUNK) as usize;
    octets[start..octets.len().min(start + length)].to_vec()
}

#[cfg(test)]
mod tests {
    use crate::{Finding, Message};

    #[test]
    fn edits_that_would_break_the_mail_are_refused() {
        let message = Message::from("Subject: s\n\ntext\n");
        for (name, value) in [("", "v"), ("A B", "v"), ("A:", "v"), ("A", "v\r\nB: w"), ("A", "\0")] {
            assert!(message.add_header(name, value).is_err(), "{name:?} {value:?}");
            assert!(message.set_header(name, value).is_err(), "{name:?} {value:?}");
        }
        let root = message.part(0).unwrap();
        assert!(root.remove().is_err());
        assert!(root.replace(&"x".repeat(65_537)).is_err());
        for (symbol, text) in [("", "t"), ("A-B", "t"), ("A", &*"t".repeat(1025))] {
            assert!(message.report(&Finding::new(symbol, text)).is_err(), "{symbol:?}");
        }
        assert_eq!(message.edits(), []);
        assert_eq!(message.reported(), []);
    }

    #[test]
    fn the_last_learn_token_of_a_legal_size_counts() {
        let message = Message::from("Subject: s\n\ntext\n");
        assert!(message.leave_learn_token(b"").is_err());
        assert_eq!(message.learn_token(), None);
        for token in [vec![0], vec![7; 65_536], b"last".to_vec()] {
            message.leave_learn_token(&token).unwrap();
            assert_eq!(message.learn_token(), Some(token));
        }
        let refused = message.leave_learn_token(&[0; 65_537]).unwrap_err();
        assert_eq!(refused.to_string(), "a learn token has 1 to 65,536 octets, not 65537");
        assert_eq!(message.learn_token().unwrap(), b"last");
    }
}
