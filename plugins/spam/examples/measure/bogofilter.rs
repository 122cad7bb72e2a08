//! bogofilter on the same mail.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;
use crate::corpus::Mail;
use crate::figures::Judged;

/// Has bogofilter learn some mail and judge other mail, with its defaults.
pub(crate) fn judge(train: &[&Mail], test: &[&Mail]) -> Result<Vec<Judged>> {
    let folder = std::env::temp_dir().join(format!("measure-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let judged = judge_in(&folder, train, test);
    fs::remove_dir_all(&folder)?;
    judged
}

fn judge_in(folder: &Path, train: &[&Mail], test: &[&Mail]) -> Result<Vec<Judged>> {
    for (option, spam) in [("-s", true), ("-n", false)] {
        run(folder, &[option], train.iter().filter(|mail| mail.spam == spam).copied())?;
    }
    let output = run(folder, &["-TT"], test.iter().copied())?;
    let spam: HashMap<String, bool> =
        test.iter().enumerate().map(|(at, mail)| (format!("{at}.eml"), mail.spam)).collect();
    let judge = |line: &str| {
        let (path, rest) = line.split_once(' ')?;
        let name = Path::new(path).file_name()?.to_str()?;
        let probability = rest.split_whitespace().last()?.parse().ok()?;
        Some(Judged { spam: *spam.get(name)?, probability })
    };
    output.lines().map(|line| judge(line).ok_or_else(|| format!("bogofilter says `{line}`").into())).collect()
}

/// Gives bogofilter mails as files and returns what it says.
fn run<'m>(folder: &Path, options: &[&str], mails: impl Iterator<Item = &'m Mail>) -> Result<String> {
    let mut list = String::new();
    for (at, mail) in mails.enumerate() {
        let path = folder.join(format!("{at}.eml"));
        fs::write(&path, &mail.octets)?;
        list.push_str(&format!("{}\n", path.display()));
    }
    let mut child = Command::new("bogofilter")
        .arg("-C")
        .arg("-d")
        .arg(folder)
        .args(options)
        .arg("-b")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|fault| format!("can't run bogofilter: {fault}\nhint: apt-get install bogofilter"))?;
    let mut input = child.stdin.take().ok_or("no standard input")?;
    let writer = std::thread::spawn(move || input.write_all(list.as_bytes()));
    let output = child.wait_with_output()?;
    writer.join().map_err(|_| "the writer died")??;
    Ok(String::from_utf8(output.stdout)?)
}
