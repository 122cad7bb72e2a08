//! The reasons of a judgement, for people.

use popgate_plugin::text;

use crate::score::Score;
use crate::tokens::Tokens;

/// Characters of one clue.
const CLUE_MAX: usize = 48;

/// Octets of the whole text: as many as a finding may have.
const TEXT_MAX: usize = 1024;

/// The strongest clues for either side: `spam 0.9987; for: subject:free, money back; against: from:alice`.
///
/// What stands in them is from the mail, so it is cleaned and cut.
pub(crate) fn text(score: &Score, tokens: &Tokens, clues: usize) -> String {
    let mut text = format!("spam probability {:.4}", score.probability());
    let mut strongest = score.clues.clone();
    strongest.sort_by(|one, other| other.1.abs().total_cmp(&one.1.abs()).then(one.0.cmp(&other.0)));
    for (heading, sign) in [("; for it: ", 1.0), ("; against it: ", -1.0)] {
        let mut separator = heading;
        for (position, _) in strongest.iter().filter(|(_, share)| share * sign > 0.0).take(clues) {
            let clue = clean(&tokens.text(*position));
            if text.len() + separator.len() + clue.len() > TEXT_MAX {
                break;
            }
            text.push_str(separator);
            text.push_str(&clue);
            separator = ", ";
        }
    }
    text
}

/// A clue on one line, without the marks that separate clues.
fn clean(clue: &str) -> String {
    text::clean(&clue.replace([',', ';'], " "), CLUE_MAX)
}
