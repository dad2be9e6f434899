//! The workloads over locks, and those about what ends together. tokio has no condition variable: a `Notify` stands in.
//! What is not in tokio itself is from tokio-util.

use super::{Countdown, all_joined, joined, measure};
use crate::{Bench, Cost, KEYS, calls};
use dashmap::DashMap;
use std::sync::Arc;
use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::time::Duration;
use tokio::sync::{Barrier, Mutex, Notify, RwLock, Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet, yield_now};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How many tasks use one lock.
const TASKS: usize = 8;

/// Starts so many tasks, each with its number, and returns what they have returned.
async fn all<F: Future<Output: Send + 'static> + Send + 'static>(
    tasks: usize,
    work: impl Fn(usize) -> F,
) -> Vec<F::Output> {
    let handles: Vec<JoinHandle<F::Output>> = (0..tasks).map(|task| tokio::spawn(work(task))).collect();
    all_joined(handles).await
}

pub(super) async fn mutex1(bench: Bench) {
    let n = bench.size(10_000_000);
    let run = async |n: usize| {
        let mutex = Box::new(Mutex::new(0));
        for _ in 0..n {
            *mutex.lock().await += 1;
        }
        assert_eq!(*mutex.lock().await, n);
    };
    run(n / 10).await;
    bench.each("lock", n, measure(run(n)).await.1);
}

pub(super) async fn rwlock1(bench: Bench) {
    let n = bench.size(10_000_000);
    let lock = Box::new(RwLock::new(0));
    let read = async |n: usize| {
        let mut sum = 0;
        for _ in 0..n {
            sum += *lock.read().await + 1;
        }
        assert_eq!(sum, n);
    };
    let write = async |n: usize| {
        for _ in 0..n {
            *lock.write().await += 1;
        }
        assert_eq!(std::mem::take(&mut *lock.write().await), n);
    };
    read(n / 10).await;
    bench.each("read", n, measure(read(n)).await.1);
    write(n / 10).await;
    bench.each("write", n, measure(write(n)).await.1);
}

pub(super) async fn mutex8(bench: Bench) {
    let n = bench.size(300_000);
    let run = async |n: usize| {
        let mutex = Arc::new(Mutex::new(0));
        let work = |_| {
            let mutex = mutex.clone();
            async move {
                for _ in 0..n {
                    *mutex.lock().await += 1;
                }
            }
        };
        all(TASKS, work).await;
        assert_eq!(*mutex.lock().await, TASKS * n);
    };
    run(n / 10).await;
    bench.each("lock", TASKS * n, measure(run(n)).await.1);
}

pub(super) async fn rwlock8(bench: Bench) {
    let n = bench.size(300_000);
    let run = async |n: usize| {
        let lock = Arc::new(RwLock::new(0));
        let work = |task| {
            let lock = lock.clone();
            async move {
                let (mut written, mut seen) = (0, 0);
                for call in calls(task).take(n) {
                    if call.writes() {
                        *lock.write().await += 1;
                        written += 1;
                    } else {
                        let now = *lock.read().await;
                        assert!(now >= seen);
                        seen = now;
                    }
                }
                written
            }
        };
        let written = all(TASKS, work).await;
        assert_eq!(*lock.read().await, written.into_iter().sum::<usize>());
    };
    run(n / 10).await;
    bench.each("lock", TASKS * n, measure(run(n)).await.1);
}

pub(super) async fn mutex_chan(bench: Bench) {
    let n = bench.size(100_000);
    let run = async |n: usize| {
        let (question_in, mut questions) = mpsc::channel(1);
        let (answer_in, answers) = mpsc::channel(1);
        let echo = tokio::spawn(async move {
            let mut count = 0;
            while let Some(question) = questions.recv().await {
                answer_in.send(question + 1).await.expect("a receiver");
                count += 1;
            }
            count
        });
        let line = Arc::new(Mutex::new((question_in, answers)));
        let work = |_| {
            let line = line.clone();
            async move {
                for i in 0..n {
                    let mut line = line.lock().await;
                    line.0.send(i).await.expect("a receiver");
                    assert_eq!(line.1.recv().await, Some(i + 1));
                }
            }
        };
        all(TASKS, work).await;
        drop(line);
        assert_eq!(joined(echo).await, TASKS * n);
    };
    run(n / 10).await;
    bench.each("lock[mpsc1]", TASKS * n, measure(run(n)).await.1);
}

/// The lock is held over a sleep.
pub(super) async fn mutex_sleep(bench: Bench) {
    const NAP: Duration = Duration::from_millis(1);
    let n = bench.size(1000);
    let run = async |n: usize| {
        let mutex = Arc::new(Mutex::new(0));
        let work = |_| {
            let mutex = mutex.clone();
            async move {
                let mut count = mutex.lock().await;
                tokio::time::sleep(NAP).await;
                *count += 1;
            }
        };
        all(n, work).await;
        assert_eq!(*mutex.lock().await, n);
    };
    run(n / 10).await;
    bench.each("hold", n, measure(run(n)).await.1);
}

pub(super) async fn barrier(bench: Bench) {
    const TASKS: usize = 100;
    let n = bench.size(20_000);
    let run = async |n: usize| {
        let barrier = Arc::new(Barrier::new(TASKS));
        let work = |_| {
            let barrier = barrier.clone();
            async move {
                let mut led = 0;
                for _ in 0..n {
                    led += usize::from(barrier.wait().await.is_leader());
                }
                led
            }
        };
        assert_eq!(all(TASKS, work).await.into_iter().sum::<usize>(), n);
    };
    run(n / 10).await;
    bench.each("wait", TASKS * n, measure(run(n)).await.1);
}

/// The turn is under a lock of std, which no task holds while it waits.
pub(super) async fn condvar_turns(bench: Bench) {
    const TASKS: usize = 100;
    let n = bench.size(500);
    let run = async |n: usize| {
        let shared = Arc::new((StdMutex::new(0), Notify::new()));
        let work = |task| {
            let shared = shared.clone();
            async move {
                let (turn, changed) = &*shared;
                for _ in 0..n {
                    loop {
                        let change = changed.notified();
                        {
                            let mut turn = turn.lock().expect("no task panics");
                            if *turn % TASKS == task {
                                *turn += 1;
                                break;
                            }
                        }
                        change.await;
                    }
                    changed.notify_waiters();
                }
            }
        };
        all(TASKS, work).await;
        assert_eq!(*shared.0.lock().expect("no task panics"), TASKS * n);
    };
    run(n / 10).await;
    bench.each("turn[notify]", TASKS * n, measure(run(n)).await.1);
}

pub(super) async fn semaphore(bench: Bench) {
    let n = bench.size(1000);
    let run = async |n: usize| {
        let semaphore = Arc::new(Semaphore::new(10));
        let work = |_| {
            let semaphore = semaphore.clone();
            async move {
                for _ in 0..n {
                    let _permit = semaphore.acquire().await.expect("nobody closes it");
                    yield_now().await;
                }
            }
        };
        assert_eq!(all(1000, work).await.len(), 1000);
    };
    run(n / 10).await;
    bench.each("permit", 1000 * n, measure(run(n)).await.1);
}

/// By the tokens of a task tracker.
pub(super) async fn wait_group(bench: Bench) {
    const TIMES: usize = 5;
    let n = bench.size(1_000_000);
    let run = async |n: usize| {
        let group = TaskTracker::new();
        for _ in 0..TASKS {
            let tokens: Vec<_> = (0..n / TASKS).map(|_| group.token()).collect();
            tokio::spawn(async move { drop(tokens) });
        }
        group.close();
        group.wait().await;
        assert!(group.is_empty());
    };
    run(n / 10).await;
    let all = async {
        for _ in 0..TIMES {
            run(n).await;
        }
    };
    bench.each("add_done[tokens]", TIMES * n, measure(all).await.1);
}

/// A set of tasks, and a semaphore for the limit.
pub(super) async fn errgroup(bench: Bench) {
    let n = bench.size(500_000);
    let run = async |n: usize| {
        let hits = Arc::new(AtomicUsize::new(0));
        let permits = Arc::new(Semaphore::new(8));
        let mut set = JoinSet::new();
        for _ in 0..n {
            let permit = permits.clone().acquire_owned().await.expect("nobody closes it");
            let hits = hits.clone();
            set.spawn(async move {
                let _permit = permit;
                hits.fetch_add(1, Relaxed);
                Ok::<(), String>(())
            });
        }
        while let Some(result) = set.join_next().await {
            result.expect("no task panics").expect("no task fails");
        }
        assert_eq!(hits.load(Relaxed), n);
    };
    run(n / 10).await;
    bench.each("task[joinset]", n, measure(run(n)).await.1);
}

pub(super) async fn ctx_cancel(bench: Bench) {
    const TIMES: usize = 5;
    let n = bench.size(100_000);
    let (mut make, mut cancel, mut wake) = (Cost::default(), Cost::default(), Cost::default());
    for _ in 0..TIMES {
        let (made, cancelled) = children(n);
        make += made;
        cancel += cancelled;
        wake += waiters(n / 10).await;
    }
    bench.each("make", TIMES * n, make);
    bench.each("cancel", TIMES * n, cancel);
    bench.each("wake", TIMES * (n / 10), wake);
}

/// Makes children, and cancels their parent.
fn children(n: usize) -> (Cost, Cost) {
    let token = CancellationToken::new();
    let (children, make) = crate::measure(|| (0..n).map(|_| token.child_token()).collect::<Vec<CancellationToken>>());
    let ((), cancelled) = crate::measure(|| token.cancel());
    assert!(children.iter().all(CancellationToken::is_cancelled));
    (make, cancelled)
}

/// Has so many tasks wait for the end of one token, and ends it.
async fn waiters(n: usize) -> Cost {
    let token = CancellationToken::new();
    let (ready, left) = (Countdown::new(n), Countdown::new(n));
    for _ in 0..n {
        let (token, ready, left) = (token.clone(), ready.clone(), left.clone());
        tokio::spawn(async move {
            ready.done();
            token.cancelled().await;
            left.done();
        });
    }
    ready.wait().await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    let end = async {
        token.cancel();
        left.wait().await;
    };
    measure(end).await.1
}

/// Nobody waits in between, so a map for threads will do.
pub(super) async fn map90(bench: Bench) {
    let n = bench.size(1_000_000);
    let run = async |n: usize| {
        let map = Arc::new(DashMap::<u64, u64>::new());
        (0..KEYS).for_each(|key| _ = map.insert(key, key * key));
        let work = |task| {
            let map = map.clone();
            async move {
                for call in calls(task).take(n) {
                    let key = call.key();
                    if call.writes() {
                        map.insert(key, key * key);
                    } else {
                        assert_eq!(map.get(&key).map(|value| *value), Some(key * key));
                    }
                }
            }
        };
        all(TASKS, work).await;
    };
    run(n / 10).await;
    bench.each("call[dashmap]", TASKS * n, measure(run(n)).await.1);
}
