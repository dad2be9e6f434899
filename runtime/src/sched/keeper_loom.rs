//! Models of the keeper: a timer is slept for, or somebody is told.

use super::*;
use crate::loom::{model, thread};
use loom::sync::Arc;

struct House {
    keeper: Keeper,
    earliest: AtomicU64,
}

fn house() -> Arc<House> {
    Arc::new(House { keeper: Keeper::new(), earliest: AtomicU64::new(u64::MAX) })
}

#[test]
fn an_earlier_timer_is_slept_for_or_told() {
    model(|| {
        let h = house();
        let other = h.clone();
        let adder = thread::spawn(move || {
            other.earliest.store(100, Ordering::Relaxed);
            other.keeper.added(100)
        });
        let until = h.keeper.take_up(|| h.earliest.load(Ordering::Relaxed));
        let told = adder.join().unwrap();
        assert!(until <= 100 || told != Tell::Nobody, "slept for {until}, told {told:?}");
        if told == Tell::AnIdleP {
            // It came before the keeper took up, so an idle P is woken as well as the timer being seen.
            assert!(until <= 100);
        }
    });
}

#[test]
fn a_keeper_that_lays_down_leaves_no_timer_alone() {
    model(|| {
        let h = house();
        let _ = h.keeper.take_up(|| u64::MAX);
        let other = h.clone();
        let adder = thread::spawn(move || {
            other.earliest.store(100, Ordering::Relaxed);
            other.keeper.added(100)
        });
        // The keeper is woken for work, lays down, and takes up again when the work is done.
        h.keeper.lay_down();
        let until = h.keeper.take_up(|| h.earliest.load(Ordering::Relaxed));
        let told = adder.join().unwrap();
        assert!(until <= 100 || told == Tell::TheKeeper || told == Tell::AnIdleP);
    });
}
