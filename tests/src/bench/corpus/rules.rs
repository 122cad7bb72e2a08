//! How often each rule of the filter `rules` holds of ham and of spam.

use std::collections::BTreeMap;
use std::path::Path;

use super::mail::{Corpus, Mail};
use super::program;

/// Points from which a message is spam to the filter `verdict`.
const REQUIRED: f64 = 5.0;

/// What was counted: ham, then spam.
type Pair = [usize; 2];

/// Prints a row for each rule that holds of any mail.
pub(super) fn measure(folder: &Path, corpus: &Corpus) {
    let mails: Vec<&Mail> = corpus.mails.iter().collect();
    let reports = program::reports(folder, "[[filter]]\nplugin = \"rules\"\n", &mails);
    let (mut all, mut above, mut hits) = (Pair::default(), Pair::default(), BTreeMap::<&str, (f64, Pair)>::new());
    for (mail, report) in mails.iter().zip(&reports) {
        let kind = usize::from(mail.spam);
        all[kind] += 1;
        above[kind] += usize::from(report["score"].as_f64() >= Some(REQUIRED));
        for finding in report["findings"].as_array().into_iter().flatten() {
            let symbol = finding["symbol"].as_str().unwrap_or_default();
            let points = finding["points"].as_f64().unwrap_or_default();
            hits.entry(symbol).or_insert((points, Pair::default())).1[kind] += 1;
        }
    }
    let share = |pair: Pair, kind: usize| 100.0 * pair[kind] as f64 / all[kind].max(1) as f64;
    println!("| rule | points | of {} ham | of {} spam |\n| --- | --- | --- | --- |", all[0], all[1]);
    for (name, (points, pair)) in &hits {
        println!("| `{name}` | {points:.1} | {:.2} % | {:.2} % |", share(*pair, 0), share(*pair, 1));
    }
    println!("| {REQUIRED} points and more | | {:.2} % | {:.2} % |", share(above, 0), share(above, 1));
}
