//! How well mail is judged: `spam` after learning, with bogofilter beside it on the same octets, and the rules of `rules`.
//!
//! The folder has a file `labels.tsv`: a line of headings, then for each mail its path, `spam` or `ham`, and `train` or `test`,
//! with tabs between. The built program does what it does for a user: `popgate learn` and `popgate filter`. Where to look is decided
//! here, not by results: settings are the defaults, `train` is learned and `test` judged, and five folds of all mail say how much of
//! that is luck.

mod bogofilter;
mod figures;
mod mail;
mod program;
mod rules;

use std::path::Path;

use popgate_tests::process;

use figures::{Figures, Judged};
use mail::{Corpus, Mail};
use program::Speed;

const FOLDS: usize = 5;

/// Learns the first mails and judges the second ones.
type Judgement<'j> = &'j mut dyn FnMut(&[&Mail], &[&Mail]) -> Vec<Judged>;

/// What learns some mail and judges other mail, and the cut that is its default.
struct Judge<'j> {
    name: &'static str,
    cut: f64,
    judge: Judgement<'j>,
}

/// Measures everything, and prints it as tables.
pub(crate) fn main(folder: &Path) {
    let whole = Corpus::read(folder);
    let folder = process::folder();
    println!(
        "| mail | classifier | 1-AUC | false negatives at 1 of 1,200 false positives | at the cut: false positives | false negatives |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut speed = Speed::default();
    for (name, corpus) in [("as it came", &whole), ("without list, host and date", &whole.without_telling_fields())] {
        let mut popgate = |train: &[&Mail], test: &[&Mail]| program::judge(folder.path(), train, test, &mut speed);
        compare(name, corpus, &mut Judge { name: "spam", cut: program::CERTAIN, judge: &mut popgate });
        compare(name, corpus, &mut Judge { name: "bogofilter", cut: 0.99, judge: &mut bogofilter::judge });
    }
    println!("\n{speed}\n");
    rules::measure(folder.path(), &whole);
}

/// Prints the rows of a classifier.
fn compare(name: &str, corpus: &Corpus, judge: &mut Judge<'_>) {
    let Judge { name: classifier, cut, judge } = judge;
    let (train, test): (Vec<&Mail>, Vec<&Mail>) = corpus.mails.iter().partition(|mail| mail.train);
    println!("| {name}, train then test | {classifier} | {} |", Figures::of(&judge(&train, &test), *cut));
    let fold = |fold| {
        let (test, train): (Vec<&Mail>, Vec<&Mail>) = corpus.mails.iter().partition(|mail| mail.fold(FOLDS) == fold);
        Figures::of(&judge(&train, &test), *cut)
    };
    let folds: Vec<_> = (0..FOLDS).map(fold).collect();
    println!("| {name}, five folds | {classifier} | {} |", figures::mean(&folds));
}
