//! What pirn must reach: a share of what a peer needs in the same run, as a machine is not another one. Sizes, and
//! times that are mostly sleep, are the same everywhere and are compared as they are.

/// What one figure must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// The row of the plan.
    pub(crate) row: &'static str,
    /// On how many Ps.
    pub(crate) procs: usize,
    /// The figure. Less is better for all of them.
    pub(crate) metric: &'static str,
    /// The peer that it is a share of; none if the figure is compared as it is.
    pub(crate) of: Option<&'static str>,
    /// The most that it may be with shared thread-locals.
    pub(crate) shared: f64,
    /// The most that it may be with a G's own.
    pub(crate) isolated: f64,
}

/// A share of what that peer needs.
const fn share(
    (row, procs, metric): (&'static str, usize, &'static str),
    of: &'static str,
    shared: f64,
    isolated: f64,
) -> Target {
    Target { row, procs, metric, of: Some(of), shared, isolated }
}

/// A size, or a time of sleep.
const fn fixed((row, procs, metric): (&'static str, usize, &'static str), shared: f64, isolated: f64) -> Target {
    Target { row, procs, metric, of: None, shared, isolated }
}

/// All of them, in the order of the plan.
pub(crate) static TARGETS: &[Target] = &[
    // The runtime.
    share(("spawn_join", 1, "ns_per_task"), "tokio", 0.18, 0.25),
    share(("spawn_join", 2, "ns_per_task"), "go", 0.21, 0.35),
    share(("spawn_join_handle", 1, "ns_per_pair"), "tokio", 0.4, 0.65),
    share(("yield1", 1, "ns_per_yield"), "may", 0.25, 0.65),
    share(("yield_many", 2, "ns_per_yield"), "tokio", 0.6, 1.1),
    fixed(("parked_mem", 2, "bytes_per_task"), 4900.0, 5400.0),
    fixed(("parked_mem", 2, "bytes_after2s_per_task"), 900.0, 1500.0),
    share(("parked_mem", 2, "create_ns_per_task"), "go", 0.8, 1.0),
    share(("parked_mem", 2, "release_ns_per_task"), "go", 0.95, 1.4),
    fixed(("parked_mem_1M", 2, "bytes_per_task"), 4900.0, 5400.0),
    share(("fib", 2, "ns_per_spawn"), "tokio", 0.35, 0.55),
    fixed(("timers", 2, "over_p99_us"), 3000.0, 3000.0),
    share(("timers", 2, "cpu_s"), "tokio", 1.3, 1.6),
    fixed(("hog", 2, "late_p50_ms"), 0.2, 0.2),
    fixed(("hog", 2, "late_p99_ms"), 1.0, 1.0),
    fixed(("blocking", 2, "wall_ms"), 27.0, 27.0),
    fixed(("deepstack", 2, "rss_after2s_per_task"), 1500.0, 6000.0),
    // Channels.
    share(("pingpong", 1, "ns_per_roundtrip"), "may", 0.9, 1.4),
    share(("pingpong", 2, "ns_per_roundtrip"), "may", 1.0, 1.4),
    share(("ring", 1, "ns_per_hop"), "tokio", 0.7, 0.9),
    share(("spsc0", 2, "ns_per_msg"), "go", 0.3, 0.45),
    share(("spsc128", 2, "ns_per_msg"), "go", 0.43, 0.43),
    share(("mpsc128", 2, "ns_per_msg"), "go", 0.63, 0.63),
    share(("mpmc128", 2, "ns_per_msg"), "go", 0.67, 0.67),
    share(("select4", 1, "ns_per_msg"), "may", 0.9, 1.2),
    share(("select4", 2, "ns_per_msg"), "may", 1.3, 1.5),
    share(("select_nb", 1, "ns_per_op_1ch"), "go", 0.92, 0.92),
    fixed(("select_nb", 1, "ns_per_op_2ch"), 10.0, 10.0),
    share(("select_timeout", 1, "ns_per_op_reused_timer"), "go", 0.32, 0.56),
    share(("sieve", 2, "seconds"), "tokio", 0.8, 0.95),
    share(("skynet", 2, "ns_per_leaf"), "go", 0.32, 0.56),
    // How the cost of a switch grows.
    share(("yield_n_10000", 1, "ns_per_yield"), "tokio", 0.7, 1.1),
    share(("yield_n_100000", 1, "ns_per_yield"), "tokio", 0.7, 1.1),
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
    /// Judges `figure`, which may be `limit`. `now` says what a peer needs in the same run. None if that is not known.
    pub(crate) fn judge(&self, figure: f64, limit: f64, now: impl Fn(&str) -> Option<f64>) -> Option<Verdict> {
        let Some(peer) = self.of else { return Some(Verdict { limit, is: figure, of: None }) };
        let now = now(peer).filter(|now| *now > 0.0)?;
        Some(Verdict { limit, is: figure / now, of: Some(peer) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_twice_as_slow_may_be_twice_as_slow() {
        let spawn = target("spawn_join", 1, "ns_per_task").unwrap();
        for tokio in [300.0, 600.0] {
            let now = |peer: &str| (peer == "tokio").then_some(tokio);
            let verdict = |share: f64| spawn.judge(tokio * share, spawn.isolated, now).unwrap();
            assert_eq!(verdict(0.25).of, Some("tokio"));
            assert!(verdict(0.25).reached() && !verdict(0.26).reached());
        }
    }

    #[test]
    fn without_the_peer_nothing_is_judged() {
        let fib = target("fib", 2, "ns_per_spawn").unwrap();
        assert_eq!(fib.judge(1.0, fib.shared, |peer| (peer == "go").then_some(1.0)), None);
        assert_eq!(fib.judge(1.0, fib.shared, |_| Some(0.0)), None, "nothing can be measured by nought");
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
