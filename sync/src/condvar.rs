//! [`Condvar`].

use crate::loom::{AtomicU32, Ordering, checkpoint, deadline, now};
use crate::lot::{Newcomer, Turn, Until};
use crate::mutex::MutexGuard;
use crate::raw_mutex::RawMutex;
use pirn_runtime::internal::{Kind, Reason};
use std::fmt;
use std::ptr;
use std::time::{Duration, Instant};

/// Somebody waits. Changed only in a turn.
const WAITERS: u32 = 1;

/// What those that wait are told.
const NOTIFIED: usize = 0;

/// A G waits for a condition variable.
static WAIT: Reason = Reason::new("sync.Cond.Wait", Kind::Object("condvar"));

/// A condition variable, as [`std::sync::Condvar`] for [`Mutex`](crate::Mutex): waits until another says that what the
/// mutex guards has changed.
///
/// A wait takes the guard by reference, unlocks the mutex, waits, and locks it again before it returns. It returns only
/// if it was notified, or its time is over; but as another may be faster to lock the mutex, look at the condition again
/// ([`wait_while`](Self::wait_while) does). Those that wait are notified in their order. It is one word, and making it
/// needs no memory. One condition variable may be used with several mutexes.
///
/// While the runtime of a goroutine shuts down, a wait unwinds it, with the mutex locked; if it had been notified
/// already, another one is notified in its place.
///
/// ```
/// use pirn::sync::{Condvar, Mutex};
///
/// static READY: Mutex<bool> = Mutex::new(false);
/// static CHANGED: Condvar = Condvar::new();
///
/// pirn::run(|| {
///     pirn::go(|| {
///         *READY.lock() = true;
///         CHANGED.notify_one();
///     });
///     let mut ready = READY.lock();
///     CHANGED.wait_while(&mut ready, |ready| !*ready);
///     assert!(*ready);
/// });
/// ```
pub struct Condvar {
    state: AtomicU32,
}

impl Condvar {
    /// One that nobody waits for.
    #[cfg(not(loom))]
    pub const fn new() -> Condvar {
        Condvar { state: AtomicU32::new(0) }
    }

    /// One that nobody waits for.
    #[cfg(loom)]
    pub fn new() -> Condvar {
        Condvar { state: AtomicU32::new(0) }
    }

    fn key(&self) -> usize {
        ptr::from_ref(self).expose_provenance()
    }

    /// Unlocks the mutex, waits until notified, and locks it again.
    pub fn wait<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>) {
        self.wait_within(guard.raw(), Until::Told);
    }

    /// Waits as long as `condition` holds, which is called with the mutex locked.
    pub fn wait_while<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>, mut condition: impl FnMut(&mut T) -> bool) {
        while condition(guard) {
            self.wait(guard);
        }
    }

    /// Waits until notified, or until `timeout` has passed.
    pub fn wait_timeout<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>, timeout: Duration) -> WaitTimeoutResult {
        match deadline(timeout) {
            Some(deadline) => self.wait_until(guard, deadline),
            None => {
                self.wait(guard);
                WaitTimeoutResult(false)
            }
        }
    }

    /// Waits until notified, or until `deadline`.
    pub fn wait_until<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>, deadline: Instant) -> WaitTimeoutResult {
        WaitTimeoutResult(!self.wait_within(guard.raw(), Until::Deadline(deadline)))
    }

    /// Waits as long as `condition` holds, or until `timeout` has passed: then the condition still holds.
    pub fn wait_timeout_while<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        timeout: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> WaitTimeoutResult {
        let Some(deadline) = deadline(timeout) else {
            self.wait_while(guard, condition);
            return WaitTimeoutResult(false);
        };
        while condition(guard) {
            if self.wait_until(guard, deadline).timed_out() {
                return WaitTimeoutResult(condition(guard));
            }
        }
        WaitTimeoutResult(false)
    }

    /// False if it has not been notified.
    pub(crate) fn wait_within(&self, mutex: &RawMutex, until: Until<'_>) -> bool {
        /// Whoever had the mutex has it again, also if it is unwound.
        struct Relock<'a>(&'a RawMutex);
        impl Drop for Relock<'_> {
            fn drop(&mut self) {
                self.0.lock_for_certain();
            }
        }
        checkpoint();
        let newcomer = Newcomer::caller(0, &WAIT, now());
        let turn = Turn::of(self.key());
        // No future waits here, so the bit is right.
        _ = turn.settle(self.state.load(Ordering::Relaxed) != 0);
        // Who notifies has had the mutex since, if it is to be heard, so it sees this.
        self.state.store(WAITERS, Ordering::Relaxed);
        let relock = Relock(mutex);
        // The notification goes to another one if this is unwound.
        let undo = |_| self.notify_one();
        let answer = turn.wait_after(newcomer, false, until, Some(|| mutex.unlock()), |turn| self.left(turn), undo);
        drop(relock);
        answer.is_some()
    }

    /// In a turn: one has left the line.
    fn left(&self, turn: &mut Turn) {
        if turn.is_empty() {
            self.state.store(0, Ordering::Relaxed);
        }
    }

    /// Notifies the one that has waited longest, if there is one.
    #[inline]
    pub fn notify_one(&self) {
        if self.state.load(Ordering::Relaxed) != 0 {
            self.tell_one();
        }
    }

    /// Notifies all that wait.
    #[inline]
    pub fn notify_all(&self) {
        if self.state.load(Ordering::Relaxed) != 0 {
            Turn::of(self.key()).tell_all(NOTIFIED, |turn| self.left(turn));
        }
    }

    #[cold]
    fn tell_one(&self) {
        let mut turn = Turn::of(self.key());
        if !turn.is_empty() {
            turn.tell_first(NOTIFIED);
        }
        self.left(&mut turn);
    }
}

impl Default for Condvar {
    fn default() -> Condvar {
        Condvar::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}

/// Whether a wait with a timeout ended because of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether the time was over.
    pub fn timed_out(&self) -> bool {
        self.0
    }
}
