//! The workloads about tasks, their memory, their time and their switches.

use super::{Countdown, all_joined, joined, measure, runtime};
use crate::{AFTER, Bench, Cost, Crowd, Memory, fibonacci, late, naps, spin_step, sum_below};
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_blocking, yield_now};

pub(super) async fn spawn_join(bench: Bench) {
    static HITS: AtomicUsize = AtomicUsize::new(0);
    let n = bench.size(1_000_000);
    for name in ["task_first", "task"] {
        HITS.store(0, Relaxed);
        let work = async {
            let all = Countdown::new(n);
            for _ in 0..n {
                let all = all.clone();
                tokio::spawn(async move {
                    HITS.fetch_add(1, Relaxed);
                    all.done();
                });
            }
            all.wait().await;
        };
        let ((), cost) = measure(work).await;
        assert_eq!(HITS.load(Relaxed), n);
        bench.each(name, n, cost);
    }
}

pub(super) async fn spawn_join_handle(bench: Bench) {
    let n = bench.size(300_000);
    let run = async |n: usize| {
        let mut sum = 0;
        for i in 0..n as u64 {
            sum += joined(tokio::spawn(async move { i })).await;
        }
        assert_eq!(sum, sum_below(n));
    };
    run(n / 10).await;
    bench.each("pair", n, measure(run(n)).await.1);
}

pub(super) async fn parked_mem(bench: Bench) {
    let n = bench.size(100_000);
    parked(100).await;
    let ([before, while_parked], create, release) = parked(n).await;
    tokio::time::sleep(AFTER).await;
    let memory = [before, while_parked, Memory::now()];
    bench.parked("", n, memory, create.wall, release.wall);
}

/// Has `n` tasks wait for a permit that there never is: its channels have one receiver each, and wait by this too.
async fn parked(n: usize) -> ([Memory; 2], Cost, Cost) {
    let gate = Arc::new(Semaphore::new(0));
    let (ready, left) = (Countdown::new(n), Countdown::new(n));
    let before = Memory::now();
    let start_all = async {
        for _ in 0..n {
            let (gate, ready, left) = (gate.clone(), ready.clone(), left.clone());
            tokio::spawn(async move {
                ready.done();
                assert!(gate.acquire().await.is_err());
                left.done();
            });
        }
        ready.wait().await;
    };
    let ((), create) = measure(start_all).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let while_parked = Memory::now();
    let let_go = async {
        gate.close();
        left.wait().await;
    };
    let ((), release) = measure(let_go).await;
    ([before, while_parked], create, release)
}

pub(super) async fn yields(bench: Bench, tasks: usize, default: usize) {
    let n = bench.size(default);
    let run = async |n: usize| {
        let all = Countdown::new(tasks);
        for _ in 0..tasks {
            let all = all.clone();
            tokio::spawn(async move {
                for _ in 0..n {
                    yield_now().await;
                }
                all.done();
            });
        }
        all.wait().await;
    };
    run(n / 10).await;
    bench.each("yield", tasks * n, measure(run(n)).await.1);
}

/// A thread beside the workers measures.
pub(super) async fn yield_n(bench: Bench) {
    let n = bench.size(1000);
    let gate = Arc::new(Semaphore::new(0));
    let crowd = Crowd::new(n);
    let ready = Countdown::new(n);
    for place in 0..n {
        let (gate, crowd, ready) = (gate.clone(), crowd.clone(), ready.clone());
        tokio::spawn(async move {
            ready.done();
            assert!(gate.acquire().await.is_err());
            let mut turns = crowd.turns(place);
            while turns.more() {
                yield_now().await;
            }
        });
    }
    ready.wait().await;
    gate.close();
    let (yields, cost) = joined(spawn_blocking(move || crowd.measure(thread::sleep))).await;
    bench.each("yield", yields, cost);
}

pub(super) async fn timers(bench: Bench, default: usize) {
    let n = bench.size(default);
    let run = async |n: usize| {
        let naps: Vec<Duration> = naps().take(n).collect();
        let work = async {
            let start = |nap| {
                tokio::spawn(async move {
                    let start = Instant::now();
                    tokio::time::sleep(nap).await;
                    late(start, nap)
                })
            };
            let sleepers: Vec<JoinHandle<i64>> = naps.into_iter().map(start).collect();
            all_joined(sleepers).await
        };
        measure(work).await
    };
    run(n / 100).await;
    let (late, cost) = run(n).await;
    bench.timers("", late, cost);
}

pub(super) async fn sleeps(bench: Bench) {
    const NAP: Duration = Duration::from_millis(20);
    const TIMES: u32 = 5;
    let n = bench.size(10_000);
    let run = async |n: usize| {
        let start = |_| tokio::spawn(tokio::time::sleep(NAP));
        all_joined((0..n).map(start).collect::<Vec<_>>()).await;
    };
    run(n / 10).await;
    let all = async {
        for _ in 0..TIMES {
            run(n).await;
        }
    };
    let ((), cost) = measure(all).await;
    assert!(cost.wall >= NAP * TIMES);
    bench.millis("wall_ms", TIMES, cost);
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pub(super) async fn fib(bench: Bench) {
    fn of(n: u32) -> Boxed<u64> {
        Box::pin(async move {
            if n < 2 {
                return u64::from(n);
            }
            let one = tokio::spawn(of(n - 1));
            of(n - 2).await + joined(one).await
        })
    }
    let n = bench.size(25) as u32;
    let run = async || assert_eq!(joined(tokio::spawn(of(n))).await, fibonacci(n));
    let ((), first) = measure(run()).await;
    let five = async {
        for _ in 0..5 {
            run().await;
        }
    };
    let ((), five) = measure(five).await;
    bench.forks("", n, [first, five]);
}

/// Fed by the main thread: a task that waits for the hogs would need a worker.
pub(super) fn hog(bench: &Bench) {
    static STOP: AtomicBool = AtomicBool::new(false);
    const TICK: Duration = Duration::from_millis(1);
    let length = Duration::from_millis(bench.size(2000) as u64);
    let runtime = runtime(bench);
    let warm = Countdown::new(1);
    let is_warm = warm.clone();
    let ticker = runtime.spawn(async move {
        let tick = async || {
            let start = Instant::now();
            tokio::time::sleep(TICK).await;
            late(start, TICK)
        };
        for _ in 0..10 {
            tick().await;
        }
        is_warm.done();
        let mut late = Vec::with_capacity(4096);
        while !STOP.load(Relaxed) {
            late.push(tick().await);
        }
        late
    });
    runtime.block_on(warm.wait());
    let start = Instant::now();
    thread::spawn(move || {
        thread::sleep(length);
        STOP.store(true, Relaxed);
    });
    let hogs = [0, 1].map(|mut x| {
        runtime.spawn(async move {
            while !STOP.load(Relaxed) {
                x = spin_step(x);
            }
            x
        })
    });
    black_box(runtime.block_on(all_joined(hogs)));
    let late = runtime.block_on(joined(ticker));
    bench.ticks(late, start.elapsed());
}

pub(super) async fn blocking(bench: Bench) {
    const NAP: Duration = Duration::from_millis(20);
    let n = bench.size(64);
    type Start = fn() -> JoinHandle<()>;
    let cases: [(&str, Start); 2] = [
        ("", || tokio::spawn(async { thread::sleep(NAP) })),
        ("[spawn_blocking]", || spawn_blocking(|| thread::sleep(NAP))),
    ];
    for (tag, start) in cases {
        for metric in ["wall_ms_first", "wall_ms"] {
            let sleepers = async { all_joined((0..n).map(|_| start()).collect::<Vec<_>>()).await };
            let (_, cost) = measure(sleepers).await;
            assert!(cost.wall >= NAP);
            bench.millis(&format!("{metric}{tag}"), 1, cost);
        }
    }
}

/// A task has no stack of its own. The nearest thing are boxed futures, one inside the other, each with 1 KiB that it
/// holds while the next one waits.
pub(super) async fn deepstack(bench: Bench) {
    const FRAMES: u8 = 64;
    fn descend(frames: u8, gate: Arc<Semaphore>, ready: Arc<Countdown>) -> Boxed<usize> {
        Box::pin(async move {
            let mut frame = [frames; 1024];
            black_box(&mut frame);
            let below = if frames > 1 {
                descend(frames - 1, gate, ready).await
            } else {
                ready.done();
                assert!(gate.acquire().await.is_err());
                0
            };
            let frame = black_box(&frame);
            below + usize::from(frame.iter().all(|byte| *byte == frames))
        })
    }
    let n = bench.size(1000);
    let gate = Arc::new(Semaphore::new(0));
    let (ready, left) = (Countdown::new(n), Countdown::new(n));
    let before = Memory::now();
    let start_all = async {
        for _ in 0..n {
            let (gate, ready, left) = (gate.clone(), ready.clone(), left.clone());
            tokio::spawn(async move {
                assert_eq!(descend(FRAMES, gate, ready).await, usize::from(FRAMES));
                left.done();
            });
        }
        ready.wait().await;
    };
    let ((), create) = measure(start_all).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let peak = Memory::now();
    let let_go = async {
        gate.close();
        left.wait().await;
    };
    let ((), release) = measure(let_go).await;
    tokio::time::sleep(AFTER).await;
    bench.deep("", n, [before, peak, Memory::now()], create.wall, release.wall);
}
