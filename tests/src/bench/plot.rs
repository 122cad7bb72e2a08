//! The processor time of each way as bars, in SVG.

use std::fmt::Write as _;

use crate::mode::MODES;
use crate::report::Report;

/// Pixels of a bar's height, and of the space below it.
const BAR: (usize, usize) = (18, 6);
/// Pixels for the names at the left, and for the longest bar.
const WIDTHS: (usize, usize) = (190, 520);
/// Pixels above each group, for its title.
const TITLE: usize = 34;

/// Bars for microseconds of the proxy's processor time for one operation of a workload. Ways that filter are left out: they
/// do something else. What is longer than this many times the shortest is cut off, and says so.
pub(crate) fn svg(report: &Report, workload: &str) -> String {
    const CUT: f64 = 12.0;
    let mut body = String::new();
    let mut top = 10;
    for mode in MODES {
        let cells: Vec<_> = report.of(mode, workload).filter(|cell| !cell.way.contains("popgate,")).collect();
        let bars: Vec<_> = cells.iter().filter_map(|cell| Some((cell.way, cell.cpu()?))).collect();
        let Some(least) = bars.iter().map(|(_, cpu)| *cpu).min_by(f64::total_cmp) else { continue };
        let most = bars.iter().map(|(_, cpu)| cpu.min(least * CUT)).fold(least, f64::max);
        let _infallible =
            writeln!(body, "<text x=\"10\" y=\"{}\" font-weight=\"bold\">{}</text>", top + 16, mode.name());
        top += TITLE - BAR.1;
        for (way, cpu) in bars {
            let length = (cpu.min(most) / most * WIDTHS.1 as f64).max(1.0);
            let own = if way == "popgate" { "#1b6ca8" } else { "#b8c4cc" };
            let more = if cpu > most { " \u{2026}" } else { "" };
            let text = top + BAR.0 - 4;
            let _infallible = writeln!(
                body,
                "<text x=\"{0}\" y=\"{text}\" text-anchor=\"end\">{way}</text>\
                 <rect x=\"{1}\" y=\"{top}\" width=\"{length:.0}\" height=\"{2}\" fill=\"{own}\"/>\
                 <text x=\"{3:.0}\" y=\"{text}\">{cpu:.0}{more}</text>",
                WIDTHS.0 - 8,
                WIDTHS.0,
                BAR.0,
                WIDTHS.0 as f64 + length + 6.0
            );
            top += BAR.0 + BAR.1;
        }
        top += BAR.1;
    }
    let width = WIDTHS.0 + WIDTHS.1 + 90;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{0}\" viewBox=\"0 0 {width} {0}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"22\" font-size=\"15\">Microseconds of processor time for a message ({workload}): less is better</text>\n\
         <g transform=\"translate(0 30)\">\n{body}</g>\n</svg>\n",
        top + 36
    )
}
