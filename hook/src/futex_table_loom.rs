//! Models of the table: no wake is lost, each is for one, and a wait that ends by itself leaves nothing behind.

use super::{Bucket, Waited};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use pirn_runtime::internal::{Kind, Reason, Ticket, Told};

static TEST: Reason = Reason::new("a model waits", Kind::Event);
const ALL: u32 = u32::MAX;

fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(f);
}

struct Futex {
    word: AtomicU32,
    bucket: Bucket,
}

impl Futex {
    fn new(word: u32) -> Arc<Futex> {
        Arc::new(Futex { word: AtomicU32::new(word), bucket: Bucket::new() })
    }

    fn wait(&self, expected: u32) -> Waited {
        let sleep = |ticket: &Ticket<()>| ticket.wait(&TEST, 0, None);
        self.bucket.wait(1, ALL, || self.word.load(Ordering::Relaxed) == expected, sleep)
    }

    fn wake(&self, most: usize) -> usize {
        if self.bucket.is_empty() { 0 } else { self.bucket.wake(1, ALL, most, Told::wake) }
    }
}

#[test]
fn a_changed_word_is_seen_or_its_wake_is() {
    model(|| {
        let futex = Futex::new(0);
        let waiter = thread::spawn({
            let futex = futex.clone();
            move || {
                while futex.word.load(Ordering::Relaxed) == 0 {
                    futex.wait(0);
                }
            }
        });
        // As a store of std's: its order comes from the table.
        futex.word.store(1, Ordering::Relaxed);
        futex.wake(1);
        waiter.join().unwrap();
    });
}

#[test]
fn one_wake_for_each_of_two() {
    model(|| {
        let futex = Futex::new(0);
        let waiters = [(); 2].map(|()| {
            let futex = futex.clone();
            thread::spawn(move || futex.wait(0))
        });
        futex.word.store(1, Ordering::Relaxed);
        let woken = futex.wake(1) + futex.wake(1);
        let ended = waiters.map(|waiter| waiter.join().unwrap());
        assert_eq!(ended.into_iter().filter(|ended| *ended == Waited::Woken).count(), woken);
    });
}

#[test]
fn a_wait_that_ends_is_woken_or_not_but_known() {
    model(|| {
        let futex = Futex::new(0);
        let waiter = thread::spawn({
            let futex = futex.clone();
            move || {
                futex.bucket.wait(
                    1,
                    ALL,
                    || futex.word.load(Ordering::Relaxed) == 0,
                    |ticket| {
                        thread::yield_now();
                        ticket.is_told()
                    },
                )
            }
        });
        futex.word.store(1, Ordering::Relaxed);
        let woken = futex.wake(usize::MAX);
        assert_eq!(woken, usize::from(waiter.join().unwrap() == Waited::Woken));
        assert!(futex.bucket.is_empty());
    });
}

#[test]
fn a_wake_of_many_takes_none_that_comes_again() {
    model(|| {
        let futex = Futex::new(0);
        let waiter = thread::spawn({
            let futex = futex.clone();
            move || {
                for _ in 0..2 {
                    let sleep = |ticket: &Ticket<()>| {
                        thread::yield_now();
                        ticket.is_told()
                    };
                    futex.bucket.wait(1, ALL, || true, sleep);
                }
            }
        });
        assert!(futex.bucket.wake(1, ALL, usize::MAX, Told::wake) <= 1);
        waiter.join().unwrap();
    });
}
