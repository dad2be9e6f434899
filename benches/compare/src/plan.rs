//! What is measured: the rows, who takes part in each, at which size, and which figures are shown.

use crate::figures::BYTES;
use crate::peers::{HOOK, SHARED};
use crate::targets::TARGETS;
use regex::Regex;

/// What the tasks of a row cost in memory at most, in bytes each, stacks included.
const TASK_BYTES: [(&str, usize); 7] = [
    ("pirn", 12_000),
    ("pirn-shared", 6000),
    ("pirn-hook", 14_000),
    ("threads", 32_000),
    ("may", 10_000),
    ("tokio", 1500),
    ("go", 4000),
];

/// The most tasks at once that these can have: the kernel limits threads, and mappings, of which may has two a stack.
const TASKS_MAX: [(&str, usize); 2] = [("threads", 10_000), ("may", 30_000)];

/// The numbers of tasks by which the cost of a switch is shown.
const YIELD_POINTS: Points = Points {
    row: "yield_n",
    procs: 1,
    metric: "ns_per_yield",
    few: &[1, 100, 10_000, 100_000],
    all: &[1, 2, 10, 100, 1000, 10_000, 100_000, 1_000_000],
};

/// The numbers of parked tasks by which their memory is shown; 100,000 and a million are rows of their own.
const PARKED_POINTS: Points = Points {
    row: "parked_mem",
    procs: 2,
    metric: BYTES,
    few: &[10_000],
    all: &[10_000, 30_000, 100_000, 300_000, 1_000_000],
};

/// With `--quick` no more tasks than this at once.
const QUICK_POINT_MAX: usize = 100_000;

/// One row for each of several numbers of tasks.
#[derive(Debug)]
struct Points {
    row: &'static str,
    procs: usize,
    metric: &'static str,
    few: &'static [usize],
    all: &'static [usize],
}

/// What a tenth of the work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tenth {
    /// A tenth of the size.
    Linear,
    /// fib grows by 1.618 a step, and 1.618 to the fifth is 11.
    FiveLess,
    /// The sieve grows by the square.
    Square,
    /// All of it: the size is what the row is about, or costs nothing.
    Same,
}

/// One workload on so many Ps, for all who have it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The workload, or what tells it from the same at another size.
    pub(crate) name: String,
    /// What the programs call it.
    pub(crate) workload: &'static str,
    /// On how many Ps.
    pub(crate) procs: usize,
    /// The figures that the table shows. The rest are for `--json`.
    pub(crate) shown: &'static [&'static str],
    /// How many tasks it has at once, if the programs have to be told.
    pub(crate) tasks: Option<usize>,
    size: usize,
    /// Who does it at another size, since its own would take for ever.
    smaller: &'static [(&'static str, usize)],
    without: &'static [&'static str],
    /// Whether it can be written with std alone, so that pirn-hook takes part.
    hooked: bool,
    tenth: Tenth,
    /// The figures are of all the work and not of one operation, so that other sizes are not alike.
    whole: bool,
    touch_mib: usize,
    load_secs: Option<f64>,
    quick: bool,
}

impl Row {
    fn new(workload: &'static str, procs: usize, size: usize, shown: &'static [&'static str]) -> Row {
        Row {
            name: workload.to_owned(),
            workload,
            procs,
            shown,
            tasks: None,
            size,
            smaller: &[],
            without: &[],
            hooked: false,
            tenth: Tenth::Linear,
            whole: false,
            touch_mib: 0,
            load_secs: None,
            quick: false,
        }
    }

    fn smaller(self, smaller: &'static [(&'static str, usize)]) -> Row {
        Row { smaller, ..self }
    }

    fn without(self, without: &'static [&'static str]) -> Row {
        Row { without, ..self }
    }

    fn hooked(self) -> Row {
        Row { hooked: true, ..self }
    }

    fn tenth(self, tenth: Tenth) -> Row {
        Row { tenth, ..self }
    }

    fn touching(self, touch_mib: usize) -> Row {
        Row { touch_mib, ..self }
    }

    fn many(self, name: String, tasks: usize) -> Row {
        Row { name, size: tasks, tasks: Some(tasks), touch_mib: (tasks * 6000) >> 20, ..self }
    }

    /// A server with so many connections, under a load that is measured for so long.
    fn under_load(self, conns: usize, secs: f64) -> Row {
        let row = self.hooked();
        Row { size: conns, tasks: Some(conns), tenth: Tenth::Same, load_secs: Some(secs), ..row }
    }

    /// `spawn_join/2`.
    pub(crate) fn label(&self) -> String {
        format!("{}/{}", self.name, self.procs)
    }

    /// Whether `peer` takes part.
    pub(crate) fn has(&self, peer: &str) -> bool {
        let too_many = |most: usize| self.tasks.is_some_and(|tasks| tasks > most);
        let can = !self.without.contains(&peer) && (self.hooked || peer != HOOK);
        can && !look_up(&TASKS_MAX, peer).is_some_and(too_many)
    }

    /// How much work it is for `peer`, in the workload's own measure.
    pub(crate) fn size(&self, peer: &str) -> usize {
        let size = look_up(self.smaller, peer).unwrap_or(self.size);
        match self.tenth {
            _ if !self.quick => size,
            Tenth::Linear => (size / 10).max(1),
            Tenth::FiveLess => size.saturating_sub(5),
            Tenth::Square => (size as f64 / 10_f64.sqrt()) as usize,
            Tenth::Same => size,
        }
    }

    /// The size to ask `peer` for, if it is not the one that the workload has by itself.
    pub(crate) fn n(&self, peer: &str) -> Option<usize> {
        let own = self.tasks.is_none() && (!self.quick || self.tenth == Tenth::Same);
        (!own).then(|| self.size(peer))
    }

    /// Whether a figure of `peer`, with this tag, can stand beside pirn's.
    pub(crate) fn alike(&self, peer: &str, tag: &str) -> bool {
        !self.whole || (self.size(peer) == self.size(SHARED) && !tag.contains("n="))
    }

    /// How much memory `peer` needs at once, in MiB, as far as it is much.
    pub(crate) fn need_mib(&self, peer: &str) -> usize {
        let each = look_up(&TASK_BYTES, peer).unwrap_or(0);
        self.tasks.map_or(0, |_| (self.size(peer) * each) >> 20)
    }

    /// For a server, how many seconds of the load are measured.
    pub(crate) fn load_secs(&self) -> Option<f64> {
        self.load_secs.map(|secs| if self.quick { secs / 10.0 } else { secs })
    }

    /// How much free memory to touch beforehand, in MiB.
    pub(crate) fn touch_mib(&self) -> usize {
        if self.quick && self.tenth != Tenth::Same { self.touch_mib / 10 } else { self.touch_mib }
    }
}

fn look_up(list: &[(&str, usize)], peer: &str) -> Option<usize> {
    list.iter().find(|(name, _)| *name == peer).map(|(_, value)| *value)
}

/// Whether `metric` depends on where the two CPUs are: not what is memory, or mostly sleep.
pub(crate) fn depends_on_place(metric: &str) -> bool {
    let asleep = ["late_", "over_", "rss_", "bytes_"].iter().any(|start| metric.starts_with(start));
    !asleep && !["wall_ms", "ticks", "speedup"].contains(&metric)
}

/// The rows that have a target, and some beside them.
fn rows() -> Vec<Row> {
    const ONE_BY_ONE: &[(&str, usize)] = &[("may", 50_000), ("threads", 20_000)];
    const PARKED: &[(&str, usize)] = &[("may", 30_000), ("threads", 10_000)];
    const NEITHER: &[&str] = &["threads", "may"];
    const PARKED_SHOWN: &[&str] = &[BYTES, "bytes_after2s_per_task", "create_ns_per_task", "release_ns_per_task"];
    const SELECT_4: &[(&str, usize)] = &[("threads", 200_000)];
    const NO_THREADS: &[&str] = &["threads"];
    let spawn_join = |procs| {
        Row::new("spawn_join", procs, 1_000_000, &["ns_per_task", "ns_per_task_first"])
            .smaller(&[("threads", 20_000)])
            .touching(1024)
    };
    let pingpong =
        |procs| Row::new("pingpong", procs, 1_000_000, &["ns_per_roundtrip"]).smaller(&[("threads", 30_000)]).hooked();
    let buffered = |workload| Row::new(workload, 2, 4_000_000, &["ns_per_msg"]);
    let select4 = |procs| Row::new("select4", procs, 1_000_000, &["ns_per_msg"]).smaller(SELECT_4);
    let parked_mem = Row::new("parked_mem", 2, 100_000, PARKED_SHOWN);
    vec![
        spawn_join(1),
        spawn_join(2),
        Row::new("spawn_join_handle", 1, 300_000, &["ns_per_pair"]).smaller(ONE_BY_ONE),
        Row::new("yield1", 1, 1_000_000, &["ns_per_yield"]).smaller(&[("threads", 500_000)]),
        Row::new("yield_many", 2, 5000, &["ns_per_yield"]).smaller(&[("threads", 500)]),
        parked_mem.clone().smaller(PARKED).touching(1024),
        parked_mem.without(NEITHER).many("parked_mem_1M".to_owned(), 1_000_000),
        Row::new("fib", 2, 25, &["ns_per_spawn"]).smaller(&[("may", 20)]).without(NO_THREADS).tenth(Tenth::FiveLess),
        Row {
            whole: true,
            ..Row::new("timers", 2, 100_000, &["over_p99_us", "cpu_s"])
                .smaller(&[("may", 20_000), ("threads", 10_000)])
                .touching(512)
                .hooked()
        },
        Row::new("sleeps", 2, 10_000, &["wall_ms", "cpu_wall_ms"]).hooked(),
        Row::new("hog", 2, 2, &["late_p50_ms", "late_p99_ms", "ticks"]).tenth(Tenth::Same),
        Row::new("blocking", 2, 64, &["wall_ms"]).tenth(Tenth::Same).hooked(),
        Row::new("deepstack", 2, 1000, &["rss_after2s_per_task", "rss_peak_per_task"]).tenth(Tenth::Same).touching(512),
        pingpong(1),
        pingpong(2),
        Row::new("ring", 1, 2_000_000, &["ns_per_hop"]).smaller(&[("threads", 100_000)]),
        Row::new("spsc0", 2, 2_000_000, &["ns_per_msg"]).smaller(&[("threads", 50_000)]).hooked(),
        buffered("spsc128"),
        buffered("mpsc128"),
        buffered("mpmc128"),
        select4(1),
        select4(2),
        Row::new("select_nb", 1, 50_000_000, &["ns_per_op_1ch", "ns_per_op_2ch"]),
        Row::new("select_timeout", 1, 1_000_000, &["ns_per_op_reused_timer", "ns_per_op_no_timeout"]),
        Row::new("sieve", 2, 2500, &["seconds"]).tenth(Tenth::Square),
        Row::new("skynet", 2, 1_000_000, &["ns_per_leaf"])
            .smaller(&[("may", 10_000)])
            .without(NO_THREADS)
            .touching(1024),
        Row::new("cpu_map", 2, 10_000, &["speedup"]),
    ]
}

/// The rows about locks, and about what ends or is kept together.
fn sync_rows() -> Vec<Row> {
    const ALL_BUT_GO: &[&str] = &["threads", "may", "tokio"];
    let alone = |workload, shown| Row::new(workload, 1, 10_000_000, shown).hooked();
    let shared =
        |workload, size, shown, smaller| [1, 2].map(|procs| Row::new(workload, procs, size, shown).smaller(smaller));
    let hooked = |workload, size, shown, smaller| shared(workload, size, shown, smaller).map(Row::hooked);
    let mut rows = vec![alone("mutex1", &["ns_per_lock"]), alone("rwlock1", &["ns_per_read", "ns_per_write"])];
    rows.extend(hooked("mutex8", 1_000_000, &["ns_per_lock"], &[("may", 200_000), ("tokio", 300_000)]));
    rows.extend(hooked("rwlock8", 1_000_000, &["ns_per_lock"], &[("may", 100_000), ("tokio", 300_000)]));
    rows.extend(hooked("mutex_chan", 100_000, &["ns_per_lock"], &[("threads", 1000)]));
    rows.push(Row::new("mutex_sleep", 2, 1000, &["ns_per_hold", "cpu_ns_per_hold"]).hooked());
    rows.extend(hooked("barrier", 20_000, &["ns_per_wait"], &[("threads", 300), ("may", 10_000)]));
    rows.extend(hooked("condvar_turns", 500, &["ns_per_turn"], &[("threads", 10)]));
    rows.extend(hooked("semaphore", 1000, &["ns_per_permit"], &[("threads", 20)]));
    rows.extend(shared("wait_group", 1_000_000, &["ns_per_add_done"], &[("may", 200_000)]));
    let no_group: &[&str] = &["threads", "may"];
    rows.extend(shared("errgroup", 500_000, &["ns_per_task"], &[]).map(|row| row.without(no_group)));
    let ends: &[&str] = &["ns_per_make", "ns_per_cancel", "ns_per_wake"];
    rows.extend(shared("ctx_cancel", 100_000, ends, &[]).map(|row| row.without(no_group)));
    rows.extend(shared("pool", 1_000_000, &["ns_per_get_put"], &[]).map(|row| row.without(ALL_BUT_GO)));
    rows.extend(hooked("map90", 1_000_000, &["ns_per_call"], &[("may", 100_000)]));
    let not_hooked: &[&str] = &["pirn", "pirn-shared", "threads", "may", "tokio", "go"];
    let plain_call = Row::new("plain_call", 1, 2_000_000, &["ns_per_call", "ns_more_per_call"]);
    rows.push(plain_call.hooked().without(not_hooked));
    rows
}

/// The rows about servers. Those whose name has a number are about so many connections.
fn net_rows() -> Vec<Row> {
    const CONNS: [usize; 5] = [1, 64, 256, 1000, 10_000];
    const ECHO: &[&str] = &["msgs_per_s", "rtt_p50_us", "rtt_p99_us", "server_cpu_us_per_msg"];
    const HTTP: &[&str] = &["requests_per_s", "rtt_p50_us", "rtt_p99_us", "server_cpu_us_per_request"];
    let row = |workload, shown| Row::new(workload, 2, 0, shown);
    // What is soon the same needs no more time; wrk knows whole seconds only.
    let secs = |conns| if conns < 1000 { 1.0 } else { 2.0 };
    let points = |workload, shown| {
        let row = |conns| row(workload, shown).under_load(conns, secs(conns));
        CONNS.map(|conns| Row { name: format!("{workload}_{conns}"), ..row(conns) })
    };
    let mut rows = [points("tcp_echo", ECHO), points("http", HTTP)].concat();
    rows.push(row("connect", &["conns_per_s", "rtt_p99_us", "server_cpu_us_per_conn"]).under_load(64, 1.5));
    rows.push(row("idle", &["bytes_per_conn"]).under_load(10_000, 1.0));
    rows.push(row("net_and_loop", &["late_p99_ms", "late_p99_ms_without_loop"]).under_load(1000, 5.0));
    rows
}

/// A row for each number of tasks.
fn points(points: &'static Points, all: bool, most: usize) -> impl Iterator<Item = Row> {
    let shown = std::slice::from_ref(&points.metric);
    let tasks = if all { points.all } else { points.few };
    let row = move |tasks: &usize| {
        let name = format!("{}_{tasks}", points.row);
        Row::new(points.row, points.procs, *tasks, shown).many(name, *tasks).tenth(Tenth::Same)
    };
    tasks.iter().filter(move |tasks| **tasks <= most).map(row)
}

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    /// Only rows whose label this finds.
    pub(crate) only: Option<Regex>,
    /// A tenth of the work.
    pub(crate) quick: bool,
    /// The rows by the number of tasks, all of them, and no others.
    pub(crate) scaling: bool,
}

/// The rows of a run.
pub(crate) fn plan(wish: &Wish) -> Vec<Row> {
    let most = if wish.quick { QUICK_POINT_MAX } else { usize::MAX };
    let mut plan = if wish.scaling { Vec::new() } else { [rows(), sync_rows(), net_rows()].concat() };
    plan.extend(points(&YIELD_POINTS, wish.scaling, most));
    plan.extend(points(&PARKED_POINTS, wish.scaling, most));
    plan.retain(|row| wish.only.as_ref().is_none_or(|only| only.is_match(&row.label())));
    plan.iter_mut().for_each(|row| row.quick = wish.quick);
    plan
}

/// The plan as text, for `--list`.
pub(crate) fn list(plan: &[Row], peers: &[&str]) -> String {
    let mut text = String::new();
    for row in plan {
        let peers: Vec<_> = peers.iter().copied().filter(|peer| row.has(peer)).collect();
        let targets = TARGETS.iter().filter(|target| target.row == row.name && target.procs == row.procs).count();
        let targets = match targets {
            0 => String::new(),
            1 => ", 1 target".to_owned(),
            more => format!(", {more} targets"),
        };
        text += &format!("{:22} {}{targets}: {}\n", row.label(), row.shown.join(" "), peers.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::PEERS;

    fn labels(wish: &Wish) -> Vec<String> {
        plan(wish).iter().map(Row::label).collect()
    }

    fn row(label: &str, wish: &Wish) -> Row {
        plan(wish).into_iter().find(|row| row.label() == label).unwrap()
    }

    #[test]
    fn every_target_has_its_row_and_figure() {
        let plan = plan(&Wish::default());
        for target in TARGETS {
            let row = plan.iter().find(|row| row.name == target.row && row.procs == target.procs);
            let shown = row.unwrap_or_else(|| panic!("no row {}/{}", target.row, target.procs)).shown;
            assert!(shown.contains(&target.metric), "{target:?}");
        }
    }

    #[test]
    fn labels_are_different() {
        for scaling in [false, true] {
            let mut all = labels(&Wish { scaling, ..Wish::default() });
            let count = all.len();
            all.sort();
            all.dedup();
            assert_eq!(all.len(), count);
        }
    }

    #[test]
    fn only_what_was_asked_for() {
        let only = |regex: &str| labels(&Wish { only: Some(Regex::new(regex).unwrap()), ..Wish::default() });
        assert_eq!(only("^spawn_join/"), ["spawn_join/1", "spawn_join/2"]);
        assert_eq!(only("^s.*/1$").len(), 6);
        assert!(only("nothing").is_empty());
    }

    #[test]
    fn scaling_has_more_points_and_nothing_else() {
        let few = labels(&Wish::default()).iter().filter(|label| label.starts_with("yield_n_")).count();
        let all = labels(&Wish { scaling: true, ..Wish::default() });
        assert_eq!((few, all.len()), (4, 13));
        assert!(all.iter().all(|label| label.starts_with("yield_n_") || label.starts_with("parked_mem_")));
    }

    #[test]
    fn a_tenth_of_the_work() {
        let quick = &Wish { quick: true, ..Wish::default() };
        let n = |label: &str, peer: &str| row(label, quick).n(peer);
        assert_eq!(n("spawn_join/1", "go"), Some(100_000));
        assert_eq!(n("spawn_join/1", "threads"), Some(2000));
        assert_eq!(n("fib/2", "go"), Some(20));
        assert_eq!(n("fib/2", "may"), Some(15));
        assert_eq!(n("sieve/2", "go"), Some(790));
        assert_eq!(n("hog/2", "go"), None);
        assert_eq!(n("parked_mem_1M/2", "go"), Some(100_000));
        assert_eq!(n("yield_n_100/1", "go"), Some(100));
        assert_eq!(n("tcp_echo_10000/2", "go"), Some(10_000));
        assert_eq!(row("net_and_loop/2", quick).load_secs(), Some(0.5));
        let full = Wish::default();
        assert_eq!(row("net_and_loop/2", &full).load_secs(), Some(5.0));
        assert_eq!(row("ring/1", &full).load_secs(), None);
        assert_eq!(row("spawn_join/1", &full).n("go"), None);
        assert_eq!(row("parked_mem_1M/2", &full).n("go"), Some(1_000_000));
        assert_eq!(row("yield_n_100/1", &full).n("go"), Some(100));
    }

    #[test]
    fn who_can_not_have_so_many_tasks_is_left_out() {
        let scaling = &Wish { scaling: true, ..Wish::default() };
        let who = |label: &str| PEERS.into_iter().filter(|peer| row(label, scaling).has(peer)).collect::<Vec<_>>();
        assert_eq!(who("parked_mem_10000/2"), PEERS.into_iter().filter(|peer| *peer != HOOK).collect::<Vec<_>>());
        assert_eq!(who("parked_mem_30000/2"), ["pirn", "pirn-shared", "may", "tokio", "go"]);
        assert_eq!(who("yield_n_1000000/1"), ["pirn", "pirn-shared", "tokio", "go"]);
        assert_eq!(row("yield_n_1000000/1", scaling).need_mib("pirn"), 11_444);
    }

    #[test]
    fn the_hook_is_for_what_std_can_do() {
        let full = &Wish::default();
        let has = |label: &str| row(label, full).has(HOOK);
        assert!(["mutex8/2", "tcp_echo_1000/2", "idle/2", "sleeps/2"].into_iter().all(has));
        assert!(!["parked_mem/2", "errgroup/2", "spawn_join/1"].into_iter().any(has));
        let who = |label: &str| PEERS.into_iter().filter(|peer| row(label, full).has(peer)).collect::<Vec<_>>();
        assert_eq!(who("plain_call/1"), [HOOK]);
    }

    #[test]
    fn other_sizes_are_not_alike_where_it_matters() {
        let full = &Wish::default();
        assert!(row("timers/2", full).alike("tokio", ""));
        assert!(!row("timers/2", full).alike("tokio", "n=10000"));
        assert!(!row("timers/2", full).alike("threads", ""));
        assert!(row("skynet/2", full).alike("may", "unbounded,n=10000"));
    }

    #[test]
    fn the_list_says_who_and_what() {
        let wish = Wish { only: Some(Regex::new("fib|spawn_join/1|cpu_map").unwrap()), ..Wish::default() };
        let text = "spawn_join/1           ns_per_task ns_per_task_first, 1 target: pirn threads\n\
                    fib/2                  ns_per_spawn, 1 target: pirn\n\
                    cpu_map/2              speedup: pirn threads\n";
        assert_eq!(list(&plan(&wish), &["pirn", "threads"]), text);
    }
}
