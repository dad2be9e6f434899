//! A model of two keepers: one is taken off its place for work while it waits in the epoll, another becomes the keeper
//! and must get the event that comes. A sleep that never ends is a deadlock, which loom reports.

use super::*;
use crate::loom::{Arc, AtomicUsize, Mutex, thread};
use crate::m::{WakeBy, WakeWord};
use loom::sync::Condvar;

/// Tries all orders with up to three preemptions: with more it takes minutes.
fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(f);
}

/// What the kernel keeps. It wakes one of those that wait in the epoll; who finds nothing sleeps on.
#[derive(Default)]
struct Kernel {
    rings: bool,
    event: bool,
    tokens: [bool; 2],
}

/// Two Ms, 0 and 1.
struct House {
    words: [WakeWord; 2],
    seat: Seat,
    /// Which M is the keeper, under the scheduler's lock.
    keeper: Mutex<Option<usize>>,
    /// M0 has been handed a P.
    handed: AtomicUsize,
    /// The event has been taken.
    came: AtomicUsize,
    kernel: Mutex<Kernel>,
    changes: Condvar,
}

impl House {
    fn tell_kernel(&self, f: impl FnOnce(&mut Kernel)) {
        f(&mut self.kernel.lock().unwrap());
        self.changes.notify_all();
    }

    fn wake(&self, m: usize) {
        match self.words[m].wake() {
            WakeBy::Unpark => self.tell_kernel(|kernel| kernel.tokens[m] = true),
            WakeBy::Bell => self.tell_kernel(|kernel| kernel.rings = true),
        }
    }

    fn wake_keeper(&self) {
        let keeper = *self.keeper.lock().unwrap();
        if let Some(keeper) = keeper {
            self.wake(keeper);
        }
    }

    /// As `sleep_as_keeper`.
    fn sleep(&self, m: usize) {
        if !self.seat.take() {
            let mut kernel = self.kernel.lock().unwrap();
            while !kernel.tokens[m] {
                kernel = self.changes.wait(kernel).unwrap();
            }
            kernel.tokens[m] = false;
            drop(kernel);
            return self.words[m].end_sleep();
        }
        if self.words[m].begin_poll() {
            let mut kernel = self.kernel.lock().unwrap();
            while !kernel.rings && !kernel.event {
                kernel = self.changes.wait(kernel).unwrap();
            }
            kernel.rings = false;
            if std::mem::take(&mut kernel.event) {
                self.came.store(1, Ordering::Release);
            }
            drop(kernel);
            self.words[m].end_sleep();
        }
        if self.seat.leave() {
            self.wake_keeper();
        }
    }
}

#[test]
fn a_keeper_that_leaves_and_one_that_comes() {
    model(|| {
        let h = Arc::new(House {
            words: [WakeWord::new(), WakeWord::new()],
            seat: Seat::new(),
            keeper: Mutex::new(Some(0)),
            handed: AtomicUsize::new(0),
            came: AtomicUsize::new(0),
            kernel: Mutex::new(Kernel::default()),
            changes: Condvar::new(),
        });
        let other = h.clone();
        let old = thread::spawn(move || {
            while other.handed.load(Ordering::Acquire) == 0 {
                other.sleep(0);
            }
            if other.came.load(Ordering::Acquire) == 1 {
                // It has taken the event, so the other M sleeps on, until it is woken for work.
                other.wake_keeper();
            }
        });
        // As `start_m`; then this M finds nothing and becomes the keeper.
        let mut keeper = h.keeper.lock().unwrap();
        *keeper = None;
        h.handed.store(1, Ordering::Release);
        drop(keeper);
        h.wake(0);
        *h.keeper.lock().unwrap() = Some(1);
        let other = h.clone();
        let event = thread::spawn(move || other.tell_kernel(|kernel| kernel.event = true));
        while h.came.load(Ordering::Acquire) == 0 {
            h.sleep(1);
        }
        old.join().unwrap();
        event.join().unwrap();
    });
}
