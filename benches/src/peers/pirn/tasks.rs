//! The workloads about Gs, their stacks, their time and their switches.

use super::{Countdown, Gate, joined};
use crate::{AFTER, Bench, Cost, Crowd, Memory, descend, fibonacci, late, measure, naps, spin_step, sum_below};
use pirn::channel::{Sender, bounded};
use pirn::{JoinHandle, go};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

pub(super) fn spawn_join(bench: &Bench) {
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

pub(super) fn spawn_join_handle(bench: &Bench) {
    let n = bench.size(300_000);
    let run = |n: usize| {
        let sum: u64 = (0..n as u64).map(|i| joined(go(move || i))).sum();
        assert_eq!(sum, sum_below(n));
    };
    run(n / 10);
    bench.each("pair", n, measure(|| run(n)).1);
}

pub(super) fn parked_mem(bench: &Bench) {
    let n = bench.size(100_000);
    parked(100);
    let ([before, while_parked], create, release) = parked(n);
    pirn::sleep(AFTER);
    let memory = [before, while_parked, Memory::now()];
    bench.parked("park", n, memory, create.wall, release.wall);
}

/// Has `n` Gs park. The gate, with an unparker for each, is there before the first reading.
fn parked(n: usize) -> ([Memory; 2], Cost, Cost) {
    let gate = Gate::new(n);
    let before = Memory::now();
    let create = gate.gather(Gate::pass);
    pirn::sleep(Duration::from_millis(200));
    let while_parked = Memory::now();
    let (_, release) = measure(|| gate.empty());
    ([before, while_parked], create, release)
}

pub(super) fn yields(bench: &Bench, tasks: usize, default: usize) {
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

pub(super) fn yield_n(bench: &Bench) {
    let n = bench.size(1000);
    let gate = Gate::new(n);
    let crowd = Crowd::new(n);
    gate.gather({
        let crowd = crowd.clone();
        move |gate, place| {
            gate.pass(place);
            let mut turns = crowd.turns(place);
            while turns.more() {
                pirn::yield_now();
            }
        }
    });
    gate.open();
    let (yields, cost) = crowd.measure(pirn::sleep);
    bench.each("yield", yields, cost);
}

pub(super) fn timers(bench: &Bench, default: usize, sleep: impl Fn(Duration) + Copy + Send + 'static) {
    let n = bench.size(default);
    let run = |n: usize| {
        let naps: Vec<Duration> = naps().take(n).collect();
        measure(|| {
            let sleepers: Vec<JoinHandle<i64>> = naps
                .into_iter()
                .map(|nap| {
                    go(move || {
                        let start = Instant::now();
                        sleep(nap);
                        late(start, nap)
                    })
                })
                .collect();
            sleepers.into_iter().map(joined).collect::<Vec<i64>>()
        })
    };
    run(n / 100);
    let (late, cost) = run(n);
    bench.timers("", late, cost);
}

pub(super) fn fib(bench: &Bench) {
    fn of(n: u32) -> u64 {
        if n < 2 {
            return u64::from(n);
        }
        let one = go(move || of(n - 1));
        of(n - 2) + joined(one)
    }
    let n = bench.size(25) as u32;
    let run = || assert_eq!(joined(go(move || of(n))), fibonacci(n));
    let ((), first) = measure(run);
    let ((), five) = measure(|| (0..5).for_each(|_| run()));
    bench.forks("", n, [first, five]);
}

pub(super) fn hog(bench: &Bench) {
    static STOP: AtomicBool = AtomicBool::new(false);
    const TICK: Duration = Duration::from_millis(1);
    let length = Duration::from_millis(bench.size(2000) as u64);
    let warm = Arc::new(Countdown::new(1));
    let ticker = {
        let warm = warm.clone();
        go(move || {
            let tick = || {
                let start = Instant::now();
                pirn::sleep(TICK);
                late(start, TICK)
            };
            for _ in 0..10 {
                tick();
            }
            warm.done();
            let mut late = Vec::with_capacity(4096);
            while !STOP.load(Relaxed) {
                late.push(tick());
            }
            late
        })
    };
    warm.wait();
    let start = Instant::now();
    thread::spawn(move || {
        thread::sleep(length);
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
    let late = joined(ticker);
    bench.ticks(late, start.elapsed());
}

pub(super) fn blocking(bench: &Bench) {
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

pub(super) fn deepstack(bench: &Bench) {
    const FRAMES: u8 = 64;
    let n = bench.size(1000);
    let gate = Gate::new(n);
    let before = Memory::now();
    let create = gate.gather(|gate, place| {
        assert_eq!(descend(FRAMES, &mut || gate.pass(place)), usize::from(FRAMES));
    });
    pirn::sleep(Duration::from_millis(100));
    let peak = Memory::now();
    let (_, release) = measure(|| gate.empty());
    drop(gate); // or its unparkers would keep the Gs
    pirn::sleep(AFTER);
    bench.deep("park", n, [before, peak, Memory::now()], create.wall, release.wall);
}

pub(super) fn skynet(bench: &Bench) {
    fn node(parent: &Sender<u64>, number: u64, size: u64) {
        let sum = if size == 1 {
            number
        } else {
            let (sender, receiver) = bounded(0);
            for child in 0..10 {
                let (sender, size) = (sender.clone(), size / 10);
                go(move || node(&sender, number + child * size, size));
            }
            (0..10).map(|_| receiver.recv().expect("each child has a sum")).sum()
        };
        parent.send(sum).expect("the parent waits");
    }
    let n = bench.size(1_000_000);
    let run = || -> Cost {
        let (sum, cost) = measure(|| {
            let (sender, receiver) = bounded(0);
            go(move || node(&sender, 0, n as u64));
            receiver.recv().expect("the sum of all")
        });
        assert_eq!(sum, sum_below(n));
        cost
    };
    bench.tree(&[], n, [run(), run()]);
}
