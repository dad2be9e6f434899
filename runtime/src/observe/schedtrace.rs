//! The line that schedtrace prints: from numbers to text, byte for byte as Go does.

use std::fmt::Write;

/// One look at the scheduler. The fields have Go's names and come in the order in which they are printed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    /// Milliseconds since the first line.
    pub(crate) ms: u64,
    /// How many Ps there are.
    pub(crate) gomaxprocs: usize,
    /// How many of them no M has.
    pub(crate) idleprocs: usize,
    /// How many Ms there are, with sysmon.
    pub(crate) threads: usize,
    /// How many Ms are searching.
    pub(crate) spinningthreads: usize,
    /// Whether work was found that no P was free for.
    pub(crate) needspinning: bool,
    /// How many Ms sleep without a P.
    pub(crate) idlethreads: usize,
    /// How many Gs are on the global queue.
    pub(crate) runqueue: usize,
    /// How many Gs are on the local queue of each P.
    pub(crate) local: &'a [usize],
    /// How many Gs each P has picked.
    pub(crate) schedticks: &'a [u64],
}

/// Formats a line as Go 1.27 does: `... runqueue=0 [ 0 3 ] schedticks=[ 68426 26756 ]` and a line end.
pub(crate) fn go(line: &Line<'_>) -> String {
    let mut text = head(line);
    text.push_str(" [ ");
    for length in line.local {
        push(&mut text, format_args!("{length} "));
    }
    text.push_str("] schedticks=[ ");
    for ticks in line.schedticks {
        push(&mut text, format_args!("{ticks} "));
    }
    text.push_str("]\n");
    text
}

/// Formats a line as Go did before 1.25: `... runqueue=0 [0 3]` and a line end.
pub(crate) fn compact(line: &Line<'_>) -> String {
    let mut text = head(line);
    text.push_str(" [");
    for (nth, length) in line.local.iter().enumerate() {
        let space = if nth == 0 { "" } else { " " };
        push(&mut text, format_args!("{space}{length}"));
    }
    text.push_str("]\n");
    text
}

/// What comes before the queue lengths in both shapes.
fn head(line: &Line<'_>) -> String {
    // Longer than a line with a few Ps.
    let mut text = String::with_capacity(256);
    let Line { ms, gomaxprocs, idleprocs, threads, spinningthreads, idlethreads, runqueue, .. } = line;
    let needspinning = u8::from(line.needspinning);
    push(&mut text, format_args!("SCHED {ms}ms: gomaxprocs={gomaxprocs} idleprocs={idleprocs} threads={threads}"));
    push(&mut text, format_args!(" spinningthreads={spinningthreads} needspinning={needspinning}"));
    push(&mut text, format_args!(" idlethreads={idlethreads} runqueue={runqueue}"));
    text
}

/// Appends to a string, which can not fail.
fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a string takes whatever is written to it");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Go 1.27 itself printed.
    const RECORDED: &str = include_str!("../../tests/golden/go-1.27-schedtrace.txt");

    /// The lists of a recorded line, which a [`Line`] borrows.
    struct Lists {
        local: Vec<usize>,
        schedticks: Vec<u64>,
    }

    /// Takes a number or what else can be parsed from between two texts, and what comes after.
    fn between<'a, N: std::str::FromStr>(text: &'a str, before: &str, after: &str) -> (N, &'a str) {
        let text = text.strip_prefix(before).unwrap_or_else(|| panic!("no {before:?} in {text:?}"));
        let (value, rest) = text.split_once(after).unwrap_or_else(|| panic!("no {after:?} in {text:?}"));
        (value.parse().unwrap_or_else(|_| panic!("bad value {value:?}")), rest)
    }

    /// Parses the numbers of a list.
    fn list<N: std::str::FromStr>(text: &str) -> Vec<N> {
        let number = |word: &str| word.parse().unwrap_or_else(|_| panic!("bad number {word:?}"));
        text.split_whitespace().map(number).collect()
    }

    /// Reads a line of Go 1.27.
    fn parse<'a>(text: &str, lists: &'a mut Lists) -> Line<'a> {
        let (ms, text) = between(text, "SCHED ", "ms: ");
        let (gomaxprocs, text) = between(text, "gomaxprocs=", " ");
        let (idleprocs, text) = between(text, "idleprocs=", " ");
        let (threads, text) = between(text, "threads=", " ");
        let (spinningthreads, text) = between(text, "spinningthreads=", " ");
        let (needspinning, text) = between::<u8>(text, "needspinning=", " ");
        let (idlethreads, text) = between(text, "idlethreads=", " ");
        let (runqueue, text) = between(text, "runqueue=", " ");
        let (local, text) = between::<String>(text, "[", "]");
        let (schedticks, text) = between::<String>(text, " schedticks=[", "]");
        assert_eq!(text, "");
        assert!(needspinning <= 1);
        lists.local = list(&local);
        lists.schedticks = list(&schedticks);
        let needspinning = needspinning == 1;
        let Lists { local, schedticks } = lists;
        Line {
            ms,
            gomaxprocs,
            idleprocs,
            threads,
            spinningthreads,
            needspinning,
            idlethreads,
            runqueue,
            local,
            schedticks,
        }
    }

    /// A line in which every number is another.
    const LINE: Line<'_> = Line {
        ms: 200,
        gomaxprocs: 2,
        idleprocs: 1,
        threads: 4,
        spinningthreads: 5,
        needspinning: true,
        idlethreads: 6,
        runqueue: 7,
        local: &[8, 9],
        schedticks: &[68426, 26756],
    };

    #[test]
    fn recorded_lines_of_go_come_out_as_they_went_in() {
        let mut seen = [0; 3];
        for recorded in RECORDED.split_inclusive('\n').filter(|line| !line.starts_with('#')) {
            let mut lists = Lists { local: Vec::new(), schedticks: Vec::new() };
            let line = parse(recorded.trim_end_matches('\n'), &mut lists);
            assert_eq!((line.local.len(), line.schedticks.len()), (line.gomaxprocs, line.gomaxprocs));
            assert_eq!(go(&line), recorded);
            seen[line.gomaxprocs.ilog2() as usize] += 1;
        }
        assert!(seen.iter().all(|lines| *lines >= 10), "too few lines for 1, 2 and 4 Ps: {seen:?}");
    }

    #[test]
    fn every_field_is_in_its_place() {
        assert_eq!(
            go(&LINE),
            "SCHED 200ms: gomaxprocs=2 idleprocs=1 threads=4 spinningthreads=5 needspinning=1 idlethreads=6 \
             runqueue=7 [ 8 9 ] schedticks=[ 68426 26756 ]\n"
        );
        assert_eq!(
            compact(&LINE),
            "SCHED 200ms: gomaxprocs=2 idleprocs=1 threads=4 spinningthreads=5 needspinning=1 idlethreads=6 \
             runqueue=7 [8 9]\n"
        );
    }

    #[test]
    fn one_p_and_large_numbers() {
        let line = Line {
            ms: u64::MAX,
            gomaxprocs: 1,
            runqueue: usize::MAX,
            local: &[169],
            schedticks: &[u64::MAX],
            needspinning: false,
            ..LINE
        };
        let head = "SCHED 18446744073709551615ms: gomaxprocs=1 idleprocs=1 threads=4 spinningthreads=5 \
                    needspinning=0 idlethreads=6 runqueue=18446744073709551615";
        assert_eq!(go(&line), format!("{head} [ 169 ] schedticks=[ 18446744073709551615 ]\n"));
        assert_eq!(compact(&line), format!("{head} [169]\n"));
    }

    #[test]
    fn as_many_ps_as_there_may_be() {
        let (local, schedticks) = ([0; 1024], [1; 1024]);
        let line = Line { gomaxprocs: 1024, local: &local, schedticks: &schedticks, ..LINE };
        assert!(go(&line).ends_with(&format!(" [ {}] schedticks=[ {}]\n", "0 ".repeat(1024), "1 ".repeat(1024))));
        assert!(compact(&line).ends_with(&format!(" [{}0]\n", "0 ".repeat(1023))));
    }
}
