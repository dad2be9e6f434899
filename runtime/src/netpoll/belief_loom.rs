//! Models of a belief: one that asks the kernel, against others that set a flag, or give the number to another descriptor.

use super::*;
use crate::loom::{Arc, Mutex, model, thread};

struct House {
    belief: Belief,
    settings: Settings,
    /// What the kernel knows: whether the descriptor of the number is non-blocking. It orders nothing else.
    is_nonblocking: Mutex<bool>,
}

fn house() -> Arc<House> {
    Arc::new(House { belief: Belief::none(), settings: Settings::new(), is_nonblocking: Mutex::new(false) })
}

impl House {
    fn is_nonblocking(&self) -> bool {
        *self.is_nonblocking.lock().unwrap()
    }

    /// As an operation that would block (`until_done` in `hook/src/attempts.rs`).
    fn asks(&self) {
        let (before, settings) = (self.belief.look(), self.settings.count());
        if !before.holds(settings) && !self.is_nonblocking() {
            self.belief.confirm(before, settings, true);
        }
    }

    /// Whether a wait would believe what is wrong.
    fn is_wrong(&self) -> bool {
        self.belief.look().holds(self.settings.count()) && self.is_nonblocking()
    }
}

#[test]
fn what_was_set_is_not_believed_otherwise() {
    model(|| {
        let h = house();
        let (a, b) = (h.clone(), h.clone());
        let asks = thread::spawn(move || a.asks());
        let sets = thread::spawn(move || {
            *b.is_nonblocking.lock().unwrap() = true;
            b.settings.changed();
            assert!(!b.is_wrong());
        });
        // It has been believed before, or will be.
        h.asks();
        sets.join().unwrap();
        assert!(!h.is_wrong());
        asks.join().unwrap();
        assert!(!h.is_wrong());
    });
}

/// Nobody uses the number while it is given up. Who does so may believe what is wrong until the limit.
#[test]
fn what_was_known_of_a_number_is_not_believed_of_the_next_one() {
    model(|| {
        let h = house();
        h.asks();
        // Another that has asked about the old descriptor is slow.
        let (before, settings) = (h.belief.look(), h.settings.count());
        assert!(!h.is_nonblocking());
        let (a, b) = (h.clone(), h.clone());
        let confirms = thread::spawn(move || a.belief.confirm(before, settings, true));
        let closes = thread::spawn(move || {
            let _ = b.belief.forget();
            *b.is_nonblocking.lock().unwrap() = true;
            assert!(!b.is_wrong());
            b.asks();
            assert!(!b.is_wrong());
        });
        closes.join().unwrap();
        confirms.join().unwrap();
        assert!(!h.is_wrong());
    });
}
