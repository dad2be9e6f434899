//! A count of what is not done, which can be waited for: one word, with the count and the bit
//! [`WAITERS`], by the protocol of `waiting.rs`.
//!
//! The count changes without a turn, but for the step to zero while somebody waits: that is made in a turn, which tells
//! those who stand there. So a group may be used again at once: who waits for the next round came after that turn, or
//! found zero.
//!
//! To add is one addition. If the sum is more than [`COUNT_MAX`] it is taken back, in a turn: meanwhile the last of the
//! others may have been done, who found a count that was not one.

use crate::loom::{AtomicUsize, Ordering};
use crate::lot::{Turn, Until, key_of};
use crate::waiting::{self, Awaited, Wait};
use pirn_runtime::internal::Reason;
use std::time::Duration;

/// Somebody waits. Changed only in a turn.
const WAITERS: usize = 1;
/// One that is not done: the count begins above the bit.
const ONE: usize = 2;

/// The highest count. The word has room for what all threads of a process may have added beyond it and not taken back
/// yet: there are fewer than 2^22.
pub(crate) const COUNT_MAX: usize = 1 << 40;

/// What those that wait are told.
const DONE: usize = 0;

/// The word of a group, or of what counts in the same way and has its own reason to wait.
pub(crate) struct Count {
    state: AtomicUsize,
}

/// One waits until a count is zero.
struct Zero<'a> {
    count: &'a Count,
    reason: &'static Reason,
}

impl Count {
    pub(crate) fn new() -> Count {
        Count { state: AtomicUsize::new(0) }
    }

    /// Waits until it is zero, for as long as that says. False if the wait has ended without that.
    #[inline]
    pub(crate) fn wait(&self, reason: &'static Reason, until: Until<'_>) -> bool {
        waiting::wait(&Zero { count: self, reason }, until)
    }

    /// The same, for `timeout` at most.
    pub(crate) fn wait_timeout(&self, reason: &'static Reason, timeout: Duration) -> bool {
        waiting::wait_timeout(&Zero { count: self, reason }, timeout)
    }

    /// The same, for async tasks.
    pub(crate) fn wait_async(&self, reason: &'static Reason) -> Wait<impl Awaited + '_> {
        Wait::new(Zero { count: self, reason })
    }

    /// A hint, as it may change at once.
    pub(crate) fn get(&self) -> usize {
        self.state.load(Ordering::Relaxed) / ONE
    }

    /// False: the count would be too large.
    #[inline]
    pub(crate) fn add(&self, n: usize) -> bool {
        if n > COUNT_MAX {
            return false;
        }
        // Relaxed: what the others have to see of the caller comes to them with the work.
        if self.state.fetch_add(n * ONE, Ordering::Relaxed) / ONE <= COUNT_MAX - n {
            return true;
        }
        self.take_back(n);
        false
    }

    /// False: the count is zero.
    #[inline]
    pub(crate) fn done(&self) -> bool {
        let mut state = self.state.load(Ordering::Relaxed);
        while state != ONE | WAITERS {
            if state < ONE {
                return false;
            }
            // Release: what the caller did (partner: `has_come`, and the Acquire in `take_back`; the steps of others in
            // between go on with it).
            let done = self.state.compare_exchange_weak(state, state - ONE, Ordering::Release, Ordering::Relaxed);
            match done {
                Ok(_) => return true,
                Err(other) => state = other,
            }
        }
        self.take_back(1)
    }

    /// Takes `n` from the count in a turn: it tells those that wait if these are the last. False: the count is less.
    #[cold]
    pub(crate) fn take_back(&self, n: usize) -> bool {
        let turn = Turn::of(key_of(self));
        // Acquire: what all others did, for those who are told (partner: the Release in `done`).
        let done = self.state.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |state| state.checked_sub(n * ONE));
        if done.is_ok_and(|state| state < (n + 1) * ONE) {
            turn.tell_all(DONE, |turn| self.left(turn));
        }
        done.is_ok()
    }

    /// In a turn: some have left the line.
    fn left(&self, turn: &mut Turn) {
        if turn.is_empty() {
            self.state.fetch_and(!WAITERS, Ordering::Relaxed);
        }
    }
}

impl Awaited for Zero<'_> {
    fn reason(&self) -> &'static Reason {
        self.reason
    }

    #[inline]
    fn has_come(&self) -> bool {
        // Acquire: what was done (partner: the Release in `done`).
        self.count.state.load(Ordering::Acquire) < ONE
    }

    fn has_waiters(&self) -> bool {
        self.count.state.load(Ordering::Relaxed) & WAITERS != 0
    }

    fn will_wait(&self) -> bool {
        let wait = |state| (state >= ONE).then_some(state | WAITERS);
        // Acquire: as in `has_come`.
        self.count.state.fetch_update(Ordering::Relaxed, Ordering::Acquire, wait).is_ok()
    }

    fn left(&self, turn: &mut Turn) {
        self.count.left(turn);
    }

    fn key(&self) -> usize {
        key_of(self.count)
    }
}
