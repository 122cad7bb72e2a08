//! What a file is by its first octets.
//!
//! A table of its own: crates for it do not know what a mail filter has to tell apart (shortcuts, scripts, TNEF), and guess
//! text where there is none.

/// How many octets tell the kind.
pub const HEAD: usize = 1024;

/// What a file is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Kind {
    /// Begins as nothing that is known.
    Unknown,
    Ace,
    Arj,
    Binhex,
    Bzip2,
    Cabinet,
    Chm,
    Cpio,
    /// A program or library of Linux.
    Elf,
    Gif,
    Gzip,
    Html,
    JavaClass,
    Jpeg,
    Lha,
    /// A shortcut of Windows.
    Lnk,
    Lzma,
    MachO,
    /// An OLE compound file: Word, Excel and PowerPoint up to 2003, installers, messages of Outlook.
    Ole,
    OneNote,
    Pdf,
    /// A program or library of Windows or DOS.
    Pe,
    Png,
    Rar,
    Rtf,
    /// Begins with `#!`.
    Script,
    SevenZip,
    Sis,
    Szdd,
    Tar,
    Text,
    Tnef,
    WebAssembly,
    Xz,
    Zip,
    Zstandard,
}

/// Kinds, where their mark stands, and the mark.
const MARKS: &[(Kind, usize, &[u8])] = &[
    (Kind::Ace, 7, b"**ACE**"),
    (Kind::Cabinet, 0, b"MSCF\0\0\0\0"),
    (Kind::Chm, 0, b"ITSF"),
    (Kind::Cpio, 0, b"070707"),
    (Kind::Cpio, 0, b"070701"),
    (Kind::Cpio, 0, b"070702"),
    (Kind::Cpio, 0, b"\x71\xc7"),
    (Kind::Cpio, 0, b"\xc7\x71"),
    (Kind::Elf, 0, b"\x7fELF"),
    (Kind::Gif, 0, b"GIF87a"),
    (Kind::Gif, 0, b"GIF89a"),
    (Kind::Gzip, 0, b"\x1f\x8b\x08"),
    (Kind::Jpeg, 0, b"\xff\xd8\xff"),
    (Kind::Lnk, 0, b"L\0\0\0\x01\x14\x02\0"),
    (Kind::MachO, 0, b"\xfe\xed\xfa\xce"),
    (Kind::MachO, 0, b"\xfe\xed\xfa\xcf"),
    (Kind::MachO, 0, b"\xce\xfa\xed\xfe"),
    (Kind::MachO, 0, b"\xcf\xfa\xed\xfe"),
    (Kind::Ole, 0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    (Kind::OneNote, 0, b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d"),
    (Kind::Png, 0, b"\x89PNG\r\n\x1a\n"),
    (Kind::Rar, 0, b"Rar!\x1a\x07"),
    (Kind::Rar, 0, b"RE~^"),
    (Kind::Rtf, 0, b"{\\rt"),
    (Kind::Script, 0, b"#!"),
    (Kind::SevenZip, 0, b"7z\xbc\xaf\x27\x1c"),
    (Kind::Sis, 8, b"\x19\x04\0\x10"),
    (Kind::Sis, 0, b"\x7a\x1a\x20\x10"),
    (Kind::Szdd, 0, b"SZDD\x88\xf0\x27\x33"),
    (Kind::Tar, 257, b"ustar"),
    (Kind::Tnef, 0, b"\x78\x9f\x3e\x22"),
    (Kind::WebAssembly, 0, b"\0asm"),
    (Kind::Xz, 0, b"\xfd7zXZ\0"),
    (Kind::Zip, 0, b"PK\x03\x04"),
    (Kind::Zip, 0, b"PK\x05\x06"),
    (Kind::Zip, 0, b"PK00PK\x03\x04"),
    (Kind::Zip, 0, b"PK\x07\x08PK\x03\x04"),
    (Kind::Zstandard, 0, b"\x28\xb5\x2f\xfd"),
];

/// What begins a page, behind blanks, in lower case.
const PAGES: [&[u8]; 9] =
    [b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<iframe", b"<table", b"<svg", b"<a href"];

impl Kind {
    /// The kind of a file that begins so; [`HEAD`] octets are enough.
    #[must_use]
    pub fn of(head: &[u8]) -> Self {
        let mark = MARKS.iter().find(|(_, at, mark)| head.get(*at..).is_some_and(|rest| rest.starts_with(mark)));
        match mark {
            Some(&(kind, ..)) => kind,
            None if head.starts_with(b"\xca\xfe\xba\xbe") => java_or_mach(head),
            None if contains(head, b"%PDF-") => Self::Pdf,
            None if crate::tar::is_header(head) => Self::Tar,
            None if is_bzip2(head) => Self::Bzip2,
            None if is_arj(head) => Self::Arj,
            None if is_lha(head) => Self::Lha,
            None if head.starts_with(b"MZ") && !is_text(head) => Self::Pe,
            None if is_lzma(head) => Self::Lzma,
            None if contains(head, b"(This file must be converted with BinHex") => Self::Binhex,
            None if is_page(head) => Self::Html,
            None if is_text(head) => Self::Text,
            None => Self::Unknown,
        }
    }

    /// True for what a system runs, or hands to an interpreter, when it is opened.
    #[must_use]
    pub fn is_program(self) -> bool {
        matches!(
            self,
            Self::Elf | Self::JavaClass | Self::Lnk | Self::MachO | Self::Pe | Self::Script | Self::WebAssembly
        )
    }

    /// The name of a kind that is known but not opened.
    pub(crate) fn closed(self) -> Option<&'static str> {
        Some(match self {
            Self::Ace => "ACE",
            Self::Chm => "CHM",
            Self::OneNote => "OneNote",
            Self::Rar => "RAR",
            Self::Sis => "SIS",
            _ => return None,
        })
    }

    /// True if there is something inside by its nature: what is too deep to be opened is unscannable.
    pub(crate) fn is_archive(self) -> bool {
        self.closed().is_some()
            || matches!(
                self,
                Self::Arj
                    | Self::Binhex
                    | Self::Bzip2
                    | Self::Cabinet
                    | Self::Cpio
                    | Self::Gzip
                    | Self::Lha
                    | Self::Lzma
                    | Self::Ole
                    | Self::SevenZip
                    | Self::Szdd
                    | Self::Tar
                    | Self::Tnef
                    | Self::Xz
                    | Self::Zip
                    | Self::Zstandard
            )
    }

    /// True if a walk looks for nothing in it but an archive that somebody has put there.
    pub(crate) fn is_plain(self) -> bool {
        matches!(
            self,
            Self::Unknown
                | Self::Elf
                | Self::Gif
                | Self::JavaClass
                | Self::Jpeg
                | Self::Lnk
                | Self::MachO
                | Self::Png
                | Self::Script
                | Self::WebAssembly
        )
    }

    /// In a word or two, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ace => "ACE archive",
            Self::Arj => "ARJ archive",
            Self::Binhex => "BinHex file",
            Self::Bzip2 => "bzip2 file",
            Self::Cabinet => "cabinet",
            Self::Chm => "compiled help",
            Self::Cpio => "cpio archive",
            Self::Elf => "program for Linux",
            Self::Gif => "GIF picture",
            Self::Gzip => "gzip file",
            Self::Html => "HTML page",
            Self::JavaClass => "Java program",
            Self::Jpeg => "JPEG picture",
            Self::Lha => "LHA archive",
            Self::Lnk => "shortcut",
            Self::Lzma => "LZMA file",
            Self::MachO => "program for macOS",
            Self::Ole => "OLE document",
            Self::OneNote => "OneNote document",
            Self::Pdf => "PDF document",
            Self::Pe => "program for Windows",
            Self::Png => "PNG picture",
            Self::Rar => "RAR archive",
            Self::Rtf => "RTF document",
            Self::Script => "script",
            Self::SevenZip => "7z archive",
            Self::Sis => "SIS archive",
            Self::Szdd => "SZDD file",
            Self::Tar => "tar archive",
            Self::Text => "text",
            Self::Tnef => "TNEF container",
            Self::WebAssembly => "WebAssembly program",
            Self::Xz => "xz file",
            Self::Zip => "zip archive",
            Self::Zstandard => "Zstandard file",
        }
    }
}

/// Both begin alike: a class file goes on with its version, a universal binary with the number of its programs.
fn java_or_mach(head: &[u8]) -> Kind {
    match head.get(4..8) {
        Some([0, 0, 0, count]) if *count < 30 => Kind::MachO,
        _ => Kind::JavaClass,
    }
}

/// The header of a file by LZMA alone: usual properties, a window of a power of two, a size that is unknown or below 2^40.
fn is_lzma(head: &[u8]) -> bool {
    let Some((&[0x5d, a, b, c, d], rest)) = head.split_first_chunk::<5>() else { return false };
    let Some(&size) = rest.first_chunk::<8>() else { return false };
    let size = u64::from_le_bytes(size);
    u32::from_le_bytes([a, b, c, d]).is_power_of_two()
        && (size == u64::MAX || size < 1 << 40)
        && rest.get(8) == Some(&0)
}

/// The mark, the size of a block, and what a block or the end begins with.
fn is_bzip2(head: &[u8]) -> bool {
    let block = |rest: &[u8]| rest.starts_with(b"1AY&SY") || rest.starts_with(b"\x17\x72\x45\x38\x50\x90");
    head.starts_with(b"BZh") && head.get(3).is_some_and(u8::is_ascii_digit) && head.get(4..).is_some_and(block)
}

/// The mark, and the size of a header (at most 2,600).
fn is_arj(head: &[u8]) -> bool {
    matches!(head, [0x60, 0xea, low, high, ..] if (30..=2600).contains(&u16::from_le_bytes([*low, *high])))
}

/// A method between two dashes.
fn is_lha(head: &[u8]) -> bool {
    matches!(head, [_, _, b'-', b'l', b'h' | b'z', _, b'-', ..])
}

fn is_page(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    PAGES.iter().any(|page| text.get(..page.len()).is_some_and(|start| start.eq_ignore_ascii_case(page)))
}

/// No NUL, and hardly a control character.
fn is_text(head: &[u8]) -> bool {
    let control = |octet: &&u8| **octet < 32 && !matches!(octet, b'\t' | b'\n' | b'\r' | 12 | 27);
    !head.is_empty() && !head.contains(&0) && head.iter().filter(control).count() * 50 < head.len()
}

fn contains(head: &[u8], mark: &[u8]) -> bool {
    memchr::memmem::find(head, mark).is_some()
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn a_kind_is_told_by_its_mark() {
        for (head, kind) in [
            (&b"MZ\x90\0"[..], Kind::Pe),
            (b"PK\x03\x04\x14\0", Kind::Zip),
            (b"\xca\xfe\xba\xbe\0\0\0\x02\0", Kind::MachO),
            (b"\xca\xfe\xba\xbe\0\0\0\x34\0", Kind::JavaClass),
            (b"\n%PDF-1.4\n", Kind::Pdf),
            (b"\xef\xbb\xbf \r\n<HTML>", Kind::Html),
            (b"#!/bin/sh\n", Kind::Script),
            (b"hello\n", Kind::Text),
            (b"\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0", Kind::Lzma),
            (b"a\0b", Kind::Unknown),
            (b"", Kind::Unknown),
        ] {
            assert_eq!(Kind::of(head), kind, "{head:?}");
            for end in 0..head.len() {
                let _any = Kind::of(&head[..end]);
            }
        }
    }
}
