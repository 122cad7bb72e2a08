//! Figures of merit.

use std::fmt;

/// A mail that was judged.
pub(super) struct Judged {
    pub(super) spam: bool,
    pub(super) probability: f64,
}

pub(super) struct Figures {
    /// The share of pairs of a spam and a ham in which the ham looks more like spam (ties count half).
    one_minus_auc: f64,
    /// The share of spam that is missed where at most 1 of 1,200 ham is taken for spam.
    missed: f64,
    /// At the default cut.
    false_positives: (usize, usize),
    false_negatives: (usize, usize),
}

impl Figures {
    pub(super) fn of(judged: &[Judged], cut: f64) -> Self {
        let mut spam = probabilities(judged, true);
        let mut ham = probabilities(judged, false);
        spam.sort_by(f64::total_cmp);
        ham.sort_by(f64::total_cmp);
        let inversions: f64 = ham
            .iter()
            .map(|&ham| {
                let below = spam.partition_point(|&spam| spam < ham);
                let same = spam.partition_point(|&spam| spam <= ham) - below;
                below as f64 + same as f64 / 2.0
            })
            .sum();
        let allowed = ham.len() / 1200;
        let strict = ham[ham.len() - 1 - allowed];
        let missed = spam.partition_point(|&spam| spam <= strict);
        Self {
            one_minus_auc: inversions / (spam.len() * ham.len()) as f64,
            missed: missed as f64 / spam.len() as f64,
            false_positives: (ham.len() - ham.partition_point(|&ham| ham < cut), ham.len()),
            false_negatives: (spam.partition_point(|&spam| spam < cut), spam.len()),
        }
    }
}

fn probabilities(judged: &[Judged], spam: bool) -> Vec<f64> {
    judged.iter().filter(|judged| judged.spam == spam).map(|judged| judged.probability).collect()
}

/// The cells of a row.
impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { one_minus_auc, missed, false_positives, false_negatives } = self;
        write!(formatter, "{:.4} % | {:.2} % | ", one_minus_auc * 100.0, missed * 100.0)?;
        write!(formatter, "{} of {} | ", false_positives.0, false_positives.1)?;
        write!(formatter, "{} of {} ({:.2} %)", false_negatives.0, false_negatives.1, rate(*false_negatives) * 100.0)
    }
}

fn rate((count, all): (usize, usize)) -> f64 {
    count as f64 / all as f64
}

/// The cells of a row over folds: the mean, and the interval in which it lies with a probability of 95 %.
pub(super) fn mean(folds: &[Figures]) -> String {
    let interval = |of: &dyn Fn(&Figures) -> f64, digits: usize| {
        let values: Vec<f64> = folds.iter().map(|figures| of(figures) * 100.0).collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
        // Student's t with 4 degrees of freedom: there are five folds.
        format!("{mean:.digits$} ± {:.digits$} %", 2.776 * (variance / count).sqrt())
    };
    let sum = |of: &dyn Fn(&Figures) -> (usize, usize)| {
        let (count, all) = folds.iter().map(of).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        format!("{count} of {all} ({:.2} %)", rate((count, all)) * 100.0)
    };
    [
        interval(&|figures| figures.one_minus_auc, 4),
        interval(&|figures| figures.missed, 2),
        sum(&|figures| figures.false_positives),
        sum(&|figures| figures.false_negatives),
    ]
    .join(" | ")
}
