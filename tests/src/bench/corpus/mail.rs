//! Mail with labels.

use std::fs;
use std::path::Path;

/// Fields that tell by which list, over which hosts and when a mail came: in a collection they often differ between the kinds for
/// no better reason than that the mails were collected in different ways.
const TELLING: [&str; 27] = [
    "date",
    "delivered-to",
    "errors-to",
    "in-reply-to",
    "mailing-list",
    "message-id",
    "old-return-path",
    "precedence",
    "received",
    "references",
    "resent-date",
    "resent-from",
    "resent-message-id",
    "resent-sender",
    "resent-to",
    "return-path",
    "sender",
    "x-apparently-to",
    "x-beenthere",
    "x-egroups-return",
    "x-list",
    "x-loop",
    "x-mailing-list",
    "x-mailman-version",
    "x-original-date",
    "x-originating-ip",
    "x-sender",
];

/// A mail as POP3 transports it.
pub(super) struct Mail {
    pub(super) path: String,
    pub(super) spam: bool,
    pub(super) train: bool,
    pub(super) octets: Vec<u8>,
}

impl Mail {
    /// Which of so many folds it is in: by its name, so that it is the same every time.
    pub(super) fn fold(&self, folds: usize) -> usize {
        let hash = self.path.bytes().fold(7_u64, |hash, octet| hash.wrapping_mul(31).wrapping_add(u64::from(octet)));
        (hash >> 3) as usize % folds
    }
}

pub(super) struct Corpus {
    pub(super) mails: Vec<Mail>,
}

impl Corpus {
    /// Reads what `labels.tsv` in this folder names.
    pub(super) fn read(folder: &Path) -> Self {
        let read = |path: &Path| fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let labels = String::from_utf8(read(&folder.join("labels.tsv"))).expect("the labels are UTF-8");
        let mail = |line: &str| {
            let mut columns = line.split('\t');
            let mut column = || columns.next().unwrap_or_else(|| panic!("{line:?} has no path, label and split"));
            let (path, label, split) = (column().to_owned(), column(), column());
            let octets = as_sent(&read(&folder.join(&path)));
            Mail { path, spam: label == "spam", train: split == "train", octets }
        };
        Self { mails: labels.lines().skip(1).map(mail).collect() }
    }

    /// The same mail without what is in [`TELLING`] and all that begins with `List-`.
    pub(super) fn without_telling_fields(&self) -> Self {
        let without = |mail: &Mail| Mail { path: mail.path.clone(), octets: strip(&mail.octets), ..*mail };
        Self { mails: self.mails.iter().map(without).collect() }
    }
}

/// CRLF line ends, and no line of an mbox.
fn as_sent(raw: &[u8]) -> Vec<u8> {
    let mut lines = raw.split_inclusive(|&octet| octet == b'\n').peekable();
    lines.next_if(|line| line.starts_with(b"From "));
    let mut octets = Vec::with_capacity(raw.len() + raw.len() / 16);
    for line in lines {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        octets.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        octets.extend_from_slice(b"\r\n");
    }
    octets
}

fn strip(mail: &[u8]) -> Vec<u8> {
    let (mut left, mut in_header, mut skipping) = (Vec::with_capacity(mail.len()), true, false);
    for line in mail.split_inclusive(|&octet| octet == b'\n') {
        in_header &= line != b"\r\n";
        if in_header && !line.starts_with(b" ") && !line.starts_with(b"\t") {
            let name = line.split(|&octet| octet == b':').next().unwrap_or_default().to_ascii_lowercase();
            skipping = name.starts_with(b"list-") || TELLING.iter().any(|telling| telling.as_bytes() == name);
        }
        if !(in_header && skipping) {
            left.extend_from_slice(line);
        }
    }
    left
}
