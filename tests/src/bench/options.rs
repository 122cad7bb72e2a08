//! The command line.

use std::fs;
use std::path::PathBuf;

use crate::mode::{MODES, Mode};
use crate::plot;
use crate::report::{self, Report};
use crate::way::Kind;

pub(crate) const USAGE: &str = "usage: popgate-bench [--rounds N] [--seconds S] [--only WORKLOAD]... [--modes plain,front,both]
                     [--ways popgate,three,chain,chain-without-spam,relay,haproxy,...] [--idle N] [--json FILE] [--svg FILE] [--markdown FILE]
       popgate-bench filters [--json]
       popgate-bench corpus FOLDER
workloads: sessions, `sessions resumed`, `4 KB`, `10 KB`, `50 KB`, `1 MB`, `25 MB`, idle, beside, far";

/// Which of the workloads is drawn.
const DRAWN: &str = "50 KB";

/// What is to be measured, and where it goes.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) rounds: usize,
    /// Of one measurement.
    pub(crate) seconds: f64,
    /// Connections at rest.
    pub(crate) idle: usize,
    only: Vec<String>,
    modes: Vec<Mode>,
    ways: Option<String>,
    json: Option<PathBuf>,
    svg: Option<PathBuf>,
    markdown: Option<PathBuf>,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// How it should have been.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            rounds: 3,
            seconds: 1.0,
            idle: 1_000,
            only: Vec::new(),
            modes: MODES.to_vec(),
            ways: None,
            json: None,
            svg: None,
            markdown: None,
        };
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or(USAGE)?;
            match name.as_str() {
                "--rounds" => options.rounds = positive(value)?,
                "--idle" => options.idle = positive(value)?,
                "--seconds" => options.seconds = value.parse().ok().filter(|it: &f64| *it > 0.0).ok_or(USAGE)?,
                "--only" => options.only.push(value.clone()),
                "--modes" => options.modes = modes(value)?,
                "--ways" => options.ways = Some(value.to_lowercase()),
                "--json" => options.json = Some(value.into()),
                "--svg" => options.svg = Some(value.into()),
                "--markdown" => options.markdown = Some(value.into()),
                _ => return Err(USAGE.to_owned()),
            }
        }
        Ok(options)
    }

    pub(crate) fn wants(&self, workload: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == workload)
    }

    pub(crate) fn modes(&self) -> Vec<Mode> {
        self.modes.clone()
    }

    /// The ways to measure; the direct one always, since the others are compared with it.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        let Some(ways) = &self.ways else { return Kind::all() };
        let wanted = |kind: &Kind| *kind == Kind::Direct || ways.split(',').any(|way| kind.word() == way);
        Kind::all().into_iter().filter(wanted).collect()
    }

    /// Prints the end of the report, and writes the whole where it is wanted.
    ///
    /// # Errors
    /// A file can't be written.
    pub(crate) fn write(&self, report: &Report) -> std::io::Result<()> {
        print!("{}", report.rest());
        if let Some(file) = &self.json {
            fs::write(file, format!("{:#}\n", report.json()))?;
        }
        if let Some(file) = &self.svg {
            fs::write(file, plot::svg(report, DRAWN))?;
        }
        if let Some(file) = &self.markdown {
            fs::write(file, self.document(report, file)?)?;
        }
        Ok(())
    }

    /// The file with its tables replaced, or made if it is not there: what stands above the first one stays.
    fn document(&self, report: &Report, file: &PathBuf) -> std::io::Result<String> {
        const MARK: &str = "<!-- measured: everything below is written by the benchmark -->\n";
        let old = match fs::read_to_string(file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            read => read.unwrap_or_default(),
        };
        let above = old.split_once(MARK).map_or(old.as_str(), |(above, _)| above);
        let machine = report::machine();
        let peers = machine["peers"].as_array().into_iter().flatten();
        let versions: Vec<_> =
            peers.filter_map(|it| Some(format!("{} ({})", it["peer"].as_str()?, it["version"].as_str()?))).collect();
        let date = std::process::Command::new("date").arg("+%Y-%m-%d").output()?.stdout;
        Ok(format!(
            "{above}{MARK}\nMeasured on {}: {} processors of {}, Linux {}; medians of {} rounds of {} s. {}\n\n{}",
            String::from_utf8_lossy(&date).trim(),
            machine["processors"],
            machine["processor"].as_str().unwrap_or_default(),
            machine["kernel"].as_str().unwrap_or_default(),
            self.rounds,
            self.seconds,
            versions.join("; "),
            report.markdown()
        ))
    }
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| USAGE.to_owned())
}

fn modes(text: &str) -> Result<Vec<Mode>, String> {
    let of = |word: &str| MODES.into_iter().find(|mode| mode.word() == word).ok_or_else(|| USAGE.to_owned());
    text.split(',').map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer;

    fn parsed(line: &str) -> Result<Options, String> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_selection_is_taken_and_nonsense_is_not() {
        let options = parsed("--rounds 5 --modes plain,both --ways popgate,relay --only idle").unwrap();
        assert_eq!((options.rounds, options.modes()), (5, vec![Mode::Plain, Mode::Both]));
        assert_eq!(options.kinds(), [Kind::Direct, Kind::Popgate, Kind::Peer(peer::Kind::Relay)]);
        assert!(options.wants("idle") && !options.wants("4 KB"));
        for wrong in ["--rounds 0", "--rounds", "--modes never", "--fast yes", "--seconds -1"] {
            assert!(parsed(wrong).unwrap_err().starts_with("usage"), "{wrong}");
        }
    }

    #[test]
    fn what_stands_above_the_measurements_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("PERFORMANCE.md");
        fs::write(&file, "# How fast\n\nA text.\n").unwrap();
        let options = parsed(&format!("--markdown {}", file.display())).unwrap();
        for _ in 0..2 {
            options.write(&Report::default()).unwrap();
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.starts_with("# How fast\n\nA text.\n<!-- measured"), "{text}");
            assert_eq!(text.matches("Measured on").count(), 1);
        }
    }
}
