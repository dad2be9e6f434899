//! The workloads about threads, their stacks, their time and their switches.

use super::{Countdown, joined};
use crate::{AFTER, Bench, Cost, Crowd, Memory, descend, late, measure, naps, spin_step, sum_below};
use crossbeam_channel::bounded;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::sync::{Arc, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub(super) fn spawn_join(bench: &Bench) {
    static HITS: AtomicUsize = AtomicUsize::new(0);
    let n = bench.size(20_000);
    for name in ["task_first", "task"] {
        HITS.store(0, Relaxed);
        let ((), cost) = measure(|| {
            let all = Countdown::new(n);
            for _ in 0..n {
                let all = all.clone();
                thread::spawn(move || {
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
    let n = bench.size(20_000);
    let run = |n: usize| {
        let sum: u64 = (0..n as u64).map(|i| joined(thread::spawn(move || i))).sum();
        assert_eq!(sum, sum_below(n));
    };
    run(n / 10);
    bench.each("pair", n, measure(|| run(n)).1);
}

pub(super) fn parked_mem(bench: &Bench) {
    let n = bench.size(10_000);
    parked(100);
    let ([before, while_parked], create, release) = parked(n);
    thread::sleep(AFTER);
    let memory = [before, while_parked, Memory::now()];
    bench.parked("", n, memory, create.wall, release.wall);
}

/// Has `n` threads wait for one channel.
fn parked(n: usize) -> ([Memory; 2], Cost, Cost) {
    let (sender, receiver) = bounded::<u64>(0);
    let (ready, left) = (Countdown::new(n), Countdown::new(n));
    let before = Memory::now();
    let ((), create) = measure(|| {
        for _ in 0..n {
            let (receiver, ready, left) = (receiver.clone(), ready.clone(), left.clone());
            thread::spawn(move || {
                ready.done();
                assert!(receiver.recv().is_err());
                left.done();
            });
        }
        ready.wait();
    });
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
        let start = |_| thread::spawn(move || (0..n).for_each(|_| thread::yield_now()));
        let threads: Vec<_> = (0..tasks).map(start).collect();
        threads.into_iter().for_each(joined);
    };
    run(n / 10);
    bench.each("yield", tasks * n, measure(|| run(n)).1);
}

/// A lock that is held while they are started lets all go at once: others wake one after the other, and those that are
/// awake already would leave little time to whoever wakes the rest.
pub(super) fn yield_n(bench: &Bench) {
    let n = bench.size_up_to(10_000, 1000);
    let gate = Arc::new(RwLock::new(()));
    let closed = gate.write().expect("nobody panics with it");
    let crowd = Crowd::new(n);
    let ready = Countdown::new(n);
    for place in 0..n {
        let (gate, crowd, ready) = (gate.clone(), crowd.clone(), ready.clone());
        thread::spawn(move || {
            ready.done();
            drop(gate.read());
            let mut turns = crowd.turns(place);
            while turns.more() {
                thread::yield_now();
            }
        });
    }
    ready.wait();
    drop(closed);
    let (yields, cost) = crowd.measure(thread::sleep);
    bench.each("yield", yields, cost);
}

pub(super) fn timers(bench: &Bench, tag: &str) {
    let n = bench.size(10_000);
    let run = |n: usize| {
        let naps: Vec<Duration> = naps().take(n).collect();
        measure(|| {
            let sleepers: Vec<JoinHandle<i64>> = naps
                .into_iter()
                .map(|nap| {
                    thread::spawn(move || {
                        let start = Instant::now();
                        thread::sleep(nap);
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

pub(super) fn hog(bench: &Bench) {
    static STOP: AtomicBool = AtomicBool::new(false);
    const TICK: Duration = Duration::from_millis(1);
    let length = Duration::from_millis(bench.size(2000) as u64);
    let warm = Countdown::new(1);
    let ticker = {
        let warm = warm.clone();
        thread::spawn(move || {
            let tick = || {
                let start = Instant::now();
                thread::sleep(TICK);
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
        thread::spawn(move || {
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
            let sleepers: Vec<_> = (0..n).map(|_| thread::spawn(|| thread::sleep(NAP))).collect();
            sleepers.into_iter().for_each(joined);
        });
        assert!(cost.wall >= NAP);
        bench.millis(metric, 1, cost);
    }
}

pub(super) fn deepstack(bench: &Bench) {
    const FRAMES: u8 = 64;
    let n = bench.size(1000);
    let (sender, receiver) = bounded::<u64>(0);
    let (ready, left) = (Countdown::new(n), Countdown::new(n));
    let before = Memory::now();
    let ((), create) = measure(|| {
        for _ in 0..n {
            let (receiver, ready, left) = (receiver.clone(), ready.clone(), left.clone());
            thread::spawn(move || {
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
