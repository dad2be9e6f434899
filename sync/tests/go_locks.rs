//! Go's tests of `sync.Mutex`, `RWMutex` and `Cond` (src/sync of Go 1.26), written anew as semantics, from Gs and threads.
//!
//! mutex_test.go: `TestMutex`, `TestMutexFairness`; `TestSemaphore` is about what the runtime has below, and is done with
//! a `Semaphore` of one. Left out: `TestMutexMisuse`, as nothing but a guard unlocks.
//!
//! rwmutex_test.go: `TestParallelReaders`, `TestRWMutex`. `TestRLocker` locks twice to read in one goroutine and lets
//! another unlock: with guards that are sent.
//!
//! cond_test.go: `TestCondSignal`, `TestCondSignalGenerations`, `TestCondBroadcast`, `TestRace`, `TestCondSignalStealing`.
//! Left out: `TestCondCopy`, as a `Condvar` in use is borrowed, and cannot be copied.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::{Kind, Worker, everywhere};
use pirn_channels::{after, bounded, select};
use pirn_runtime::{sleep, yield_now};
use pirn_sync::{Condvar, Mutex, RwLock, Semaphore};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn join_all<T>(workers: Vec<Worker<T>>) -> Vec<T> {
    workers.into_iter().map(Worker::join).collect()
}

/// Starts `n` workers that do the same.
fn start<T: Send + 'static>(kind: Kind, n: usize, f: impl Fn(usize) -> T + Clone + Send + 'static) -> Vec<Worker<T>> {
    let one = |nth| {
        let f = f.clone();
        kind.go(move || f(nth))
    };
    (0..n).map(one).collect()
}

// TestSemaphore
#[test]
fn semaphore() {
    everywhere(|kind| {
        let semaphore = Arc::new(Semaphore::new(1));
        join_all(start(kind, 10, move |_| (0..1000).for_each(|_| drop(semaphore.acquire(1).expect("open")))));
    });
}

// TestMutex
#[test]
fn mutex() {
    everywhere(|kind| {
        let mutex = Arc::new(Mutex::new(()));
        let guard = mutex.lock();
        assert!(mutex.try_lock().is_none());
        drop(guard);
        assert!(mutex.try_lock().is_some());
        let hammer = move |_| {
            for turn in 0..1000 {
                if turn % 3 == 0 {
                    drop(mutex.try_lock());
                } else {
                    drop(mutex.lock());
                }
            }
        };
        join_all(start(kind, 10, hammer));
    });
}

// TestMutexFairness
#[test]
fn mutex_fairness() {
    everywhere(|kind| {
        let mutex = Arc::new(Mutex::new(()));
        let (stop, stopped) = bounded::<()>(0);
        let holds = {
            let mutex = mutex.clone();
            kind.go(move || {
                while stopped.try_recv().is_err_and(|error| error.is_empty()) {
                    let _held = mutex.lock();
                    sleep(Duration::from_micros(100));
                }
            })
        };
        let (done_in, done) = bounded(1);
        let locks = kind.go(move || {
            for _ in 0..10 {
                sleep(Duration::from_micros(100));
                drop(mutex.lock());
            }
            done_in.send(()).expect("it listens");
        });
        let in_time = select! {
            recv(done) -> _ => true,
            recv(after(Duration::from_secs(10))) -> _ => false,
        };
        assert!(in_time, "ten locks in ten seconds");
        drop(stop);
        locks.join();
        holds.join();
    });
}

// TestParallelReaders
#[test]
fn parallel_readers() {
    everywhere(|kind| {
        for readers in [1, 3, 4] {
            let lock = Arc::new(RwLock::new(()));
            let ((locked_in, locked), (unlock_in, unlock)) = (bounded(0), bounded::<()>(0));
            let reads = move |_| {
                let _reads = lock.read();
                locked_in.send(()).expect("it listens");
                unlock.recv().expect("it sends");
            };
            let workers = start(kind, readers, reads);
            (0..readers).for_each(|_| locked.recv().expect("all read at once"));
            (0..readers).for_each(|_| unlock_in.send(()).expect("they wait"));
            join_all(workers);
        }
    });
}

/// Readers count as one, writers as many.
const WRITER: usize = 10_000;

fn hammer_rw(kind: Kind, readers: usize, turns: usize) {
    let state = Arc::new((RwLock::new(()), AtomicUsize::new(0)));
    let works = move |nth: usize| {
        for _ in 0..turns {
            if nth == 0 || nth == readers / 2 + 1 {
                let _writes = state.0.write();
                assert_eq!(state.1.fetch_add(WRITER, Ordering::Relaxed), 0);
                std::hint::spin_loop();
                state.1.fetch_sub(WRITER, Ordering::Relaxed);
            } else {
                let _reads = state.0.read();
                assert!(state.1.fetch_add(1, Ordering::Relaxed) < WRITER);
                std::hint::spin_loop();
                state.1.fetch_sub(1, Ordering::Relaxed);
            }
        }
    };
    join_all(start(kind, readers + 2, works));
}

// TestRWMutex
#[test]
fn rw_mutex() {
    everywhere(|kind| {
        let lock = RwLock::new(());
        let writes = lock.write();
        assert!(lock.try_write().is_none() && lock.try_read().is_none());
        drop(writes);
        drop(lock.try_write().expect("it is free"));
        let reads = (lock.try_read().expect("it is free"), lock.try_read().expect("others read"));
        assert!(lock.try_write().is_none());
        drop(reads);
        for readers in [1, 3, 5, 10] {
            hammer_rw(kind, readers, 200);
        }
    });
}

// TestRLocker
#[test]
fn r_locker() {
    everywhere(|kind| {
        let lock: &'static RwLock<()> = Box::leak(Box::new(RwLock::new(())));
        let ((read_in, read), (written_in, written)) = (bounded(2), bounded(1));
        let n = 10;
        let works = kind.go(move || {
            for _ in 0..n {
                let guards = (lock.read(), lock.read_recursive());
                read_in.send(guards).expect("it listens");
                written_in.send(lock.write()).expect("it listens");
            }
        });
        for _ in 0..n {
            let (one, other) = read.recv().expect("it reads");
            drop(one);
            assert!(written.try_recv().is_err(), "a reader is left");
            drop(other);
            let writes = written.recv().expect("it writes");
            assert!(read.try_recv().is_err(), "a writer is there");
            drop(writes);
        }
        works.join();
    });
}

// TestCondSignal
#[test]
fn cond_signal() {
    everywhere(|kind| {
        let pair = Arc::new((Mutex::new(()), Condvar::new()));
        let ((running_in, running), (awake_in, awake)) = (bounded(2), bounded(2));
        let waits = {
            let pair = pair.clone();
            move |_| {
                let mut guard = pair.0.lock();
                running_in.send(()).expect("it listens");
                pair.1.wait(&mut guard);
                awake_in.send(()).expect("it listens");
            }
        };
        let workers = start(kind, 2, waits);
        (0..2).for_each(|_| running.recv().expect("both run"));
        for _ in 0..2 {
            assert!(awake.try_recv().is_err(), "it is not asleep");
            let guard = pair.0.lock();
            pair.1.notify_one();
            drop(guard);
            awake.recv().expect("one wakes");
            assert!(awake.try_recv().is_err(), "too many are awake");
        }
        pair.1.notify_one();
        join_all(workers);
    });
}

// TestCondSignalGenerations
#[test]
fn cond_signal_generations() {
    everywhere(|kind| {
        let pair = Arc::new((Mutex::new(()), Condvar::new()));
        let ((running_in, running), (awake_in, awake)) = (bounded(1), bounded(1));
        let n = if kind == Kind::G { 100 } else { 20 };
        let mut workers = Vec::new();
        for nth in 0..n {
            let (pair_of_it, running_in, awake_in) = (pair.clone(), running_in.clone(), awake_in.clone());
            workers.push(kind.go(move || {
                let mut guard = pair_of_it.0.lock();
                running_in.send(()).expect("it listens");
                pair_of_it.1.wait(&mut guard);
                awake_in.send(nth).expect("it listens");
            }));
            if nth > 0 {
                assert_eq!(awake.recv(), Ok(nth - 1), "the wrong one woke up");
            }
            running.recv().expect("it runs");
            let _guard = pair.0.lock();
            pair.1.notify_one();
        }
        assert_eq!(awake.recv(), Ok(n - 1));
        join_all(workers);
    });
}

// TestCondBroadcast
#[test]
fn cond_broadcast() {
    everywhere(|kind| {
        let n = if kind == Kind::G { 100 } else { 10 };
        let pair = Arc::new((Mutex::new(false), Condvar::new()));
        let ((running_in, running), (awake_in, awake)) = (bounded(n), bounded(n));
        let waits = {
            let pair = pair.clone();
            move |nth| {
                let mut exit = pair.0.lock();
                while !*exit {
                    running_in.send(()).expect("it listens");
                    pair.1.wait(&mut exit);
                    awake_in.send(nth).expect("it listens");
                }
            }
        };
        let workers = start(kind, n, waits);
        for round in 0..n {
            (0..n).for_each(|_| running.recv().expect("all run"));
            *pair.0.lock() = round == n - 1;
            assert!(awake.try_recv().is_err(), "it is not asleep");
            let guard = pair.0.lock();
            pair.1.notify_all();
            drop(guard);
            let mut seen = vec![false; n];
            for _ in 0..n {
                let nth = awake.recv().expect("all wake");
                assert!(!std::mem::replace(&mut seen[nth], true), "one woke up twice");
            }
        }
        join_all(workers);
        assert!(running.try_recv().is_err(), "one did not exit");
        pair.1.notify_all();
    });
}

// TestRace
#[test]
fn race() {
    everywhere(|kind| {
        let pair = Arc::new((Mutex::new(0), Condvar::new()));
        let looks = |pair: &(Mutex<u32>, Condvar), look: fn(&mut pirn_sync::MutexGuard<'_, u32>, &Condvar) -> bool| {
            while !look(&mut pair.0.lock(), &pair.1) {
                yield_now();
            }
        };
        let first = |x: &mut pirn_sync::MutexGuard<'_, u32>, condvar: &Condvar| {
            **x = 1;
            condvar.wait(x);
            assert_eq!(**x, 2);
            **x = 3;
            condvar.notify_one();
            true
        };
        let second = |x: &mut pirn_sync::MutexGuard<'_, u32>, condvar: &Condvar| {
            let is_one = **x == 1;
            if is_one {
                **x = 2;
                condvar.notify_one();
            }
            is_one
        };
        let third = |x: &mut pirn_sync::MutexGuard<'_, u32>, condvar: &Condvar| match **x {
            2 => {
                condvar.wait(x);
                assert_eq!(**x, 3);
                true
            }
            x => x == 3,
        };
        let acts = move |nth: usize| {
            let act: fn(&mut pirn_sync::MutexGuard<'_, u32>, &Condvar) -> bool = [first, second, third][nth];
            looks(&pair, act);
        };
        join_all(start(kind, 3, acts));
    });
}

// TestCondSignalStealing
#[test]
fn cond_signal_stealing() {
    everywhere(|kind| {
        for _ in 0..if kind == Kind::G { 300 } else { 30 } {
            let pair = Arc::new((Mutex::new(false), Condvar::new()));
            let (told_in, told) = bounded(0);
            let first = {
                let pair = pair.clone();
                kind.go(move || {
                    let mut guard = pair.0.lock();
                    told_in.send(()).expect("it listens");
                    pair.1.wait(&mut guard);
                    drop(guard);
                    told_in.send(()).expect("it listens");
                })
            };
            told.recv().expect("it has the lock");
            drop(pair.0.lock());
            // The first waits. Of the two that race, the new one may be notified, but the first has to be.
            let notifies = {
                let pair = pair.clone();
                kind.go(move || pair.1.notify_all())
            };
            let second = {
                let pair = pair.clone();
                kind.go(move || pair.1.wait_while(&mut pair.0.lock(), |done| !*done))
            };
            told.recv().expect("it is notified");
            *pair.0.lock() = true;
            pair.1.notify_all();
            first.join();
            notifies.join();
            second.join();
        }
    });
}
