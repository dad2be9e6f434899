//! The workloads over locks and what else tasks share, for those whose tasks have stacks. [`Tasks`] says whose tasks these
//! are, [`Locks`] whose locks; the rest is given.

mod api;

pub(crate) use api::{Locks, Tasks, locks};

use crate::{Bench, KEYS, calls, measure, tagged};
use std::sync::Arc;
use std::time::Duration;

/// How many tasks use one lock.
const TASKS: usize = 8;

/// Starts so many tasks, each with its number, and returns what they have returned.
fn all<T: Tasks, R: Send + 'static>(tasks: usize, work: impl FnOnce(usize) -> R + Clone + Send + 'static) -> Vec<R> {
    let start = |task| {
        let work = work.clone();
        T::go(move || work(task))
    };
    let handles: Vec<T::Handle<R>> = (0..tasks).map(start).collect();
    handles.into_iter().map(T::joined).collect()
}

/// One task, whose lock nobody else wants.
pub(super) fn mutex1<L: Locks>(bench: &Bench, tag: &str) {
    let n = bench.size(10_000_000);
    let run = |n: usize| {
        let mutex = Box::new(L::mutex(0));
        for _ in 0..n {
            L::lock(&mutex, |count| *count += 1);
        }
        assert_eq!(L::lock(&mutex, |count| *count), n);
    };
    run(n / 10);
    bench.each(&tagged("lock", &[tag]), n, measure(|| run(n)).1);
}

/// The same for a lock of readers and writers.
pub(super) fn rwlock1<L: Locks>(bench: &Bench, tag: &str) {
    let n = bench.size(10_000_000);
    let lock = Box::new(L::rwlock(0));
    let read = |n: usize| {
        let sum: usize = (0..n).map(|_| L::read(&lock, |count| *count + 1)).sum();
        assert_eq!(sum, n);
    };
    let write = |n: usize| {
        for _ in 0..n {
            L::write(&lock, |count| *count += 1);
        }
        assert_eq!(L::write(&lock, std::mem::take), n);
    };
    read(n / 10);
    bench.each(&tagged("read", &[tag]), n, measure(|| read(n)).1);
    write(n / 10);
    bench.each(&tagged("write", &[tag]), n, measure(|| write(n)).1);
}

pub(super) fn mutex8<T: Tasks, L: Locks>(bench: &Bench, default: usize) {
    let n = bench.size(default);
    let run = |n: usize| {
        let mutex = Arc::new(L::mutex(0));
        let shared = mutex.clone();
        all::<T, ()>(TASKS, move |_| (0..n).for_each(|_| L::lock(&shared, |count| *count += 1)));
        assert_eq!(L::lock(&mutex, |count| *count), TASKS * n);
    };
    run(n / 10);
    bench.each(&tagged("lock", &[L::TAG]), TASKS * n, measure(|| run(n)).1);
}

/// Nine in ten read.
pub(super) fn rwlock8<T: Tasks, L: Locks>(bench: &Bench, default: usize) {
    let n = bench.size(default);
    let run = |n: usize| {
        let lock = Arc::new(L::rwlock(0));
        let shared = lock.clone();
        let written = all::<T, usize>(TASKS, move |task| {
            let (mut written, mut seen) = (0, 0);
            for call in calls(task).take(n) {
                if call.writes() {
                    L::write(&shared, |count| *count += 1);
                    written += 1;
                } else {
                    let now = L::read(&shared, |count| *count);
                    assert!(now >= seen);
                    seen = now;
                }
            }
            written
        });
        assert_eq!(L::read(&lock, |count| *count), written.into_iter().sum::<usize>());
    };
    run(n / 10);
    bench.each(&tagged("lock", &[L::TAG]), TASKS * n, measure(|| run(n)).1);
}

/// The lock is held while its holder waits for an answer, so the others park.
pub(super) fn mutex_chan<T: Tasks, L: Locks>(bench: &Bench, default: usize) {
    let n = bench.size(default);
    let run = |n: usize| {
        let (question_in, questions) = T::channel();
        let (answer_in, answers) = T::channel();
        let echo = T::go(move || {
            let mut count = 0;
            while let Some(question) = T::recv(&questions) {
                T::send(&answer_in, question + 1);
                count += 1;
            }
            count
        });
        let line = Arc::new(L::mutex((question_in, answers)));
        all::<T, ()>(TASKS, move |_| {
            for i in 0..n as u64 {
                L::lock(&line, |(question_in, answers)| {
                    T::send(question_in, i);
                    assert_eq!(T::recv(answers), Some(i + 1));
                });
            }
        });
        assert_eq!(T::joined(echo), TASKS * n);
    };
    run(n / 10);
    bench.each(&tagged("lock", &[L::TAG]), TASKS * n, measure(|| run(n)).1);
}

/// Each task holds the lock over a sleep, once, while all others wait for it.
pub(super) fn mutex_sleep<T: Tasks, L: Locks>(bench: &Bench, sleep: impl Fn(Duration) + Copy + Send + 'static) {
    const NAP: Duration = Duration::from_millis(1);
    let n = bench.size(1000);
    let run = |n: usize| {
        let mutex = Arc::new(L::mutex(0));
        let shared = mutex.clone();
        all::<T, ()>(n, move |_| {
            L::lock(&shared, |count| {
                sleep(NAP);
                *count += 1;
            });
        });
        assert_eq!(L::lock(&mutex, |count| *count), n);
    };
    run(n / 10);
    bench.each(&tagged("hold", &[L::TAG]), n, measure(|| run(n)).1);
}

/// All tasks sleep at the same time, each once.
pub(super) fn sleeps<T: Tasks>(bench: &Bench, sleep: impl Fn(Duration) + Copy + Send + 'static) {
    const NAP: Duration = Duration::from_millis(20);
    const TIMES: u32 = 5;
    let n = bench.size(10_000);
    let run = |n: usize| _ = all::<T, ()>(n, move |_| sleep(NAP));
    run(n / 10);
    let ((), cost) = measure(|| (0..TIMES).for_each(|_| run(n)));
    assert!(cost.wall >= NAP * TIMES);
    bench.millis("wall_ms", TIMES, cost);
}

/// `wait` says who is the leader of a round.
pub(super) fn barrier<T: Tasks, B: Send + Sync + 'static>(
    bench: &Bench,
    default: usize,
    new: impl Fn(usize) -> B,
    wait: impl Fn(&B) -> bool + Copy + Send + 'static,
) {
    const TASKS: usize = 100;
    let n = bench.size(default);
    let run = |n: usize| {
        let barrier = Arc::new(new(TASKS));
        let led = all::<T, usize>(TASKS, move |_| (0..n).filter(|_| wait(&barrier)).count());
        assert_eq!(led.into_iter().sum::<usize>(), n);
    };
    run(n / 10);
    bench.each("wait", TASKS * n, measure(|| run(n)).1);
}

/// All that wait are woken each time, and one of them finds that it is its turn.
pub(super) fn condvar_turns<T: Tasks, L: Locks>(bench: &Bench, default: usize) {
    const TASKS: usize = 100;
    let n = bench.size(default);
    let run = |n: usize| {
        let turn = Arc::new((L::mutex(0), L::condvar()));
        let shared = turn.clone();
        all::<T, ()>(TASKS, move |task| {
            let (turn, changed) = &*shared;
            for _ in 0..n {
                L::lock_when(turn, changed, |turn| *turn % TASKS == task, |turn| *turn += 1);
                L::notify_all(changed);
            }
        });
        assert_eq!(L::lock(&turn.0, |turn| *turn), TASKS * n);
    };
    run(n / 10);
    bench.each(&tagged("turn", &[L::TAG]), TASKS * n, measure(|| run(n)).1);
}

/// `hold` takes a permit, does what it is given, and gives it back.
pub(super) fn semaphore<T: Tasks, S: Send + Sync + 'static>(
    bench: &Bench,
    tag: &str,
    default: usize,
    new: impl Fn(usize) -> S,
    hold: impl Fn(&S, fn()) + Copy + Send + 'static,
) {
    let n = bench.size(default);
    let run = |n: usize| {
        let semaphore = Arc::new(new(10));
        let held = all::<T, usize>(1000, move |_| (0..n).map(|_| hold(&semaphore, T::yield_now)).count());
        assert_eq!(held.into_iter().sum::<usize>(), 1000 * n);
    };
    run(n / 10);
    bench.each(&tagged("permit", &[tag]), 1000 * n, measure(|| run(n)).1);
}

/// A semaphore, where a library has none: what is left, and who waits.
pub(super) struct Permits<L: Locks>(L::Mutex<usize>, L::Condvar);

impl<L: Locks> Permits<L> {
    pub(super) fn new(permits: usize) -> Self {
        Permits(L::mutex(permits), L::condvar())
    }

    #[inline(always)]
    pub(super) fn hold(&self, work: fn()) {
        L::lock_when(&self.0, &self.1, |left| *left > 0, |left| *left -= 1);
        work();
        L::lock(&self.0, |left| *left += 1);
        L::notify_one(&self.1);
    }
}

/// A wait group whose clones count until they are dropped.
pub(super) fn wait_group<T: Tasks, G: Clone + Send + 'static>(
    bench: &Bench,
    default: usize,
    new: impl Fn() -> G,
    wait: impl Fn(G) + Copy,
) {
    let n = bench.size(default);
    let run = |n: usize| {
        let group = new();
        let tokens: [Vec<G>; TASKS] = std::array::from_fn(|_| (0..n / TASKS).map(|_| group.clone()).collect());
        for tokens in tokens {
            drop(T::go(move || drop(tokens)));
        }
        wait(group);
    };
    run(n / 10);
    let (_, cost) = measure(|| (0..5).for_each(|_| run(n)));
    bench.each("add_done[clones]", 5 * n, cost);
}

/// Nine in ten read. The square of a key is under it.
pub(super) fn map90<T: Tasks, M: Send + Sync + 'static>(
    bench: &Bench,
    tag: &str,
    default: usize,
    new: impl Fn() -> M,
    get: impl Fn(&M, u64) -> Option<u64> + Copy + Send + 'static,
    put: impl Fn(&M, u64, u64) + Copy + Send + 'static,
) {
    let n = bench.size(default);
    let run = |n: usize| {
        let map = Arc::new(new());
        (0..KEYS).for_each(|key| put(&map, key, key * key));
        all::<T, ()>(TASKS, move |task| {
            for call in calls(task).take(n) {
                let key = call.key();
                if call.writes() {
                    put(&map, key, key * key);
                } else {
                    assert_eq!(get(&map, key), Some(key * key));
                }
            }
        });
    };
    run(n / 10);
    bench.each(&tagged("call", &[tag]), TASKS * n, measure(|| run(n)).1);
}
