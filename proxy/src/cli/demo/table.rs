//! The table of `popgate demo --once`: a line a mail.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar;

use super::client::Received;
use crate::demo::SampleMail;
use crate::filter::Disposition;
use crate::message::Message;
use crate::session::driver::Judged;

/// The widest a subject is shown, in characters.
const SUBJECT: usize = 34;

/// Renders the table.
pub(super) fn render(mails: &[SampleMail], received: &[Received], judged: &[Judged]) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{:>2}  {:<SUBJECT$}  {:<SUBJECT$}  {:>9}  {:<7}  {:>9}  filters",
        "#", "subject before", "subject after", "size", "verdict", "time"
    );
    for (index, mail) in mails.iter().enumerate() {
        let before = subject(&Message::from_bytes(mail.content.clone()));
        let (after, size) = match received.get(index) {
            Some(Received::Message(message)) => (subject(message), size(message.len())),
            Some(Received::Refused(reply)) => (reply.clone(), String::new()),
            None => (String::new(), String::new()),
        };
        let after = if after == before { "=".to_owned() } else { after };
        let seen = judged.get(index);
        let verdict = seen.map_or("", |seen| match seen.disposition {
            Disposition::Deliver => "pass",
            Disposition::Hold { .. } => "hold",
            Disposition::Retry { .. } => "retry",
        });
        let time = seen.map_or(0.0, |seen| {
            seen.report.filters.iter().map(|filter| filter.elapsed.as_secs_f64() * 1000.0).sum::<f64>()
        });
        let _ = writeln!(
            text,
            "{:>2}  {}  {}  {size:>9}  {verdict:<7}  {:>9}  {}",
            index + 1,
            cell(&before, SUBJECT),
            cell(&after, SUBJECT),
            format!("{time:.1} ms"),
            seen.map(filters).unwrap_or_default(),
        );
    }
    text
}

/// What each filter did.
fn filters(seen: &Judged) -> String {
    let shares = seen.report.filters.iter().map(|filter| {
        let symbols: Vec<&str> = seen
            .report
            .findings
            .iter()
            .filter(|finding| finding.filter == filter.name)
            .map(|finding| finding.symbol.as_str())
            .collect();
        let verdict = if filter.changed { "changed" } else { filter.verdict };
        match symbols.is_empty() {
            true => format!("{}: {verdict}", filter.name),
            false => format!("{}: {verdict} ({})", filter.name, symbols.join(" ")),
        }
    });
    shares.collect::<Vec<_>>().join(", ")
}

fn subject(message: &Message) -> String {
    message.header("Subject").unwrap_or_else(|| "(no subject)".into())
}

/// Octets as people say them.
fn size(octets: u64) -> String {
    match octets {
        0..1000 => format!("{octets} B"),
        1000..1_000_000 => format!("{:.1} kB", octets as f64 / 1e3),
        _ => format!("{:.1} MB", octets as f64 / 1e6),
    }
}

/// A text in a column: cut and padded by what a terminal shows.
fn cell(text: &str, width: usize) -> String {
    let clean = text.chars().filter(|character| !character.is_control());
    let (mut shown, mut used) = (String::new(), 0);
    for character in clean {
        let wide = character.width().unwrap_or(0);
        if used + wide > width - 1 {
            shown.push('…');
            used += 1;
            break;
        }
        shown.push(character);
        used += wide;
    }
    shown.push_str(&" ".repeat(width.saturating_sub(used)));
    shown
}
