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

// ------------------------------------------------------------------------------------------- the direct switch

/// A G that leaves for the next one directly (`sched/direct.rs`): the next one, on the same thread, commits the park.
struct Switched {
    word: ParkWord,
    /// Where it has left its stack; 0 while it runs.
    sp: UnsafeCell<u32>,
    made_ready: AtomicU64,
    /// How often it leaves its stack.
    parks: u32,
}

fn switched(parks: u32) -> Arc<Switched> {
    let word = ParkWord::free();
    word.assign(7);
    Arc::new(Switched { word, sp: UnsafeCell::new(0), made_ready: AtomicU64::new(0), parks })
}

impl Switched {
    /// The G runs on the calling thread, and has parked so often. It parks once more, unless that was all.
    fn run(&self, parks: u32) {
        if parks == self.parks || self.word.take_token() {
            return;
        }
        self.leave_and_finish(10 * (parks + 1));
    }

    /// It leaves its stack at `at`, and the one that it has switched to finishes it.
    fn leave_and_finish(&self, at: u32) {
        // SAFETY: the model's point is that nobody else uses it now.
        self.sp.with_mut(|sp| unsafe { *sp = at });
        // From here on the thread is on the next one's stack.
        if !self.word.commit_park(7) {
            self.make_ready();
        }
    }

    /// The caller owns the G: it goes on where it has left its stack.
    fn make_ready(&self) {
        self.made_ready.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        let sp = self.sp.with_mut(|sp| unsafe { sp.replace(0) });
        assert_ne!(sp, 0, "it was continued while it ran");
        self.run(sp / 10);
    }

    fn unpark(&self) {
        if self.word.unpark(7) == Unparked::Claimed {
            self.make_ready();
        }
    }

    /// As the tracer of `observe/trace.rs`: the G waits somewhere else on its stack afterwards.
    fn trace(&self) {
        if !self.word.is_parked(7) || self.word.unpark(7) != Unparked::Claimed {
            return;
        }
        // SAFETY: as above.
        let sp = self.sp.with_mut(|sp| unsafe { std::mem::replace(&mut *sp, *sp + 1) });
        assert_ne!(sp, 0, "it was traced while it ran");
        if !self.word.commit_park(7) {
            self.make_ready();
        }
    }
}

#[test]
fn a_g_that_has_switched_is_made_ready_once_and_where_it_left() {
    model(|| {
        let g = switched(1);
        let (unparked, traced) = (g.clone(), g.clone());
        let unparker = thread::spawn(move || unparked.unpark());
        let tracer = thread::spawn(move || traced.trace());
        g.leave_and_finish(10);
        unparker.join().unwrap();
        tracer.join().unwrap();
        assert_eq!(g.made_ready.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_g_that_goes_on_elsewhere_switches_there() {
    model(|| {
        let g = switched(2);
        let unparkers: Vec<_> = (0..2)
            .map(|_| {
                let g = g.clone();
                thread::spawn(move || g.unpark())
            })
            .collect();
        g.run(0);
        unparkers.into_iter().for_each(|unparker| unparker.join().unwrap());
        // One more for each park that is left: then it is not parked.
        g.unpark();
        g.unpark();
        assert_ne!(g.word.unpark(7), Unparked::Claimed);
    });
}
