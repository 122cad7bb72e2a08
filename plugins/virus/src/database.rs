//! Signatures out of data files, in the text formats of ClamAV and as sha256sum writes lists.
//!
//! Source: ClamAV's documentation, *File hash signatures* and *Extended signature format*.

use std::io::BufRead;

use crate::bodies::{Bodies, Fault};
use crate::digests::{ANY_SIZE, Digests, Listed, octets};
use crate::eicar;
use crate::names::{Name, Names};

/// All that is known.
#[derive(Debug)]
pub(crate) struct Database {
    names: Names,
    /// Behind the name of EICAR; where a list has no names.
    unnamed: Name,
    pub(crate) digests: Digests,
    pub(crate) bodies: Bodies,
}

/// What a file had.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Read {
    pub(crate) signatures: usize,
    /// Those that look for something that is not looked for here.
    pub(crate) left_out: usize,
}

impl Database {
    /// One with EICAR, whose signature is the first.
    ///
    /// # Errors
    ///
    /// Never; the sentence is that of [`Names::add`].
    pub(crate) fn new(listed: &[Listed]) -> Result<Self, String> {
        let mut names = Names::default();
        let eicar = names.add("EICAR")?;
        let unnamed = names.add("")?;
        let mut bodies = Bodies::default();
        bodies.add_text(eicar, &eicar::test_string()).map_err(|fault| fault.to_string())?;
        let mut digests = Digests::default();
        for digest in listed {
            digests.add(&digest.0, ANY_SIZE, unnamed);
        }
        Ok(Self { names, unnamed, digests, bodies })
    }

    /// Whether there is nothing but EICAR that a file of this size can be or contain; the size is not known of all.
    pub(crate) fn has_eicar_alone(&self, size: Option<u64>) -> bool {
        self.bodies.len() == 1 && !self.digests.may_have(size)
    }

    /// Adds the signatures of the data file of this name.
    ///
    /// # Errors
    ///
    /// Which line is none.
    pub(crate) fn read(&mut self, name: &str, mut file: impl BufRead) -> Result<Read, String> {
        let mut read = Read::default();
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let length = file.read_until(b'\n', &mut line).map_err(|fault| fault.to_string())?;
            if length == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&line);
            // A byte order mark may stand before the first line.
            let text = text.trim_start_matches('\u{feff}').trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            match self.add(text) {
                Ok(()) => read.signatures += 1,
                Err(Fault::LeftOut) => read.left_out += 1,
                Err(fault) => return Err(format!("line {number} of the data file `{name}` {fault}")),
            }
        }
        Ok(read)
    }

    /// Makes it ready; nothing is found before.
    pub(crate) fn finish(&mut self) {
        self.digests.finish();
        self.bodies.finish();
    }

    /// The name of a signature; none where its list has no names.
    pub(crate) fn name(&self, name: Name) -> Option<&str> {
        Some(self.names.text(name)).filter(|name| !name.is_empty())
    }

    /// A line: `DIGEST:SIZE:NAME`, `NAME:TARGET:OFFSET:HEX`, or a digest and perhaps a name behind it.
    fn add(&mut self, line: &str) -> Result<(), Fault> {
        let fields: Vec<&str> = line.split(':').collect();
        match fields[..] {
            [digest, size, name, ..] if octets(digest).is_some_and(|octets| matches!(octets.len(), 16 | 20 | 32)) => {
                let size = match size {
                    "*" => ANY_SIZE,
                    _ => size.parse().map_err(|_| Fault::Size(size.to_owned()))?,
                };
                self.add_digest(digest, size, name)
            }
            [name, target, offset, body, ..] if !name.contains(' ') => {
                let name = self.names.add(name).map_err(Fault::Other)?;
                self.bodies.add(name, target, offset, body)
            }
            _ => {
                // sha256sum puts `\` before the digest if the name has escapes, and `*` before that of a binary file.
                let line = line.strip_prefix('\\').unwrap_or(line);
                let (digest, name) = line.split_once([' ', '\t']).unwrap_or((line, ""));
                let name = name.trim_start();
                self.add_digest(digest, ANY_SIZE, name.strip_prefix('*').unwrap_or(name))
            }
        }
    }

    fn add_digest(&mut self, digest: &str, size: u64, name: &str) -> Result<(), Fault> {
        let digest = octets(digest).ok_or(Fault::NoSignature)?;
        let name = if name.is_empty() { self.unnamed } else { self.names.add(name).map_err(Fault::Other)? };
        if self.digests.add(&digest, size, name) { Ok(()) } else { Err(Fault::NoSignature) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Database, Read};
    use crate::digests::Listed;

    fn hex(digit: &str) -> String {
        digit.repeat(64)
    }

    #[test]
    fn lists_of_several_kinds_are_read() {
        let file = format!(
            "\u{feff}# a list\r\n\r\n{} Some.Virus \r\n{}  file.bin\n{} *binary.bin\n\\{}  a\\nb\n{}\n{}\n\
             {}:*:Hsb.Any:73\nName.Body:0:*:deadbeef\nName.Entry:1:EP+0:deadbeef\n{}:10:Hdb.Sized\n",
            hex("a"),
            hex("B"),
            hex("c"),
            hex("d"),
            hex("e"),
            hex("a"),
            hex("f"),
            "1".repeat(32),
        );
        let mut database = Database::new(&[Listed([0; 32])]).unwrap();
        assert_eq!(database.read("signatures", file.as_bytes()), Ok(Read { signatures: 9, left_out: 1 }));
        database.finish();
        assert!(!database.digests.is_empty());
    }

    #[test]
    fn a_faulty_line_is_named() {
        for (line, expected) in [
            ("xyz".to_owned(), "has neither a digest nor a signature"),
            (hex("a")[1..].to_owned(), "has neither a digest nor a signature"),
            (hex("g"), "has neither a digest nor a signature"),
            (format!("{}0 name", hex("a")), "has neither a digest nor a signature"),
            ("é".repeat(32), "has neither a digest nor a signature"),
            (format!("{}:1k:Name", hex("a")), "has a size that is none: `1k`"),
            ("Name:0:*:dead*be*".to_owned(), "has a body without two fixed octets in a row in each piece"),
            ("Name:0:*:xy".to_owned(), "has a body that is none: `xy`"),
            ("Name:x:*:dead".to_owned(), "has a target that is none: `x`"),
            ("Name:0:-:dead".to_owned(), "has an offset that is none: `-`"),
        ] {
            let mut database = Database::new(&[]).unwrap();
            let fault = database.read("list", format!("#\n{line}\n").as_bytes()).unwrap_err();
            assert_eq!(fault, format!("line 2 of the data file `list` {expected}"), "{line}");
        }
    }
}
