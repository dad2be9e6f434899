//! The table as data: a line for each figure at each place, with its ratios and verdicts.

use crate::figures::{Outcome, Place, Run, Spread, more_is_better, spread};
use crate::peers::MODES;
use crate::plan::{Row, depends_on_place};
use crate::targets::{Verdict, target};
use std::collections::BTreeMap;

/// A host that takes less than this is a quiet one.
const STOLEN_MIN: f64 = 0.05;

/// One way in which a peer did a workload.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Variant {
    /// How it departs from the definition; empty if it does not.
    pub(crate) tag: String,
    /// What the rounds came to.
    pub(crate) spread: Spread,
}

/// What one peer has in a line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    /// Figures: the variant that is compared comes first.
    Figures(Vec<Variant>),
    /// It failed each time.
    Failed,
    /// It has no such workload, was not asked, or was at another place.
    Nothing,
}

impl Cell {
    /// What is compared.
    pub(crate) fn median(&self) -> Option<f64> {
        match self {
            Cell::Figures(variants) => Some(variants.first()?.spread.median),
            Cell::Failed | Cell::Nothing => None,
        }
    }
}

/// One of [`MODES`], beside the others.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Standing {
    /// Whether there is a target at all.
    pub(crate) has_target: bool,
    /// Its ratio to the best of the others, below 1 if pirn is better, and who that is.
    pub(crate) best: Option<(f64, &'static str)>,
    /// Whether the target is reached, if there is one and something to measure it by.
    pub(crate) verdict: Option<Verdict>,
}

/// A line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// The row of the plan, `spawn_join/1`.
    pub(crate) label: String,
    /// The workload, as the programs call it.
    pub(crate) workload: &'static str,
    /// On how many Ps.
    pub(crate) procs: usize,
    /// The figure.
    pub(crate) metric: &'static str,
    /// Its unit.
    pub(crate) unit: String,
    /// Where the CPUs were.
    pub(crate) place: Place,
    /// How much of the CPU time that was wanted the host gave to others, in the middle one of its runs.
    pub(crate) stolen: Option<f64>,
    /// Who has what, in the order of the peers, with the size at which.
    pub(crate) cells: Vec<(&'static str, usize, Cell)>,
    /// How each of [`MODES`] stands.
    pub(crate) standings: [Standing; MODES.len()],
}

impl Line {
    /// `spawn_join/2 near`.
    pub(crate) fn workload_and_place(&self) -> String {
        format!("{} {}", self.label, self.place).trim_end().to_owned()
    }

    /// `38 % stolen`, if it is so much that it matters.
    pub(crate) fn stolen(&self) -> Option<String> {
        let share = self.stolen.filter(|share| *share >= STOLEN_MIN)?;
        Some(format!("{:.0} % stolen", share * 100.0))
    }

    /// `spawn_join/2 near ns_per_task, 38 % stolen`.
    pub(crate) fn title(&self) -> String {
        let stolen = self.stolen().map_or_else(String::new, |stolen| format!(", {stolen}"));
        format!("{} {}{stolen}", self.workload_and_place(), self.metric)
    }

    /// How they stand, by name.
    pub(crate) fn modes(&self) -> impl Iterator<Item = (&'static str, Standing)> {
        MODES.into_iter().zip(self.standings)
    }

    /// How one of them stands.
    #[cfg(test)]
    pub(crate) fn standing(&self, mode: &str) -> Standing {
        self.modes().find(|(name, _)| *name == mode).map(|(_, standing)| standing).unwrap_or_default()
    }

    /// What `peer` has.
    pub(crate) fn median(&self, peer: &str) -> Option<f64> {
        self.cells.iter().find(|(name, ..)| *name == peer)?.2.median()
    }
}

/// The table of `runs`, in the order of `plan`.
pub(crate) fn summarize(plan: &[Row], peers: &[&'static str], runs: &[Run]) -> Vec<Line> {
    let mut lines = Vec::new();
    for row in plan {
        let runs: Vec<&Run> = runs.iter().filter(|run| run.row == row.name && run.procs == row.procs).collect();
        for metric in row.shown {
            lines.extend(places(metric, &runs).into_iter().map(|place| line(row, metric, place, peers, &runs)));
        }
    }
    lines
}

/// The places that have a line: those of figures, or one for failures only. What is mixed has one for the sake of those
/// who have nothing else.
fn places(metric: &str, runs: &[&Run]) -> Vec<Place> {
    let has = |run: &&&Run| run.figures().iter().any(|figure| figure.metric == metric);
    let of: Vec<(Place, &str)> =
        runs.iter().filter(has).map(|run| (place_for(metric, run), run.peer.as_str())).collect();
    let mut places: Vec<Place> = of.iter().map(|(place, _)| *place).collect();
    places.sort();
    places.dedup();
    let elsewhere = |peer: &str| of.iter().any(|(place, other)| *place != Place::Mixed && *other == peer);
    if of.iter().all(|(_, peer)| elsewhere(peer)) {
        places.retain(|place| *place != Place::Mixed);
    }
    if places.is_empty() && runs.iter().any(|run| matches!(run.outcome, Outcome::Failed { .. })) {
        places.push(Place::Any);
    }
    places
}

fn place_for(metric: &str, run: &Run) -> Place {
    if depends_on_place(metric) { run.place() } else { Place::Any }
}

fn line(row: &Row, metric: &'static str, place: Place, peers: &[&'static str], runs: &[&Run]) -> Line {
    let mut unit = String::new();
    let mut cells = Vec::new();
    for peer in peers {
        let runs: Vec<&Run> = runs.iter().copied().filter(|run| run.peer == *peer).collect();
        let mut variants: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for run in runs.iter().filter(|run| place_for(metric, run) == place) {
            for figure in run.figures().iter().filter(|figure| figure.metric == metric) {
                variants.entry(&figure.tag).or_default().push(figure.value);
                unit.clone_from(&figure.unit);
            }
        }
        let failed = !runs.is_empty() && runs.iter().all(|run| matches!(run.outcome, Outcome::Failed { .. }));
        let cell = match sorted(metric, variants) {
            variants if !variants.is_empty() => Cell::Figures(variants),
            _ if failed => Cell::Failed,
            _ => Cell::Nothing,
        };
        cells.push((*peer, row.size(peer), cell));
    }
    let of_line = runs.iter().filter(|run| place_for(metric, run) == place);
    let stolen = spread(of_line.filter_map(|run| run.stolen).collect()).map(|spread| spread.median);
    let standings = [Standing::default(); MODES.len()];
    let (label, workload, procs) = (row.label(), row.workload, row.procs);
    let mut line = Line { label, workload, procs, metric, unit, place, stolen, cells, standings };
    line.standings = MODES.map(|mode| standing(row, &line, mode));
    line
}

/// The variants of a peer, what keeps to the definition first; among equals the better one.
fn sorted(metric: &str, variants: BTreeMap<&str, Vec<f64>>) -> Vec<Variant> {
    // What has no bound has no back-pressure, which is most of the work.
    let rank = |tag: &str| if tag.is_empty() { 0 } else { 1 + usize::from(tag.contains("unbounded")) };
    let better = if more_is_better(metric) { -1.0 } else { 1.0 };
    let mut variants: Vec<Variant> = variants
        .into_iter()
        .filter_map(|(tag, values)| Some(Variant { tag: tag.to_owned(), spread: spread(values)? }))
        .collect();
    variants.sort_by(|a, b| {
        let by_value = f64::total_cmp(&(better * a.spread.median), &(better * b.spread.median));
        rank(&a.tag).cmp(&rank(&b.tag)).then(by_value)
    });
    variants
}

/// How `mode` stands in `line`.
fn standing(row: &Row, line: &Line, mode: &str) -> Standing {
    let target = target(&row.name, row.procs, line.metric).filter(|target| target.is_for(mode));
    let has_target = target.is_some();
    let Some(own) = line.median(mode) else { return Standing { has_target, ..Standing::default() } };
    let others = line.cells.iter().filter_map(|(peer, _, cell)| {
        let Cell::Figures(variants) = cell else { return None };
        let first = variants.first()?;
        let counts = !MODES.contains(peer) && row.alike(peer, &first.tag);
        Some((ratio(line.metric, own, first.spread.median).filter(|_| counts)?, *peer))
    });
    let best = others.max_by(|a, b| a.0.total_cmp(&b.0));
    // A figure during which the CPUs moved is like no other.
    let target = target.filter(|_| line.place != Place::Mixed);
    let verdict = target.and_then(|target| target.judge(own, mode, |peer| line.median(peer)));
    Standing { has_target, best, verdict }
}

/// `own` to `other`, below 1 if `own` is better; none where there is nothing to divide by.
fn ratio(metric: &str, own: f64, other: f64) -> Option<f64> {
    let (above, below) = if more_is_better(metric) { (other, own) } else { (own, other) };
    (above > 0.0 && below > 0.0).then(|| above / below)
}

/// Each failure once, with how often it was: row, peer, how, last line.
pub(crate) fn failures(runs: &[Run]) -> Vec<(String, usize)> {
    let mut all: Vec<(String, usize)> = Vec::new();
    for run in runs {
        let Outcome::Failed { how, last_line, .. } = &run.outcome else { continue };
        let text = format!("{}/{}, {}: {how}: {last_line}", run.row, run.procs, run.peer);
        match all.iter_mut().find(|(other, _)| *other == text) {
            Some((_, times)) => *times += 1,
            None => all.push((text, 1)),
        }
    }
    all
}

/// Runs of some lines, as programs print them, for tests. One line is one run: `row place figure...`, or `row place
/// peer FAILED how`.
#[cfg(test)]
pub(crate) mod recorded {
    use super::*;
    use crate::figures::Figure;
    use crate::peers::PEERS;
    use crate::plan::{Wish, plan};
    use std::time::Duration;

    /// The runs that `text` tells of.
    pub(crate) fn runs(text: &str) -> Vec<Run> {
        text.lines().filter(|line| !line.trim().is_empty()).map(run).collect()
    }

    fn run(line: &str) -> Run {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [row, place, workload, peer, rest @ ..] = &words[..] else { panic!("{line}") };
        let (before, after) = match *place {
            "near" => (Some(26.0), Some(27.0)),
            "far" => (Some(230.0), Some(231.0)),
            "mixed" => (Some(26.0), Some(230.0)),
            _ => (None, None),
        };
        let outcome = match rest {
            [_, "FAILED", how @ ..] => {
                Outcome::Failed { how: how.join(" "), last_line: "the last line".into(), hopeless: false }
            }
            rest => {
                // Several figures of one run: metric value unit, and again.
                let (procs, figures) = rest.split_first().unwrap();
                let text: Vec<String> =
                    figures.chunks(3).map(|figure| format!("{workload} {peer} {procs} {}", figure.join(" "))).collect();
                Outcome::Figures(Figure::all_of(&text.join("\n"), None))
            }
        };
        let procs = rest[0].parse().unwrap();
        let (row, peer, wall) = ((*row).to_owned(), (*peer).to_owned(), Duration::from_millis(1500));
        Run { row, procs, peer, round: 0, before, after, stolen: None, wall, outcome }
    }

    /// The table of those runs, over the whole plan and for everybody.
    pub(crate) fn lines(text: &str) -> Vec<Line> {
        summarize(&plan(&Wish::default()), &PEERS, &runs(text))
    }
}

#[cfg(test)]
mod tests {
    use super::recorded::{lines, runs};
    use super::*;
    use crate::peers::{ISOLATED, PEERS, SHARED};
    use crate::plan::{Wish, plan};
    use regex::Regex;

    fn only(text: &str) -> Line {
        let mut lines = lines(text);
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.remove(0)
    }

    #[test]
    fn the_best_other_is_the_measure() {
        let line = only(
            "yield1 - yield1 pirn-shared 1 ns_per_yield 4 ns\n\
             yield1 - yield1 pirn 1 ns_per_yield 40 ns\n\
             yield1 - yield1 go 1 ns_per_yield 80 ns\n\
             yield1 - yield1 may 1 ns_per_yield 20 ns",
        );
        assert_eq!(line.standing(SHARED).best, Some((0.2, "may")));
        assert_eq!(line.standing(ISOLATED).best, Some((2.0, "may")));
        let [shared, isolated] =
            [line.standing(SHARED), line.standing(ISOLATED)].map(|standing| standing.verdict.unwrap());
        assert_eq!((shared.of, shared.is, shared.limit), (Some("may"), 0.2, 0.25));
        assert!(shared.reached() && !isolated.reached());
        assert_eq!(line.title(), "yield1/1 ns_per_yield");
    }

    #[test]
    fn where_more_is_better_the_ratio_is_turned_round() {
        let line = only(
            "cpu_map near cpu_map pirn-shared 2 speedup 1.8 x\n\
             cpu_map near cpu_map go 2 speedup 1.5 x\n\
             cpu_map far cpu_map may 2 speedup 1.9 x",
        );
        let (ratio, who) = line.standing(SHARED).best.unwrap();
        assert_eq!((format!("{ratio:.3}"), who), ("1.056".to_owned(), "may"), "a speedup is the same everywhere");
        assert_eq!((line.place, line.standing(SHARED).verdict), (Place::Any, None));
    }

    #[test]
    fn near_and_far_are_lines_of_their_own() {
        let all = lines(
            "ring_is_not - x go 1 m 1 ns\n\
             spsc128 near spsc128 pirn-shared 2 ns_per_msg 15 ns\n\
             spsc128 near spsc128 go 2 ns_per_msg 42 ns\n\
             spsc128 far spsc128 pirn-shared 2 ns_per_msg 50 ns\n\
             spsc128 far spsc128 go 2 ns_per_msg 100 ns\n\
             spsc128 mixed spsc128 pirn-shared 2 ns_per_msg 33 ns\n\
             spsc128 mixed spsc128 tokio 2 ns_per_msg 33 ns",
        );
        assert_eq!(all.iter().map(|line| line.place).collect::<Vec<_>>(), [Place::Near, Place::Far, Place::Mixed]);
        let reached = |line: &Line| line.standing(SHARED).verdict.map(Verdict::reached);
        assert_eq!(all.iter().map(reached).collect::<Vec<_>>(), [Some(true), Some(false), None]);
        assert_eq!(all[2].standing(SHARED).best, Some((1.0, "tokio")));
    }

    #[test]
    fn mixed_figures_are_for_those_who_have_no_other() {
        let near =
            "spsc128 near spsc128 pirn-shared 2 ns_per_msg 15 ns\nspsc128 mixed spsc128 pirn-shared 2 ns_per_msg 33 ns";
        assert_eq!(only(near).place, Place::Near);
        assert_eq!(only("spsc128 mixed spsc128 pirn-shared 2 ns_per_msg 33 ns").place, Place::Mixed);
    }

    #[test]
    fn what_keeps_to_the_definition_is_compared() {
        let line = only(
            "spsc128 near spsc128 pirn-shared 2 ns_per_msg 15 ns ns_per_msg[park] 3 ns\n\
             spsc128 near spsc128 may 2 ns_per_msg[unbounded] 11 ns ns_per_msg[sem128] 52 ns ns_per_msg[sem64] 60 ns",
        );
        let Cell::Figures(pirn) = &line.cells[1].2 else { panic!() };
        assert_eq!(pirn.iter().map(|variant| variant.tag.as_str()).collect::<Vec<_>>(), ["", "park"]);
        let Cell::Figures(may) = &line.cells[4].2 else { panic!() };
        assert_eq!(
            may.iter().map(|variant| variant.tag.as_str()).collect::<Vec<_>>(),
            ["sem128", "sem64", "unbounded"]
        );
        assert_eq!(line.standing(SHARED).best, Some((15.0 / 52.0, "may")));
    }

    #[test]
    fn another_size_is_no_measure_of_lateness() {
        let late = lines(
            "timers near timers pirn-shared 2 over_p99_us 1000 us\n\
             timers near timers tokio 2 over_p99_us 7000 us\n\
             timers near timers threads 2 over_p99_us[n=10000] 600 us",
        );
        assert_eq!(late[0].standing(SHARED).best, Some((1000.0 / 7000.0, "tokio")));
        assert!(late[0].standing(SHARED).verdict.unwrap().reached());
    }

    #[test]
    fn what_the_host_took_is_told() {
        let plan = plan(&Wish { only: Some(Regex::new("^ring/").unwrap()), ..Wish::default() });
        let mut runs = runs("ring - ring pirn-shared 1 ns_per_hop 60 ns\nring - ring go 1 ns_per_hop 145 ns");
        let title = |runs: &[Run]| summarize(&plan, &PEERS, runs)[0].title();
        assert_eq!(title(&runs), "ring/1 ns_per_hop");
        (runs[0].stolen, runs[1].stolen) = (Some(0.5), Some(0.26));
        assert_eq!(title(&runs), "ring/1 ns_per_hop, 38 % stolen");
        runs[0].stolen = Some(0.02);
        runs[1].stolen = None;
        assert_eq!(title(&runs), "ring/1 ns_per_hop");
    }

    #[test]
    fn who_failed_is_told() {
        let text = "ring - ring pirn-shared 1 FAILED exit code 101\n\
                    ring - ring go 1 ns_per_hop 145 ns\n\
                    ring - ring go 1 FAILED signal 9\n\
                    ring - ring pirn-shared 1 FAILED exit code 101";
        let line = only(text);
        assert_eq!(line.cells[1].2, Cell::Failed);
        assert_eq!(line.cells[6].2.median(), Some(145.0));
        assert_eq!(line.cells[5].2, Cell::Nothing);
        assert_eq!((line.standing(SHARED).best, line.standing(SHARED).verdict), (None, None));
        let told = failures(&runs(text));
        assert_eq!(told[0], ("ring/1, pirn-shared: exit code 101: the last line".to_owned(), 2));
        assert_eq!(told[1], ("ring/1, go: signal 9: the last line".to_owned(), 1));
        assert_eq!(only("ring - ring pirn-shared 1 FAILED exit code 101").cells[1].2, Cell::Failed);
    }
}
