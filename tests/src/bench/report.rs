//! The medians, as a table or as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::load::Moved;

/// The measurements, in the order in which they were first made.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Cell>);

/// The measurements of one size on one way.
#[derive(Debug)]
pub(crate) struct Cell {
    size: &'static str,
    way: &'static str,
    messages_per_second: Vec<f64>,
    megabytes_per_second: Vec<f64>,
    /// Of the proxy; none without one.
    microseconds_per_message: Vec<f64>,
}

impl Cell {
    pub(crate) fn new(size: &'static str, way: &'static str, moved: Moved, spent: Option<Duration>) -> Self {
        let (seconds, messages) = (moved.time.as_secs_f64(), moved.messages as f64);
        Self {
            size,
            way,
            messages_per_second: vec![messages / seconds],
            megabytes_per_second: vec![moved.octets as f64 / 1e6 / seconds],
            microseconds_per_message: spent
                .map(|spent| spent.as_secs_f64() * 1e6 / messages.max(1.0))
                .into_iter()
                .collect(),
        }
    }
}

impl Report {
    /// Adds a measurement.
    pub(crate) fn add(&mut self, cell: Cell) {
        match self.0.iter_mut().find(|known| (known.size, known.way) == (cell.size, cell.way)) {
            Some(known) => {
                known.messages_per_second.extend(cell.messages_per_second);
                known.megabytes_per_second.extend(cell.megabytes_per_second);
                known.microseconds_per_message.extend(cell.microseconds_per_message);
            }
            None => self.0.push(cell),
        }
    }

    /// Speed as a part of what a direct connection of this size has; the first way is the direct one.
    fn ratio(&self, cell: &Cell) -> f64 {
        let direct =
            self.0.iter().find(|other| other.size == cell.size).and_then(|other| median(&other.messages_per_second));
        median(&cell.messages_per_second).unwrap_or(0.0) / direct.unwrap_or(f64::NAN)
    }

    pub(crate) fn table(&self) -> String {
        let mut text = format!(
            "{:<8}{:<20}{:>12}{:>10}{:>10}{:>22}\n",
            "size", "way", "messages/s", "MB/s", "ratio", "proxy CPU µs/message"
        );
        for cell in &self.0 {
            let cpu = median(&cell.microseconds_per_message).map_or("-".to_owned(), |cpu| format!("{cpu:.0}"));
            let _infallible = writeln!(
                text,
                "{:<8}{:<20}{:>12.0}{:>10.1}{:>10.2}{cpu:>22}",
                cell.size,
                cell.way,
                median(&cell.messages_per_second).unwrap_or(0.0),
                median(&cell.megabytes_per_second).unwrap_or(0.0),
                self.ratio(cell)
            );
        }
        text
    }

    pub(crate) fn json(&self) -> Value {
        let cell = |cell: &Cell| {
            json!({
                "size": cell.size,
                "way": cell.way,
                "messages_per_second": median(&cell.messages_per_second),
                "megabytes_per_second": median(&cell.megabytes_per_second),
                "ratio_to_direct": self.ratio(cell),
                "proxy_cpu_microseconds_per_message": median(&cell.microseconds_per_message),
            })
        };
        self.0.iter().map(cell).collect()
    }
}

/// The middle value; none of nothing.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}
