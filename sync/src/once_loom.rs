//! Models of the once: one runs, the others see what it did; after a panic another one runs.

#![allow(unsafe_code, reason = "cells of a model")]

use super::{AfterPanic, Once};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// Tries all orders with up to two preemptions.
fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(f);
}

/// A value that loom watches.
struct Slot(UnsafeCell<usize>);

// SAFETY: what the models check.
unsafe impl Sync for Slot {}
// SAFETY: as above.
unsafe impl Send for Slot {}

impl Slot {
    fn add(&self) {
        // SAFETY: what the models check.
        self.0.with_mut(|slot| unsafe { *slot += 1 });
    }

    fn get(&self) -> usize {
        // SAFETY: as above.
        self.0.with(|slot| unsafe { *slot })
    }
}

#[test]
fn one_runs_and_all_see_it() {
    model(|| {
        let shared = Arc::new((Once::new(), Slot(UnsafeCell::new(0))));
        let workers = [(); 2].map(|()| {
            let shared = shared.clone();
            thread::spawn(move || {
                shared.0.call_once(|| shared.1.add());
                assert_eq!(shared.1.get(), 1);
            })
        });
        shared.0.wait();
        assert_eq!(shared.1.get(), 1);
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
}

#[test]
fn after_an_error_another_one_runs() {
    model(|| {
        let shared = Arc::new((Once::new(), Slot(UnsafeCell::new(0))));
        let other = shared.clone();
        let worker = thread::spawn(move || {
            _ = other.0.call(false, AfterPanic::Forget, |_| {
                other.1.add();
                Err(())
            });
        });
        shared.0.call_once(|| shared.1.add());
        worker.join().unwrap();
        assert!(shared.0.is_completed());
        assert!((1..=2).contains(&shared.1.get()));
    });
}
