//! Models of the lock: it has one holder at a time, and a reader without it can tell whether it was taken.

#![allow(unsafe_code, reason = "cells of a model")]

use super::*;
use crate::loom::Arc;
use loom::cell::UnsafeCell;
use loom::thread;

struct Guarded {
    lock: Lock,
    /// Only under the lock.
    sum: UnsafeCell<u32>,
    /// Equal whenever the lock is not held.
    pair: [AtomicUsize; 2],
}

impl Guarded {
    fn new() -> Arc<Guarded> {
        let pair = [AtomicUsize::new(0), AtomicUsize::new(0)];
        Arc::new(Guarded { lock: Lock::new(), sum: UnsafeCell::new(0), pair })
    }

    fn add(&self) {
        self.lock.acquire();
        // SAFETY: what the model checks.
        self.sum.with_mut(|sum| unsafe { *sum += 1 });
        for half in &self.pair {
            half.store(half.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
        self.lock.release();
    }
}

#[test]
fn one_at_a_time() {
    loom::model(|| {
        let guarded = Guarded::new();
        let other = guarded.clone();
        let thread = thread::spawn(move || other.add());
        guarded.add();
        thread.join().unwrap();
        // SAFETY: the other is gone.
        guarded.sum.with(|sum| assert_eq!(unsafe { *sum }, 2));
    });
}

#[test]
fn what_is_seen_without_it_was_one_moment() {
    loom::model(|| {
        let guarded = Guarded::new();
        let other = guarded.clone();
        // The writer begins: loom overlooks a load that a load of the writer follows.
        let reader = thread::spawn(move || {
            let moment = other.lock.moment();
            let [a, b] = [&other.pair[0], &other.pair[1]].map(|half| half.load(Ordering::Relaxed));
            if other.lock.is_still(moment) {
                assert_eq!(a, b);
            }
        });
        (0..2).for_each(|_| guarded.add());
        reader.join().unwrap();
    });
}

#[test]
fn who_has_heard_of_a_change_sees_it() {
    loom::model(|| {
        let guarded = Guarded::new();
        let heard = Arc::new(AtomicUsize::new(0));
        let (other, told) = (guarded.clone(), heard.clone());
        let reader = thread::spawn(move || {
            if told.load(Ordering::Acquire) == 1 {
                let moment = other.lock.moment();
                assert_eq!(other.pair[0].load(Ordering::Relaxed), 1);
                assert!(other.lock.is_still(moment));
            }
        });
        guarded.add();
        heard.store(1, Ordering::Release);
        reader.join().unwrap();
    });
}
