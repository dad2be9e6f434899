//! pirn's peers program: one workload in a G, on `--procs` Ps.
//!
//! `--mode isolated` gives each G thread-locals of its own; the peer is then `pirn-isolated`.
//! `pingpong` and `ring` are done twice: over channels, and by park and unpark (tag `[park]`), which is what channels
//! are made of. `parked_mem` and `deepstack` park.

mod channels;

use pirn::{JoinHandle, Unparker, go};
use pirn_benches::{
    Bench, Cost, Memory, Mode, descend, fibonacci, job, measure, ms, naps, ns, quantile, spin_step, sum_below,
};
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, io, panic, process};

type Workload = fn(&Bench);

const WORKLOADS: &[(&str, Workload)] = &[
    ("spawn_join", spawn_join),
    ("spawn_join_handle", spawn_join_handle),
    ("parked_mem", parked_mem),
    ("yield1", |bench| yields(bench, 2, 1_000_000)),
    ("yield_many", |bench| yields(bench, 1000, 5000)),
    ("pingpong", |bench| {
        channels::pingpong(bench);
        pingpong(bench);
    }),
    ("ring", |bench| {
        channels::ring(bench);
        ring(bench);
    }),
    ("spsc0", |bench| channels::stream(bench, 0, 1, 1, 2_000_000)),
    ("spsc128", |bench| channels::stream(bench, 128, 1, 1, 4_000_000)),
    ("mpsc128", |bench| channels::stream(bench, 128, 4, 1, 4_000_000)),
    ("mpmc128", |bench| channels::stream(bench, 128, 4, 4, 4_000_000)),
    ("select4", channels::select4),
    ("select_nb", channels::select_nb),
    ("select_timeout", channels::select_timeout),
    ("sieve", channels::sieve),
    ("skynet", channels::skynet),
    ("timers", |bench| timers(bench, 100_000)),
    ("timers_10k", |bench| timers(bench, 10_000)),
    ("fib", fib),
    ("cpu_map", cpu_map),
    ("hog", hog),
    ("blocking", blocking),
    ("deepstack", deepstack),
];

fn main() -> ExitCode {
    let bench = match Bench::from_args(env::args().skip(1)) {
        Ok(bench) => bench,
        Err(text) => {
            eprintln!("peers-pirn: {text}");
            return ExitCode::from(2);
        }
    };
    let Some((_, workload)) = WORKLOADS.iter().find(|(name, _)| *name == bench.workload) else {
        eprintln!("peers-pirn: no workload '{}'", bench.workload);
        return ExitCode::from(3);
    };
    end_at_first_panic();
    match runtime(&bench) {
        Ok(runtime) => {
            runtime.run(move || workload(&bench));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("peers-pirn: no runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the runtime that was asked for.
fn runtime(bench: &Bench) -> io::Result<pirn::Runtime> {
    let builder = pirn::Builder::new().procs(bench.procs);
    match bench.mode {
        // SAFETY: no workload has a thread-local's address or value over a call that may park.
        Mode::Shared => unsafe { builder.shared_thread_locals() }.build(),
        Mode::Isolated => builder.build(),
    }
}

/// A G that panics would leave those that wait for it waiting for ever.
fn end_at_first_panic() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        print(info);
        process::exit(101);
    }));
}

/// A count that falls to nought, and the one G that waits for that.
struct Countdown {
    left: AtomicUsize,
    waiter: Unparker,
}

impl Countdown {
    /// Counts down from `n` for the G that calls.
    fn new(n: usize) -> Self {
        Countdown { left: AtomicUsize::new(n), waiter: Unparker::current() }
    }

    fn done(&self) {
        if self.left.fetch_sub(1, AcqRel) == 1 {
            self.waiter.unpark();
        }
    }

    fn wait(&self) {
        while self.left.load(Acquire) > 0 {
            pirn::park();
        }
    }
}

/// A gate that `n` Gs wait at.
struct Gate {
    arrived: Countdown,
    left: Countdown,
    open: AtomicBool,
    waiters: Vec<OnceLock<Unparker>>,
}

impl Gate {
    /// A closed one. It is the caller who opens it.
    fn new(n: usize) -> Arc<Self> {
        Arc::new(Gate {
            arrived: Countdown::new(n),
            left: Countdown::new(n),
            open: AtomicBool::new(false),
            waiters: (0..n).map(|_| OnceLock::new()).collect(),
        })
    }

    /// Starts a G for each place, which comes to it by `way`, and returns when all have arrived.
    fn gather(self: &Arc<Self>, way: impl Fn(&Gate, usize) + Copy + Send + 'static) -> Cost {
        let start_all = || {
            for place in 0..self.waiters.len() {
                let gate = self.clone();
                go(move || {
                    way(&gate, place);
                    gate.left.done();
                });
            }
            self.arrived.wait();
        };
        measure(start_all).1
    }

    /// Waits at `place`, which nobody else uses.
    fn pass(&self, place: usize) {
        assert!(self.waiters[place].set(Unparker::current()).is_ok());
        self.arrived.done();
        while !self.open.load(Acquire) {
            pirn::park();
        }
    }

    /// Lets all go, once all have arrived, and returns when all have left.
    fn open(&self) {
        self.open.store(true, Release);
        for waiter in &self.waiters {
            waiter.get().expect("all have arrived").unpark();
        }
        self.left.wait();
    }
}

/// Where one G waits for a number from another.
#[repr(align(128))]
struct Seat {
    number: AtomicUsize,
    sitter: OnceLock<Unparker>,
}

impl Seat {
    const NOTHING: usize = usize::MAX;

    fn new() -> Self {
        Seat { number: AtomicUsize::new(Self::NOTHING), sitter: OnceLock::new() }
    }

    /// Takes the seat. Nobody may hand anything over before that.
    fn sit(&self) {
        assert!(self.sitter.set(Unparker::current()).is_ok());
    }

    /// Hands `number` to the sitter, who has taken the one before.
    fn hand(&self, number: usize) {
        self.number.store(number, Release);
        self.sitter.get().expect("somebody sits").unpark();
    }

    fn take(&self) -> usize {
        loop {
            let number = self.number.load(Acquire);
            if number != Self::NOTHING {
                self.number.store(Self::NOTHING, Relaxed);
                return number;
            }
            pirn::park();
        }
    }
}

fn joined<T>(handle: JoinHandle<T>) -> T {
    handle.join().expect("no G panics")
}

fn spawn_join(bench: &Bench) {
    static HITS: AtomicUsize = AtomicUsize::new(0);
    let n = bench.size(1_000_000);
    for name in ["task_first", "task"] {
        HITS.store(0, Relaxed);
        let (_, cost) = measure(|| {
            let all = Arc::new(Countdown::new(n));
            for _ in 0..n {
                let all = all.clone();
                go(move || {
                    HITS.fetch_add(1, Relaxed);
                    all.done();
                });
            }
            all.wait();
        });
        assert_eq!(HITS.load(Relaxed), n);
        bench.each(name, n, cost);
    }
}

fn spawn_join_handle(bench: &Bench) {
    let n = bench.size(300_000);
    let run = |n: usize| {
        let sum: u64 = (0..n as u64).map(|i| joined(go(move || i))).sum();
        assert_eq!(sum, sum_below(n));
    };
    run(n / 10);
    bench.each("pair", n, measure(|| run(n)).1);
}

fn parked_mem(bench: &Bench) {
    let n = bench.size(100_000);
    parked(100);
    let (before, while_parked, create, release) = parked(n);
    let each = |metric: &str, value: f64, unit: &str| {
        bench.figure(&format!("{metric}_per_task[park]"), value / n as f64, unit);
    };
    each("rss_bytes", while_parked.resident - before.resident, "B");
    each("pte_bytes", while_parked.page_tables - before.page_tables, "B");
    let kernel_stacks = while_parked.kernel_stacks - before.kernel_stacks;
    each("kstack_bytes", kernel_stacks, "B");
    each("create_ns", ns(create.wall), "ns");
    each("release_ns", ns(release.wall), "ns");
}

/// Has `n` Gs park. The gate, with an unparker for each, is there before the first reading.
fn parked(n: usize) -> (Memory, Memory, Cost, Cost) {
    let gate = Gate::new(n);
    let before = Memory::now();
    let create = gate.gather(Gate::pass);
    pirn::sleep(Duration::from_millis(200));
    let while_parked = Memory::now();
    let (_, release) = measure(|| gate.open());
    (before, while_parked, create, release)
}

fn yields(bench: &Bench, tasks: usize, default: usize) {
    let n = bench.size(default);
    let run = |n: usize| {
        let all = Arc::new(Countdown::new(tasks));
        for _ in 0..tasks {
            let all = all.clone();
            go(move || {
                (0..n).for_each(|_| pirn::yield_now());
                all.done();
            });
        }
        all.wait();
    };
    run(n / 10);
    bench.each("yield", tasks * n, measure(|| run(n)).1);
}

fn pingpong(bench: &Bench) {
    let n = bench.size(1_000_000);
    let run = |n: usize| {
        let seats = Arc::new([Seat::new(), Seat::new()]);
        let seated = Arc::new(Countdown::new(1));
        let pong = {
            let (seats, seated) = (seats.clone(), seated.clone());
            go(move || {
                seats[1].sit();
                seated.done();
                (0..n).for_each(|_| seats[0].hand(seats[1].take()));
            })
        };
        seated.wait();
        let ping = go(move || {
            seats[0].sit();
            for i in 0..n {
                seats[1].hand(i);
                assert_eq!(seats[0].take(), i);
            }
        });
        joined(ping);
        joined(pong);
    };
    run(n / 10);
    bench.each("roundtrip[park]", n, measure(|| run(n)).1);
}

fn ring(bench: &Bench) {
    const SIZE: usize = 503;
    const LEAVE: usize = usize::MAX - 1;
    let n = bench.size(2_000_000);
    let run = |n: usize| {
        let seats: Arc<[Seat]> = (0..SIZE).map(|_| Seat::new()).collect();
        let seated = Arc::new(Countdown::new(SIZE));
        let over = Arc::new(Countdown::new(1));
        let sitters: Vec<JoinHandle<usize>> = (0..SIZE)
            .map(|i| {
                let (seats, seated, over) = (seats.clone(), seated.clone(), over.clone());
                go(move || {
                    seats[i].sit();
                    seated.done();
                    let mut taken = 0;
                    loop {
                        match seats[i].take() {
                            LEAVE => return taken,
                            0 => over.done(),
                            hops => seats[(i + 1) % SIZE].hand(hops - 1),
                        }
                        taken += 1;
                    }
                })
            })
            .collect();
        seated.wait();
        seats[0].hand(n);
        over.wait();
        seats.iter().for_each(|seat| seat.hand(LEAVE));
        assert_eq!(sitters.into_iter().map(joined).sum::<usize>(), n + 1);
    };
    run(n / 10);
    bench.each("hop[park]", n, measure(|| run(n)).1);
}

fn timers(bench: &Bench, default: usize) {
    let n = bench.size(default);
    let run = |n: usize| {
        let naps: Vec<Duration> = naps().take(n).collect();
        measure(|| {
            let sleepers: Vec<JoinHandle<i64>> = naps
                .into_iter()
                .map(|nap| {
                    go(move || {
                        let start = Instant::now();
                        pirn::sleep(nap);
                        start.elapsed().as_nanos() as i64 - nap.as_nanos() as i64
                    })
                })
                .collect();
            sleepers.into_iter().map(joined).collect::<Vec<i64>>()
        })
    };
    run(n / 100);
    let (mut late, cost) = run(n);
    late.sort_unstable();
    bench.figure("wall_ms", ms(cost.wall), "ms");
    bench.figure("cpu_s", cost.cpu.as_secs_f64(), "s");
    bench.figure("over_p50_us", quantile(&late, 0.5) / 1e3, "us");
    bench.figure("over_p99_us", quantile(&late, 0.99) / 1e3, "us");
    bench.figure("over_max_us", quantile(&late, 1.0) / 1e3, "us");
    bench.figure("early", late.partition_point(|l| *l < 0) as f64, "count");
}

fn fib(bench: &Bench) {
    fn of(n: u32) -> u64 {
        if n < 2 {
            return u64::from(n);
        }
        let one = go(move || of(n - 1));
        of(n - 2) + joined(one)
    }
    let n = bench.size(25) as u32;
    let run = || assert_eq!(joined(go(move || of(n))), fibonacci(n));
    bench.millis("ms_first", 1, measure(run).1);
    let (_, cost) = measure(|| (0..5).for_each(|_| run()));
    bench.millis("ms", 5, cost);
    let spawns = 5 * (fibonacci(n + 1) - 1);
    bench.figure("ns_per_spawn", ns(cost.wall) / spawns as f64, "ns");
}

fn cpu_map(bench: &Bench) {
    let n = bench.size(10_000);
    let in_sequence = |n: usize| (0..n as u64).map(job).fold(0, u64::wrapping_add);
    in_sequence(n / 20);
    let (sum, before) = measure(|| in_sequence(n));
    let (pool_sum, pool) = measure(|| channels::pool(n, job));
    let (sum_after, after) = measure(|| in_sequence(n));
    assert_eq!((pool_sum, sum_after), (sum, sum));
    let sequence = (before.wall + after.wall) / 2;
    bench.figure("seq_us_per_job", ns(sequence) / 1e3 / n as f64, "us");
    bench.figure("par_ms", ms(pool.wall), "ms");
    bench.figure("speedup", ns(sequence) / ns(pool.wall), "x");
}

fn hog(bench: &Bench) {
    static STOP: AtomicBool = AtomicBool::new(false);
    const TICK: Duration = Duration::from_millis(1);
    const WARM_UP: usize = 10;
    let warm = Arc::new(Countdown::new(WARM_UP));
    let ticker = {
        let warm = warm.clone();
        go(move || {
            let tick = || {
                let start = Instant::now();
                pirn::sleep(TICK);
                start.elapsed().as_nanos() as i64 - TICK.as_nanos() as i64
            };
            for _ in 0..WARM_UP {
                tick();
                warm.done();
            }
            let mut late = Vec::with_capacity(4096);
            while !STOP.load(Relaxed) {
                late.push(tick());
            }
            late
        })
    };
    warm.wait();
    let start = Instant::now();
    thread::spawn(|| {
        thread::sleep(Duration::from_secs(2));
        STOP.store(true, Relaxed);
    });
    let hogs = [0, 1].map(|mut x| {
        go(move || {
            while !STOP.load(Relaxed) {
                x = spin_step(x);
            }
            x
        })
    });
    black_box(hogs.map(joined));
    let mut late = joined(ticker);
    bench.figure("wall_ms", ms(start.elapsed()), "ms");
    late.sort_unstable();
    bench.figure("ticks", late.len() as f64, "count");
    bench.figure("late_p50_ms", quantile(&late, 0.5) / 1e6, "ms");
    bench.figure("late_p99_ms", quantile(&late, 0.99) / 1e6, "ms");
    bench.figure("late_max_ms", quantile(&late, 1.0) / 1e6, "ms");
}

fn blocking(bench: &Bench) {
    const NAP: Duration = Duration::from_millis(20);
    let n = bench.size(64);
    for metric in ["wall_ms_first", "wall_ms"] {
        let (_, cost) = measure(|| {
            let sleepers: Vec<_> = (0..n).map(|_| go(|| thread::sleep(NAP))).collect();
            sleepers.into_iter().for_each(joined);
        });
        assert!(cost.wall >= NAP);
        bench.millis(metric, 1, cost);
    }
}

fn deepstack(bench: &Bench) {
    const FRAMES: u8 = 64;
    let n = bench.size(1000);
    let gate = Gate::new(n);
    let before = Memory::now();
    let create = gate.gather(|gate, place| {
        assert_eq!(descend(FRAMES, &mut || gate.pass(place)), usize::from(FRAMES));
    });
    pirn::sleep(Duration::from_millis(100));
    let peak = Memory::now();
    let (_, release) = measure(|| gate.open());
    drop(gate); // or its unparkers would keep the Gs
    pirn::sleep(Duration::from_secs(2));
    let after = Memory::now();
    let kept = |now: Memory| (now.resident - before.resident) / n as f64;
    bench.figure("create_ms[park]", ms(create.wall), "ms");
    bench.figure("release_ms[park]", ms(release.wall), "ms");
    bench.figure("rss_peak_per_task[park]", kept(peak), "B");
    bench.figure("rss_after2s_per_task[park]", kept(after), "B");
}
