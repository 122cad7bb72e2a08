//! bogofilter on the same mail.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use popgate_tests::process;

use super::figures::Judged;
use super::mail::Mail;

/// Has bogofilter learn some mail and judge other mail, with its defaults.
pub(super) fn judge(train: &[&Mail], test: &[&Mail]) -> Vec<Judged> {
    let folder = process::folder();
    for (option, spam) in [("-s", true), ("-n", false)] {
        run(folder.path(), option, train.iter().filter(|mail| mail.spam == spam).copied());
    }
    let output = run(folder.path(), "-TT", test.iter().copied());
    let spam: HashMap<String, bool> =
        test.iter().enumerate().map(|(at, mail)| (format!("{at}.eml"), mail.spam)).collect();
    let judge = |line: &str| {
        let (path, rest) = line.split_once(' ')?;
        let name = Path::new(path).file_name()?.to_str()?;
        let probability = rest.split_whitespace().last()?.parse().ok()?;
        Some(Judged { spam: *spam.get(name)?, probability })
    };
    output.lines().map(|line| judge(line).unwrap_or_else(|| panic!("bogofilter says {line:?}"))).collect()
}

/// Gives bogofilter mails as files and returns what it says.
fn run<'m>(folder: &Path, option: &str, mails: impl Iterator<Item = &'m Mail>) -> String {
    let mut list = String::new();
    for (at, mail) in mails.enumerate() {
        let path = folder.join(format!("{at}.eml"));
        process::write(&path, &mail.octets);
        list.push_str(&format!("{}\n", path.display()));
    }
    let mut command = Command::new(process::program("bogofilter", "bogofilter"));
    command.args(["-C", "-b", option, "-d"]).arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("bogofilter starts");
    let mut input = child.stdin.take().expect("it is piped");
    let writer = std::thread::spawn(move || input.write_all(list.as_bytes()));
    let output = child.wait_with_output().expect("bogofilter ends");
    writer.join().expect("it has written").expect("bogofilter reads");
    String::from_utf8(output.stdout).expect("bogofilter prints text")
}
