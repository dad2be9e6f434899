//! What the peers programs share: the request, the two clocks, memory readings, the work
//! that every peer does alike, and the lines they print.
//!
//! A peers program runs one workload and prints a line for each figure,
//! `workload peer procs metric value unit`. A tag at a metric's end, `ns_per_hop[park]`, says
//! how it departs from the workload's definition.

pub mod peers;

mod cpus;
mod figures;
mod net;
mod yields;

pub use yields::{Crowd, Turns};

use std::fmt;
use std::fs;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::num::NonZeroUsize;
use std::ops::AddAssign;
use std::path::PathBuf;
use std::process;
use std::time::{Duration, Instant};

/// Who runs the workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// pirn as it is by default, whose Gs have thread-locals of their own.
    Pirn,
    /// pirn, whose Gs use the thread-locals of the M that runs them.
    PirnShared,
    /// pirn with hooked calls: what the tasks wait for is std's. Its program is another one, since the hook is for a whole
    /// program.
    PirnHook,
    /// OS threads, and crossbeam-channel.
    Threads,
    /// may: coroutines on stacks.
    May,
    /// tokio: async tasks.
    Tokio,
    /// Go. Its program is another one, so it has here only what a load from outside measures.
    Go,
}

impl Peer {
    /// All that run in this program.
    pub const ALL: [Peer; 5] = [Peer::Pirn, Peer::PirnShared, Peer::Threads, Peer::May, Peer::Tokio];

    /// The name under which the figures stand.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Pirn => "pirn",
            Peer::PirnShared => "pirn-shared",
            Peer::PirnHook => "pirn-hook",
            Peer::Threads => "threads",
            Peer::May => "may",
            Peer::Tokio => "tokio",
            Peer::Go => "go",
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One run of a program: what was asked for, and where its figures go.
#[derive(Clone, Debug)]
pub struct Bench {
    /// Name of the workload.
    pub workload: String,
    /// Who runs it.
    pub peer: Peer,
    /// Number of Ps, worker threads, or CPUs that threads may use. Only tokio may have none, which is its runtime of
    /// the current thread.
    pub procs: usize,
    n: Option<NonZeroUsize>,
    load: Load,
}

/// What a workload needs to know that puts a load on a server.
#[derive(Clone, Debug, Default)]
struct Load {
    /// How long it is measured, in seconds.
    secs: Option<f64>,
    /// The program with the server, if it is another one.
    server: Option<PathBuf>,
}

impl Bench {
    /// Reads `WORKLOAD [--procs P] [--n N] [--peer PEER] [--mode isolated|shared] [--secs S] [--server PROGRAM]`, in any
    /// order.
    ///
    /// # Errors
    ///
    /// Says which argument is wrong.
    pub fn from_args(mut args: impl Iterator<Item = String>) -> Result<Bench, String> {
        let load = Load::default();
        let mut bench = Bench { workload: String::new(), peer: Peer::Pirn, procs: 2, n: None, load };
        while let Some(arg) = args.next() {
            if !arg.starts_with('-') {
                bench.workload = arg;
                continue;
            }
            let value = args.next().ok_or_else(|| format!("{arg} needs a value"))?;
            let wrong = || format!("{arg}: {value}?");
            match (arg.as_str(), value.as_str()) {
                ("--procs", _) => bench.procs = value.parse().map_err(|_| wrong())?,
                ("--n", _) => bench.n = Some(value.parse().map_err(|_| wrong())?),
                ("--peer", name) => {
                    let all = Peer::ALL.into_iter().chain([Peer::PirnHook, Peer::Go]);
                    bench.peer = all.into_iter().find(|peer| peer.name() == name).ok_or_else(wrong)?;
                }
                ("--mode", "isolated") => bench.peer = Peer::Pirn,
                ("--mode", "shared") => bench.peer = Peer::PirnShared,
                ("--secs", _) => {
                    let secs = value.parse().ok().filter(|secs| (0.01..=3600.0).contains(secs));
                    bench.load.secs = Some(secs.ok_or_else(wrong)?);
                }
                ("--server", path) => bench.load.server = Some(path.into()),
                _ => return Err(format!("unknown: {arg} {value}")),
            }
        }
        if bench.workload.is_empty() {
            return Err("which workload?".into());
        }
        if bench.procs == 0 && bench.peer != Peer::Tokio {
            return Err(format!("{} needs a proc", bench.peer));
        }
        if bench.peer == Peer::Go && bench.load.server.is_none() {
            return Err("go is another program: --server PROGRAM says which".into());
        }
        Ok(bench)
    }

    /// The size that was asked for, or else the workload's own.
    pub fn size(&self, default: usize) -> usize {
        self.n.map_or(default, NonZeroUsize::get)
    }

    /// As [`size`](Self::size), and ends the process if that is more than the peer can do.
    pub fn size_up_to(&self, most: usize, default: usize) -> usize {
        let size = self.size(default);
        if size > most {
            eprintln!("peers: {} has {} with --n {most} at most", self.peer, self.workload);
            process::exit(2);
        }
        size
    }

    /// How long a load is measured: as long as was asked for, or else the workload's own time.
    fn time(&self, default: f64) -> Duration {
        Duration::from_secs_f64(self.load.secs.unwrap_or(default))
    }

    /// A part of a tag that says the size, where it is this peer's own and not that of the definition.
    pub fn size_tag(&self, own: usize, defined: usize) -> String {
        if self.n.is_some() || own == defined { String::new() } else { format!("n={own}") }
    }

    /// Prints one figure, to four digits.
    pub fn figure(&self, metric: &str, value: f64, unit: &str) {
        let (workload, peer, procs) = (&self.workload, self.peer, self.procs);
        let magnitude = if value == 0.0 { 3.0 } else { value.abs().log10().floor() };
        let digits = (3.0 - magnitude).max(0.0) as usize;
        println!("{workload} {peer} {procs} {metric} {value:.digits$} {unit}");
    }

    /// Prints what one of `count` operations cost.
    pub fn each(&self, operation: &str, count: usize, cost: Cost) {
        self.figure(&format!("ns_per_{operation}"), ns(cost.wall) / count as f64, "ns");
        self.figure(&format!("cpu_ns_per_{operation}"), ns(cost.cpu) / count as f64, "ns");
    }

    /// Prints what one of `runs` runs cost.
    pub fn millis(&self, metric: &str, runs: u32, cost: Cost) {
        self.figure(metric, ms(cost.wall / runs), "ms");
        self.figure(&format!("cpu_{metric}"), ms(cost.cpu / runs), "ms");
    }
}

/// What a piece of work took: by the wall clock, and by the process's CPU clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Time passed.
    pub wall: Duration,
    /// User and system time of all threads.
    pub cpu: Duration,
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.wall += other.wall;
        self.cpu += other.cpu;
    }
}

/// Does `work` and says what it cost.
pub fn measure<R>(work: impl FnOnce() -> R) -> (R, Cost) {
    let clocks = Clocks::start();
    let result = work();
    (result, clocks.stop())
}

/// Both clocks as they were.
struct Clocks {
    wall: Instant,
    cpu: Duration,
}

impl Clocks {
    fn start() -> Clocks {
        let cpu = cpu_time();
        Clocks { wall: Instant::now(), cpu }
    }

    /// What has passed on them.
    fn stop(&self) -> Cost {
        let wall = self.wall.elapsed();
        Cost { wall, cpu: cpu_time() - self.cpu }
    }
}

fn cpu_time() -> Duration {
    let mut usage = MaybeUninit::uninit();
    // SAFETY: the kernel writes one rusage to where it is told to.
    let failed = unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) };
    assert_eq!(failed, 0, "getrusage of the own process can not fail");
    // SAFETY: getrusage has filled it.
    let usage: libc::rusage = unsafe { usage.assume_init() };
    [usage.ru_utime, usage.ru_stime].map(|t| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000)).iter().sum()
}

/// `time` in nanoseconds.
pub fn ns(time: Duration) -> f64 {
    time.as_nanos() as f64
}

/// `time` in milliseconds.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// `metric` with a tag of these parts, but for those that are empty.
pub fn tagged(metric: &str, parts: &[&str]) -> String {
    let parts: Vec<_> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { metric.to_owned() } else { format!("{metric}[{}]", parts.join(",")) }
}

/// By how many nanoseconds a sleep of `asked` that began at `start` ends too late, now.
pub fn late(start: Instant, asked: Duration) -> i64 {
    start.elapsed().as_nanos() as i64 - asked.as_nanos() as i64
}

/// The value below which a share of `q` of the values lies.
pub fn quantile(sorted: &[i64], q: f64) -> f64 {
    let place = (sorted.len() as f64 * q) as usize;
    sorted.get(place).or(sorted.last()).map_or(0.0, |v| *v as f64)
}

/// How long after the last task has ended the memory is read that is left of a burst.
pub const AFTER: Duration = Duration::from_secs(2);

/// Memory in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident memory of the process.
    pub resident: f64,
    /// Page tables of the process.
    pub page_tables: f64,
    /// Kernel stacks of the whole system.
    pub kernel_stacks: f64,
}

impl Memory {
    /// Reads it as it is now.
    pub fn now() -> Memory {
        Memory::of("self")
    }

    /// That of another process.
    fn of(process: &str) -> Memory {
        let status = format!("/proc/{process}/status");
        Memory {
            resident: proc_bytes(&status, "VmRSS:"),
            page_tables: proc_bytes(&status, "VmPTE:"),
            kernel_stacks: proc_bytes("/proc/meminfo", "KernelStack:"),
        }
    }
}

fn proc_bytes(file: &str, key: &str) -> f64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let kib: Option<f64> = text
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok());
    kib.unwrap_or_else(|| panic!("no {key} in {file}")) * 1024.0
}

/// The sleeps of the timers workload: 1 to 100 ms, the same sequence for every peer.
pub fn naps() -> impl Iterator<Item = Duration> {
    let mut seed = 0x9E37_79B9_7F4A_7C15;
    std::iter::repeat_with(move || {
        seed = xorshift(seed);
        Duration::from_micros(1000 + seed % 99_001)
    })
}

/// How many keys the workload over maps has.
pub const KEYS: u64 = 1000;

/// One call of a lock or a map that most calls only read.
#[derive(Clone, Copy, Debug)]
pub struct Call(u64);

impl Call {
    /// Whether it writes, as one in ten does.
    #[inline(always)]
    pub fn writes(self) -> bool {
        self.writes_beside(90)
    }

    /// Whether it writes, where so many of a hundred only read.
    #[inline(always)]
    pub fn writes_beside(self, reads: u64) -> bool {
        self.0 > u64::MAX / 100 * reads
    }

    /// Which key it is about, of [`KEYS`].
    #[inline(always)]
    pub fn key(self) -> u64 {
        self.0 % KEYS
    }
}

/// The calls of a task: for each task another sequence, and the same for every peer.
#[inline(always)]
pub fn calls(task: usize) -> impl Iterator<Item = Call> {
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(task as u64 + 1);
    std::iter::repeat_with(move || {
        seed = xorshift(seed);
        Call(seed)
    })
}

/// One job of the cpu_map workload, some 50 us of steps that each need the one before.
#[inline(never)]
pub fn job(number: u64) -> u64 {
    (0..32_000).fold(black_box(number) | 1, |x, _| xorshift(x))
}

fn xorshift(mut x: u64) -> u64 {
    x ^= x << 13;
    x ^= x >> 7;
    x ^ (x << 17)
}

/// One step of the hog workload.
#[inline(always)]
pub fn spin_step(x: u64) -> u64 {
    x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

/// Goes `frames` frames of a little over 1 KiB deep, does `at_bottom` there, and comes back.
/// Returns how many of the frames still held what they did on the way down.
#[inline(never)]
pub fn descend(frames: u8, at_bottom: &mut dyn FnMut()) -> usize {
    let mut frame = [frames; 1024];
    black_box(&mut frame);
    let below = if frames > 1 {
        descend(frames - 1, at_bottom)
    } else {
        at_bottom();
        0
    };
    let frame = black_box(&frame);
    below + usize::from(frame.iter().all(|byte| *byte == frames))
}

/// The sum of all numbers below `n`.
pub fn sum_below(n: usize) -> u64 {
    (0..n as u64).sum()
}

/// The `n`th Fibonacci number.
pub fn fibonacci(n: u32) -> u64 {
    (0..n).fold((0, 1), |(a, b), _| (b, a + b)).0
}
