//! How often each rule of the default set holds of ham and of spam.
//!
//! ```text
//! cargo run --release -p popgate-filter-rules --example false_positives -- FOLDER
//! ```
//!
//! The folder has a file `labels.tsv`: a line of headings, then for each mail its path and `spam` or `ham`, with tabs between.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use popgate_filter_rules::Rules;
use popgate_plugin::{Filter as _, Message, testing};

/// Points from which a message is spam to the filter `verdict`.
const REQUIRED: f64 = 5.0;

/// What was counted: ham, then spam.
type Pair = [usize; 2];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("which folder? It has a file `labels.tsv`")?);
    let rules: Rules = testing::configure("{}")?;
    let (mut all, mut above, mut hits) = (Pair::default(), Pair::default(), BTreeMap::<String, (f64, Pair)>::new());
    let mut spent = Duration::ZERO;
    for line in fs::read_to_string(folder.join("labels.tsv"))?.lines().skip(1) {
        let mut columns = line.split('\t');
        let (path, label) = (columns.next().unwrap_or_default(), columns.next().unwrap_or_default());
        let kind = usize::from(label == "spam");
        let message = Message::from(as_sent(&fs::read(folder.join(path))?));
        let start = Instant::now();
        // It passes whatever it is.
        let _ = rules.filter(&message)?;
        spent += start.elapsed();
        let findings = message.reported();
        all[kind] += 1;
        above[kind] += usize::from(findings.iter().map(|finding| finding.points).sum::<f64>() >= REQUIRED);
        for finding in findings {
            hits.entry(finding.symbol).or_insert((finding.points, Pair::default())).1[kind] += 1;
        }
    }
    let share = |pair: Pair, kind: usize| 100.0 * pair[kind] as f64 / all[kind].max(1) as f64;
    println!("| rule | points | of {} ham | of {} spam |\n| --- | --- | --- | --- |", all[0], all[1]);
    for (name, (points, pair)) in &hits {
        println!("| `{name}` | {points:.1} | {:.2} % | {:.2} % |", share(*pair, 0), share(*pair, 1));
    }
    println!("| {REQUIRED} points and more | | {:.2} % | {:.2} % |", share(above, 0), share(above, 1));
    println!("\n{:.0} messages a second, parsing not counted", (all[0] + all[1]) as f64 / spent.as_secs_f64());
    Ok(())
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
