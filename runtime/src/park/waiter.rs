//! A waiter on the waiting stack: told once, by one.

use super::{Unparker, park_on, park_uninterruptibly};
use crate::reason::Reason;
use std::sync::atomic::{AtomicBool, Ordering};

/// Lies on the stack of who waits, for one who tells. Aligned, so that its address leaves room for flags.
#[derive(Debug)]
#[repr(align(8))]
pub(crate) struct Waiter {
    unparker: Unparker,
    told: AtomicBool,
}

impl Waiter {
    /// For the caller.
    pub(crate) fn new() -> Waiter {
        Waiter { unparker: Unparker::current(), told: AtomicBool::new(false) }
    }

    /// Tells the waiter at `address`. It may be gone as soon as it is told, so this is the last access but for the
    /// unparker, which is taken before.
    ///
    /// # Safety
    /// `waiter` has not been told, and waits until it is.
    pub(crate) unsafe fn tell(waiter: *const Waiter) {
        // SAFETY: it waits until it is told, which is below.
        let waiter = unsafe { &*waiter };
        let unparker = waiter.unparker.clone();
        // Release: what was done before is seen by who was told (partner: `is_told`).
        waiter.told.store(true, Ordering::Release);
        unparker.unpark();
    }

    /// Waits on `what` until it is told, come what may.
    pub(crate) fn wait_uninterruptibly(&self, reason: &'static Reason, what: usize) {
        while !self.is_told() {
            park_uninterruptibly(reason, what);
        }
    }

    fn is_told(&self) -> bool {
        self.told.load(Ordering::Acquire)
    }

    /// Waits on `what` until it is told. If the G is unwound meanwhile, `give_up` says whether the teller has been called off;
    /// if it has not, it is on its way, and is waited for.
    pub(crate) fn wait(&self, reason: &'static Reason, what: usize, give_up: impl Fn() -> bool) {
        let done = super::defer(|| {
            if !self.is_told() && !give_up() {
                self.wait_uninterruptibly(reason, what);
            }
        });
        while !self.is_told() {
            park_on(reason, what);
        }
        drop(done);
    }
}
