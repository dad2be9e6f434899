//! Models of the keeper: the keeper sleeps for a timer, or the adder learns that it has to wake an M; and no wake of
//! the keeper is lost. Its sleep has one token, as that of `m/sleep.rs`; a sleep that never ends is a deadlock, which
//! loom reports.

use super::*;
use crate::loom::{AtomicU32, Mutex};
use crate::loom::{model, thread};
use loom::sync::{Arc, Condvar};

/// What wakes a sleeper. loom's own `park` cannot be used: an unpark also ends a wait for a lock or a thread.
struct Token {
    is_there: Mutex<bool>,
    comes: Condvar,
}

impl Token {
    fn new() -> Token {
        Token { is_there: Mutex::new(false), comes: Condvar::new() }
    }

    fn wake(&self) {
        *self.is_there.lock().unwrap() = true;
        self.comes.notify_one();
    }

    fn sleep(&self) {
        let mut is_there = self.is_there.lock().unwrap();
        while !*is_there {
            is_there = self.comes.wait(is_there).unwrap();
        }
        *is_there = false;
    }
}

struct House {
    keeper: Keeper,
    earliest: AtomicU64,
    token: Token,
}

fn house() -> Arc<House> {
    Arc::new(House { keeper: Keeper::new(), earliest: AtomicU64::new(u64::MAX), token: Token::new() })
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
        let until = h.keeper.start(|| h.earliest.load(Ordering::Relaxed));
        let told = adder.join().unwrap();
        assert!(until <= 100 || told != ToWake::Nobody, "slept for {until}, told {told:?}");
        if told == ToWake::IdleP {
            // It came before the keeper started, so an idle P is woken, and the timer is seen too.
            assert!(until <= 100);
        }
    });
}

#[test]
fn a_keeper_that_lays_down_leaves_no_timer_alone() {
    model(|| {
        let h = house();
        let _ = h.keeper.start(|| u64::MAX);
        let other = h.clone();
        let adder = thread::spawn(move || {
            other.earliest.store(100, Ordering::Relaxed);
            other.keeper.added(100)
        });
        // The keeper is woken for work, stops, and starts again when the work is done.
        h.keeper.stop();
        let until = h.keeper.start(|| h.earliest.load(Ordering::Relaxed));
        let told = adder.join().unwrap();
        assert!(until <= 100 || told == ToWake::Keeper || told == ToWake::IdleP);
    });
}

#[test]
fn a_keeper_that_sleeps_is_told_of_an_earlier_timer() {
    model(|| {
        let h = house();
        let other = h.clone();
        let adder = thread::spawn(move || {
            other.earliest.store(100, Ordering::Relaxed);
            if other.keeper.added(100) == ToWake::Keeper {
                other.token.wake();
            }
        });
        // As in `keep_time`: without a timer it sleeps until it is woken.
        while h.keeper.start(|| h.earliest.load(Ordering::Relaxed)) > 100 {
            h.token.sleep();
        }
        adder.join().unwrap();
    });
}

/// The keeper's place under the scheduler's lock, and its hand.
struct Place {
    is_taken: Mutex<bool>,
    handed: AtomicU32,
}

#[test]
fn a_keeper_that_is_handed_a_p_while_a_timer_is_added_wakes_for_it() {
    model(|| {
        let h = house();
        let place = Arc::new(Place { is_taken: Mutex::new(true), handed: AtomicU32::new(0) });
        let start = |h: &House| h.keeper.start(|| h.earliest.load(Ordering::Relaxed));
        let mut until = start(&h);
        let (other, theirs) = (h.clone(), place.clone());
        // As `start_m`.
        let starter = thread::spawn(move || {
            let mut is_taken = theirs.is_taken.lock().unwrap();
            *is_taken = false;
            other.keeper.stop();
            theirs.handed.store(1, Ordering::Release);
            drop(is_taken);
            other.token.wake();
        });
        let (other, theirs) = (h.clone(), place.clone());
        // As `wake_for_timer`.
        let adder = thread::spawn(move || {
            other.earliest.store(100, Ordering::Relaxed);
            if other.keeper.added(100) == ToWake::Keeper && *theirs.is_taken.lock().unwrap() {
                other.token.wake();
            }
        });
        // As `keep_time`: for an earlier timer it would sleep until that is due, and look then.
        while place.handed.load(Ordering::Acquire) == 0 && until > 100 {
            h.token.sleep();
            let is_taken = place.is_taken.lock().unwrap();
            if *is_taken {
                until = start(&h);
            }
        }
        starter.join().unwrap();
        adder.join().unwrap();
    });
}
