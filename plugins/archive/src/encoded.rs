//! Files in texts: uuencode, and base64 in pages and in mails that are attached as files.
//!
//! Whole mails have their parts decoded before they come here; this is for what nobody takes for a mail. Only base64 that
//! begins like a kind of file counts, since texts are full of keys and signatures.

use std::io::{self, Read};

use memchr::{memchr, memmem};

use crate::source::Source;
use crate::walk::Place;
use crate::{Kind, Unscannable};

/// What stands before base64 in a page.
const DATA: &[u8] = b";base64,";

/// Digits at the beginning of a line from which on it may be base64.
const DIGITS: usize = 48;

/// Octets that are looked at for a line.
const LINE: usize = 4096;

/// Octets of base64 that are looked at behind another line of it: enough for all marks at the beginning of a file.
const INSIDE: usize = 96;

/// Shows the files; stops where a zip archive may begin.
pub(crate) fn open(source: &mut Source<'_, '_>, place: &Place) -> Result<(), Unscannable> {
    let walk = source.walk;
    let (zip, data) = (memmem::Finder::new(b"PK"), memmem::Finder::new(DATA));
    // Whether the line before was of base64, too.
    let mut inside = false;
    while !walk.is_stopped() {
        let seen = source.peek(LINE);
        if seen.is_empty() {
            break;
        }
        let end = memchr(b'\n', seen).map_or(seen.len(), |at| at + 1);
        let line = &seen[..end];
        if zip.find(line).is_some_and(|at| matches!(line.get(at + 2..at + 4), Some([1..=7, 1..=8]))) {
            return Ok(());
        }
        if let Some(name) = uu_name(line) {
            source.skip(end);
            walk.object(place, &name, &mut Uu { source, line: Vec::new(), from: 0, ended: false });
        } else if let Some(at) = data.find(line) {
            source.skip(at + DATA.len());
            base64(source, place, LINE);
        } else if is_base64(line) {
            // A file seldom begins inside of base64, and to decode far at each line of a long one takes long.
            if !base64(source, place, if inside { INSIDE } else { LINE }) {
                source.skip(end);
            }
            inside = true;
            continue;
        } else {
            source.skip(end);
        }
        inside = false;
    }
    Ok(())
}

/// The name in `begin 644 NAME`.
fn uu_name(line: &[u8]) -> Option<String> {
    let rest = line.strip_prefix(b"begin ")?;
    let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let name = rest.get(digits..)?.strip_prefix(b" ")?;
    (digits >= 3).then(|| String::from_utf8_lossy(name.trim_ascii()).into_owned())
}

fn is_base64(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    line.len() >= DIGITS && line.iter().all(|&octet| digit(octet).is_some() || octet == b'=')
}

/// Shows the file that begins here, if `most` octets of it begin like one; else takes nothing.
fn base64(source: &mut Source<'_, '_>, place: &Place, most: usize) -> bool {
    let mut head = Vec::new();
    let text = source.peek(most).iter().take(most).filter(|octet| !octet.is_ascii_whitespace());
    let mut digits = text.map_while(|&octet| digit(octet));
    while let (Some(a), Some(b), Some(c), Some(d)) = (digits.next(), digits.next(), digits.next(), digits.next()) {
        head.extend([a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]);
    }
    if matches!(Kind::of(&head), Kind::Unknown | Kind::Text) {
        return false;
    }
    let walk = source.walk;
    walk.object(place, "", &mut Base64 { source, bits: 0, count: 0 });
    true
}

fn digit(octet: u8) -> Option<u8> {
    Some(match octet {
        b'A'..=b'Z' => octet - b'A',
        b'a'..=b'z' => octet - b'a' + 26,
        b'0'..=b'9' => octet - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// Base64 up to the first octet that is neither a digit nor blank.
struct Base64<'l, 's, 'v> {
    source: &'l mut Source<'s, 'v>,
    bits: u32,
    count: u32,
}

impl Read for Base64<'_, '_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut length = 0;
        while length < buffer.len() {
            let Some(&octet) = self.source.peek(1).first() else { break };
            match digit(octet) {
                Some(digit) => {
                    self.bits = self.bits << 6 | u32::from(digit);
                    self.count += 6;
                }
                None if octet.is_ascii_whitespace() => {}
                None => break,
            }
            self.source.skip(1);
            if self.count >= 8 {
                self.count -= 8;
                buffer[length] = (self.bits >> self.count) as u8;
                length += 1;
            }
        }
        Ok(length)
    }
}

/// Uuencode up to its end.
struct Uu<'l, 's, 'v> {
    source: &'l mut Source<'s, 'v>,
    /// The line at hand, decoded.
    line: Vec<u8>,
    from: usize,
    ended: bool,
}

impl Uu<'_, '_, '_> {
    fn next(&mut self) {
        let seen = self.source.peek(LINE);
        let end = memchr(b'\n', seen).map_or(seen.len(), |at| at + 1);
        let line = seen[..end].trim_ascii_end();
        let length = line.first().map_or(0, |first| usize::from(first.wrapping_sub(32) & 63));
        self.ended = length == 0 || line.starts_with(b"end");
        (self.line, self.from) = (Vec::new(), 0);
        if !self.ended {
            for group in line[1..].chunks(4) {
                let digit = |at: usize| group.get(at).map_or(0, |octet| octet.wrapping_sub(32) & 63);
                let (a, b, c, d) = (digit(0), digit(1), digit(2), digit(3));
                self.line.extend([a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]);
            }
            self.line.truncate(length);
        }
        self.source.skip(end);
    }
}

impl Read for Uu<'_, '_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.from == self.line.len() {
            if self.ended {
                return Ok(0);
            }
            self.next();
        }
        let length = buffer.len().min(self.line.len() - self.from);
        buffer[..length].copy_from_slice(&self.line[self.from..self.from + length]);
        self.from += length;
        Ok(length)
    }
}
