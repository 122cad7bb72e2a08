//! From counts to a probability.
//!
//! 1. A token's *probability* is that of a message with it to be spam, if half of all messages were (Graham, Robinson):
//!    its share of the spam learned against its share of the ham learned, drawn towards one half as long as it was seen rarely. Its *weight of
//!    evidence* is the logarithm of its odds.
//! 2. Tokens with odds of less than [`ODDS_MIN`] to 1 either way say nothing; they are what random words and small talk are made of.
//! 3. Each [`Side`] of the message gives the average of its tokens' weights, the stronger ones counting more, and less than
//!    that while it has few tokens. So a hundred words that always come together are no more evidence than ten, and words put in by
//!    the hundred move one side of eight.
//!    No side brings up more than [`SIDE_MAX`], however sure it is: routes and lists change overnight.
//! 4. The sides add up, as the logarithms of odds of independent witnesses do; those of the text count twice, since the text is what a
//!    message is sent for, and the rest changes with the way on which it comes. They are not quite independent, so the sum is
//!    divided by [`DEPENDENCE`]. The result is the logarithm of the odds of the message.

use crate::counts::{Counts, Learned};
use crate::tokens::{Side, Tokens};

/// Messages that the assumption that a token says nothing is worth.
const DOUBT: f64 = 0.05;

/// Odds below which a token says nothing.
const ODDS_MIN: f64 = 9.0;

/// The weight that a side has to bring up before it counts half.
const SIDE_DOUBT: f64 = 5.0;

/// The most that a side says: odds of 55 to 1.
const SIDE_MAX: f64 = 4.0;

/// How much of what the sides say they say together.
const DEPENDENCE: f64 = 2.0;

/// What is known about a message.
#[derive(Debug)]
pub(crate) struct Score {
    /// The logarithm of the odds that it is spam.
    pub(crate) log_odds: f64,
    /// The tokens that have a say, each by its position and by what it adds to the logarithm.
    pub(crate) clues: Vec<(usize, f64)>,
}

impl Score {
    /// The probability that it is spam, between 0 and 1.
    pub(crate) fn probability(&self) -> f64 {
        probability(self.log_odds)
    }
}

/// The probability with these odds.
pub(crate) fn probability(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

/// The logarithm of the odds of a probability.
pub(crate) fn log_odds(probability: f64) -> f64 {
    (probability / (1.0 - probability)).ln()
}

/// Judges a message by what was learned, in each scope with the weight of one of its messages.
pub(crate) fn judge(tokens: &Tokens, learned: &[(Learned, f64)]) -> Score {
    let weight_min = ODDS_MIN.ln();
    let mut sides = [Bundle::default(); Side::COUNT];
    let mut heard = Vec::new();
    for (position, side) in tokens.sides().enumerate() {
        let evidence = learned.iter().map(|(learned, weight)| (learned.tokens[position], learned.totals, *weight));
        let weight = weight_of_evidence(evidence);
        if weight.abs() >= weight_min {
            sides[side as usize].add(weight);
            heard.push((position, side, weight));
        }
    }
    let log_odds = Side::ALL.iter().map(|&side| sides[side as usize].says(side)).sum();
    let share = |(position, side, weight): (usize, Side, f64)| {
        let bundle: &Bundle = &sides[side as usize];
        (position, bundle.says(side).abs() * weight * weight.abs() / bundle.sum.abs().max(f64::MIN_POSITIVE))
    };
    Score { log_odds, clues: heard.into_iter().map(share).collect() }
}

/// The weights of the tokens of a side.
#[derive(Clone, Copy, Default)]
struct Bundle {
    /// Of the weights, each times its size.
    sum: f64,
    /// Of the sizes of the weights.
    size: f64,
}

impl Bundle {
    fn add(&mut self, weight: f64) {
        self.sum += weight * weight.abs();
        self.size += weight.abs();
    }

    /// What it adds to the logarithm of the odds.
    fn says(&self, side: Side) -> f64 {
        let mean = self.sum / (self.size + SIDE_DOUBT);
        let times = if matches!(side, Side::Words | Side::Pairs) { 2.0 } else { 1.0 };
        SIDE_MAX * (mean / SIDE_MAX).tanh() * times / DEPENDENCE
    }
}

/// The logarithm of the odds that a message with a token is spam.
fn weight_of_evidence(evidence: impl Iterator<Item = (Counts, Counts, f64)>) -> f64 {
    let (mut spam, mut all) = (DOUBT / 2.0, DOUBT);
    for (counts, totals, weight) in evidence {
        if counts.is_zero() {
            continue;
        }
        let seen = f64::from(counts.spam) + f64::from(counts.ham);
        // Forgetting what was never learned could leave more with a token than there are.
        let spam_share = f64::from(counts.spam) / f64::from(totals.spam.max(1));
        let ham_share = f64::from(counts.ham) / f64::from(totals.ham.max(1));
        spam += weight * seen * spam_share / (spam_share + ham_share);
        all += weight * seen;
    }
    log_odds(spam / all)
}
