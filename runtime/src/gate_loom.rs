//! What the lock of a line uses in the models.

use loom::sync::{Condvar, Mutex};
pub(crate) use loom::thread::yield_now as yield_thread;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The scheduler of loom knows which thread waits: any pause lets others run.
pub(crate) fn pause(_: u32) {
    loom::thread::yield_now();
}

pub(crate) fn nap(_: Duration) {
    loom::thread::yield_now();
}

/// Threads that want the lock wait here, because loom cannot see that a spinning thread waits. The lock has models of
/// its own, which do not use this.
#[derive(Debug)]
pub(crate) struct Gate {
    is_held: Mutex<bool>,
    given_back: Condvar,
    number: usize,
}

impl Gate {
    pub(crate) fn new() -> Gate {
        static NUMBERS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        Gate { is_held: Mutex::new(false), given_back: Condvar::new(), number }
    }

    /// By number: addresses differ in each run of a model.
    pub(crate) fn order(&self, _: usize) -> usize {
        self.number
    }

    pub(crate) fn enter(&self) {
        let mut is_held = self.is_held.lock().expect("no panic");
        while *is_held {
            is_held = self.given_back.wait(is_held).expect("no panic");
        }
        *is_held = true;
    }

    pub(crate) fn leave(&self) {
        *self.is_held.lock().expect("no panic") = false;
        self.given_back.notify_one();
    }
}
