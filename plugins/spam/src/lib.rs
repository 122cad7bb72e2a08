//! The filter `spam`: a statistical classifier that learns from what people call spam and ham.
//!
//! How it works, its settings and how well it does are in its
//! [README](https://github.com/popgate/popgate/blob/main/plugins/spam/README.md).
//!
//! # Code map
//!
//! | module | is |
//! | --- | --- |
//! | `tokens` | a message as tokens |
//! | [`counts`] | what was learned, and where it is kept |
//! | `keys` | the tokens of a message as a learn token |
//! | `score` | from counts to a probability |
//! | `report` | the reasons, for people |
//! | `settings` | the settings, checked |

pub mod counts;
mod keys;
mod report;
mod score;
mod settings;
mod tokens;

use popgate_plugin::state::Scope;
use popgate_plugin::{Failure, Filter, Finding, Label, Learning, LearningByToken, Message, Verdict};

use crate::counts::{Counters, InState, Learned};
use crate::score::Score;
use crate::settings::Checked;
use crate::tokens::Tokens;

pub use crate::settings::Settings;

/// The header field for people.
pub const REPORT_FIELD: &str = "X-Spam-Report";

/// The filter.
#[derive(Debug)]
pub struct Spam(Classifier<InState>);

impl Filter for Spam {
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, String> {
        Classifier::new(settings, InState).map(Self)
    }

    fn filter(&self, message: &Message) -> Result<Verdict, Failure> {
        self.0.examine(message)?;
        Ok(Verdict::Pass)
    }
}

impl Learning for Spam {
    fn learn(&self, message: &Message, label: Label) -> Result<(), Failure> {
        self.0.learn(message, label)
    }

    fn forget(&self, message: &Message, label: Label) -> Result<(), Failure> {
        self.0.forget(message, label)
    }
}

impl LearningByToken for Spam {
    fn learn_token(&self, token: &[u8], user: Option<&str>, label: Label) -> Result<(), Failure> {
        self.0.learn_token(token, user, label)
    }

    fn forget_token(&self, token: &[u8], user: Option<&str>, label: Label) -> Result<(), Failure> {
        self.0.forget_token(token, user, label)
    }
}

/// What the filter does, whatever keeps its counters.
#[derive(Debug)]
pub struct Classifier<C> {
    settings: Checked,
    counters: C,
}

impl<C: Counters> Classifier<C> {
    /// Makes it.
    ///
    /// # Errors
    ///
    /// What is wrong with the settings.
    pub fn new(settings: Settings, counters: C) -> Result<Self, String> {
        Ok(Self { settings: settings.try_into()?, counters })
    }

    /// Where the counters are kept.
    #[must_use]
    pub fn counters(&self) -> &C {
        &self.counters
    }

    /// Judges a message and reports it, and leaves what it takes to learn it later.
    ///
    /// # Errors
    ///
    /// The counters can't be read.
    pub fn examine(&self, message: &Message) -> Result<(), Failure> {
        let tokens = Tokens::of(message, &self.settings.bounds);
        let keys: Vec<u64> = tokens.keys().collect();
        if self.settings.learn_tokens {
            message.leave_learn_token(&keys::write(&keys))?;
        }
        let learned = self.learned(message, &keys)?;
        let enough: Vec<_> = learned.iter().filter(|(learned, _)| self.is_enough(learned)).cloned().collect();
        let finding = if enough.is_empty() {
            self.untrained(&learned)
        } else {
            let score = score::judge(&tokens, &enough);
            Finding::new(symbol(&score, self.settings.certain), report::text(&score, &tokens, self.settings.clues))
                .with_points(self.points(&score))
                .with_value(score.probability())
        };
        if self.settings.report {
            message.set_header(REPORT_FIELD, &finding.text)?;
        }
        Ok(message.report(&finding)?)
    }

    /// Learns that a message has this label.
    ///
    /// # Errors
    ///
    /// The counters can't be written.
    pub fn learn(&self, message: &Message, label: Label) -> Result<(), Failure> {
        counts::learn(&self.counters, self.scope_of(message), &self.keys(message), label)
    }

    /// Undoes what [`Classifier::learn`] did with the same message and label.
    ///
    /// # Errors
    ///
    /// The counters can't be written.
    pub fn forget(&self, message: &Message, label: Label) -> Result<(), Failure> {
        counts::forget(&self.counters, self.scope_of(message), &self.keys(message), label)
    }

    /// Learns that the message of this learn token has this label.
    ///
    /// # Errors
    ///
    /// The token is none, or the counters can't be written.
    pub fn learn_token(&self, token: &[u8], user: Option<&str>, label: Label) -> Result<(), Failure> {
        counts::learn(&self.counters, self.scope(user), &keys::read(token)?, label)
    }

    /// Undoes what [`Classifier::learn_token`] did with the same token, user and label.
    ///
    /// # Errors
    ///
    /// The token is none, or the counters can't be written.
    pub fn forget_token(&self, token: &[u8], user: Option<&str>, label: Label) -> Result<(), Failure> {
        counts::forget(&self.counters, self.scope(user), &keys::read(token)?, label)
    }

    fn keys(&self, message: &Message) -> Vec<u64> {
        Tokens::of(message, &self.settings.bounds).keys().collect()
    }

    /// Where a message is learned.
    fn scope_of(&self, message: &Message) -> Scope {
        if self.settings.users { self.scope(message.fact("user").as_deref()) } else { Scope::Shared }
    }

    /// Where it is learned for a user, or for all.
    fn scope(&self, user: Option<&str>) -> Scope {
        if self.settings.users && user.is_some() { Scope::User } else { Scope::Shared }
    }

    /// What was learned in the scopes that count for a message, with the weight of each.
    fn learned(&self, message: &Message, keys: &[u64]) -> Result<Vec<(Learned, f64)>, Failure> {
        let mut learned = vec![(self.counters.read(Scope::Shared, keys)?, 1.0)];
        if self.scope_of(message) == Scope::User {
            learned.push((self.counters.read(Scope::User, keys)?, self.settings.user_weight));
        }
        Ok(learned)
    }

    fn is_enough(&self, learned: &Learned) -> bool {
        learned.totals.spam.min(learned.totals.ham) >= self.settings.minimum
    }

    /// What is said as long as there is nothing to say.
    fn untrained(&self, learned: &[(Learned, f64)]) -> Finding {
        let most = |count: fn(&Learned) -> u32| learned.iter().map(|(learned, _)| count(learned)).max().unwrap_or(0);
        let (spam, ham) = (most(|learned| learned.totals.spam), most(|learned| learned.totals.ham));
        let minimum = self.settings.minimum;
        let text = format!("not trained yet: has learned {spam} spam and {ham} ham, needs {minimum} of each");
        Finding::new("SPAM_UNTRAINED", text).with_value(0.5)
    }

    /// All points for a message that is certainly spam, fewer in proportion to the logarithm of the odds; likewise below 0 for ham.
    fn points(&self, score: &Score) -> f64 {
        let share = (score.log_odds / score::log_odds(self.settings.certain)).clamp(-1.0, 1.0);
        let points = share * if share > 0.0 { self.settings.points } else { self.settings.ham_points };
        // Hundredths: what is behind them says nothing and is hard to read.
        (points * 100.0).round() / 100.0
    }
}

fn symbol(score: &Score, certain: f64) -> &'static str {
    let share = score.log_odds / score::log_odds(certain);
    match share {
        _ if share >= 1.0 => "SPAM_CERTAIN",
        _ if share > 0.0 => "SPAM_LIKELY",
        _ if share > -1.0 => "HAM_LIKELY",
        _ => "HAM_CERTAIN",
    }
}

popgate_plugin::export!(Spam, learning_by_token);

#[cfg(test)]
mod tests;
