//! Models of the section: the M and a borrower never have the P-local data at the same time, and a P that was taken
//! belongs to the taker alone. The heavy fence is a full one here.

use super::*;
use crate::loom::{model, thread};
use loom::cell::UnsafeCell;
use loom::sync::Arc;

struct Local {
    section: Section,
    data: UnsafeCell<u32>,
}

#[test]
fn m_and_borrower_exclude_each_other() {
    model(|| {
        let local = Arc::new(Local { section: Section::new(), data: UnsafeCell::new(0) });
        let other = local.clone();
        let borrower = thread::spawn(move || {
            if let Some(_borrowed) = other.section.borrow() {
                // SAFETY: what the model checks.
                other.data.with_mut(|d| unsafe { *d += 1 });
                return 1;
            }
            0
        });
        for _ in 0..2 {
            // SAFETY: what the model checks.
            local.data.with_mut(|d| unsafe { *d += 1 });
            local.section.leave();
            local.section.enter();
        }
        let borrows = borrower.join().unwrap();
        // SAFETY: the borrower is gone.
        local.data.with(|d| assert_eq!(unsafe { *d }, 2 + borrows));
    });
}

/// An M with a P, which may be taken from it.
struct Held {
    section: Section,
    has_p: AtomicU32,
    p: UnsafeCell<u32>,
}

impl Held {
    fn new() -> Held {
        Held { section: Section::new(), has_p: AtomicU32::new(1), p: UnsafeCell::new(0) }
    }

    /// What the M does at each call of the runtime. Returns whether it still had its P.
    fn call(&self) -> bool {
        self.section.enter();
        let has_p = self.has_p.load(Ordering::Relaxed) != 0;
        if has_p {
            // SAFETY: what the model checks.
            self.p.with_mut(|p| unsafe { *p += 1 });
        }
        self.section.leave();
        has_p
    }

    /// What sysmon does. If it has taken the P, it uses it after the borrow.
    fn retake(&self) -> bool {
        let Some(borrowed) = self.section.borrow() else { return false };
        let takes = self.has_p.load(Ordering::Relaxed) != 0;
        if takes {
            self.has_p.store(0, Ordering::Relaxed);
        }
        drop(borrowed);
        if takes {
            // SAFETY: what the model checks.
            self.p.with_mut(|p| unsafe { *p += 100 });
        }
        takes
    }
}

#[test]
fn p_that_was_taken_is_the_takers() {
    model(|| {
        let held = Arc::new(Held::new());
        let other = held.clone();
        held.section.leave();
        let taker = thread::spawn(move || other.retake());
        let calls = u32::from(held.call()) + u32::from(held.call());
        let taken = taker.join().unwrap();
        // Once it has lost its P it does not have it again by itself.
        assert_eq!(held.call(), !taken);
        // SAFETY: the taker is gone.
        held.p.with(|p| assert_eq!(unsafe { *p }, calls + if taken { 100 } else { 1 }));
    });
}

/// A P that was taken and is handed back, as an idle one to a G that asks for it, may be taken again: what is left of
/// the first time does no harm.
#[test]
fn p_goes_and_comes_back() {
    model(|| {
        let held = Arc::new(Held::new());
        let handed = Arc::new(AtomicU32::new(0));
        let (other, hands) = (held.clone(), handed.clone());
        held.section.leave();
        let taker = thread::spawn(move || {
            for _ in 0..2 {
                if other.retake() {
                    // Release, as the scheduler's lock does it.
                    hands.store(1, Ordering::Release);
                }
            }
        });
        held.section.enter();
        if handed.load(Ordering::Acquire) == 1 {
            handed.store(0, Ordering::Relaxed);
            held.has_p.store(1, Ordering::Relaxed);
        }
        held.section.leave();
        held.call();
        taker.join().unwrap();
    });
}

/// Two that want the same P: sysmon takes it at most once.
#[test]
fn p_is_taken_once() {
    model(|| {
        let held = Arc::new(Held::new());
        let (one, two) = (held.clone(), held.clone());
        held.section.leave();
        let first = thread::spawn(move || one.retake());
        let second = thread::spawn(move || two.retake());
        let call = held.call();
        let taken = u32::from(first.join().unwrap()) + u32::from(second.join().unwrap());
        assert!(taken <= 1, "it was taken {taken} times");
        // SAFETY: both are gone.
        held.p.with(|p| assert_eq!(unsafe { *p }, u32::from(call) + 100 * taken));
    });
}
