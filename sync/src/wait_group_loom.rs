//! Models of the wait group: a wait returns, it sees what was done, and one of the next round is not told by the last.

#![allow(unsafe_code, reason = "cells of a model")]

use super::WaitGroup;
use crate::count::COUNT_MAX;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::time::Duration;

/// A value that loom watches.
struct Slot(UnsafeCell<usize>);

// SAFETY: what the models check.
unsafe impl Sync for Slot {}
// SAFETY: as above.
unsafe impl Send for Slot {}

/// Tries all orders with up to three preemptions: with more it takes minutes.
fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(f);
}

#[test]
fn a_wait_sees_what_was_done() {
    model(|| {
        let group = WaitGroup::new();
        let slots = Arc::new([Slot(UnsafeCell::new(0)), Slot(UnsafeCell::new(0))]);
        let workers = [0, 1].map(|n| {
            let (slots, token) = (slots.clone(), group.token());
            thread::spawn(move || {
                // SAFETY: nobody else writes it.
                slots[n].0.with_mut(|slot| unsafe { *slot = 1 });
                drop(token);
            })
        });
        group.wait();
        for slot in &*slots {
            // SAFETY: it has been written.
            assert_eq!(slot.0.with(|slot| unsafe { *slot }), 1);
        }
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
}

#[test]
fn two_wait_and_both_return() {
    model(|| {
        let group = WaitGroup::new();
        group.add(1);
        let other = group.clone();
        let waiter = thread::spawn(move || other.wait());
        let other = group.clone();
        let worker = thread::spawn(move || other.done());
        group.wait();
        waiter.join().unwrap();
        worker.join().unwrap();
    });
}

#[test]
fn one_of_the_next_round_is_not_told_by_the_last() {
    model(|| {
        let group = WaitGroup::new();
        group.add(1);
        let other = group.clone();
        let waiter = thread::spawn(move || other.wait());
        let other = group.clone();
        let second = Arc::new(Slot(UnsafeCell::new(0)));
        let written = second.clone();
        let worker = thread::spawn(move || {
            other.done();
            other.add(1);
            let next = other.clone();
            let waiter = thread::spawn(move || {
                next.wait();
                // SAFETY: it has been written before the second round was done.
                assert_eq!(written.0.with(|slot| unsafe { *slot }), 1);
            });
            // SAFETY: nobody reads it before the second round is done.
            second.0.with_mut(|slot| unsafe { *slot = 1 });
            other.done();
            waiter.join().unwrap();
        });
        waiter.join().unwrap();
        worker.join().unwrap();
    });
}

/// The last is done while the count is too large for a moment.
#[test]
fn an_add_that_is_refused_hides_no_end() {
    model(|| {
        let group = WaitGroup::new();
        group.add(COUNT_MAX);
        let [adder, worker] = [group.clone(), group.clone()];
        let adder = thread::spawn(move || {
            // There is room if one of the others has been done.
            if adder.count.add(1) {
                adder.done();
            }
        });
        let worker = thread::spawn(move || (0..COUNT_MAX).for_each(|_| worker.done()));
        group.wait();
        adder.join().unwrap();
        worker.join().unwrap();
        assert_eq!(group.count(), 0);
    });
}

#[test]
fn one_whose_time_is_over_leaves_nothing() {
    model(|| {
        let group = WaitGroup::new();
        group.add(1);
        let other = group.clone();
        let worker = thread::spawn(move || other.done());
        _ = group.wait_timeout(Duration::ZERO);
        group.wait();
        worker.join().unwrap();
        assert!(group.wait_timeout(Duration::ZERO));
    });
}

/// One begins a round before the last of the round before has told those who wait.
#[test]
fn a_round_that_begins_early_is_not_told_late() {
    model(|| {
        let group = WaitGroup::new();
        group.add(1);
        let [worker, other] = [group.clone(), group.clone()];
        let worker = thread::spawn(move || worker.done());
        let other = thread::spawn(move || next_round(other));
        group.wait();
        worker.join().unwrap();
        other.join().unwrap();
    });
}

/// A third one adds beside the one who begins a round.
#[test]
fn who_adds_beside_who_begins_a_round_is_waited_for() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let group = WaitGroup::new();
        group.add(1);
        let [worker, adder, other] = [group.clone(), group.clone(), group.clone()];
        let worker = thread::spawn(move || worker.done());
        let adder = thread::spawn(move || {
            adder.add(1);
            adder.done();
        });
        let other = thread::spawn(move || next_round(other));
        group.wait();
        for thread in [worker, adder, other] {
            thread.join().unwrap();
        }
    });
}

/// Adds one, which is done when something has been written; who waits after the add sees that.
fn next_round(group: WaitGroup) {
    let written = Arc::new(Slot(UnsafeCell::new(0)));
    group.add(1);
    let (next, seen) = (group.clone(), written.clone());
    let waiter = thread::spawn(move || {
        next.wait();
        // SAFETY: it has been written before the round was done.
        assert_eq!(seen.0.with(|slot| unsafe { *slot }), 1);
    });
    // SAFETY: nobody reads it before the round is done.
    written.0.with_mut(|slot| unsafe { *slot = 1 });
    group.done();
    waiter.join().unwrap();
}
