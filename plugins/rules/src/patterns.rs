//! Patterns that are looked for in the same text: all of them in one pass.
//!
//! One automaton for all patterns takes a step for each octet, however many patterns there are. It is made when the filter is
//! configured. Patterns of which it would become too large are looked for one after the other.

use regex::{Regex, RegexBuilder};
use regex_automata::dfa::{Automaton as _, dense};
use regex_automata::{Input, MatchKind, PatternID, PatternSet};

/// Octets that a compiled pattern may take.
const PATTERN_MAX: usize = 1 << 20;

/// Octets of an automaton, and of what it takes to make one.
const AUTOMATON_MAX: usize = 1 << 20;
const MAKING_MAX: usize = 4 << 20;

/// Halves of halves that are tried: a pattern that makes an automaton too large does not spoil those of all others.
const HALVINGS_MAX: u32 = 3;

/// The patterns, in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    written: Vec<String>,
    each: Vec<Regex>,
    groups: Vec<Group>,
}

/// Patterns that follow each other, and the automaton for them if there is one.
#[derive(Debug)]
struct Group {
    first: usize,
    count: usize,
    automaton: Option<dense::DFA<Vec<u32>>>,
}

impl Patterns {
    /// Adds a pattern, and gives its number.
    pub(crate) fn add(&mut self, pattern: &str) -> Result<usize, String> {
        let compiled = RegexBuilder::new(pattern)
            .size_limit(PATTERN_MAX)
            .build()
            .map_err(|fault| format!("`{pattern}` is not a valid pattern: {fault}"))?;
        self.each.push(compiled);
        self.written.push(pattern.to_owned());
        Ok(self.each.len() - 1)
    }

    /// Makes the automatons.
    pub(crate) fn finish(&mut self) {
        let written = std::mem::take(&mut self.written);
        self.groups.clear();
        self.group(&written, 0, HALVINGS_MAX);
    }

    fn group(&mut self, written: &[String], first: usize, halvings: u32) {
        let automaton = automaton(written);
        if automaton.is_none() && halvings > 0 && written.len() > 1 {
            let (left, right) = written.split_at(written.len() / 2);
            self.group(left, first, halvings - 1);
            self.group(right, first + left.len(), halvings - 1);
        } else if !written.is_empty() {
            self.groups.push(Group { first, count: written.len(), automaton });
        }
    }

    /// Notes for each of the patterns whether it stands in the text; what is noted already stays.
    pub(crate) fn look(&self, text: &str, held: &mut Vec<bool>) {
        held.resize(self.each.len(), false);
        for group in &self.groups {
            let held = &mut held[group.first..group.first + group.count];
            let mut found = PatternSet::new(group.count);
            let whole = group.automaton.as_ref().is_some_and(|automaton| {
                automaton.try_which_overlapping_matches(&Input::new(text), &mut found).is_ok()
            });
            for (at, held) in held.iter_mut().enumerate() {
                *held |= match whole {
                    true => PatternID::new(at).is_ok_and(|id| found.contains(id)),
                    // There is none, or it gave up at a character that it does not know.
                    false => self.each[group.first + at].is_match(text),
                };
            }
        }
    }
}

/// One automaton for all of these patterns; none if there can't be one.
fn automaton(patterns: &[String]) -> Option<dense::DFA<Vec<u32>>> {
    let config = dense::Config::new()
        .match_kind(MatchKind::All)
        .unicode_word_boundary(true)
        .dfa_size_limit(Some(AUTOMATON_MAX))
        .determinize_size_limit(Some(MAKING_MAX));
    let automaton = dense::Builder::new().configure(config).build_many(patterns).ok()?;
    // Nothing can stand within a character, which an overlapping search does not mind.
    (!automaton.has_empty()).then_some(automaton)
}

#[cfg(test)]
mod tests {
    use super::Patterns;

    fn patterns(written: &[&str]) -> Patterns {
        let mut patterns = Patterns::default();
        for pattern in written {
            patterns.add(pattern).unwrap();
        }
        patterns.finish();
        patterns
    }

    #[test]
    fn all_at_once_finds_what_each_finds() {
        let large = format!("x{}y", ".{0,300}".repeat(3));
        let written = [
            r"(?i-u)\bfree\b",
            r"free",
            r"(?i)stra\u{df}e",
            r"^a",
            r"z$",
            r"\bword\b",
            r"\S {2,}\S+$",
            r"x*",
            r"(?-u:\B)",
            &large,
            r"[^/?#]*%[0-9A-Fa-f]{2}",
            r"!.*!",
            r"\d+\.",
            "\u{fc}ber",
        ];
        let texts = [
            "",
            "a",
            "free",
            "FREE",
            "carefree",
            "a word",
            "w\u{f6}rd word",
            "STRASSE stra\u{df}e",
            "x  y",
            "an x and a y",
            "1.",
            "\u{661}.",
            "!?!",
            "one\n!two\nz",
            "host%20",
            "\u{dc}ber \u{fc}ber",
            "\u{ff}z",
        ];
        let (all, each) = (patterns(&written), written.map(|one| patterns(&[one])));
        assert!(all.groups.len() > 1 && all.groups.iter().any(|group| group.automaton.is_some()), "{:?}", all.groups);
        for text in texts {
            let mut held = Vec::new();
            all.look(text, &mut held);
            let expected: Vec<bool> = each.iter().map(|one| one.each[0].is_match(text)).collect();
            assert_eq!(held, expected, "{text:?}");
            for (one, expected) in each.iter().zip(expected) {
                let mut held = Vec::new();
                one.look(text, &mut held);
                assert_eq!(held, [expected], "{text:?}");
            }
        }
    }

    #[test]
    fn the_patterns_that_popgate_brings_along_need_one_pass() {
        let mut bodies = Patterns::default();
        for written in super::super::defaults::all() {
            if let Some(body) = &written.body {
                bodies.add(body).unwrap();
            }
        }
        bodies.finish();
        assert!(matches!(&bodies.groups[..], [group] if group.automaton.is_some()), "{:?}", bodies.groups);
    }

    #[test]
    fn what_was_found_in_one_text_stays_found() {
        let patterns = patterns(&["one", "two"]);
        let mut held = Vec::new();
        patterns.look("one", &mut held);
        patterns.look("two", &mut held);
        assert_eq!(held, [true, true]);
    }
}
