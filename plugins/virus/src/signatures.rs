//! Known files by their SHA-256.

use std::fmt;
use std::io::BufRead;

use serde::Deserialize;

/// A SHA-256 digest, 64 hexadecimal digits in the settings.
#[derive(Clone, Copy, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(try_from = "String")]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    fn parse(text: &str) -> Option<Self> {
        let mut digest = [0; 32];
        if text.len() != 64 {
            return None;
        }
        for (octet, digits) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let [high, low] = [digits[0], digits[1]].map(|digit| char::from(digit).to_digit(16));
            *octet = u8::try_from(high? << 4 | low?).ok()?;
        }
        Some(Self(digest))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(formatter, "{octet:02x}"))
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(text.trim()).ok_or_else(|| format!("`{text}` is not a SHA-256 digest: 64 hexadecimal digits"))
    }
}

/// The files that are known, in the order of their digests, with a name or an empty one.
#[derive(Debug)]
pub(crate) struct Signatures(Vec<(Digest, Box<str>)>);

impl From<Vec<Digest>> for Signatures {
    fn from(digests: Vec<Digest>) -> Self {
        Self(digests.into_iter().map(|digest| (digest, "".into())).collect())
    }
}

impl Signatures {
    /// Adds those of a file and returns how many there were.
    ///
    /// # Errors
    ///
    /// Which line of the file has no digest.
    pub(crate) fn read(&mut self, mut file: impl BufRead) -> Result<usize, String> {
        let before = self.0.len();
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
            let signature = signature(text).ok_or_else(|| {
                format!("line {number} of the data file `signatures` does not begin with a SHA-256 digest")
            })?;
            self.0.push(signature);
        }
        Ok(self.0.len() - before)
    }

    /// Puts them in order; nothing is found before.
    pub(crate) fn finish(&mut self) {
        self.0.sort_unstable();
        self.0.shrink_to_fit();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name, perhaps empty, of the file that has this digest.
    pub(crate) fn name_of(&self, digest: &[u8; 32]) -> Option<&str> {
        // Behind all entries that are less: the last of the same digest, which has a name if any of them has.
        let end = self.0.partition_point(|(known, _)| known.0 <= *digest);
        let (known, name) = self.0.get(end.checked_sub(1)?)?;
        (known.0 == *digest).then_some(name)
    }
}

/// A line: the digest, blanks, perhaps the `*` of a binary file, the name. sha256sum puts `\` before the digest if
/// the name has escapes.
fn signature(line: &str) -> Option<(Digest, Box<str>)> {
    let line = line.strip_prefix('\\').unwrap_or(line);
    let (digest, name) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let name = name.trim_start();
    Some((Digest::parse(digest)?, name.strip_prefix('*').unwrap_or(name).into()))
}

#[cfg(test)]
mod tests {
    use super::{Digest, Signatures};

    fn hex(digit: &str) -> String {
        digit.repeat(64)
    }

    #[test]
    fn lists_of_several_kinds_are_read() {
        let file = format!(
            "\u{feff}# a list\r\n\r\n{} Some.Virus \r\n{}  file.bin\n{} *binary.bin\n\\{}  a\\nb\n{}\n{}",
            hex("a"),
            hex("B"),
            hex("c"),
            hex("d"),
            hex("e"),
            hex("a"),
        );
        let mut signatures = Signatures::from(vec![Digest([0; 32])]);
        assert_eq!(signatures.read(file.as_bytes()), Ok(6));
        signatures.finish();
        for (octet, name) in [
            (0x00, Some("")),
            (0xaa, Some("Some.Virus")),
            (0xbb, Some("file.bin")),
            (0xcc, Some("binary.bin")),
            (0xdd, Some("a\\nb")),
            (0xee, Some("")),
            (0xff, None),
            (0x01, None),
        ] {
            assert_eq!(signatures.name_of(&[octet; 32]), name, "{octet:x}");
        }
    }

    #[test]
    fn a_faulty_line_is_named() {
        for line in ["xyz", &hex("a")[1..], &hex("g"), &format!("{}0 name", hex("a")), &"é".repeat(32)] {
            let fault = Signatures::from(vec![]).read(format!("# x\n{line}\n").as_bytes()).unwrap_err();
            assert!(fault.starts_with("line 2 of"), "{line}: {fault}");
        }
    }
}
