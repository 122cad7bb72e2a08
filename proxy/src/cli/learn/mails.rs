//! Mail to be learned: files of one mail, mbox files, Maildirs and other folders.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// The longest mail that is read; larger ones are no mail to learn from.
const LONGEST: usize = 64 << 20;

/// The names of Maildir's files and folders that hold no whole mail.
const NO_MAIL: [&str; 2] = ["tmp", "maildirfolder"];

/// Leaves out what lies in a Maildir and is no mail: drafts of deliveries, and indexes of servers.
pub(super) fn without_others(files: Vec<PathBuf>) -> Vec<PathBuf> {
    let is_mail = |path: &PathBuf| {
        let folder = path.parent().unwrap_or(Path::new(""));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let in_maildir = |folder: &Path| ["cur", "new"].iter().any(|part| folder.join(part).is_dir());
        let below_tmp = folder.ends_with("tmp") && folder.parent().is_some_and(in_maildir);
        let beside_mail = in_maildir(folder);
        !below_tmp && !beside_mail && !NO_MAIL.contains(&&*name)
    };
    files.into_iter().filter(is_mail).collect()
}

/// The mails of one file, one after the other: several if it is an mbox, else one.
pub(super) fn each(path: &Path, mut take: impl FnMut(Vec<u8>)) -> io::Result<()> {
    let mut input = BufReader::new(File::open(path)?);
    let is_mbox = input.fill_buf()?.starts_with(b"From ");
    let (mut mail, mut line, mut after_blank, mut skipped) = (Vec::new(), Vec::new(), true, false);
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if is_mbox && after_blank && is_separator(&line) {
            if !mail.is_empty() {
                take(without_last_blank(std::mem::take(&mut mail)));
            }
            after_blank = false;
            skipped = false;
            continue;
        }
        after_blank = matches!(&line[..], b"\n" | b"\r\n");
        skipped |= mail.len() + line.len() > LONGEST;
        if skipped {
            mail.clear();
            continue;
        }
        mail.extend_from_slice(if is_mbox { unquoted(&line) } else { &line });
    }
    if skipped && !is_mbox {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {LONGEST} octets")));
    }
    if !mail.is_empty() {
        take(if is_mbox { without_last_blank(mail) } else { mail });
    }
    Ok(())
}

/// A line such as `From alice@example.org Sat Jan  3 01:05:34 1996`. Text that begins with `From ` has no time in it.
fn is_separator(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"From ") else { return false };
    let is_time = |word: &[u8]| word.len() >= 4 && word.iter().all(|octet| octet.is_ascii_digit() || *octet == b':');
    rest.split(u8::is_ascii_whitespace).any(|word| word.contains(&b':') && is_time(word))
}

/// A line without the mark that it is no separator: `>From`.
fn unquoted(line: &[u8]) -> &[u8] {
    let marks = line.iter().take_while(|octet| **octet == b'>').count();
    if marks > 0 && line[marks..].starts_with(b"From ") { &line[1..] } else { line }
}

/// The blank line before a separator belongs to the mbox.
fn without_last_blank(mut mail: Vec<u8>) -> Vec<u8> {
    for (end, keep) in [(&b"\r\n\r\n"[..], 2), (b"\n\n", 1)] {
        if mail.ends_with(end) {
            mail.truncate(mail.len() - (end.len() - keep));
            break;
        }
    }
    mail
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mails(text: &str) -> Vec<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut mails = Vec::new();
        each(file.path(), |mail| mails.push(String::from_utf8(mail).unwrap())).unwrap();
        mails
    }

    #[test]
    fn an_mbox_has_several_mails_and_any_other_file_has_one() {
        let one = "A: 1\n\nFrom here on\n\nFrom x Sat Jan  3 01:05:34 1996\n";
        assert_eq!(mails(one), [one]);
        let mbox = "From a Sat Jan  3 01:05:34 1996\nA: 1\n\none\n\nFrom here on\n>From x\n>>From y\n\nFrom b Sat Jan  3 01:05:34 1996\nA: 2\n\ntwo\n";
        assert_eq!(mails(mbox), ["A: 1\n\none\n\nFrom here on\nFrom x\n>From y\n", "A: 2\n\ntwo\n"]);
        assert_eq!(mails(&mbox.replace('\n', "\r\n"))[1], "A: 2\r\n\r\ntwo\r\n");
        assert!(mails("").is_empty());
    }

    #[test]
    fn of_a_maildir_only_mail_counts() {
        let folder = tempfile::tempdir().unwrap();
        for (name, wanted) in [
            ("Mail/cur/1:2,S", true),
            ("Mail/new/2", true),
            ("Mail/tmp/3", false),
            ("Mail/dovecot.index", false),
            ("Mail/.Junk/cur/4", true),
            ("Mail/.Junk/maildirfolder", false),
            ("tmp/5.eml", true),
        ] {
            let path = folder.path().join(name);
            for part in ["cur", "new", "tmp"] {
                std::fs::create_dir_all(folder.path().join("Mail").join(part)).unwrap();
            }
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            assert_eq!(without_others(vec![path.clone()]), if wanted { vec![path] } else { vec![] }, "{name}");
        }
    }
}
