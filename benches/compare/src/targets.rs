//! What pirn must reach: a share of what a peer needs in the same run, as a machine is not another one. Sizes, and
//! times that are mostly sleep, are the same everywhere and are compared as they are.

use crate::figures::more_is_better;
use crate::peers::{HOOK, SHARED};

/// What one figure must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// The row of the plan.
    pub(crate) row: &'static str,
    /// On how many Ps.
    pub(crate) procs: usize,
    /// The figure.
    pub(crate) metric: &'static str,
    /// What it may be at most, or at least if more of it is better: all of these have to be kept.
    pub(crate) limits: [Option<Limit>; 5],
}

/// The most that a figure may be, or the least if more of it is better.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// The peer that it is a share of; none if the figure is compared as it is.
    of: Option<&'static str>,
    /// With shared thread-locals. Here and below infinity is no limit.
    pub(crate) shared: f64,
    /// With a G's own.
    pub(crate) isolated: f64,
    /// With hooked calls.
    pub(crate) hooked: f64,
}

impl Limit {
    const fn new(of: Option<&'static str>, shared: f64, isolated: f64) -> Option<Limit> {
        Some(Limit { of, shared, isolated, hooked: f64::INFINITY })
    }

    /// With hooked calls only.
    const fn hooked(of: Option<&'static str>, hooked: f64) -> Option<Limit> {
        Some(Limit { of, shared: f64::INFINITY, isolated: f64::INFINITY, hooked })
    }

    /// What it is for `mode`, if there is one.
    pub(crate) fn most(self, mode: &str) -> Option<f64> {
        let most = match mode {
            SHARED => self.shared,
            HOOK => self.hooked,
            _ => self.isolated,
        };
        Some(most).filter(|most| most.is_finite())
    }

    /// A share that is the same for both modes.
    const fn both(of: &'static str, share: f64) -> Option<Limit> {
        Limit::new(Some(of), share, share)
    }
}

/// What a figure is identified by: row, procs, metric.
type Figure = (&'static str, usize, &'static str);

/// A share of what that peer needs.
const fn share((row, procs, metric): Figure, of: &'static str, shared: f64, isolated: f64) -> Target {
    Target { row, procs, metric, limits: [Limit::new(Some(of), shared, isolated), None, None, None, None] }
}

/// A size, or a time of sleep.
const fn fixed((row, procs, metric): Figure, shared: f64, isolated: f64) -> Target {
    Target { row, procs, metric, limits: [Limit::new(None, shared, isolated), None, None, None, None] }
}

/// A share of what each of the others needs, the same for both modes.
const fn shares((row, procs, metric): Figure, threads: f64, go: f64, may: f64, tokio: f64) -> Target {
    let limits = [
        Limit::both("threads", threads),
        Limit::both("go", go),
        Limit::both("may", may),
        Limit::both("tokio", tokio),
        None,
    ];
    Target { row, procs, metric, limits }
}

/// A share of what Go needs, and another of what tokio needs, the same for both modes.
const fn of_go_and_tokio((row, procs, metric): Figure, go: f64, tokio: f64) -> Target {
    Target { row, procs, metric, limits: [Limit::both("go", go), Limit::both("tokio", tokio), None, None, None] }
}

/// How many operations a server does in a second: a fifth more than Go's, and no fewer than tokio's.
const fn rate(row: &'static str, metric: &'static str) -> Target {
    of_go_and_tokio((row, 2, metric), 1.2, 1.0)
}

/// How late the latest of a hundred is: no later than with Go.
const fn latest(row: &'static str) -> Target {
    share((row, 2, "rtt_p99_us"), "go", 1.0, 1.0)
}

/// What an operation costs a server: less than anybody's but tokio's, and at most a tenth more than that.
const fn server_cpu(row: &'static str, metric: &'static str) -> Target {
    shares((row, 2, metric), 1.0, 1.0, 1.0, 1.1)
}

/// A lock that nobody else wants: at most a tenth slower than std's, and no peer is more than 1.2 times as fast.
const fn as_std(figure: Figure) -> Target {
    shares(figure, 1.1, 1.2, 1.2, 1.2)
}

/// What many do at the same time: ahead of Go and may, and no peer is more than 1.2 times as fast.
const fn ahead(figure: Figure) -> Target {
    shares(figure, 1.2, 1.0, 1.0, 1.2)
}

/// What one does alone: no peer is more than 1.2 times as fast.
const fn beside(figure: Figure) -> Target {
    shares(figure, 1.2, 1.2, 1.2, 1.2)
}

/// What only pirn-hook has a target for: a share of what `of` needs, or a time.
const fn hooked((row, procs, metric): Figure, of: Option<&'static str>, most: f64) -> Target {
    Target { row, procs, metric, limits: [None, None, None, None, Limit::hooked(of, most)] }
}

impl Target {
    /// The same, and with hooked calls no worse than Go.
    const fn hooked_as_go(mut self) -> Target {
        self.limits[4] = Limit::hooked(Some("go"), 1.0);
        self
    }
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
    hooked(("sleeps", 2, "wall_ms"), Some("pirn"), 1.1),
    hooked(("sleeps", 2, "cpu_wall_ms"), Some("pirn"), 1.1),
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
    // Locks, and what ends or is kept together.
    as_std(("mutex1", 1, "ns_per_lock")),
    as_std(("rwlock1", 1, "ns_per_read")),
    as_std(("rwlock1", 1, "ns_per_write")),
    ahead(("mutex8", 1, "ns_per_lock")).hooked_as_go(),
    ahead(("mutex8", 2, "ns_per_lock")).hooked_as_go(),
    ahead(("rwlock8", 1, "ns_per_lock")),
    ahead(("rwlock8", 2, "ns_per_lock")),
    ahead(("mutex_chan", 1, "ns_per_lock")),
    ahead(("mutex_chan", 2, "ns_per_lock")),
    ahead(("mutex_sleep", 2, "ns_per_hold")).hooked_as_go(),
    ahead(("barrier", 1, "ns_per_wait")),
    ahead(("barrier", 2, "ns_per_wait")),
    ahead(("condvar_turns", 1, "ns_per_turn")).hooked_as_go(),
    ahead(("condvar_turns", 2, "ns_per_turn")).hooked_as_go(),
    ahead(("semaphore", 1, "ns_per_permit")),
    ahead(("semaphore", 2, "ns_per_permit")),
    ahead(("wait_group", 1, "ns_per_add_done")),
    ahead(("wait_group", 2, "ns_per_add_done")),
    ahead(("errgroup", 1, "ns_per_task")),
    ahead(("errgroup", 2, "ns_per_task")),
    beside(("ctx_cancel", 1, "ns_per_make")),
    beside(("ctx_cancel", 1, "ns_per_cancel")),
    ahead(("ctx_cancel", 1, "ns_per_wake")),
    beside(("ctx_cancel", 2, "ns_per_make")),
    beside(("ctx_cancel", 2, "ns_per_cancel")),
    ahead(("ctx_cancel", 2, "ns_per_wake")),
    ahead(("pool", 1, "ns_per_get_put")),
    ahead(("pool", 2, "ns_per_get_put")),
    ahead(("map90", 1, "ns_per_call")),
    ahead(("map90", 2, "ns_per_call")),
    hooked(("plain_call", 1, "ns_more_per_call"), None, 3.0),
    // Servers.
    latest("tcp_echo_1"),
    server_cpu("tcp_echo_1", "server_cpu_us_per_msg"),
    rate("tcp_echo_64", "msgs_per_s"),
    latest("tcp_echo_64"),
    server_cpu("tcp_echo_64", "server_cpu_us_per_msg"),
    rate("tcp_echo_256", "msgs_per_s"),
    latest("tcp_echo_256"),
    server_cpu("tcp_echo_256", "server_cpu_us_per_msg"),
    rate("tcp_echo_1000", "msgs_per_s").hooked_as_go(),
    latest("tcp_echo_1000"),
    server_cpu("tcp_echo_1000", "server_cpu_us_per_msg"),
    rate("tcp_echo_10000", "msgs_per_s"),
    latest("tcp_echo_10000"),
    server_cpu("tcp_echo_10000", "server_cpu_us_per_msg"),
    latest("http_1"),
    server_cpu("http_1", "server_cpu_us_per_request"),
    rate("http_64", "requests_per_s"),
    latest("http_64"),
    server_cpu("http_64", "server_cpu_us_per_request"),
    rate("http_256", "requests_per_s"),
    latest("http_256"),
    server_cpu("http_256", "server_cpu_us_per_request"),
    rate("http_1000", "requests_per_s"),
    latest("http_1000"),
    server_cpu("http_1000", "server_cpu_us_per_request"),
    rate("http_10000", "requests_per_s"),
    latest("http_10000"),
    server_cpu("http_10000", "server_cpu_us_per_request"),
    fixed(("idle", 2, "bytes_per_conn"), 10_240.0, f64::INFINITY),
    fixed(("net_and_loop", 2, "late_p99_ms"), 12.0, 12.0),
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
    /// Whether the limit is the least that it may be, and not the most.
    pub(crate) at_least: bool,
}

impl Verdict {
    /// Whether it is good enough.
    pub(crate) fn reached(self) -> bool {
        if self.at_least { self.is >= self.limit } else { self.is <= self.limit }
    }

    /// By how much the limit is exceeded: above 1 it is.
    fn excess(self) -> f64 {
        if self.at_least { self.limit / self.is } else { self.is / self.limit }
    }
}

impl Target {
    /// Whether there is a limit for `mode`.
    pub(crate) fn is_for(&self, mode: &str) -> bool {
        self.limits.into_iter().flatten().any(|limit| limit.most(mode).is_some())
    }

    /// Judges the `figure` of `mode`. `now` says what a peer needs in the same run. Of several limits the one that is
    /// exceeded most counts, or else the one that is nearest. None if none of the peers is known.
    pub(crate) fn judge(&self, figure: f64, mode: &str, now: impl Fn(&str) -> Option<f64>) -> Option<Verdict> {
        let at_least = more_is_better(self.metric);
        let verdict = |limit: Limit| {
            let most = limit.most(mode)?;
            let Some(peer) = limit.of else { return Some(Verdict { limit: most, is: figure, of: None, at_least }) };
            let now = now(peer).filter(|now| *now > 0.0)?;
            Some(Verdict { limit: most, is: figure / now, of: Some(peer), at_least })
        };
        let verdicts = self.limits.into_iter().flatten().filter_map(verdict);
        verdicts.max_by(|a, b| a.excess().total_cmp(&b.excess()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::ISOLATED;

    #[test]
    fn a_machine_twice_as_slow_may_be_twice_as_slow() {
        let spawn = target("spawn_join", 1, "ns_per_task").unwrap();
        for tokio in [300.0, 600.0] {
            let now = |peer: &str| (peer == "tokio").then_some(tokio);
            let verdict = |share: f64| spawn.judge(tokio * share, ISOLATED, now).unwrap();
            assert_eq!(verdict(0.25).of, Some("tokio"));
            assert!(verdict(0.25).reached() && !verdict(0.26).reached());
        }
    }

    #[test]
    fn without_the_peer_nothing_is_judged() {
        let fib = target("fib", 2, "ns_per_spawn").unwrap();
        assert_eq!(fib.judge(1.0, SHARED, |peer| (peer == "go").then_some(1.0)), None);
        assert_eq!(fib.judge(1.0, SHARED, |_| Some(0.0)), None, "nothing can be measured by nought");
    }

    #[test]
    fn sizes_need_no_measure() {
        let bytes = target("parked_mem", 2, "bytes_per_task").unwrap();
        let verdict = |is| bytes.judge(is, SHARED, |_| None).unwrap();
        assert!(verdict(4900.0).reached() && !verdict(4901.0).reached());
        let idle = target("idle", 2, "bytes_per_conn").unwrap();
        assert_eq!(idle.judge(1e6, ISOLATED, |_| None), None, "only the other mode has a limit");
    }

    #[test]
    fn of_several_limits_the_one_that_is_exceeded_most_counts() {
        let mutex = target("mutex8", 2, "ns_per_lock").unwrap();
        let now = |peer: &str| match peer {
            "go" => Some(60.0),
            "may" => Some(270.0),
            "threads" => Some(40.0),
            _ => None,
        };
        let judged = |figure| {
            let Verdict { limit, of, .. } = mutex.judge(figure, ISOLATED, now).unwrap();
            (of, limit, mutex.judge(figure, ISOLATED, now).unwrap().reached())
        };
        assert_eq!(judged(45.0), (Some("threads"), 1.2, true));
        assert_eq!(judged(50.0), (Some("threads"), 1.2, false));
        let slow_threads = |peer: &str| if peer == "threads" { Some(80.0) } else { now(peer) };
        let verdict = mutex.judge(61.0, SHARED, slow_threads).unwrap();
        assert_eq!((verdict.of, verdict.limit, verdict.reached()), (Some("go"), 1.0, false));
    }

    #[test]
    fn where_more_is_better_the_limit_is_the_least() {
        let echo = target("tcp_echo_64", 2, "msgs_per_s").unwrap();
        let now = |peer: &str| match peer {
            "go" => Some(100.0),
            "tokio" => Some(140.0),
            _ => None,
        };
        let judged = |figure| {
            let verdict = echo.judge(figure, SHARED, now).unwrap();
            (verdict.of, verdict.limit, verdict.reached())
        };
        assert_eq!(judged(141.0), (Some("tokio"), 1.0, true));
        assert_eq!(judged(139.0), (Some("tokio"), 1.0, false));
        let slow_tokio = |peer: &str| if peer == "tokio" { Some(90.0) } else { now(peer) };
        let verdict = echo.judge(119.0, SHARED, slow_tokio).unwrap();
        assert_eq!((verdict.of, verdict.limit, verdict.reached()), (Some("go"), 1.2, false));
    }

    #[test]
    fn hooked_calls_have_limits_of_their_own() {
        let mutex = target("mutex8", 2, "ns_per_lock").unwrap();
        let go = |peer: &str| (peer == "go").then_some(60.0);
        let verdict = mutex.judge(59.0, HOOK, go).unwrap();
        assert_eq!((verdict.of, verdict.limit, verdict.reached()), (Some("go"), 1.0, true));
        let barrier = target("barrier", 2, "ns_per_wait").unwrap();
        assert!(!barrier.is_for(HOOK) && barrier.is_for(ISOLATED));
        let sleeps = target("sleeps", 2, "wall_ms").unwrap();
        assert!(sleeps.is_for(HOOK) && !sleeps.is_for(ISOLATED) && !sleeps.is_for(SHARED));
    }

    #[test]
    fn no_figure_has_two_targets() {
        for (nth, one) in TARGETS.iter().enumerate() {
            assert!(std::ptr::eq(target(one.row, one.procs, one.metric).unwrap(), one), "{nth}: {one:?}");
        }
    }
}
