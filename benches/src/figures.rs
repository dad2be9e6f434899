//! The figures of those workloads that print more than what one operation costs, alike for every peer.

use crate::{Bench, Cost, Memory, fibonacci, job, measure, ms, ns, quantile, tagged};
use std::time::Duration;

impl Bench {
    /// Those of parked_mem: memory before the tasks, while all wait, and some time after they have ended; starting them,
    /// and letting them go.
    pub(crate) fn parked(&self, tag: &str, n: usize, memory: [Memory; 3], create: Duration, release: Duration) {
        let [before, parked, after] = memory;
        let each = |metric: &str, value: f64, unit: &str| {
            self.figure(&tagged(&format!("{metric}_per_task"), &[tag]), value / n as f64, unit);
        };
        each("rss_bytes", parked.resident - before.resident, "B");
        each("pte_bytes", parked.page_tables - before.page_tables, "B");
        each("kstack_bytes", parked.kernel_stacks - before.kernel_stacks, "B");
        let kept = after.resident - before.resident + after.page_tables - before.page_tables;
        each("bytes_after2s", kept, "B");
        each("create_ns", ns(create), "ns");
        each("release_ns", ns(release), "ns");
    }

    /// Those of deepstack: memory before the tasks, at the peak, and two seconds after.
    pub(crate) fn deep(&self, tag: &str, n: usize, memory: [Memory; 3], create: Duration, release: Duration) {
        let [before, peak, after] = memory;
        let kept = |now: Memory| (now.resident - before.resident) / n as f64;
        let figure = |metric, value, unit| self.figure(&tagged(metric, &[tag]), value, unit);
        figure("create_ms", ms(create), "ms");
        figure("release_ms", ms(release), "ms");
        figure("rss_peak_per_task", kept(peak), "B");
        figure("rss_after2s_per_task", kept(after), "B");
    }

    /// Those of timers: by how much each sleep was too long.
    pub(crate) fn timers(&self, tag: &str, mut late: Vec<i64>, cost: Cost) {
        late.sort_unstable();
        let figure = |metric, value, unit| self.figure(&tagged(metric, &[tag]), value, unit);
        figure("wall_ms", ms(cost.wall), "ms");
        figure("cpu_s", cost.cpu.as_secs_f64(), "s");
        figure("over_p50_us", quantile(&late, 0.5) / 1e3, "us");
        figure("over_p99_us", quantile(&late, 0.99) / 1e3, "us");
        figure("over_max_us", quantile(&late, 1.0) / 1e3, "us");
        figure("early", late.partition_point(|late| *late < 0) as f64, "count");
    }

    /// Those of hog: by how much each tick was too late.
    pub(crate) fn ticks(&self, mut late: Vec<i64>, wall: Duration) {
        late.sort_unstable();
        self.figure("wall_ms", ms(wall), "ms");
        self.figure("ticks", late.len() as f64, "count");
        self.figure("late_p50_ms", quantile(&late, 0.5) / 1e6, "ms");
        self.figure("late_p99_ms", quantile(&late, 0.99) / 1e6, "ms");
        self.figure("late_max_ms", quantile(&late, 1.0) / 1e6, "ms");
    }

    /// Those of sieve.
    pub(crate) fn primes(&self, tag: &str, cost: Cost) {
        self.figure(&tagged("seconds", &[tag]), cost.wall.as_secs_f64(), "s");
        self.figure(&tagged("cpu_seconds", &[tag]), cost.cpu.as_secs_f64(), "s");
    }

    /// Those of skynet: the first run, and the second.
    pub(crate) fn tree(&self, tags: &[&str], leaves: usize, [first, second]: [Cost; 2]) {
        self.millis_tagged("ms_first", tags, 1, first);
        self.millis_tagged("ms", tags, 1, second);
        self.figure(&tagged("ns_per_leaf", tags), ns(second.wall) / leaves as f64, "ns");
    }

    /// Those of fib: the first run, and five more.
    pub(crate) fn forks(&self, tag: &str, n: u32, [first, five]: [Cost; 2]) {
        self.millis_tagged("ms_first", &[tag], 1, first);
        self.millis_tagged("ms", &[tag], 5, five);
        let spawns = 5 * (fibonacci(n + 1) - 1);
        self.figure(&tagged("ns_per_spawn", &[tag]), ns(five.wall) / spawns as f64, "ns");
    }

    /// Those of cpu_map. `pool` does so many jobs by eight tasks.
    pub(crate) fn jobs(&self, n: usize, pool: impl FnOnce(usize) -> u64) {
        let in_sequence = |n: usize| (0..n as u64).map(job).fold(0, u64::wrapping_add);
        in_sequence(n / 20);
        let (sum, before) = measure(|| in_sequence(n));
        let (pool_sum, pool) = measure(|| pool(n));
        let (sum_after, after) = measure(|| in_sequence(n));
        assert_eq!((pool_sum, sum_after), (sum, sum));
        let sequence = (before.wall + after.wall) / 2;
        self.figure("seq_us_per_job", ns(sequence) / 1e3 / n as f64, "us");
        self.figure("par_ms", ms(pool.wall), "ms");
        self.figure("speedup", ns(sequence) / ns(pool.wall), "x");
    }

    fn millis_tagged(&self, metric: &str, tags: &[&str], runs: u32, cost: Cost) {
        self.millis(&tagged(metric, tags), runs, cost);
    }
}
