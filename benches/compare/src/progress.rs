//! Saying how far it has come, on stderr: a bar on a terminal, else a line for each round.

use crate::figures::{Outcome, Run};
use crate::measure::Watcher;
use crate::plan::Row;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

/// Who tells. It draws only between two measurements: a bar that moves by itself would be measured too.
#[derive(Debug)]
pub(crate) struct Progress {
    /// None if nobody looks at a bar.
    bar: Option<ProgressBar>,
    start: Instant,
    ended: usize,
    left: usize,
    /// The round that the notes are about.
    round: Option<(String, usize)>,
    notes: Vec<String>,
}

impl Progress {
    /// Begins to count.
    pub(crate) fn new() -> Progress {
        let bar = io::stderr().is_terminal().then(bar);
        Progress { bar, start: Instant::now(), ended: 0, left: 0, round: None, notes: Vec::new() }
    }

    /// All has been measured.
    pub(crate) fn finish(&mut self) {
        match &self.bar {
            Some(bar) => bar.finish_and_clear(),
            None => self.tell(),
        }
    }

    /// Says what is beside the measurements, once.
    pub(crate) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("compare: {text}")),
            None => eprintln!("compare: {text}"),
        }
    }

    /// The line of a round that is over.
    fn tell(&mut self) {
        if let Some((row, round)) = self.round.take() {
            let all = self.ended + self.left;
            let left = remaining(self.start.elapsed(), self.ended, self.left);
            eprintln!("{}/{all} {row} round {}: {}; {left}", self.ended, round + 1, self.notes.join(", "));
            self.notes.clear();
        }
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// How long the rest will take if it goes on like this.
fn remaining(passed: Duration, ended: usize, left: usize) -> String {
    if ended == 0 {
        return "no telling how long".to_owned();
    }
    let secs = (passed.as_secs_f64() / ended as f64 * left as f64).ceil() as u64;
    match secs {
        0..100 => format!("{secs} s left"),
        _ => format!("{} min left", secs.div_ceil(60)),
    }
}

impl Watcher for Progress {
    fn next(&mut self, row: &Row, peer: &str, round: usize, left: usize) {
        self.left = left;
        let now = (row.label(), round);
        match &self.bar {
            Some(bar) => {
                let time = remaining(self.start.elapsed(), self.ended, left);
                bar.set_length((self.ended + left) as u64);
                bar.set_position(self.ended as u64);
                bar.set_message(format!("{} round {} {peer}, {time}", now.0, round + 1));
                bar.tick();
            }
            None if self.round.as_ref() != Some(&now) => {
                self.tell();
                self.round = Some(now);
            }
            None => {}
        }
    }

    fn done(&mut self, run: &Run) {
        self.ended += 1;
        self.left = self.left.saturating_sub(1);
        let note = match &run.outcome {
            Outcome::Figures(_) => format!("{} {:.1}s", run.peer, run.wall.as_secs_f64()),
            Outcome::None => format!("{} has none", run.peer),
            Outcome::Failed { how, last_line, .. } => {
                if self.bar.is_some() {
                    self.say(&format!("{}/{}, {}: {how}: {last_line}", run.row, run.procs, run.peer));
                }
                format!("{} FAILED ({how}: {last_line})", run.peer)
            }
        };
        self.notes.push(note);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_is_left() {
        let left = |ended, left| remaining(Duration::from_secs(60), ended, left);
        assert_eq!(left(0, 10), "no telling how long");
        assert_eq!(left(60, 10), "10 s left");
        assert_eq!(left(60, 99), "99 s left");
        assert_eq!(left(60, 600), "10 min left");
    }
}
