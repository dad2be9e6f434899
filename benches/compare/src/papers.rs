//! The papers about a run: BENCHMARKS.md with some rows and what falls short, FIGURES.md with everything, and README.md with
//! the figures of its echo server.
//!
//! In BENCHMARKS.md and README.md only what stands between two marks is written; the rest is written by people.

use crate::peers::{HOOK, PEERS, SHARED};
use crate::plan::{Wish, plan};
use crate::summary::{Cell, Line};
use crate::table::{Report, short};
use std::fs;
use std::io;
use std::path::Path;

/// Where the papers are, below the folder of the project.
pub(crate) const BENCHMARKS: &str = "BENCHMARKS.md";
pub(crate) const FIGURES: &str = "benches/FIGURES.md";
pub(crate) const README: &str = "README.md";
/// What they are made of: the table as JSON.
pub(crate) const RECORD: &str = "benches/figures.json";

/// The rows of BENCHMARKS.md: one of each kind. One that a run does not have is left out.
const ROWS: [(&str, &str); 23] = [
    ("spawn_join/2", "ns_per_task"),
    ("spawn_join_handle/1", "ns_per_pair"),
    ("yield1/1", "ns_per_yield"),
    ("fib/2", "ns_per_spawn"),
    ("parked_mem/2", "bytes_per_task"),
    ("timers/2", "over_p99_us"),
    ("hog/2", "late_p99_ms"),
    ("pingpong/1", "ns_per_roundtrip"),
    ("ring/1", "ns_per_hop"),
    ("spsc0/2", "ns_per_msg"),
    ("mpmc128/2", "ns_per_msg"),
    ("select4/2", "ns_per_msg"),
    ("mutex8/2", "ns_per_lock"),
    ("mutex_chan/2", "ns_per_lock"),
    ("barrier/2", "ns_per_wait"),
    ("errgroup/2", "ns_per_task"),
    ("ctx_cancel/2", "ns_per_cancel"),
    ("map90/2", "ns_per_call"),
    ("tcp_echo_1000/2", "msgs_per_s"),
    ("tcp_echo_1000/2", "server_cpu_us_per_msg"),
    ("http_64/2", "requests_per_s"),
    ("connect/2", "conns_per_s"),
    ("idle/2", "bytes_per_conn"),
];

/// What the hook does for std, beside pirn's own and the others.
const HOOKED_ROWS: [(&str, &str); 17] = [
    ("tcp_echo_64/2", "msgs_per_s"),
    ("tcp_echo_64/2", "server_cpu_us_per_msg"),
    ("tcp_echo_1000/2", "msgs_per_s"),
    ("tcp_echo_1000/2", "server_cpu_us_per_msg"),
    ("http_64/2", "requests_per_s"),
    ("idle/2", "bytes_per_conn"),
    ("mutex1/1", "ns_per_lock"),
    ("mutex8/2", "ns_per_lock"),
    ("mutex_sleep/2", "ns_per_hold"),
    ("mutex_sleep/2", "cpu_ns_per_hold"),
    ("condvar_turns/1", "ns_per_turn"),
    ("condvar_turns/2", "ns_per_turn"),
    ("barrier/2", "ns_per_wait"),
    ("pingpong/1", "ns_per_roundtrip"),
    ("pingpong/2", "ns_per_roundtrip"),
    ("sleeps/2", "wall_ms"),
    ("sleeps/2", "cpu_wall_ms"),
];

/// The columns of README.md, and its lines.
const README_PEERS: [(&str, &str); 4] =
    [("std on pirn", HOOK), ("Go", "go"), ("tokio", "tokio"), ("threads", "threads")];
const README_LINES: [(&str, &str); 2] =
    [("messages a second", "msgs_per_s"), ("us of CPU for each", "server_cpu_us_per_msg")];
const README_ROW: &str = "tcp_echo_1000/2";

/// Where what is written begins, by name, and where it ends.
const BEGIN: &str = "<!-- compare writes this: ";
const END: &str = "<!-- to here -->";

/// BENCHMARKS.md, with the parts between its marks written anew.
///
/// # Errors
/// Says which mark is missing.
pub(crate) fn benchmarks(paper: &str, report: &Report) -> Result<String, String> {
    let without = |mode| report.of(&PEERS.map(|peer| if peer == mode { "" } else { peer }));
    let paper = replaced(paper, "rows", &table(&without(HOOK), &ROWS))?;
    let paper = replaced(&paper, "hooked", &table(&without(SHARED), &HOOKED_ROWS))?;
    let (title, shortfalls) = report.lists().swap_remove(0);
    let items: String = shortfalls.iter().map(|what| format!("- {what}\n")).collect();
    replaced(&paper, "shortfalls", &format!("{title}:\n\n{items}"))
}

/// README.md, with its figures written anew.
///
/// # Errors
/// Says which mark is missing.
pub(crate) fn readme(paper: &str, report: &Report) -> Result<String, String> {
    let row = |first: &str, cells: [String; 4]| format!("| {first} | {} |\n", cells.join(" | "));
    let mut text = row("at 1,000 connections", README_PEERS.map(|(name, _)| name.to_owned()));
    text += &row("---", README_PEERS.map(|_| "---".to_owned()));
    for (name, metric) in README_LINES {
        let line = report.line(README_ROW, metric);
        let of = |(_, peer)| line.and_then(|line| line.median(peer)).map_or("-".to_owned(), short);
        text += &row(name, README_PEERS.map(of));
    }
    replaced(paper, "std_echo", &text)
}

fn table(report: &Report, rows: &[(&str, &str)]) -> String {
    let lines: Vec<_> = rows.iter().filter_map(|(label, metric)| report.line(label, metric)).collect();
    report.markdown_table(&lines, false)
}

/// `paper` with `text` where the part `name` was.
fn replaced(paper: &str, name: &str, text: &str) -> Result<String, String> {
    let mark = format!("{BEGIN}{name} -->\n");
    let missing = || format!("no part {name:?} between {mark:?} and {END:?}");
    let (before, rest) = paper.split_once(&mark).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{mark}\n{text}\n{END}{after}"))
}

/// Whether the papers are there and have their marks: to be known before twenty minutes of measuring.
///
/// # Errors
/// Says what is missing.
pub(crate) fn check(root: &Path) -> io::Result<()> {
    let paper = fs::read_to_string(root.join(BENCHMARKS))?;
    for part in ["rows", "hooked", "shortfalls"] {
        replaced(&paper, part, "").map_err(io::Error::other)?;
    }
    let readme = fs::read_to_string(root.join(README))?;
    replaced(&readme, "std_echo", "").map(drop).map_err(io::Error::other)
}

/// FIGURES.md.
pub(crate) fn figures(report: &Report) -> String {
    format!(
        "# Figures\n\n`compare --papers` writes this file from `figures.json`. Do not edit it by hand.\n\
         [BENCHMARKS.md](../BENCHMARKS.md) explains the results, [PEERS.md](PEERS.md) defines the workloads.\n\n{}",
        report.markdown()
    )
}

/// `old` with the rows of `new` in the place of its own, in the order of the plan. Each row is of one run.
pub(crate) fn merged(old: &Report, new: &Report) -> Report {
    let of_old = |line: &&Line| new.lines.iter().all(|newer| newer.label != line.label);
    let mut lines: Vec<Line> = old.lines.iter().filter(of_old).chain(&new.lines).cloned().collect();
    let plan = plan(&Wish::default());
    lines.iter_mut().for_each(for_all_peers);
    lines.sort_by_key(|line| plan.iter().position(|row| row.label() == line.label));
    Report { head: new.head.clone(), lines, failures: [&old.failures[..], &new.failures].concat() }
}

/// A line of a run without some peers has cells for them too.
fn for_all_peers(line: &mut Line) {
    let cells = line.cells.clone();
    let of = |peer| cells.iter().find(|(name, ..)| *name == peer).cloned();
    line.cells = PEERS.into_iter().map(|peer| of(peer).unwrap_or((peer, 0, Cell::Nothing))).collect();
}

/// Writes all of them, below `root`.
///
/// # Errors
/// If a file can not be read or written, or one lacks a mark.
pub(crate) fn write(root: &Path, report: &Report) -> io::Result<()> {
    let paper = fs::read_to_string(root.join(BENCHMARKS))?;
    let paper = benchmarks(&paper, report).map_err(io::Error::other)?;
    let first = fs::read_to_string(root.join(README))?;
    fs::write(root.join(README), readme(&first, report).map_err(io::Error::other)?)?;
    fs::write(root.join(FIGURES), figures(report))?;
    fs::write(root.join(BENCHMARKS), paper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record;
    use crate::summary::recorded;

    fn read(path: &str) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    #[test]
    fn the_papers_are_as_they_are_written() {
        let report = record::report(&read(RECORD)).unwrap();
        let paper = read(BENCHMARKS);
        let hint = "run `cargo run --release -p pirn-compare -- --from benches/figures.json --papers .`";
        assert!(benchmarks(&paper, &report).unwrap() == paper, "{BENCHMARKS}: {hint}");
        assert!(figures(&report) == read(FIGURES), "{FIGURES}: {hint}");
        let paper = read(README);
        assert!(readme(&paper, &report).unwrap() == paper, "{README}: {hint}");
    }

    #[test]
    fn the_rows_are_of_the_plan() {
        let plan = plan(&Wish::default());
        for (label, metric) in ROWS.into_iter().chain(HOOKED_ROWS) {
            let row = plan.iter().find(|row| row.label() == label).unwrap_or_else(|| panic!("no row {label}"));
            assert!(row.shown.contains(&metric), "{label} {metric}");
        }
        let row = plan.iter().find(|row| row.label() == README_ROW).unwrap();
        assert!(README_LINES.iter().all(|(_, metric)| row.shown.contains(metric)));
    }

    #[test]
    fn a_row_has_the_line_where_most_have_been() {
        let lines = recorded::lines(
            "spsc0 near spsc0 pirn 2 ns_per_msg 1 ns\n\
             spsc0 far spsc0 pirn 2 ns_per_msg 2 ns\n\
             spsc0 far spsc0 go 2 ns_per_msg 3 ns",
        );
        let report = Report { lines, ..Report::default() };
        assert_eq!(report.line("spsc0/2", "ns_per_msg").unwrap().median("pirn"), Some(2.0));
        assert!(report.line("spsc0/2", "ns_per_hop").is_none());
    }

    #[test]
    fn some_rows_of_a_newer_run() {
        let report = |text| Report { lines: recorded::lines(text), ..Report::default() };
        let old = report(
            "yield1 - yield1 pirn 1 ns_per_yield 4 ns\n\
             spsc0 near spsc0 pirn 2 ns_per_msg 1 ns\n\
             spsc0 far spsc0 pirn 2 ns_per_msg 9 ns",
        );
        let new = report("spsc0 near spsc0 pirn 2 ns_per_msg 2 ns");
        let merged = merged(&old, &new);
        let figures: Vec<_> = merged.lines.iter().map(|line| (&line.label[..], line.median("pirn"))).collect();
        assert_eq!(figures, [("yield1/1", Some(4.0)), ("spsc0/2", Some(2.0))]);
    }

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let paper = format!("a\n{BEGIN}x -->\nold\n{END}\nb\n{BEGIN}y -->\nstays\n{END}\nc\n");
        let new = replaced(&paper, "x", "new\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}x -->\n\nnew\n\n{END}\nb\n{BEGIN}y -->\nstays\n{END}\nc\n"));
        assert_eq!(replaced(&new, "x", "new\n").unwrap(), new);
        assert!(replaced(&paper, "z", "").unwrap_err().contains("\"z\""));
    }
}
