//! The table as Markdown, and its place in the documentation.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;

use popgate_tests::clients::Tls;
use popgate_tests::process::write;

use super::cell::{Outcome, Row};

/// Set to `write`, the tests write the table instead of comparing it.
const MODE: &str = "POPGATE_TABLE";

/// A server's name and what was found of it.
pub(super) type Section = (&'static str, Vec<Row>);

/// Compares what was found with this part of the file, or writes it there.
///
/// # Panics
///
/// If something was not as expected, or the file says something else; with the command that writes it.
pub(super) fn check(part: &str, sections: &[Section]) {
    // Both parts are in one file.
    static FILE: Mutex<()> = Mutex::new(());
    let surprises: Vec<_> = sections.iter().flat_map(|(_, rows)| rows).flat_map(surprises).collect();
    assert!(surprises.is_empty(), "\n{}", surprises.join("\n\n"));
    let _alone = FILE.lock().expect("nothing panics with it");
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/COMPATIBILITY.md"));
    let text = std::fs::read_to_string(&file).expect("the table is there");
    let (begin, end) = (format!("<!-- {part} -->\n"), format!("<!-- end of {part} -->"));
    let (before, rest) = text.split_once(&begin).expect("the part has its mark");
    let (written, after) = rest.split_once(&end).expect("the part has its end");
    let found = render(sections);
    if std::env::var(MODE).is_ok_and(|mode| mode == "write") {
        write(&file, format!("{before}{begin}{found}{end}{after}"));
    } else {
        assert!(
            written == found,
            "{} is not what was found:\n{found}\nhint: {MODE}=write tests/run matrix graphical",
            file.display()
        );
    }
}

fn surprises(row: &Row) -> Vec<&str> {
    let texts = row.outcomes.iter().filter_map(|(_, outcome)| match outcome {
        Outcome::Surprise(text) => Some(&**text),
        _ => None,
    });
    texts.collect()
}

/// A table for each server, and the reasons behind all.
fn render(sections: &[Section]) -> String {
    let mut reasons: Vec<&str> = Vec::new();
    let mut text = String::new();
    for (server, rows) in sections {
        let Some(first) = rows.first() else { continue };
        let names: Vec<_> = first.outcomes.iter().map(|(mechanism, _)| mechanism.name()).collect();
        let _infallible = write!(
            text,
            "\n### {server}\n\n| client | TLS | {} |\n| --- | --- |{}\n",
            names.join(" | "),
            " --- |".repeat(names.len())
        );
        for row in rows {
            let tls = match row.tls {
                Tls::None => "none",
                Tls::Stls => "STLS",
                Tls::Implicit => "implicit",
            };
            let _infallible = write!(text, "| {} | {tls} |", row.client.name());
            for (_, outcome) in &row.outcomes {
                let _infallible = match outcome {
                    Outcome::Works => write!(text, " yes |"),
                    Outcome::Impossible(reason) => write!(text, " – ({}) |", number(&mut reasons, reason)),
                    Outcome::Fails(reason) => write!(text, " no ({}) |", number(&mut reasons, reason)),
                    // Those have ended the test before.
                    Outcome::Surprise(_) => write!(text, " ? |"),
                };
            }
            text.push('\n');
        }
    }
    text.push('\n');
    for (at, reason) in (1..).zip(&reasons) {
        let _infallible = writeln!(text, "{at}. {reason}.");
    }
    text
}

/// The number of a reason, from 1.
fn number<'a>(reasons: &mut Vec<&'a str>, reason: &'a str) -> usize {
    let at = reasons.iter().position(|known| *known == reason);
    1 + at.unwrap_or_else(|| {
        reasons.push(reason);
        reasons.len() - 1
    })
}
