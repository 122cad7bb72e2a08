//! Measures the classifier on mail with labels, with bogofilter beside it on the same octets.
//!
//! ```text
//! cargo run --release -p popgate-filter-spam --example measure -- FOLDER
//! ```
//!
//! The folder has a file `labels.tsv`: a line of headings, then for each mail its path, `spam` or `ham`, and `train` or `test`, with
//! tabs between. Where to look is decided here, not by results: settings are the defaults, `train` is learned and `test` judged, and
//! five folds of all mail say how much of that is luck.

mod bogofilter;
mod corpus;
mod figures;

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use popgate_filter_spam::counts::InMemory;
use popgate_filter_spam::{Classifier, Settings};
use popgate_plugin::{Label, Message};

use corpus::{Corpus, Mail};
use figures::{Figures, Judged};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const FOLDS: usize = 5;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).ok_or("which folder? It has a file `labels.tsv`")?;
    let whole = Corpus::read(&PathBuf::from(folder))?;
    println!(
        "| mail | classifier | 1-AUC | false negatives at 1 of 1,200 false positives | at the default cut: false positives | false negatives |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for (name, corpus) in [("as it came", &whole), ("without list, host and date", &whole.without_telling_fields())] {
        compare(name, corpus)?;
    }
    speed(&whole)
}

/// Prints the rows of a corpus.
fn compare(name: &str, corpus: &Corpus) -> Result<()> {
    let (train, test): (Vec<&Mail>, Vec<&Mail>) = corpus.mails.iter().partition(|mail| mail.train);
    type Judge = fn(&[&Mail], &[&Mail]) -> Result<Vec<Judged>>;
    let judges: [(&str, f64, Judge); 2] = [("spam", 0.95, popgate), ("bogofilter", 0.99, bogofilter::judge)];
    for (classifier, cut, judge) in judges {
        let figures = Figures::of(&judge(&train, &test)?, cut);
        println!("| {name}, train then test | {classifier} | {figures} |");
        let mut folds = Vec::new();
        for fold in 0..FOLDS {
            let (judged, learned): (Vec<&Mail>, Vec<&Mail>) =
                corpus.mails.iter().partition(|mail| mail.fold(FOLDS) == fold);
            folds.push(Figures::of(&judge(&learned, &judged)?, cut));
        }
        println!("| {name}, five folds | {classifier} | {} |", figures::mean(&folds));
    }
    Ok(())
}

/// Learns and judges.
fn popgate(train: &[&Mail], test: &[&Mail]) -> Result<Vec<Judged>> {
    let classifier = trained(train)?;
    test.iter()
        .map(|mail| Ok(Judged { spam: mail.spam, probability: probability(&classifier, &mail.octets)? }))
        .collect()
}

fn trained(train: &[&Mail]) -> Result<Classifier<InMemory>> {
    let classifier = Classifier::new(Settings::default(), InMemory::default())?;
    for mail in train {
        let label = if mail.spam { Label::Spam } else { Label::Ham };
        classifier.learn(&Message::from(&*mail.octets), label)?;
    }
    Ok(classifier)
}

fn probability(classifier: &Classifier<InMemory>, octets: &[u8]) -> Result<f64> {
    let message = Message::from(octets);
    classifier.examine(&message)?;
    let finding = message.reported().pop().ok_or("no finding")?;
    Ok(finding.value.ok_or("no probability")?)
}

/// Prints how long it takes, without parsing, which is the host's.
fn speed(corpus: &Corpus) -> Result<()> {
    let (train, test): (Vec<&Mail>, Vec<&Mail>) = corpus.mails.iter().partition(|mail| mail.train);
    let classifier = trained(&train)?;
    let mut spent = Duration::ZERO;
    for mail in &test {
        let message = Message::from(&*mail.octets);
        let start = Instant::now();
        classifier.examine(&message)?;
        spent += start.elapsed();
    }
    let octets: usize = test.iter().map(|mail| mail.octets.len()).sum();
    println!(
        "\n{:.0} messages a second on one core, of {} octets on average, parsing not counted; {} counters after {} messages",
        test.len() as f64 / spent.as_secs_f64(),
        octets / test.len(),
        classifier.counters().len(),
        train.len()
    );
    Ok(())
}
