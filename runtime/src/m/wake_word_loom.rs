//! Models of the wake of an M that parks or polls: no wake and no event is lost, whatever comes first. A sleep that
//! never ends is a deadlock, which loom reports.

use super::*;
use crate::loom::{Mutex, thread};
use loom::sync::{Arc, Condvar};

/// Tries all orders with up to three preemptions: with more it takes minutes.
fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(f);
}

/// What the kernel keeps: the token of the thread, the bell, and an event that is queued until it is taken.
#[derive(Default)]
struct Kernel {
    token: bool,
    rings: bool,
    event: bool,
}

struct House {
    word: WakeWord,
    /// What the M is woken for.
    change: AtomicU8,
    kernel: Mutex<Kernel>,
    changes: Condvar,
}

fn house() -> Arc<House> {
    let (kernel, changes) = (Mutex::new(Kernel::default()), Condvar::new());
    Arc::new(House { word: WakeWord::new(), change: AtomicU8::new(0), kernel, changes })
}

impl House {
    fn tell_kernel(&self, f: impl FnOnce(&mut Kernel)) {
        f(&mut self.kernel.lock().unwrap());
        self.changes.notify_one();
    }

    /// As `Poller::wake`.
    fn wake(&self) {
        match self.word.wake() {
            WakeBy::Unpark => self.tell_kernel(|kernel| kernel.token = true),
            WakeBy::Bell => self.tell_kernel(|kernel| kernel.rings = true),
        }
    }

    /// As `Sleep::sleep`.
    fn park(&self) {
        let mut kernel = self.kernel.lock().unwrap();
        while !kernel.token {
            kernel = self.changes.wait(kernel).unwrap();
        }
        kernel.token = false;
        drop(kernel);
        self.word.end_sleep();
    }

    /// As `Poller::sleep`. Whether an event has come.
    fn poll(&self) -> bool {
        if !self.word.begin_poll() {
            return false;
        }
        let mut kernel = self.kernel.lock().unwrap();
        while !kernel.rings && !kernel.event {
            kernel = self.changes.wait(kernel).unwrap();
        }
        kernel.rings = false;
        let event = std::mem::take(&mut kernel.event);
        drop(kernel);
        self.word.end_sleep();
        event
    }
}

#[test]
fn a_keeper_that_polls_gets_the_event_and_the_wake() {
    model(|| {
        let h = house();
        let other = h.clone();
        let waker = thread::spawn(move || {
            // Relaxed: the wake orders it.
            other.change.store(1, Ordering::Relaxed);
            other.wake();
        });
        let other = h.clone();
        let event = thread::spawn(move || other.tell_kernel(|kernel| kernel.event = true));
        let mut came = false;
        // As `keep_time`: it looks, and sleeps if there is nothing.
        while h.change.load(Ordering::Relaxed) == 0 || !came {
            came |= h.poll();
        }
        waker.join().unwrap();
        event.join().unwrap();
    });
}

#[test]
fn a_keeper_that_parks_and_then_polls_sees_each_wake() {
    model(|| {
        let h = house();
        let other = h.clone();
        // The first descriptor is registered, which changes how the keeper sleeps; then it is woken for work.
        let waker = thread::spawn(move || {
            for change in 1..=2 {
                other.change.store(change, Ordering::Relaxed);
                other.wake();
            }
        });
        loop {
            match h.change.load(Ordering::Relaxed) {
                0 => h.park(),
                1 => _ = h.poll(),
                _ => break,
            }
        }
        waker.join().unwrap();
    });
}

#[test]
fn two_wakers_ring_once() {
    model(|| {
        let h = house();
        let wakers = [1, 2].map(|_| {
            let other = h.clone();
            thread::spawn(move || {
                other.change.fetch_add(1, Ordering::Relaxed);
                let by = other.word.wake();
                match by {
                    WakeBy::Unpark => other.tell_kernel(|kernel| kernel.token = true),
                    WakeBy::Bell => other.tell_kernel(|kernel| kernel.rings = true),
                }
                by
            })
        });
        let mut polls = 0;
        while h.change.load(Ordering::Relaxed) < 2 {
            h.poll();
            polls += 1;
        }
        let rings = wakers.map(|waker| waker.join().unwrap()).iter().filter(|by| **by == WakeBy::Bell).count();
        assert!(rings <= polls, "{rings} rings for {polls} polls");
    });
}
