//! Models of the event: who waits when it is set returns, and sees what was done before, also if it is reset at once.

#![allow(unsafe_code, reason = "cells of a model")]

use super::Event;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::time::Duration;

/// Tries all orders with up to three preemptions.
fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(f);
}

/// A value that loom watches.
struct Slot(UnsafeCell<usize>);

// SAFETY: what the models check.
unsafe impl Sync for Slot {}
// SAFETY: as above.
unsafe impl Send for Slot {}

#[test]
fn all_that_wait_see_what_was_done() {
    model(|| {
        let shared = Arc::new((Event::new(), Slot(UnsafeCell::new(0))));
        let look = |shared: &(Event, Slot)| {
            shared.0.wait();
            // SAFETY: it is written before the event is set, and not again.
            assert_eq!(shared.1.0.with(|slot| unsafe { *slot }), 1);
        };
        let other = shared.clone();
        let waiter = thread::spawn(move || look(&other));
        let other = shared.clone();
        let setter = thread::spawn(move || {
            // SAFETY: nobody looks before the event is set.
            other.1.0.with_mut(|slot| unsafe { *slot = 1 });
            other.0.set();
        });
        look(&shared);
        waiter.join().unwrap();
        setter.join().unwrap();
    });
}

#[test]
fn one_that_gives_up_does_not_hide_another() {
    model(|| {
        let event = Arc::new(Event::new());
        let other = event.clone();
        let waiter = thread::spawn(move || other.wait());
        let other = event.clone();
        let setter = thread::spawn(move || other.set());
        _ = event.wait_timeout(Duration::ZERO);
        waiter.join().unwrap();
        setter.join().unwrap();
        event.reset();
        assert!(!event.is_set());
    });
}
