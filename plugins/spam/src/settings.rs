//! The settings, checked.

use serde::Deserialize;

use crate::tokens::Bounds;

/// The settings; see the crate's documentation.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    minimum: u32,
    users: bool,
    user_weight: f64,
    certain: f64,
    points: f64,
    ham_points: f64,
    clues: usize,
    report: bool,
    learn_tokens: bool,
    pairs: usize,
    tokens: usize,
    part_size: usize,
    text_size: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            minimum: 100,
            users: false,
            user_weight: 5.0,
            certain: 0.9,
            points: 5.0,
            ham_points: 2.0,
            clues: 6,
            report: true,
            learn_tokens: true,
            pairs: 1,
            tokens: 3_000,
            part_size: 65_536,
            text_size: 131_072,
        }
    }
}

/// The settings as the filter uses them.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    /// Messages of either kind that have to be learned.
    pub(crate) minimum: u32,
    /// Whether users have counters of their own.
    pub(crate) users: bool,
    /// What a message of the user counts against one of the installation.
    pub(crate) user_weight: f64,
    /// The probability that gives all the points.
    pub(crate) certain: f64,
    pub(crate) points: f64,
    pub(crate) ham_points: f64,
    pub(crate) clues: usize,
    pub(crate) report: bool,
    /// Whether messages can be learned when they are gone.
    pub(crate) learn_tokens: bool,
    pub(crate) bounds: Bounds,
}

impl TryFrom<Settings> for Checked {
    type Error = String;

    fn try_from(settings: Settings) -> Result<Self, String> {
        let Settings { minimum, users, user_weight, certain, points, ham_points, clues, report, .. } = settings;
        let Settings { learn_tokens, pairs, tokens, part_size, text_size, .. } = settings;
        within("minimum", minimum, 1, 1_000_000)?;
        within("user_weight", user_weight, 1.0, 1000.0)?;
        within("certain", certain, 0.6, 0.999_999)?;
        within("points", points, 0.0, 1000.0)?;
        within("ham_points", ham_points, 0.0, 1000.0)?;
        within("clues", clues, 0, 20)?;
        within("pairs", pairs, 0, crate::tokens::WINDOW)?;
        within("tokens", tokens, 100, crate::tokens::MOST)?;
        within("part_size", part_size, 1024, 1 << 20)?;
        within("text_size", text_size, 1024, 1 << 22)?;
        let bounds = Bounds { part: part_size, message: text_size, tokens, pairs };
        Ok(Self { minimum, users, user_weight, certain, points, ham_points, clues, report, learn_tokens, bounds })
    }
}

fn within<T: PartialOrd + std::fmt::Display>(key: &str, value: T, least: T, most: T) -> Result<(), String> {
    // Written so that what is no number is refused, too.
    if value >= least && value <= most {
        Ok(())
    } else {
        Err(format!("`{key}`: {value} is not from {least} to {most}"))
    }
}
