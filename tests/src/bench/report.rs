//! What was measured, as tables of ratios and as JSON.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::beside;
use crate::far;
use crate::load::Done;
use crate::mode::{MODES, Mode};
use crate::peer;

/// The measurements, in the order in which they were first made.
#[derive(Debug, Default)]
pub(crate) struct Report {
    cells: Vec<Cell>,
    /// Ways that are not there, and why.
    missing: Vec<(Mode, &'static str, String)>,
    /// KiB of memory for a connection at rest.
    idle: Vec<(Mode, &'static str, f64)>,
    far: Vec<far::Row>,
    /// A session without a filter beside others.
    beside: Vec<beside::Row>,
    /// What could not be beside it, and why.
    not_beside: Option<String>,
}

/// The measurements of one workload on one way.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) mode: Mode,
    pub(crate) workload: &'static str,
    pub(crate) way: &'static str,
    rates: Vec<f64>,
    megabytes: Vec<f64>,
    medians: Vec<f64>,
    tails: Vec<f64>,
    /// Microseconds of the proxy's processor time for an operation; none without a proxy.
    cpu: Vec<f64>,
    octets_each: f64,
}

impl Cell {
    pub(crate) fn new(
        mode: Mode,
        workload: &'static str,
        way: &'static str,
        done: &Done,
        spent: Option<Duration>,
    ) -> Self {
        let (seconds, operations) = (done.time.as_secs_f64(), done.operations.max(1) as f64);
        Self {
            mode,
            workload,
            way,
            rates: vec![done.operations as f64 / seconds],
            megabytes: vec![done.octets as f64 / 1e6 / seconds],
            medians: vec![done.percentile(50)],
            tails: vec![done.percentile(99)],
            cpu: spent.map(|spent| spent.as_secs_f64() * 1e6 / operations).into_iter().collect(),
            octets_each: done.octets as f64 / operations,
        }
    }

    /// Microseconds of the proxy for an operation.
    pub(crate) fn cpu(&self) -> Option<f64> {
        median(&self.cpu)
    }

    /// Seconds of the proxy for 10^9 octets.
    fn cpu_per_gigabyte(&self) -> Option<f64> {
        Some(self.cpu()? * 1e3 / self.octets_each).filter(|seconds| seconds.is_finite())
    }
}

impl Report {
    pub(crate) fn add(&mut self, cell: Cell) {
        let same = |known: &&mut Cell| (known.mode, known.workload, known.way) == (cell.mode, cell.workload, cell.way);
        match self.cells.iter_mut().find(same) {
            Some(known) => {
                known.rates.extend(cell.rates);
                known.megabytes.extend(cell.megabytes);
                known.medians.extend(cell.medians);
                known.tails.extend(cell.tails);
                known.cpu.extend(cell.cpu);
            }
            None => self.cells.push(cell),
        }
    }

    pub(crate) fn is_missing(&mut self, mode: Mode, way: &'static str, reason: String) {
        if !self.missing.iter().any(|(known, name, _)| (*known, *name) == (mode, way)) {
            self.missing.push((mode, way, reason));
        }
    }

    pub(crate) fn add_idle(&mut self, mode: Mode, way: &'static str, kib: f64) {
        self.idle.push((mode, way, kib));
    }

    pub(crate) fn set_far(&mut self, far: Vec<far::Row>) {
        self.far = far;
    }

    pub(crate) fn set_beside(&mut self, rows: Vec<beside::Row>, missing: Option<String>) {
        (self.beside, self.not_beside) = (rows, missing);
    }

    /// The cells of a workload, in order.
    pub(crate) fn of(&self, mode: Mode, workload: &str) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(move |cell| cell.mode == mode && cell.workload == workload)
    }

    /// Speed as a part of what a direct connection has in the same mode; the first way is the direct one.
    pub(crate) fn ratio(&self, cell: &Cell) -> f64 {
        let direct = self.of(cell.mode, cell.workload).next().and_then(|direct| median(&direct.rates));
        median(&cell.rates).unwrap_or(0.0) / direct.unwrap_or(f64::NAN)
    }

    fn workloads(&self, mode: Mode) -> Vec<&'static str> {
        let mut names = Vec::new();
        for cell in self.cells.iter().filter(|cell| cell.mode == mode) {
            if !names.contains(&cell.workload) {
                names.push(cell.workload);
            }
        }
        names
    }

    /// Tables in Markdown, which are legible as they are.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        for mode in MODES {
            for workload in self.workloads(mode) {
                text.push_str(&self.table(mode, workload));
            }
        }
        text + &self.rest()
    }

    /// What there is besides the loads.
    pub(crate) fn rest(&self) -> String {
        let mut text = String::new();
        self.idle_table(&mut text);
        self.far_table(&mut text);
        self.beside_table(&mut text);
        for (mode, way, reason) in &self.missing {
            let _infallible = writeln!(text, "* {way}, {}: {reason}", mode.name());
        }
        text
    }

    /// One load.
    pub(crate) fn table(&self, mode: Mode, workload: &str) -> String {
        let mut text = String::new();
        let header = ["each second", "ratio", "MB/s", "p50 ms", "p99 ms", "CPU µs each", "CPU s/GB"];
        let mut rows = Vec::new();
        for cell in self.of(mode, workload) {
            let shown = |value: Option<f64>, digits: usize| {
                value.filter(|it| it.is_finite()).map_or("-".to_owned(), |it| format!("{it:.digits$}"))
            };
            let columns = vec![
                shown(median(&cell.rates), 0),
                shown(Some(self.ratio(cell)), 2),
                shown(median(&cell.megabytes).filter(|it| *it > 0.0), 0),
                shown(median(&cell.medians), 2),
                shown(median(&cell.tails), 2),
                shown(cell.cpu(), 0),
                shown(cell.cpu_per_gigabyte(), 2),
            ];
            rows.push((cell.way.to_owned(), columns));
        }
        aligned(&mut text, &format!("{workload}, {}", mode.name()), &header, &rows);
        text
    }

    fn idle_table(&self, text: &mut String) {
        let mut rows: Vec<(String, Vec<String>)> = Vec::new();
        for (_, way, _) in &self.idle {
            if !rows.iter().any(|(name, _)| name == way) {
                let of = |mode: Mode| {
                    let found = self.idle.iter().find(|(its, name, _)| (*its, name) == (mode, way));
                    found.map_or("-".to_owned(), |(.., kib)| format!("{kib:.1}"))
                };
                rows.push(((*way).to_owned(), MODES.map(of).to_vec()));
            }
        }
        if !rows.is_empty() {
            aligned(text, "KiB of its own for a connection at rest", &MODES.map(Mode::name), &rows);
        }
    }

    fn far_table(&self, text: &mut String) {
        let row = |row: &far::Row| {
            let shown = |seconds: f64| format!("{seconds:.2}");
            let cells = [Some(row.retr), Some(row.dele), row.fetchmail];
            (row.way.clone(), cells.map(|seconds| seconds.map_or("-".to_owned(), shown)).to_vec())
        };
        let rows: Vec<_> = self.far.iter().map(row).collect();
        if !rows.is_empty() {
            let title = "Seconds for 200 messages of 10 KB from a server 50 ms away";
            aligned(text, title, &["RETR", "RETR and DELE", "fetchmail"], &rows);
        }
    }

    fn beside_table(&self, text: &mut String) {
        let row = |row: &beside::Row| {
            let shown = |values: &[f64], digits: usize| {
                median(values).map_or("-".to_owned(), |value| format!("{value:.digits$}"))
            };
            (row.beside.to_owned(), vec![shown(&row.rates, 0), shown(&row.medians, 2), shown(&row.tails, 2)])
        };
        let rows: Vec<_> = self.beside.iter().map(row).collect();
        if !rows.is_empty() {
            let title = "4 KB to a client without a filter, beside";
            aligned(text, title, &["each second", "p50 ms", "p99 ms"], &rows);
        }
        if let Some(missing) = &self.not_beside {
            let _infallible = writeln!(text, "* a filter in Python: {missing}");
        }
    }

    /// Everything, and where it was measured.
    pub(crate) fn json(&self) -> Value {
        let cell = |cell: &Cell| {
            json!({
                "mode": cell.mode.word(),
                "workload": cell.workload,
                "way": cell.way,
                "per_second": median(&cell.rates),
                "ratio_to_direct": self.ratio(cell),
                "megabytes_per_second": median(&cell.megabytes),
                "p50_milliseconds": median(&cell.medians),
                "p99_milliseconds": median(&cell.tails),
                "proxy_cpu_microseconds": cell.cpu(),
                "proxy_cpu_seconds_per_gigabyte": cell.cpu_per_gigabyte(),
            })
        };
        json!({
            "machine": machine(),
            "measurements": self.cells.iter().map(cell).collect::<Vec<_>>(),
            "idle_kib": self.idle.iter().map(|(mode, way, kib)| json!({"mode": mode.word(), "way": way, "kib": kib}))
                .collect::<Vec<_>>(),
            "far_seconds": self.far.iter().map(|row| json!({"way": row.way, "retr": row.retr, "retr_and_dele": row.dele, "fetchmail": row.fetchmail}))
                .collect::<Vec<_>>(),
            "beside": self.beside.iter().map(|row| json!({
                "beside": row.beside,
                "per_second": median(&row.rates),
                "p50_milliseconds": median(&row.medians),
                "p99_milliseconds": median(&row.tails),
            })).collect::<Vec<_>>(),
            "missing": self.missing.iter().map(|(mode, way, why)| json!({"mode": mode.word(), "way": way, "why": why}))
                .collect::<Vec<_>>(),
        })
    }
}

/// Processor, kernel, and the versions of the peers.
pub(crate) fn machine() -> Value {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let processor = read("/proc/cpuinfo");
    let model = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let versions: Vec<_> = peer::KINDS
        .into_iter()
        .filter_map(|kind| Some(json!({"peer": kind.name(), "version": kind.version()?})))
        .collect();
    json!({
        "processor": model.map_or("unknown", |(_, name)| name.trim()),
        "processors": std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "peers": versions,
    })
}

/// A table whose columns stand one below the other.
fn aligned(text: &mut String, title: &str, header: &[&str], rows: &[(String, Vec<String>)]) {
    let first = rows.iter().map(|(name, _)| name.chars().count()).chain([title.chars().count()]).max().unwrap_or(0);
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|(_, cells)| cells.get(at)).map(|cell| cell.chars().count());
        cells.chain([header[at].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..header.len()).map(width).collect();
    let mut line = |name: &str, cells: &mut dyn Iterator<Item = &str>| {
        let _infallible = write!(text, "| {name:<first$} |");
        for (cell, width) in cells.zip(&widths) {
            let _infallible = write!(text, " {cell:>width$} |");
        }
        text.push('\n');
    };
    line(title, &mut header.iter().copied());
    let rules: Vec<_> = widths.iter().map(|width| format!("{}:", "-".repeat(width - 1))).collect();
    line(&"-".repeat(first), &mut rules.iter().map(String::as_str));
    for (name, cells) in rows {
        line(name, &mut cells.iter().map(String::as_str));
    }
    text.push('\n');
}

/// The middle value; none of nothing.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(operations: u64) -> Done {
        Done { operations, octets: operations * 1000, time: Duration::from_secs(1), each: vec![1000; 10] }
    }

    #[test]
    fn ratios_are_to_the_direct_way_of_the_same_mode() {
        let mut report = Report::default();
        for (mode, way, operations) in
            [(Mode::Plain, "direct", 100), (Mode::Plain, "popgate", 50), (Mode::Front, "direct", 10)]
        {
            let spent = (way != "direct").then(|| Duration::from_millis(5));
            report.add(Cell::new(mode, "4 KB", way, &done(operations), spent));
        }
        let cells: Vec<_> = report.of(Mode::Plain, "4 KB").collect();
        assert_eq!((report.ratio(cells[1]), cells[1].cpu(), cells[0].cpu()), (0.5, Some(100.0), None));
        assert_eq!(cells[1].cpu_per_gigabyte(), Some(100.0));
        let text = report.markdown();
        assert!(text.contains("| popgate     |") && text.contains("4 KB, TLS in front"), "{text}");
        assert!(text.lines().filter(|line| line.starts_with('|')).all(|line| line.ends_with('|')), "{text}");
    }

    #[test]
    fn the_middle_of_the_rounds_counts() {
        let mut report = Report::default();
        for operations in [10, 1000, 20] {
            report.add(Cell::new(Mode::Plain, "4 KB", "direct", &done(operations), None));
        }
        assert_eq!(report.json()["measurements"][0]["per_second"], 20.0);
    }
}
