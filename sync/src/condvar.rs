//! [`Condvar`].

#![allow(unsafe_code, reason = "places in futures that wait")]

use crate::loom::{AtomicU32, Ordering, checkpoint, deadline};
use crate::lot::{Before, Newcomer, Place, Turn, Until, key_of};
use crate::mutex::{LockFuture, MutexGuard};
use crate::raw_mutex::RawMutex;
use pirn_runtime::internal::{Kind, Reason};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
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
/// needs no memory. One condition variable may be used with several mutexes. Async tasks wait by
/// [`wait_async`](Self::wait_async).
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
        struct Relock<'a>(&'a RawMutex, u32);
        impl Drop for Relock<'_> {
            fn drop(&mut self) {
                self.0.lock_for_certain_by(self.1);
            }
        }
        checkpoint();
        let spot = Newcomer::caller(0, &WAIT).on_stack(until);
        let turn = self.turn_to_wait();
        let relock = Relock(mutex, spot.who());
        // The notification goes to another one if this is unwound.
        let undo = |_| self.notify_one();
        let unlock = Before { in_turn: || mutex.set_free(), after_turn: || mutex.give_on() };
        let answer = turn.wait_after(&spot, false, until, unlock, |turn| self.left(turn), undo);
        drop(relock);
        answer.is_some()
    }

    /// A turn of one that is going to stand in the line.
    fn turn_to_wait(&self) -> Turn {
        let turn = Turn::of(key_of(self));
        // Futures that were forgotten leave (lot I6). If nobody is left the bit is set all the same.
        _ = turn.settle(self.state.load(Ordering::Relaxed) != 0);
        // Who notifies has had the mutex since, if it is to be heard, so it sees this.
        self.state.store(WAITERS, Ordering::Relaxed);
        turn
    }

    /// As [`wait`](Self::wait), for async tasks. The mutex is unlocked when the future is polled for the first time, and
    /// locked again before it returns the guard.
    ///
    /// The future may be dropped at any time. Then the mutex is not locked by it: dropped before its first poll, it
    /// unlocks it; later the mutex is unlocked already. If it had been notified, another one is notified in its place.
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
    ///     pirn::block_on(async {
    ///         let mut ready = READY.lock_async().await;
    ///         while !*ready {
    ///             ready = CHANGED.wait_async(ready).await;
    ///         }
    ///     });
    /// });
    /// ```
    pub fn wait_async<'a, T: ?Sized>(&'a self, guard: MutexGuard<'a, T>) -> WaitFuture<'a, T> {
        let lock = MutexGuard::mutex(&guard).lock_async();
        WaitFuture { condvar: self, step: Step::Holds(guard), place: Place::new(), lock }
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
        self.tells_one();
    }

    /// Notifies all that wait.
    ///
    /// On a P, Gs that were ready before run first, and then those that waited, in the order in which they began to; as also
    /// [`Barrier`](crate::Barrier), [`Event`](crate::Event) and the end of a context have it. Who is notified by
    /// [`notify_one`](Self::notify_one) runs next.
    #[inline]
    pub fn notify_all(&self) {
        self.tells_all();
    }

    /// Notifies one. Whether there was one.
    #[inline]
    pub(crate) fn tells_one(&self) -> bool {
        self.state.load(Ordering::Relaxed) != 0 && self.tell_first()
    }

    /// Notifies all. How many there were.
    #[inline]
    pub(crate) fn tells_all(&self) -> usize {
        if self.state.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        Turn::of(key_of(self)).tell_all(NOTIFIED, |turn| self.left(turn))
    }

    #[cold]
    fn tell_first(&self) -> bool {
        let mut turn = Turn::of(key_of(self));
        turn.tell_rest();
        let is_one = !turn.is_empty();
        if is_one {
            turn.tell_first(NOTIFIED);
        }
        self.left(&mut turn);
        is_one
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

/// What [`Condvar::wait_async`] returns.
#[must_use = "futures do nothing unless they are polled"]
pub struct WaitFuture<'a, T: ?Sized> {
    condvar: &'a Condvar,
    step: Step<'a, T>,
    /// Where it waits to be notified.
    place: Place,
    /// How it locks the mutex again.
    lock: LockFuture<'a, T>,
}

/// How far a [`WaitFuture`] is.
enum Step<'a, T: ?Sized> {
    /// It was not polled yet.
    Holds(MutexGuard<'a, T>),
    Waits,
    /// It has been notified, and locks the mutex.
    Locks,
    /// It has returned.
    Over,
}

impl<'a, T: ?Sized> Future for WaitFuture<'a, T> {
    type Output = MutexGuard<'a, T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<MutexGuard<'a, T>> {
        checkpoint();
        // SAFETY: `place` and `lock` stay where they are, and nobody pins the rest.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: it is pinned with the future.
        let place = unsafe { Pin::new_unchecked(&mut this.place) };
        match this.step {
            Step::Holds(_) => {
                let newcomer = Newcomer::task(0, &WAIT, context);
                place.stand(this.condvar.turn_to_wait(), newcomer);
                // Unlocks the mutex.
                this.step = Step::Waits;
                return Poll::Pending;
            }
            Step::Waits => {
                _ = ready!(place.poll(context));
                this.step = Step::Locks;
            }
            Step::Locks | Step::Over => {}
        }
        // SAFETY: it is pinned with the future.
        let guard = ready!(unsafe { Pin::new_unchecked(&mut this.lock) }.poll(context));
        this.step = Step::Over;
        Poll::Ready(guard)
    }
}

impl<T: ?Sized> Drop for WaitFuture<'_, T> {
    fn drop(&mut self) {
        let condvar = self.condvar;
        // SAFETY: it was pinned if it was ever polled, and is not moved any more.
        let place = unsafe { Pin::new_unchecked(&mut self.place) };
        place.withdraw(|turn| condvar.left(turn), |_| condvar.notify_one());
        if matches!(self.step, Step::Locks) {
            condvar.notify_one();
        }
    }
}

impl<T: ?Sized> fmt::Debug for WaitFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitFuture").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{Condvar, Ordering};
    use crate::Mutex;
    use std::future::Future;
    use std::task::{Context, Waker};

    /// What is left of those that waited would cost each notification a turn.
    #[test]
    fn those_that_waited_leave_nothing_in_the_word() {
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let context = &mut Context::from_waker(Waker::noop());
        let mut waits = Box::pin(condvar.wait_async(mutex.lock()));
        assert!(waits.as_mut().poll(context).is_pending());
        condvar.notify_one();
        assert_eq!(condvar.state.load(Ordering::Relaxed), 0);
        assert!(waits.as_mut().poll(context).is_ready());
    }
}
