//! Models of the park word: no unpark is lost, one claim wins, the parked stack is seen whole.

use super::*;
use crate::loom::{model, thread};
use loom::cell::UnsafeCell;
use loom::sync::Arc;

struct Cell {
    word: ParkWord,
    stack: UnsafeCell<u32>,
    ran: AtomicU64,
}

fn cell() -> Arc<Cell> {
    let word = ParkWord::free();
    word.assign(7);
    Arc::new(Cell { word, stack: UnsafeCell::new(0), ran: AtomicU64::new(0) })
}

impl Cell {
    /// Continues the G: only the owner comes here; otherwise loom reports the race on `stack`.
    fn run(&self) {
        // SAFETY: the model's point is that the caller owns the G.
        self.stack.with_mut(|s| unsafe { *s += 1 });
        self.ran.fetch_add(1, Ordering::Relaxed);
    }

    fn park(&self) {
        if self.word.take_token() {
            return self.run();
        }
        // SAFETY: as above.
        self.stack.with_mut(|s| unsafe { *s = 10 });
        if !self.word.commit_park(7) {
            self.run();
        }
    }
}

#[test]
fn one_unpark_is_never_lost_and_runs_the_g_once() {
    model(|| {
        let c = cell();
        let other = c.clone();
        let t = thread::spawn(move || {
            if other.word.unpark(7) == Unparked::Claimed {
                other.run();
            }
        });
        c.park();
        t.join().unwrap();
        assert_eq!(c.ran.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn of_two_unparkers_one_claims() {
    model(|| {
        let c = cell();
        let ts: Vec<_> = (0..2)
            .map(|_| {
                let other = c.clone();
                thread::spawn(move || {
                    if other.word.unpark(7) == Unparked::Claimed {
                        other.run();
                    }
                })
            })
            .collect();
        c.park();
        ts.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!(c.ran.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_stale_unparker_does_nothing_to_the_next_g() {
    model(|| {
        let c = cell();
        let other = c.clone();
        let t = thread::spawn(move || assert_eq!(other.word.unpark(3), Unparked::Nothing));
        assert!(!c.word.take_token());
        assert!(c.word.commit_park(7));
        t.join().unwrap();
        assert_eq!(c.word.unpark(7), Unparked::Claimed);
    });
}

#[test]
fn what_was_done_before_an_unpark_is_seen_after_the_park() {
    model(|| {
        let c = cell();
        let data = Arc::new(AtomicU64::new(0));
        let ts: Vec<_> = (0..2)
            .map(|_| {
                let (other, data) = (c.clone(), data.clone());
                thread::spawn(move || {
                    data.fetch_add(1, Ordering::Relaxed);
                    other.word.unpark(7) == Unparked::Claimed
                })
            })
            .collect();
        // Whichever way the tokens fall, no state has both unparks done, data unseen, and the G parked for good.
        let went_on = c.word.take_token() || !c.word.commit_park(7);
        let seen = data.load(Ordering::Relaxed);
        let claims = ts.into_iter().filter(|_| true).map(|t| t.join().unwrap()).filter(|c| *c).count();
        if went_on {
            assert!(seen >= 1);
            // The second unpark left a token or came in time.
            assert!(seen == 2 || c.word.take_token());
        } else {
            assert_eq!(claims, 1);
        }
    });
}
