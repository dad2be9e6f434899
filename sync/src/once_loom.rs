//! Models of the once: one runs, the others see what it did; after a panic another one runs.

#![allow(unsafe_code, reason = "cells of a model")]

use super::{AfterPanic, Once, WAIT};
use crate::loom::Unparker;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use pirn_runtime::internal::park_on;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Wake, Waker};

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

/// Unparks a thread of the model.
struct Unparks(Unparker);

impl Wake for Unparks {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future, as a thread of the model.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(std::sync::Arc::new(Unparks(Unparker::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        park_on(&WAIT, 0);
    }
}

/// The one that has run tells those that wait in a turn; who only looks takes none.
#[test]
fn one_that_looks_beside_one_that_waits_sees_what_was_done() {
    model(|| {
        let shared = Arc::new((Once::new(), Slot(UnsafeCell::new(0))));
        let (runs, waits) = (shared.clone(), shared.clone());
        let runs = thread::spawn(move || runs.0.call_once(|| runs.1.add()));
        let waits = thread::spawn(move || {
            waits.0.wait();
            assert_eq!(waits.1.get(), 1);
        });
        if shared.0.is_completed() {
            assert_eq!(shared.1.get(), 1);
        }
        runs.join().unwrap();
        waits.join().unwrap();
    });
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

#[test]
fn after_a_task_that_gives_up_another_one_runs() {
    model(|| {
        let shared = Arc::new((Once::new(), Slot(UnsafeCell::new(0))));
        let other = shared.clone();
        let task = thread::spawn(move || {
            // Polled once, and dropped where it is.
            let mut begins = pin!(other.0.begin_async());
            let begun = begins.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(Some(running)) = begun {
                other.1.add();
                drop(running);
            }
        });
        shared.0.call_once(|| shared.1.add());
        assert!(shared.0.is_completed() && shared.1.get() >= 1);
        task.join().unwrap();
    });
}

#[test]
fn a_task_and_a_call_run_once() {
    model(|| {
        let shared = Arc::new((Once::new(), Slot(UnsafeCell::new(0))));
        let other = shared.clone();
        let task = thread::spawn(move || {
            if let Some(running) = block_on(other.0.begin_async()) {
                other.1.add();
                running.complete();
            }
            assert_eq!(other.1.get(), 1);
        });
        shared.0.call_once(|| shared.1.add());
        assert_eq!(shared.1.get(), 1);
        task.join().unwrap();
    });
}
