//! The table as text for a terminal, and as Markdown.

use crate::figures::Place;
use crate::peers::MODES;
use crate::summary::{Cell, Line, Standing, Variant};
use crate::targets::Verdict;

/// What surrounds the lines of a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// What it is about: the machine, versions.
    pub(crate) head: Vec<String>,
    /// The lines.
    pub(crate) lines: Vec<Line>,
    /// Failures, with how often each was.
    pub(crate) failures: Vec<(String, usize)>,
}

/// A ratio above this is no accident of the rounds.
const CLEARLY: f64 = 1.05;

/// What the table means. A paragraph each.
const LEGEND: &[&str] = &[
    "Each figure is the median of the rounds, with the least and the greatest. Less is better, except for `ticks`, \
     `speedup` and what is counted by the second (`_per_s`). A tag says how a peer departs from the definition of the workload.",
    "near, far: with two Ps the distance of the two CPUs matters. near: handing a cache line over took less than 100 \
     ns before and after the run; far: it took longer; mixed: the distance changed during the run, so the figure is \
     comparable to no other and not judged, and is left out if each peer has another one; where?: the probe gave no \
     answer. Compare near with near and far with far. Stolen: the share of the wanted CPU time that the host gave to \
     other guests, in the middle one of the runs of a line. It makes everything slower, and delays what waits for the \
     clock. Less than 5 % is not shown.",
    "The ratios are pirn to the best of the others in the same line; below 1 pirn is better. pirn gives each G \
     thread-locals of its own, pirn-shared uses those of its threads; the Gs of pirn-hook wait for what std has, by hooked calls. A figure for another size is not compared where \
     the size matters. A variant without the bound of the workload is compared only if the peer has no other.",
    "A target is a share of what the peer that it names needs in this run. Bytes, and times that are mostly sleep, are \
     judged as they are. The second number is the limit: the least where more is better, else the most. Of several limits the one is shown that is exceeded most, or \
     else the nearest. A question mark says that there is a target, but nothing to \
     judge it by.",
];

/// A number to three digits or so: `0.047`, `45.1`, `1,234`, `12.3M`.
pub(crate) fn short(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if size >= 1e7 {
        format!("{:.1}M", value / 1e6)
    } else if size >= 999.5 {
        thousands(value.round() as i64)
    } else {
        let digits = (2 - size.log10().floor() as i32).clamp(0, 6) as usize;
        let text = format!("{value:.digits$}");
        // 0.5 and not 0.500.
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    }
}

fn thousands(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    format!("{}{}", if value < 0 { "-" } else { "" }, groups.join(","))
}

/// A ratio to three digits, or to a hundredth: `0.0474`, `0.4`, `1.06`, `12`.
pub(crate) fn share(value: f64) -> String {
    if value < 1.0 { short(value) } else { format!("{value:.0$}", if value < 9.995 { 2 } else { 0 }) }
}

impl Report {
    /// Whether both modes of pirn are there, or which of them.
    fn modes(&self) -> Vec<&'static str> {
        let peers = self.peers();
        MODES.into_iter().filter(|mode| peers.contains(mode)).collect()
    }

    fn peers(&self) -> Vec<&'static str> {
        self.lines.first().map(|line| line.cells.iter().map(|(peer, ..)| *peer).collect()).unwrap_or_default()
    }

    /// What each column is about. Those of the targets come last.
    fn header(&self) -> Vec<String> {
        let mut header = vec!["figure".to_owned()];
        header.extend(self.peers().into_iter().map(str::to_owned));
        header.extend(self.modes().into_iter().map(|mode| format!("{mode} to best")));
        header.extend(self.modes().into_iter().map(|mode| format!("{mode} target")));
        header
    }

    /// The same with these peers only.
    pub(crate) fn of(&self, peers: &[&str]) -> Report {
        let mut report = self.clone();
        report.lines.iter_mut().for_each(|line| line.cells.retain(|(peer, ..)| peers.contains(peer)));
        report
    }

    /// The line of a figure: of several places the one where most peers have been.
    pub(crate) fn line(&self, label: &str, metric: &str) -> Option<&Line> {
        let of_figure = self.lines.iter().filter(|line| line.label == label && line.metric == metric);
        // Of two that are alike the first.
        of_figure.rev().max_by_key(|line| line.cells.iter().filter(|(.., cell)| cell.median().is_some()).count())
    }

    /// The whole report for a terminal.
    pub(crate) fn text(&self) -> String {
        let mut text = self.head.join("\n") + "\n\n";
        for (title, list) in self.lists() {
            text += &format!("{title}:\n");
            list.iter().for_each(|line| text += &format!("  {line}\n"));
            text += "\n";
        }
        let mut rows =
            vec![self.header().iter().map(|name| name.splitn(2, ' ').map(str::to_owned).collect()).collect()];
        rows.extend(self.lines.iter().map(|line| self.row(line)));
        text += &aligned(&rows);
        text += "\n";
        LEGEND.iter().for_each(|paragraph| text += &(wrapped(&paragraph.replace('`', ""), 110) + "\n"));
        text
    }

    /// The same as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = self.head.join("\n") + "\n\n";
        for (title, list) in self.lists() {
            text += &format!("{title}:\n\n");
            list.iter().for_each(|line| text += &format!("- {line}\n"));
            text += "\n";
        }
        text += &self.markdown_table(&self.lines.iter().collect::<Vec<_>>(), true);
        LEGEND.iter().for_each(|paragraph| text += &format!("\n{paragraph}\n"));
        text
    }

    /// Some lines as a table, with the columns of the targets or without.
    pub(crate) fn markdown_table(&self, lines: &[&Line], with_targets: bool) -> String {
        let columns = self.header().len() - if with_targets { 0 } else { self.modes().len() };
        let row = |cells: &[String]| format!("| {} |\n", cells[..columns].join(" | "));
        let mut text = row(&self.header()) + &format!("|{}\n", " --- |".repeat(columns));
        lines.iter().for_each(|line| text += &row(&self.markdown_row(line)));
        text
    }

    /// What a reader should see first: what falls short, where others are better, what failed.
    pub(crate) fn lists(&self) -> Vec<(String, Vec<String>)> {
        let mut short_of = Vec::new();
        let mut beaten = Vec::new();
        let (mut reached, mut open) = (0, 0);
        for line in &self.lines {
            for (mode, standing) in line.modes().filter(|(mode, _)| self.modes().contains(mode)) {
                match standing.verdict {
                    Some(verdict) if !verdict.reached() => short_of.push(missed(line, mode, verdict)),
                    Some(_) => reached += 1,
                    None if standing.has_target => open += 1,
                    None => {}
                }
                let falls_short = standing.verdict.is_some_and(|verdict| !verdict.reached());
                let another = standing.best.filter(|(ratio, _)| *ratio > CLEARLY && line.place != Place::Mixed);
                if let Some((ratio, who)) = another.filter(|_| !falls_short) {
                    beaten.push(format!("{}, {mode}: {} of {who}", line.title(), share(ratio)));
                }
            }
        }
        let title =
            format!("Figures that miss their target: {} (reached {reached}, not judged {open})", short_of.len());
        let told = |(text, times): &(String, usize)| match times {
            1 => text.clone(),
            more => format!("{text} ({more} times)"),
        };
        let failures: Vec<String> = self.failures.iter().map(told).collect();
        let mut lists = vec![(title, short_of)];
        lists.push((format!("Figures in which another is better by more than 5 %: {}", beaten.len()), beaten));
        lists.push((format!("Failed runs: {}", failures.len()), failures));
        lists.retain(|(title, list)| !list.is_empty() || title.starts_with("Figures that miss"));
        lists
    }

    /// The cells of one line, each of some lines.
    fn row(&self, line: &Line) -> Vec<Vec<String>> {
        let metric = format!("{} {}", line.metric, line.unit).trim_end().to_owned();
        let mut row = vec![vec![line.workload_and_place(), metric]];
        row[0].extend(line.stolen());
        row.extend(line.cells.iter().map(|(_, _, cell)| match cell {
            Cell::Figures(variants) => variants.first().map_or_else(Vec::new, stacked),
            Cell::Failed => vec!["failed".to_owned()],
            Cell::Nothing => vec!["-".to_owned()],
        }));
        let standings: Vec<Standing> = self.standings(line);
        row.extend(standings.iter().map(|standing| match standing.best {
            Some((ratio, who)) => vec![share(ratio), who.to_owned()],
            None => vec!["-".to_owned()],
        }));
        row.extend(standings.iter().map(|standing| match standing.verdict {
            Some(verdict) => {
                let [is, limit] = [verdict.is, verdict.limit].map(|value| measure(verdict, value));
                let of = verdict.of.map_or_else(String::new, |peer| format!(" {peer}"));
                vec![format!("{} {is}", yes_or_no(verdict)), format!("{} {limit}{of}", at_most(verdict))]
            }
            None => vec![if standing.has_target { "?" } else { "-" }.to_owned()],
        }));
        row
    }

    fn markdown_row(&self, line: &Line) -> Vec<String> {
        let mut row = vec![format!("{}<br>`{}` {}", line.workload_and_place(), line.metric, line.unit)];
        row[0].extend(line.stolen().map(|stolen| format!("<br>{stolen}")));
        row.extend(line.cells.iter().map(|(_, _, cell)| match cell {
            Cell::Figures(variants) => variants.iter().map(in_brackets).collect::<Vec<_>>().join("<br>"),
            Cell::Failed => "failed".to_owned(),
            Cell::Nothing => "-".to_owned(),
        }));
        let standings = self.standings(line);
        row.extend(standings.iter().map(|standing| match standing.best {
            Some((ratio, who)) => format!("{} ({who})", share(ratio)),
            None => "-".to_owned(),
        }));
        row.extend(standings.iter().map(|standing| match standing.verdict {
            Some(verdict) => {
                let [is, limit] = [verdict.is, verdict.limit].map(|value| measure(verdict, value));
                let of = verdict.of.map_or_else(String::new, |peer| format!(" of {peer}"));
                let answer = yes_or_no(verdict);
                let answer = if verdict.reached() { answer.to_owned() } else { format!("**{answer}**") };
                format!("{answer}: {is}{of} ({} {limit})", at_most(verdict))
            }
            None => if standing.has_target { "?" } else { "-" }.to_owned(),
        }));
        row
    }

    fn standings(&self, line: &Line) -> Vec<Standing> {
        let modes = self.modes();
        line.modes().filter(|(mode, _)| modes.contains(mode)).map(|(_, standing)| standing).collect()
    }
}

fn yes_or_no(verdict: Verdict) -> &'static str {
    if verdict.reached() { "yes" } else { "no" }
}

/// How a figure must be to its limit.
fn at_most(verdict: Verdict) -> &'static str {
    if verdict.at_least { ">=" } else { "<=" }
}

/// A number of a verdict: a share, or the figure itself.
fn measure(verdict: Verdict, value: f64) -> String {
    if verdict.of.is_some() { share(value) } else { short(value) }
}

/// What falls short, in one line.
fn missed(line: &Line, mode: &str, verdict: Verdict) -> String {
    let own = line.median(mode).map(short).unwrap_or_default();
    let [is, limit] = [verdict.is, verdict.limit].map(|value| measure(verdict, value));
    let judged = match verdict.of {
        Some(peer) => format!(" is {is} of {peer}"),
        None => String::new(),
    };
    let least = if verdict.at_least { "at least " } else { "" };
    format!("{}, {mode}: {own} {}{judged}, target {least}{limit}", line.title(), line.unit)
}

/// A variant in some lines: median, from-to, tag.
fn stacked(variant: &Variant) -> Vec<String> {
    let mut lines = vec![short(variant.spread.median)];
    if variant.spread.count > 1 {
        lines.push(format!("{}-{}", short(variant.spread.min), short(variant.spread.max)));
    }
    if !variant.tag.is_empty() {
        lines.push(format!("[{}]", variant.tag));
    }
    lines
}

/// A variant in one line.
fn in_brackets(variant: &Variant) -> String {
    let mut text = short(variant.spread.median);
    if variant.spread.count > 1 {
        text += &format!(" ({}-{})", short(variant.spread.min), short(variant.spread.max));
    }
    if !variant.tag.is_empty() {
        text += &format!(" `{}`", variant.tag);
    }
    text
}

/// Rows of cells of lines, in columns: the first to the left, the others to the right.
fn aligned(rows: &[Vec<Vec<String>>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let lines = rows.iter().filter_map(|row| row.get(column)).flatten();
        lines.map(|line| line.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (nth, row) in rows.iter().enumerate() {
        for height in 0..row.iter().map(Vec::len).max().unwrap_or(0) {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let (part, width) = (cell.get(height).map_or("", String::as_str), widths[column]);
                line += &if column == 0 { format!("{part:width$}") } else { format!("  {part:>width$}") };
            }
            text += line.trim_end();
            text += "\n";
        }
        if nth == 0 {
            text += &"-".repeat(widths.iter().sum::<usize>() + 2 * columns.saturating_sub(1));
            text += "\n";
        }
    }
    text
}

/// `text` in lines of no more than `width`.
fn wrapped(text: &str, width: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + word.len() < width => *line += &format!(" {word}"),
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::{failures, recorded};

    /// A run of which the rest of this file makes tables.
    const RECORDED: &str = include_str!("golden/recorded.txt");

    fn report() -> Report {
        Report {
            head: vec!["pirn beside what else one could use, 2 CPUs".to_owned()],
            lines: recorded::lines(RECORDED),
            failures: failures(&recorded::runs(RECORDED)),
        }
    }

    /// Compares with a golden file, line by line. The message of a failure has the whole text.
    fn same(name: &str, golden: &str, text: &str) {
        for (nth, (is, should_be)) in text.lines().zip(golden.lines()).enumerate() {
            assert_eq!(is, should_be, "{name}:{}, in all:\n{text}", nth + 1);
        }
        assert_eq!(text.lines().count(), golden.lines().count(), "{name}:\n{text}");
    }

    #[test]
    fn the_table_for_a_terminal() {
        same("table.txt", include_str!("golden/table.txt"), &report().text());
    }

    #[test]
    fn the_table_as_markdown() {
        let text = report().markdown();
        same("table.md", include_str!("golden/table.md"), &text);
        let columns = |line: &&str| line.matches(" |").count();
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).collect();
        assert!(rows.iter().all(|row| columns(row) == columns(&rows[0])), "{text}");
    }

    #[test]
    fn only_some_peers() {
        let report = report().of(&["pirn", "go"]);
        assert_eq!(report.header(), ["figure", "pirn", "go", "pirn to best", "pirn target"]);
        assert!(!report.text().contains("ns_per_msg, pirn-shared:"));
    }

    #[test]
    fn nothing_was_measured() {
        assert!(Report::default().text().contains("Figures that miss their target: 0"));
        assert!(Report::default().markdown().contains("| figure |"));
    }

    #[test]
    fn numbers_are_short() {
        let all = [0.0, 0.0668, 0.5, 4.0, 45.12, 999.4, 999.6, 1234.0, 72_970.0, 12_345_678.0, -0.7, -1234.0];
        let texts = all.map(short);
        assert_eq!(
            texts,
            ["0", "0.0668", "0.5", "4", "45.1", "999", "1,000", "1,234", "72,970", "12.3M", "-0.7", "-1,234"]
        );
        assert_eq!(
            [0.0474, 0.4, 1.0, 9.94, 12.3, 0.000_01].map(share),
            ["0.0474", "0.4", "1.00", "9.94", "12", "0.00001"]
        );
    }
}
