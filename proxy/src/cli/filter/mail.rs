//! Mail in files: LF or CRLF, with or without an mbox line in front.

use std::path::{Path, PathBuf};

use crate::message::Message;

/// How deep folders are followed; symbolic links may make circles.
const MAX_DEPTH: usize = 32;

/// A mail as it stands in a file.
pub(in super::super) struct Mail {
    message: Message,
    bare_lf: bool,
}

impl Mail {
    /// Takes the octets of a file: a leading mbox `From ` line is dropped, LF becomes CRLF.
    pub(in super::super) fn new(mut octets: Vec<u8>) -> Self {
        if octets.starts_with(b"From ") {
            let end = memchr::memchr(b'\n', &octets).map_or(octets.len(), |at| at + 1);
            octets.drain(..end);
        }
        let bare_lf = memchr::memchr(b'\n', &octets).is_some_and(|at| at == 0 || octets[at - 1] != b'\r');
        if bare_lf {
            octets = with_crlf(&octets);
        }
        Self { message: Message::from_bytes(octets), bare_lf }
    }

    /// The message as POP3 would bring it.
    pub(in super::super) fn message(&self) -> Message {
        self.message.clone()
    }

    /// A result with the line ends that the file had.
    pub(super) fn like_input(&self, octets: Vec<u8>) -> Vec<u8> {
        if !self.bare_lf {
            return octets;
        }
        let mut result = Vec::with_capacity(octets.len());
        for line in octets.split_inclusive(|&octet| octet == b'\n') {
            match line.strip_suffix(b"\r\n") {
                Some(text) => {
                    result.extend_from_slice(text);
                    result.push(b'\n');
                }
                None => result.extend_from_slice(line),
            }
        }
        result
    }
}

fn with_crlf(octets: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(octets.len() + octets.len() / 32);
    for line in octets.split_inclusive(|&octet| octet == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(text) => {
                result.extend_from_slice(text.strip_suffix(b"\r").unwrap_or(text));
                result.extend_from_slice(b"\r\n");
            }
            None => result.extend_from_slice(line),
        }
    }
    result
}

/// The files under `paths` in their order, those of a folder sorted by name. Symbolic links are followed.
pub(in super::super) fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for path in paths {
        collect(path, 0, &mut found)?;
    }
    Ok(found)
}

fn collect(path: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let fault = |error: std::io::Error| format!("`{}`: {error}", path.display());
    if !std::fs::metadata(path).map_err(fault)?.is_dir() {
        found.push(path.to_owned());
        return Ok(());
    }
    if depth > MAX_DEPTH {
        return Err(format!("`{}`: folders are nested deeper than {MAX_DEPTH}", path.display()));
    }
    let entries: Result<Vec<PathBuf>, _> =
        std::fs::read_dir(path).map_err(fault)?.map(|entry| Ok(entry?.path())).collect();
    let mut entries = entries.map_err(fault)?;
    entries.sort();
    entries.iter().try_for_each(|entry| collect(entry, depth + 1, found))
}

/// The path of a mail below the argument it was found under.
pub(super) fn relative(path: &Path, arguments: &[PathBuf]) -> PathBuf {
    let below = arguments.iter().find_map(|argument| path.strip_prefix(argument).ok());
    match below {
        Some(rest) if !rest.as_os_str().is_empty() => rest.to_owned(),
        _ => path.file_name().map_or_else(|| PathBuf::from("message.eml"), PathBuf::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(mail: &Mail) -> Vec<u8> {
        mail.message().segments().flatten().copied().collect()
    }

    #[test]
    fn a_file_becomes_what_pop3_would_bring() {
        for (file, message) in [
            ("From x Sat Jan  3\nA: b\n\nc\n", "A: b\r\n\r\nc\r\n"),
            ("A: b\r\n\r\nc", "A: b\r\n\r\nc"),
            ("A: b\r\n\r\n.\r\n", "A: b\r\n\r\n.\r\n"),
            ("", ""),
        ] {
            assert_eq!(octets(&Mail::new(file.into())), message.as_bytes());
        }
    }

    #[test]
    fn an_unchanged_mail_comes_back_as_the_file_was() {
        for file in ["A: b\n\nc\n", "A: b\r\n\r\nc\r\n", "A: b\n\nno end"] {
            let mail = Mail::new(file.into());
            assert_eq!(mail.like_input(octets(&mail)), file.as_bytes());
        }
    }
}
