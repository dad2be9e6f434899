//! What one run of one peer's program came to: its figures, and where the two CPUs were meanwhile.

use std::fmt;
use std::time::Duration;

/// Handing a cache line over takes less than this between two CPUs that are near each other.
pub(crate) const NEAR_NS: f64 = 100.0;

/// The memory of one parked task: what is resident, its page tables, and the kernel's stacks of threads. Each is a
/// figure by itself as the programs print it; this is their sum.
pub(crate) const BYTES: &str = "bytes_per_task";
const PARTS_OF_BYTES: [&str; 3] = ["rss_bytes_per_task", "pte_bytes_per_task", "kstack_bytes_per_task"];

/// Whether more of `metric` is better.
pub(crate) fn more_is_better(metric: &str) -> bool {
    ["ticks", "speedup"].contains(&metric) || metric.ends_with("_per_s")
}

/// One line of a program: `workload peer procs metric value unit`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    /// Who printed it.
    pub(crate) peer: String,
    /// What it is about, without the tag.
    pub(crate) metric: String,
    /// How it departs from the definition, `sem128`; mostly empty.
    pub(crate) tag: String,
    /// The figure.
    pub(crate) value: f64,
    /// Its unit.
    pub(crate) unit: String,
}

impl Figure {
    /// Reads a line; none if it is no figure.
    pub(crate) fn parse(line: &str) -> Option<Figure> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, peer, procs, metric, value, unit] = words[..] else { return None };
        let _: usize = procs.parse().ok()?;
        let value: f64 = value.parse().ok()?;
        let (metric, tag) = match metric.split_once('[') {
            Some((metric, tag)) => (metric, tag.strip_suffix(']')?),
            None => (metric, ""),
        };
        let [peer, metric, tag, unit] = [peer, metric, tag, unit].map(str::to_owned);
        value.is_finite().then_some(Figure { peer, metric, tag, value, unit })
    }

    /// The figures among the lines of `text`, those of `peer` if it is one, and those that follow from them.
    pub(crate) fn all_of(text: &str, peer: Option<&str>) -> Vec<Figure> {
        let is_his = |figure: &Figure| peer.is_none_or(|peer| figure.peer == peer);
        let mut figures: Vec<Figure> = text.lines().filter_map(Figure::parse).filter(is_his).collect();
        let tags: Vec<String> = figures
            .iter()
            .filter(|figure| figure.metric == PARTS_OF_BYTES[0])
            .map(|figure| figure.tag.clone())
            .collect();
        for tag in tags {
            let is_part = |figure: &&Figure| figure.tag == tag && PARTS_OF_BYTES.contains(&figure.metric.as_str());
            let value = figures.iter().filter(is_part).map(|figure| figure.value).sum();
            let peer = figures[0].peer.clone();
            figures.push(Figure { peer, metric: BYTES.to_owned(), tag, value, unit: "B".to_owned() });
        }
        figures
    }
}

/// Where the two CPUs were, as far as it matters for a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// Does not matter: one P, or a figure that does not depend on it.
    Any,
    /// A cache line takes less than [`NEAR_NS`] from one to the other, before and after.
    Near,
    /// It takes longer, before and after.
    Far,
    /// It has changed meanwhile, so the figure is like no other.
    Mixed,
    /// The probe said nothing.
    Unknown,
}

impl Place {
    /// What the probe's nanoseconds before and after a run make of it.
    pub(crate) fn of(before: Option<f64>, after: Option<f64>) -> Place {
        let near = |ns: f64| ns < NEAR_NS;
        match (before.map(near), after.map(near)) {
            (Some(true), Some(true)) => Place::Near,
            (Some(false), Some(false)) => Place::Far,
            (Some(_), Some(_)) => Place::Mixed,
            _ => Place::Unknown,
        }
    }

    /// The one with that [`name`](Self::name).
    pub(crate) fn named(name: &str) -> Option<Place> {
        [Place::Any, Place::Near, Place::Far, Place::Mixed, Place::Unknown]
            .into_iter()
            .find(|place| place.name() == name)
    }

    /// The word for it in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Place::Any => "",
            Place::Near => "near",
            Place::Far => "far",
            Place::Mixed => "mixed",
            Place::Unknown => "where?",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// Well, with at least one figure.
    Figures(Vec<Figure>),
    /// The peer has no such workload.
    None,
    /// Badly.
    Failed {
        /// In a few words: `exit code 101`.
        how: String,
        /// The last line that it wrote.
        last_line: String,
        /// Whether it would take as long to fail again.
        hopeless: bool,
    },
}

/// One run of one peer's program.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// The row of the plan: `parked_mem_1M`.
    pub(crate) row: String,
    /// On how many Ps.
    pub(crate) procs: usize,
    /// Who.
    pub(crate) peer: String,
    /// The how manieth time, from 0.
    pub(crate) round: usize,
    /// What it took to hand a cache line over before it, in ns; none with one P.
    pub(crate) before: Option<f64>,
    /// The same after it.
    pub(crate) after: Option<f64>,
    /// How much of the CPU time that was wanted meanwhile the host gave to others; none if the system does not say.
    pub(crate) stolen: Option<f64>,
    /// How long the program ran, start and end included.
    pub(crate) wall: Duration,
    /// How it ended.
    pub(crate) outcome: Outcome,
}

impl Run {
    /// Its figures; none if it failed.
    pub(crate) fn figures(&self) -> &[Figure] {
        match &self.outcome {
            Outcome::Figures(figures) => figures,
            Outcome::None | Outcome::Failed { .. } => &[],
        }
    }

    /// Where the CPUs were.
    pub(crate) fn place(&self) -> Place {
        if self.procs < 2 { Place::Any } else { Place::of(self.before, self.after) }
    }
}

/// The middle one, the least and the greatest of some values; none of no values.
pub(crate) fn spread(mut values: Vec<f64>) -> Option<Spread> {
    values.sort_by(f64::total_cmp);
    let (min, max) = (*values.first()?, *values.last()?);
    let middle = values.len() / 2;
    let median = if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) };
    Some(Spread { median, min, max, count: values.len() })
}

/// What several rounds came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// The middle one, or half-way between the two in the middle.
    pub(crate) median: f64,
    /// The least.
    pub(crate) min: f64,
    /// The greatest.
    pub(crate) max: f64,
    /// How many rounds.
    pub(crate) count: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_figure() {
        let figure = Figure::parse("spsc128 may 2 ns_per_msg[sem128] 52.1 ns").unwrap();
        assert_eq!(
            (figure.peer.as_str(), figure.metric.as_str(), figure.tag.as_str()),
            ("may", "ns_per_msg", "sem128")
        );
        assert_eq!((figure.value, figure.unit.as_str()), (52.1, "ns"));
        let figure = Figure::parse("x go 1 ns_per_yield 1.2e+06 ns").unwrap();
        assert_eq!((figure.tag.as_str(), figure.value), ("", 1.2e6));
    }

    #[test]
    fn other_lines_are_none() {
        for line in [
            "",
            "thread 'main' panicked at somewhere",
            "x go one ns_per_yield 1 ns",
            "x go 1 ns_per_yield ? ns",
            "x go 1 ns_per_yield NaN ns",
            "x go 1 ns_per_yield[tag 1 ns",
            "x go 1 ns_per_yield 1 ns more",
        ] {
            assert_eq!(Figure::parse(line), None, "{line}");
        }
    }

    #[test]
    fn only_the_peer_that_was_asked() {
        let text = "a pirn 1 ns_per_yield 4 ns\na go 1 ns_per_yield 88 ns\nnoise\n";
        let figures = Figure::all_of(text, Some("go"));
        assert_eq!(figures.iter().map(|figure| figure.value).collect::<Vec<_>>(), [88.0]);
        assert_eq!(Figure::all_of(text, None).len(), 2);
    }

    #[test]
    fn bytes_are_the_sum_of_their_parts() {
        let text = "a pirn 2 rss_bytes_per_task[park] 4000 B\na pirn 2 pte_bytes_per_task[park] 600 B\n\
                    a pirn 2 kstack_bytes_per_task[park] 1 B\na pirn 2 pte_bytes_per_task 9 B";
        let figures = Figure::all_of(text, Some("pirn"));
        let sum = figures.last().unwrap();
        assert_eq!((sum.metric.as_str(), sum.tag.as_str(), sum.value), (BYTES, "park", 4601.0));
    }

    #[test]
    fn near_far_and_mixed() {
        assert_eq!(Place::of(Some(26.0), Some(31.0)), Place::Near);
        assert_eq!(Place::of(Some(230.0), Some(100.0)), Place::Far);
        assert_eq!(Place::of(Some(99.9), Some(100.0)), Place::Mixed);
        assert_eq!(Place::of(Some(230.0), Some(26.0)), Place::Mixed);
        assert_eq!(Place::of(None, Some(26.0)), Place::Unknown);
        assert_eq!(Place::of(None, None), Place::Unknown);
    }

    #[test]
    fn medians() {
        assert_eq!(spread(vec![]), None);
        assert_eq!(spread(vec![3.0]), Some(Spread { median: 3.0, min: 3.0, max: 3.0, count: 1 }));
        assert_eq!(spread(vec![9.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 9.0, count: 3 }));
        assert_eq!(spread(vec![4.0, 1.0, 2.0, 9.0]), Some(Spread { median: 3.0, min: 1.0, max: 9.0, count: 4 }));
    }
}
