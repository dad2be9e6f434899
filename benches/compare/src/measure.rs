//! The order of the measurements: for each row, for each round, everybody in turn.

use crate::figures::{Outcome, Place, Run};
use crate::job::{Job, PROBE};
use crate::plan::{Row, depends_on_place};
use crate::stolen::CpuTime;
use std::time::Instant;

/// Who is told how far it has come.
pub(crate) trait Watcher {
    /// `left` measurements are yet to come, as far as can be known.
    fn next(&mut self, row: &Row, peer: &str, round: usize, left: usize);
    /// One has ended.
    fn done(&mut self, run: &Run);
}

/// Measures all rows of `plan`, `rounds` times, and asks `ask` to run each job. A peer that fails is told to the
/// watcher and goes on in the next round, unless it would take as long to fail again.
pub(crate) fn measure(
    plan: &[Row],
    peers: &[&str],
    rounds: usize,
    mut ask: impl FnMut(&Job<'_>) -> Outcome,
    watcher: &mut impl Watcher,
) -> Vec<Run> {
    let here = |row: &Row| peers.iter().filter(|peer| row.has(peer)).count();
    let mut left: usize = plan.iter().map(|row| here(row) * rounds).sum();
    let mut runs = Vec::new();
    for row in plan {
        let mut peers: Vec<&str> = peers.iter().copied().filter(|peer| row.has(peer)).collect();
        let first = runs.len();
        for round in 0..2 * rounds {
            if round >= rounds && (row.procs < 2 || can_compare(row, &peers, &runs[first..])) {
                break;
            }
            let start = if peers.is_empty() { 0 } else { round % peers.len() };
            for peer in [&peers[start..], &peers[..start]].concat() {
                watcher.next(row, peer, round, left);
                if round < rounds {
                    left = left.saturating_sub(1);
                }
                let run = one(row, peer, round, &mut ask);
                watcher.done(&run);
                if matches!(run.outcome, Outcome::None | Outcome::Failed { hopeless: true, .. }) {
                    peers.retain(|other| *other != peer);
                    left = left.saturating_sub(rounds.saturating_sub(round + 1));
                }
                runs.push(run);
            }
        }
    }
    runs
}

/// One measurement, with where the CPUs were before and after it.
fn one(row: &Row, peer: &str, round: usize, ask: &mut impl FnMut(&Job<'_>) -> Outcome) -> Run {
    let (workload, procs, n) = (row.workload, row.procs, row.n(peer));
    let (need_mib, touch_mib, load_secs) = (row.need_mib(peer), row.touch_mib(), row.load_secs());
    let job = Job { workload, procs, n, peer, need_mib, touch_mib, load_secs };
    let before = probe(procs, ask);
    let (start, cpu) = (Instant::now(), CpuTime::now());
    let outcome = ask(&job);
    let (wall, stolen) = (start.elapsed(), CpuTime::now().zip(cpu).and_then(|(now, before)| now.stolen_since(before)));
    let after = probe(procs, ask);
    Run { row: row.name.clone(), procs, peer: peer.to_owned(), round, before, after, stolen, wall, outcome }
}

/// What it takes to hand a cache line over, in ns; none where nothing is handed over.
fn probe(procs: usize, ask: &mut impl FnMut(&Job<'_>) -> Outcome) -> Option<f64> {
    if procs < 2 {
        return None;
    }
    let job = Job { workload: PROBE, procs, n: None, peer: PROBE, need_mib: 0, touch_mib: 0, load_secs: None };
    match ask(&job) {
        Outcome::Figures(figures) => figures.iter().find(|figure| figure.unit == "ns").map(|figure| figure.value),
        Outcome::None | Outcome::Failed { .. } => None,
    }
}

/// Whether all who gave figures have some from the same place, so that they can be compared.
fn can_compare(row: &Row, peers: &[&str], runs: &[Run]) -> bool {
    if !row.shown.iter().any(|metric| depends_on_place(metric)) || runs.iter().all(|run| run.place() == Place::Unknown)
    {
        return true;
    }
    let with_figures = |peer: &&str| runs.iter().any(|run| run.peer == **peer && !run.figures().is_empty());
    let all: Vec<&str> = peers.iter().copied().filter(with_figures).collect();
    let has_one = |peer: &str, place| {
        runs.iter().any(|run| run.peer == peer && run.place() == place && !run.figures().is_empty())
    };
    [Place::Near, Place::Far].into_iter().any(|place| all.iter().all(|peer| has_one(peer, place)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Figure;
    use crate::plan::{Wish, plan};
    use regex::Regex;

    #[derive(Default)]
    struct Log {
        lefts: Vec<usize>,
        ended: usize,
    }

    impl Watcher for Log {
        fn next(&mut self, _: &Row, _: &str, _: usize, left: usize) {
            self.lefts.push(left);
        }

        fn done(&mut self, _: &Run) {
            self.ended += 1;
        }
    }

    fn rows(only: &str) -> Vec<Row> {
        plan(&Wish { only: Some(Regex::new(only).unwrap()), ..Wish::default() })
    }

    fn figure(job: &Job<'_>, value: f64) -> Outcome {
        let text = format!("{} {} {} ns_per_yield {value} ns", job.workload, job.peer, job.procs);
        Outcome::Figures(Figure::all_of(&text, Some(job.peer)))
    }

    fn failed(hopeless: bool) -> Outcome {
        Outcome::Failed { how: "exit code 1".into(), last_line: "oh".into(), hopeless }
    }

    fn who(runs: &[Run]) -> Vec<&str> {
        runs.iter().map(|run| run.peer.as_str()).collect()
    }

    #[test]
    fn everybody_is_first_once() {
        let mut log = Log::default();
        let runs = measure(&rows("^yield1/"), &["pirn", "tokio", "go"], 3, |job| figure(job, 1.0), &mut log);
        assert_eq!(who(&runs), ["pirn", "tokio", "go", "tokio", "go", "pirn", "go", "pirn", "tokio"]);
        assert!(runs.iter().all(|run| run.place() == Place::Any), "one P is never probed");
        assert_eq!(log.lefts, [9, 8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(log.ended, 9);
    }

    #[test]
    fn who_fails_does_not_stop_the_others() {
        let ask = |job: &Job<'_>| match job.peer {
            "threads" => failed(false),
            "may" => failed(true),
            "tokio" => Outcome::None,
            _ => figure(job, 1.0),
        };
        let peers = ["pirn", "threads", "may", "tokio"];
        let mut log = Log::default();
        let runs = measure(&rows("^yield1/|^ring/"), &peers, 2, ask, &mut log);
        // Who can not, or would hang again, is asked once; who crashed is asked again.
        let row = ["pirn", "threads", "may", "tokio", "threads", "pirn"];
        assert_eq!(who(&runs), [row, row].concat());
        assert_eq!(log.lefts.last(), Some(&1), "those left out are not waited for");
    }

    #[test]
    fn two_procs_are_probed_before_and_after() {
        let mut probes = [26.0, 30.0, 26.0, 230.0, 230.0, 231.0].into_iter();
        let ask = |job: &Job<'_>| match job.peer {
            PROBE => figure(job, probes.next().unwrap_or(230.0)),
            _ => figure(job, 1.0),
        };
        let runs = measure(&rows("^yield_many/"), &["go"], 3, ask, &mut Log::default());
        assert_eq!(runs.iter().map(Run::place).collect::<Vec<_>>(), [Place::Near, Place::Mixed, Place::Far]);
        assert_eq!((runs[1].before, runs[1].after), (Some(26.0), Some(230.0)));
    }

    #[test]
    fn rounds_are_added_until_all_have_been_in_one_place() {
        // pirn is near and go is mixed, until the CPUs stay where they are.
        let mut probes = [26.0, 26.0, 26.0, 230.0].into_iter();
        let ask = |job: &Job<'_>| match job.peer {
            PROBE => figure(job, probes.next().unwrap_or(26.0)),
            _ => figure(job, 1.0),
        };
        let runs = measure(&rows("^yield_many/"), &["pirn", "go"], 1, ask, &mut Log::default());
        assert_eq!(who(&runs), ["pirn", "go", "go", "pirn"]);
        // But no more than as many again.
        let mut nth = 0;
        let ask = |job: &Job<'_>| {
            nth += usize::from(job.peer == PROBE);
            figure(job, if nth % 2 == 0 { 26.0 } else { 230.0 })
        };
        let runs = measure(&rows("^yield_many/"), &["pirn", "go"], 2, ask, &mut Log::default());
        assert_eq!(runs.len(), 8);
    }

    #[test]
    fn without_a_probe_it_is_not_known_where() {
        let ask = |job: &Job<'_>| if job.peer == PROBE { Outcome::None } else { figure(job, 1.0) };
        let runs = measure(&rows("^yield_many/"), &["pirn", "go"], 2, ask, &mut Log::default());
        assert_eq!(runs.len(), 4);
        assert!(runs.iter().all(|run| run.place() == Place::Unknown));
    }
}
