//! What a guest has asked for while it examined one message: edits, findings, a replacement, a learn token. All of it bounded.
//!
//! This is the only place where they are kept. Handles that guests hold are names for it, so
//! that it does not matter when they drop them.

use std::sync::Arc;

use super::limits::CHUNK_MAX;
use super::text;
use crate::filter::{Finding, Verdict};
use crate::message::{Budget, BuildError, Builder, Edit, Limits, Message};

/// Edits of one filter of one message.
const EDITS_MAX: usize = 1_000;

/// Findings of one filter on one message.
const FINDINGS_MAX: usize = 256;

/// Octets of a finding's text.
const FINDING_TEXT_MAX: usize = 1_024;

/// Characters of a finding's symbol.
const SYMBOL_MAX: usize = 64;

/// Octets that a message may grow by, beyond twice its size.
pub(super) const GROWTH: u64 = 1024 * 1024;

/// Where replacements of whole messages are built.
#[derive(Clone, Debug)]
pub(super) struct Room {
    pub(super) limits: Limits,
    pub(super) budget: Arc<Budget>,
}

impl Default for Room {
    /// Rather small, and outside the budget of the messages: for tools and tests.
    fn default() -> Self {
        let limits = Limits { memory: GROWTH, max: u64::MAX, spool: std::env::temp_dir() };
        Self { limits, budget: Arc::new(Budget::new(256 * GROWTH, u64::MAX)) }
    }
}

/// A record; empty at first.
#[derive(Debug)]
pub(super) struct Record {
    filter: Arc<str>,
    edits: Vec<Edit>,
    findings: Vec<Finding>,
    /// By what it can learn the message when it is gone.
    learn_token: Option<Vec<u8>>,
    /// Octets of the edits, the replacement not counted.
    octets: u64,
    /// Octets of edits and replacement, at most.
    octets_max: u64,
    room: Room,
    /// The last replacement that was started, and its number.
    replacement: Option<(u32, Builder)>,
    started: u32,
    /// Whether something was refused only since there is no room at the moment.
    busy: bool,
}

impl Record {
    /// The record of the filter of this name on a message of this many octets.
    pub(super) fn new(filter: Arc<str>, message_octets: u64, room: Room) -> Self {
        Self {
            filter,
            edits: Vec::new(),
            findings: Vec::new(),
            learn_token: None,
            octets: 0,
            octets_max: message_octets.saturating_mul(2).saturating_add(GROWTH),
            room,
            replacement: None,
            started: 0,
            busy: false,
        }
    }

    /// Whether it was for want of room that something was refused.
    pub(super) fn was_busy(&self) -> bool {
        self.busy
    }

    /// Records an edit of `message`.
    ///
    /// # Errors
    /// The reason why not, for the guest; nothing has changed then.
    pub(super) fn edit(&mut self, edit: Edit, message: &Message) -> Result<(), String> {
        if self.edits.len() >= EDITS_MAX {
            return Err(format!("a filter makes at most {EDITS_MAX} edits of a message"));
        }
        let octets = self.octets.saturating_add(edit.octets());
        self.check_octets(octets.saturating_add(self.replacement_octets()))?;
        edit.check(message).map_err(|error| error.to_string())?;
        self.octets = octets;
        self.edits.push(edit);
        Ok(())
    }

    /// Records a finding. The filter's name is not the guest's to say.
    ///
    /// # Errors
    /// The reason why not, for the guest.
    pub(super) fn report(&mut self, symbol: String, points: f64, value: Option<f64>, text: &str) -> Result<(), String> {
        let is_symbol = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'_';
        if symbol.is_empty() || symbol.len() > SYMBOL_MAX || !symbol.bytes().all(is_symbol) {
            return Err(format!("a symbol has 1 to {SYMBOL_MAX} letters, digits and `_`"));
        }
        if text.len() > FINDING_TEXT_MAX {
            return Err(format!("the text of a finding has at most {FINDING_TEXT_MAX} octets"));
        }
        if !points.is_finite() || value.is_some_and(|value| !value.is_finite()) {
            return Err("the points and the value of a finding are finite numbers".into());
        }
        if self.findings.len() >= FINDINGS_MAX {
            return Err(format!("a filter reports at most {FINDINGS_MAX} findings on a message"));
        }
        let text = text::printable(text, FINDING_TEXT_MAX);
        self.findings.push(Finding { filter: self.filter.to_string(), symbol, points, value, text });
        Ok(())
    }

    /// Records a learn token, in the place of the last one.
    ///
    /// # Errors
    /// The reason why not, for the guest; the last one stays then.
    pub(super) fn leave_learn_token(&mut self, token: Vec<u8>) -> Result<(), String> {
        if token.is_empty() || token.len() > CHUNK_MAX {
            return Err(format!("a learn token has 1 to {CHUNK_MAX} octets, not {}", token.len()));
        }
        self.learn_token = Some(token);
        Ok(())
    }

    /// The learn token, which is taken out.
    pub(super) fn take_learn_token(&mut self) -> Option<Vec<u8>> {
        self.learn_token.take()
    }

    /// Starts a replacement, in the place of the last one. Gives its number.
    ///
    /// # Errors
    /// The reason why not, for the guest.
    pub(super) fn replace(&mut self) -> Result<u32, String> {
        if self.started as usize >= EDITS_MAX {
            return Err(format!("a filter starts at most {EDITS_MAX} replacements of a message"));
        }
        self.started += 1;
        let builder = Builder::new(self.room.limits.clone(), Arc::clone(&self.room.budget));
        self.replacement = Some((self.started, builder));
        Ok(self.started)
    }

    /// Appends to the replacement of this number.
    ///
    /// # Errors
    /// The reason why not, for the guest.
    pub(super) fn write(&mut self, number: u32, octets: &[u8]) -> Result<(), String> {
        if octets.len() > CHUNK_MAX {
            return Err(format!("at most {CHUNK_MAX} octets are written at a time"));
        }
        let sum = self.octets.saturating_add(self.replacement_octets()).saturating_add(octets.len() as u64);
        self.check_octets(sum)?;
        match &mut self.replacement {
            Some((current, builder)) if *current == number => builder.push(octets).map_err(|error| {
                self.busy |= is_passing(&error);
                // A builder that has failed is incomplete.
                self.replacement = None;
                error.to_string()
            }),
            _ => Err("another replacement was started, or this one has failed".into()),
        }
    }

    /// What the record amounts to, with the guest's verdict.
    ///
    /// # Errors
    /// The replacement can't be taken.
    pub(super) fn close(self, verdict: &Verdict, message: &Message) -> Result<(Vec<Edit>, Vec<Finding>), Unfit> {
        if *verdict != Verdict::Pass {
            return Ok((Vec::new(), self.findings));
        }
        let mut edits = self.edits;
        match self.replacement {
            Some((_, builder)) => {
                let replacement = Edit::ReplaceMessage(builder.finish().map_err(Unfit::Spool)?);
                replacement.check(message).map_err(|error| Unfit::Mail(error.to_string()))?;
                edits.push(replacement);
            }
            // The last one counts, and it could not be written to its end.
            None if self.started > 0 => return Err(Unfit::Incomplete),
            None => {}
        }
        Ok((edits, self.findings))
    }

    fn replacement_octets(&self) -> u64 {
        self.replacement.as_ref().map_or(0, |(_, builder)| builder.len())
    }

    fn check_octets(&self, octets: u64) -> Result<(), String> {
        if octets > self.octets_max {
            return Err(format!("the edits of this message have at most {} octets", self.octets_max));
        }
        Ok(())
    }
}

/// Why a replacement of the whole message can't be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    /// It is no mail.
    #[error("replaced the message with what is no mail: {0}")]
    Mail(String),
    /// Writing it has failed, and the guest has passed the message all the same.
    #[error("passed the message although its replacement could not be written to the end")]
    Incomplete,
    /// There is no place to put it.
    #[error("the replacement of the message could not be kept: {0}")]
    Spool(BuildError),
}

pub(super) fn is_passing(error: &BuildError) -> bool {
    matches!(error, BuildError::Busy | BuildError::Spool(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message::from_bytes(b"Subject: one\r\n\r\ntext\r\n".to_vec())
    }

    fn record() -> Record {
        Record::new("test".into(), message().len(), Room::default())
    }

    fn header(value: &str) -> Edit {
        Edit::AddHeader { name: "X-Test".into(), value: value.into() }
    }

    #[test]
    fn a_refused_edit_leaves_nothing_behind() {
        let (mut record, message) = (record(), message());
        assert!(record.edit(header("two\r\nX-Forged: yes"), &message).is_err());
        assert!(record.edit(Edit::RemovePart { index: 0 }, &message).is_err());
        assert!(record.edit(Edit::RemovePart { index: 7 }, &message).is_err());
        assert!(record.edit(header("two"), &message).is_ok());
        let (edits, _) = record.close(&Verdict::Pass, &message).unwrap();
        assert!(matches!(&edits[..], [Edit::AddHeader { value, .. }] if value == "two"));
    }

    #[test]
    fn the_number_and_the_size_of_edits_are_bounded() {
        let message = message();
        let mut many = record();
        assert_eq!((0..2_000).filter(|_| many.edit(header("x"), &message).is_ok()).count(), EDITS_MAX);
        let mut large = record();
        let text = Edit::ReplacePart { index: 0, text: "x".repeat(CHUNK_MAX) };
        assert_eq!((0..100).filter(|_| large.edit(text.clone(), &message).is_ok()).count(), 16);
    }

    #[test]
    fn a_replacement_is_bounded_and_the_last_one_counts() {
        let (mut record, message) = (record(), message());
        let first = record.replace().unwrap();
        assert_eq!((0..100).filter(|_| record.write(first, &[b'x'; CHUNK_MAX]).is_ok()).count(), 16);
        let second = record.replace().unwrap();
        assert!(record.write(first, b"x").is_err());
        record.write(second, b"Subject: new\r\n\r\n").unwrap();
        record.write(second, b"text\r\n").unwrap();
        let (edits, _) = record.close(&Verdict::Pass, &message).unwrap();
        assert!(matches!(&edits[..], [Edit::ReplaceMessage(new)] if new.header("Subject").as_deref() == Some("new")));
    }

    #[test]
    fn a_replacement_that_is_no_mail_is_the_failure_of_the_filter() {
        let (mut record, message) = (record(), message());
        let number = record.replace().unwrap();
        record.write(number, b"\r\nonly a body").unwrap();
        assert!(matches!(record.close(&Verdict::Pass, &message), Err(Unfit::Mail(_))));
    }

    #[test]
    fn the_last_learn_token_of_a_legal_size_counts() {
        let mut record = record();
        assert!(record.leave_learn_token(Vec::new()).is_err());
        assert_eq!(record.take_learn_token(), None);
        for token in [vec![0; CHUNK_MAX], b"last".to_vec()] {
            record.leave_learn_token(token).unwrap();
        }
        let refused = record.leave_learn_token(vec![0; CHUNK_MAX + 1]).unwrap_err();
        assert_eq!(refused, "a learn token has 1 to 65536 octets, not 65537");
        assert_eq!(record.take_learn_token().as_deref(), Some(&b"last"[..]));
    }

    #[test]
    fn findings_bear_the_name_of_the_filter_and_are_checked() {
        let mut record = record();
        for (symbol, points, value, text) in [
            ("", 0.0, None, ""),
            ("WITH SPACE", 0.0, None, ""),
            ("A", f64::NAN, None, ""),
            ("A", 0.0, Some(f64::INFINITY), ""),
        ] {
            assert!(record.report(symbol.into(), points, value, text).is_err());
        }
        assert!(record.report("A".repeat(65), 0.0, None, "").is_err());
        assert!(record.report("A".into(), 0.0, None, &"x".repeat(1_025)).is_err());
        let reported = (0..1_000).filter(|_| record.report("A_1".into(), 1.5, Some(0.5), "two\nlines").is_ok());
        assert_eq!(reported.count(), FINDINGS_MAX);
        let (_, findings) = record.close(&Verdict::Hold("x".into()), &message()).unwrap();
        assert_eq!((&*findings[0].filter, &*findings[0].text), ("test", "two\\nlines"));
    }
}
