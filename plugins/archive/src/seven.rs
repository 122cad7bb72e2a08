//! 7z archives.

use std::io::{Cursor, Read};

use sevenz_rust2::{ArchiveReader, EntryDecision, Error, Password};

use crate::Unscannable;
use crate::compressed::LZMA;
use crate::source::Source;
use crate::walk::Place;

/// Shows the files.
pub(crate) fn open(source: &mut Source<'_, '_>, place: &Place) -> Result<(), Unscannable> {
    let walk = source.walk;
    let octets = source.read_all()?;
    let memory = walk.limits.memory >> 10;
    let mut archive = ArchiveReader::new_with_memory_limit(Cursor::new(&*octets), Password::empty(), memory)
        .map_err(|fault| reason(&fault))?;
    archive.set_thread_count(1);
    if archive.archive().files.len() > walk.limits.entries {
        return Err(Unscannable::TooMany);
    }
    let read = archive.for_each_entries_with_decision_allowing_surplus(|entry, content: &mut dyn Read| {
        if entry.has_stream() {
            walk.costly(place, entry.name(), content, LZMA);
        }
        Ok(if walk.is_stopped() { EntryDecision::Stop } else { EntryDecision::Continue })
    });
    read.map_err(|fault| reason(&fault))
}

fn reason(fault: &Error) -> Unscannable {
    match fault {
        Error::PasswordRequired | Error::MaybeBadPassword(_) => Unscannable::Encrypted,
        Error::MaxMemLimited { .. } => Unscannable::TooLarge,
        // That of AES-256 with SHA-256, which it was built without.
        Error::UnsupportedCompressionMethod(method) if method.contains("AES") || method.contains("[6, 241, 7, 1]") => {
            Unscannable::Encrypted
        }
        Error::UnsupportedCompressionMethod(_) | Error::Unsupported(_) | Error::ExternalUnsupported => {
            Unscannable::Unsupported("the compression")
        }
        _ => Unscannable::Damaged,
    }
}
