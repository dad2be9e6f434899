//! The workloads about coroutines, their stacks, their time and their switches.

use super::{Countdown, joined, start};
use crate::{AFTER, Bench, Cost, Crowd, Memory, descend, fibonacci, late, measure, naps, spin_step, sum_below};
use may::coroutine::{self, JoinHandle};
use may::go;
use may::sync::mpmc;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

/// All at once would need a mapped stack for each one that waits, so they are spawned in batches.
pub(super) fn spawn_join(bench: &Bench) {
    static HITS: AtomicUsize = AtomicUsize::new(0);
    const BATCH: usize = 1000;
    let n = bench.size(1_000_000);
    let batch = |n: usize| {
        let all = Countdown::new(n);
        for _ in 0..n {
            let all = all.clone();
            go!(move || {
                HITS.fetch_add(1, Relaxed);
                all.done();
            });
        }
        all.wait();
    };
    for name in ["task_first[batch1000]", "task[batch1000]"] {
        HITS.store(0, Relaxed);
        let ((), cost) = measure(|| (0..n).step_by(BATCH).for_each(|done| batch(BATCH.min(n - done))));
        assert_eq!(HITS.load(Relaxed), n);
        bench.each(name, n, cost);
    }
}

pub(super) fn spawn_join_handle(bench: &Bench) {
    let n = bench.size(50_000);
    let run = |n: usize| {
        let sum: u64 = (0..n as u64).map(|i| joined(go!(move || i))).sum();
        assert_eq!(sum, sum_below(n));
    };
    run(n / 10);
    bench.each("pair", n, measure(|| run(n)).1);
}

pub(super) fn parked_mem(bench: &Bench) {
    let n = bench.size(30_000);
    parked(100);
    let ([before, while_parked], create, release) = parked(n);
    thread::sleep(AFTER);
    let memory = [before, while_parked, Memory::now()];
    bench.parked("", n, memory, create.wall, release.wall);
}

/// Has `n` coroutines wait for one channel.
fn parked(n: usize) -> ([Memory; 2], Cost, Cost) {
    let (sender, receiver) = mpmc::channel::<u64>();
    let (ready, left) = (Countdown::new(n), Countdown::new(n));
    let before = Memory::now();
    let ((), create) = measure(|| {
        for _ in 0..n {
            let (receiver, ready, left) = (receiver.clone(), ready.clone(), left.clone());
            go!(move || {
                ready.done();
                assert!(receiver.recv().is_err());
                left.done();
            });
        }
        ready.wait();
    });
    // Not may's own: after that, it would go on on may's timer thread.
    thread::sleep(Duration::from_millis(200));
    let while_parked = Memory::now();
    let ((), release) = measure(|| {
        drop(sender);
        left.wait();
    });
    ([before, while_parked], create, release)
}

pub(super) fn yields(bench: &Bench, tasks: usize, default: usize) {
    let n = bench.size(default);
    let run = |n: usize| {
        let all = Countdown::new(tasks);
        for _ in 0..tasks {
            let all = all.clone();
            go!(move || {
                (0..n).for_each(|_| coroutine::yield_now());
                all.done();
            });
        }
        all.wait();
    };
    run(n / 10);
    bench.each("yield", tasks * n, measure(|| run(n)).1);
}

/// The main thread measures, for a coroutine that sleeps goes on on may's timer thread.
pub(super) fn yield_n(bench: &Bench) {
    start(bench);
    let n = bench.size_up_to(100_000, 1000);
    let crowd = Crowd::new(n);
    let of_starter = crowd.clone();
    joined(go!(move || {
        let (sender, receiver) = mpmc::channel::<u64>();
        let ready = Countdown::new(n);
        for place in 0..n {
            let (receiver, ready, crowd) = (receiver.clone(), ready.clone(), of_starter.clone());
            go!(move || {
                ready.done();
                assert!(receiver.recv().is_err());
                let mut turns = crowd.turns(place);
                while turns.more() {
                    coroutine::yield_now();
                }
            });
        }
        ready.wait();
        drop(sender);
    }));
    let (yields, cost) = crowd.measure(thread::sleep);
    bench.each("yield", yields, cost);
}

pub(super) fn timers(bench: &Bench, default: usize, tag: &str) {
    let n = bench.size(default);
    let run = |n: usize| {
        let naps: Vec<Duration> = naps().take(n).collect();
        measure(|| {
            let sleepers: Vec<JoinHandle<i64>> = naps
                .into_iter()
                .map(|nap| {
                    go!(move || {
                        let start = Instant::now();
                        coroutine::sleep(nap);
                        late(start, nap)
                    })
                })
                .collect();
            sleepers.into_iter().map(joined).collect::<Vec<i64>>()
        })
    };
    run(n / 100);
    let (late, cost) = run(n);
    bench.timers(tag, late, cost);
}

pub(super) fn fib(bench: &Bench) {
    fn of(n: u32) -> u64 {
        if n < 2 {
            return u64::from(n);
        }
        let one = go!(move || of(n - 1));
        of(n - 2) + joined(one)
    }
    let n = bench.size(20) as u32;
    let run = || assert_eq!(joined(go!(move || of(n))), fibonacci(n));
    let ((), first) = measure(run);
    let ((), five) = measure(|| (0..5).for_each(|_| run()));
    bench.forks(&bench.size_tag(20, 25), n, [first, five]);
}

/// Fed by the main thread: a coroutine that waits for the ticker would need a worker.
pub(super) fn hog(bench: &Bench) {
    static STOP: AtomicBool = AtomicBool::new(false);
    const TICK: Duration = Duration::from_millis(1);
    start(bench);
    let length = Duration::from_millis(bench.size(2000) as u64);
    let warm = Countdown::new(1);
    let ticker = {
        let warm = warm.clone();
        go!(move || {
            let tick = || {
                let start = Instant::now();
                coroutine::sleep(TICK);
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
        go!(move || {
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
        let ((), cost) = measure(|| {
            let sleepers: Vec<_> = (0..n).map(|_| go!(|| thread::sleep(NAP))).collect();
            sleepers.into_iter().for_each(joined);
        });
        assert!(cost.wall >= NAP);
        bench.millis(metric, 1, cost);
    }
}

/// Stacks do not grow, so each has the 128 KiB that it needs. The main thread measures, for it sleeps.
pub(super) fn deepstack(bench: &Bench) {
    const FRAMES: u8 = 64;
    const STACK_WORDS: usize = 0x4000;
    start(bench);
    may::config().set_stack_size(STACK_WORDS);
    joined(go!(|| ()));
    let n = bench.size(1000);
    let (sender, receiver) = mpmc::channel::<u64>();
    let (ready, left) = (Countdown::new(n), Countdown::new(n));
    let before = Memory::now();
    let ((), create) = measure(|| {
        for _ in 0..n {
            let (receiver, ready, left) = (receiver.clone(), ready.clone(), left.clone());
            go!(move || {
                let mut wait = || {
                    ready.done();
                    assert!(receiver.recv().is_err());
                };
                assert_eq!(descend(FRAMES, &mut wait), usize::from(FRAMES));
                left.done();
            });
        }
        ready.wait();
    });
    thread::sleep(Duration::from_millis(100));
    let peak = Memory::now();
    let ((), release) = measure(|| {
        drop(sender);
        left.wait();
    });
    thread::sleep(AFTER);
    bench.deep("", n, [before, peak, Memory::now()], create.wall, release.wall);
}
