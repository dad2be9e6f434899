//! What pirn must reach, as figures of one day on one machine, and what the others needed there.
//!
//! A machine is not that machine, so a time is compared by way of a peer: it is reached if pirn needs no more of what
//! the peer needs now than it was allowed of what the peer needed then. Sizes, and times that are mostly sleep, are the
//! same everywhere and are compared as they are.

/// The peers that a target may be measured by, in the order in which they are taken.
pub(crate) const REFERENCES: [&str; 3] = ["go", "tokio", "threads"];

/// What one figure must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// The row of the plan.
    pub(crate) row: &'static str,
    /// On how many Ps.
    pub(crate) procs: usize,
    /// The figure. Less is better for all of them.
    pub(crate) metric: &'static str,
    /// The most that it may be with shared thread-locals.
    pub(crate) shared: f64,
    /// The most that it may be with a G's own.
    pub(crate) isolated: f64,
    /// What each of [`REFERENCES`] needed; none if the figure is compared as it is.
    pub(crate) needed: Option<[Option<f64>; 3]>,
}

/// A time, with what Go, tokio and threads needed: 0 for what has none.
const fn time(
    (row, procs, metric): (&'static str, usize, &'static str),
    shared: f64,
    isolated: f64,
    needed: [f64; 3],
) -> Target {
    let [go, tokio, threads] = needed;
    let needed = Some([some(go), some(tokio), some(threads)]);
    Target { row, procs, metric, shared, isolated, needed }
}

/// A size, or a time of sleep.
const fn fixed((row, procs, metric): (&'static str, usize, &'static str), shared: f64, isolated: f64) -> Target {
    Target { row, procs, metric, shared, isolated, needed: None }
}

const fn some(value: f64) -> Option<f64> {
    if value > 0.0 { Some(value) } else { None }
}

/// All of them, in the order of the plan.
pub(crate) static TARGETS: &[Target] = &[
    // The runtime.
    time(("spawn_join", 1, "ns_per_task"), 60.0, 150.0, [950.0, 290.0, 43_000.0]),
    time(("spawn_join", 2, "ns_per_task"), 120.0, 200.0, [590.0, 520.0, 43_000.0]),
    time(("spawn_join_handle", 1, "ns_per_pair"), 100.0, 170.0, [338.0, 262.0, 26_600.0]),
    time(("yield1", 1, "ns_per_yield"), 15.0, 45.0, [88.0, 242.0, 1186.0]),
    time(("yield_many", 2, "ns_per_yield"), 15.0, 30.0, [113.0, 27.0, 880.0]),
    fixed(("parked_mem", 2, "bytes_per_task"), 4900.0, 9800.0),
    fixed(("parked_mem_1M", 2, "bytes_per_task"), 4900.0, 9800.0),
    // 200 and 40 ms, 350 and 60 ms for the 100,000.
    time(("parked_mem", 2, "create_ns_per_task"), 2000.0, 3500.0, [1580.0, 750.0, 0.0]),
    time(("parked_mem", 2, "release_ns_per_task"), 400.0, 600.0, [420.0, 300.0, 0.0]),
    time(("fib", 2, "ns_per_spawn"), 150.0, 250.0, [454.0, 652.0, 0.0]),
    fixed(("timers", 2, "over_p99_us"), 3000.0, 3000.0),
    fixed(("hog", 2, "late_p50_ms"), 0.2, 0.2),
    fixed(("hog", 2, "late_p99_ms"), 5.0, 5.0),
    fixed(("blocking", 2, "wall_ms"), 27.0, 27.0),
    fixed(("deepstack", 2, "rss_after2s_per_task"), 1500.0, 6000.0),
    // Channels.
    time(("pingpong", 1, "ns_per_roundtrip"), 80.0, 150.0, [277.0, 240.0, 16_500.0]),
    time(("pingpong", 2, "ns_per_roundtrip"), 80.0, 150.0, [258.0, 330.0, 48_000.0]),
    time(("ring", 1, "ns_per_hop"), 60.0, 100.0, [145.0, 124.0, 12_000.0]),
    time(("spsc0", 2, "ns_per_msg"), 50.0, 85.0, [143.0, 270.0, 24_500.0]),
    time(("spsc128", 2, "ns_per_msg"), 18.0, 18.0, [42.0, 82.0, 52.0]),
    time(("mpsc128", 2, "ns_per_msg"), 22.0, 22.0, [35.0, 115.0, 82.0]),
    time(("mpmc128", 2, "ns_per_msg"), 30.0, 30.0, [45.0, 141.0, 105.0]),
    time(("select4", 1, "ns_per_msg"), 90.0, 130.0, [265.0, 330.0, 3047.0]),
    time(("select4", 2, "ns_per_msg"), 90.0, 130.0, [266.0, 290.0, 3047.0]),
    time(("select_nb", 1, "ns_per_op_1ch"), 6.0, 6.0, [6.5, 0.0, 12.0]),
    time(("select_nb", 1, "ns_per_op_2ch"), 15.0, 15.0, [41.0, 56.0, 128.0]),
    time(("select_timeout", 1, "ns_per_op_reused_timer"), 40.0, 70.0, [124.0, 124.0, 110.0]),
    time(("sieve", 2, "seconds"), 0.15, 0.25, [0.40, 0.25, 17.4]),
    time(("skynet", 2, "ns_per_leaf"), 200.0, 350.0, [624.0, 580.0, 0.0]),
];

/// The target of a figure, if it has one.
pub(crate) fn target(row: &str, procs: usize, metric: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.row == row && target.procs == procs && target.metric == metric)
}

/// Whether a target is reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Verdict {
    /// What it may be: a share of what the peer needs, or the figure itself.
    pub(crate) limit: f64,
    /// What it is, in the same measure.
    pub(crate) is: f64,
    /// By which peer it is measured; none if as it is.
    pub(crate) of: Option<&'static str>,
}

impl Verdict {
    /// Whether it is good enough.
    pub(crate) fn reached(self) -> bool {
        self.is <= self.limit
    }
}

impl Target {
    /// Judges `figure`, which may be `limit`. `now` says what a peer needs in the same run. None if no peer is there to
    /// measure it by.
    pub(crate) fn judge(&self, figure: f64, limit: f64, now: impl Fn(&str) -> Option<f64>) -> Option<Verdict> {
        let Some(needed) = self.needed else {
            return Some(Verdict { limit, is: figure, of: None });
        };
        REFERENCES.into_iter().zip(needed).find_map(|(peer, then)| {
            let (then, now) = (then?, now(peer).filter(|now| *now > 0.0)?);
            Some(Verdict { limit: limit / then, is: figure / now, of: Some(peer) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A target of 60 where Go needs 950, tokio 290.
    fn spawn() -> &'static Target {
        target("spawn_join", 1, "ns_per_task").unwrap()
    }

    #[test]
    fn a_machine_twice_as_slow_may_be_twice_as_slow() {
        let go = |peer: &str| (peer == "go").then_some(1900.0);
        let verdict = spawn().judge(120.0, spawn().shared, go).unwrap();
        assert!(verdict.reached() && verdict.of == Some("go"), "{verdict:?}");
        assert_eq!(verdict.limit, 60.0 / 950.0);
        assert!(!spawn().judge(121.0, spawn().shared, go).unwrap().reached());
        assert!(spawn().judge(121.0, spawn().isolated, go).unwrap().reached());
    }

    #[test]
    fn without_go_another_is_the_measure() {
        let others = |peer: &str| (peer != "go").then_some(290.0);
        let verdict = spawn().judge(60.0, 60.0, others).unwrap();
        assert_eq!(verdict, Verdict { limit: 60.0 / 290.0, is: 60.0 / 290.0, of: Some("tokio") });
        assert!(verdict.reached());
        let threads = |peer: &str| (peer == "threads").then_some(43_000.0);
        assert_eq!(spawn().judge(60.0, 60.0, threads).unwrap().of, Some("threads"));
        assert_eq!(spawn().judge(60.0, 60.0, |_| None), None);
        assert_eq!(spawn().judge(60.0, 60.0, |_| Some(0.0)), None, "nothing can be measured by nought");
    }

    #[test]
    fn a_peer_that_had_no_figure_then_is_no_measure_now() {
        let fib = target("fib", 2, "ns_per_spawn").unwrap();
        assert_eq!(fib.judge(1.0, fib.shared, |peer| (peer == "threads").then_some(1.0)), None);
    }

    #[test]
    fn sizes_need_no_measure() {
        let bytes = target("parked_mem", 2, "bytes_per_task").unwrap();
        let verdict = |is| bytes.judge(is, bytes.shared, |_| None).unwrap();
        assert!(verdict(4900.0).reached() && !verdict(4901.0).reached());
    }

    #[test]
    fn no_figure_has_two_targets() {
        for (nth, one) in TARGETS.iter().enumerate() {
            assert!(std::ptr::eq(target(one.row, one.procs, one.metric).unwrap(), one), "{nth}: {one:?}");
        }
    }
}
