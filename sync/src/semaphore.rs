//! [`Semaphore`].
//!
//! # The protocol
//! One word: how many permits are free, whether it is closed, and whether somebody waits (WAITERS, changed only in a
//! turn). Who comes while nobody waits takes permits from the word. While somebody waits, all others wait behind it,
//! and permits that come back are given out in turns, from the head of the line, as far as they suffice
//! ([`give_out`](Semaphore::give_out)). So the order is that of the line for all amounts, and a large one is not
//! overtaken by small ones.
//!
//! *Nobody sleeps for ever:* permits are added to the word first, and then WAITERS is read in the same instruction; a
//! waiter sets WAITERS in a turn by an instruction that finds too few permits. The later of the two sees the other.

#![allow(unsafe_code, reason = "the place of a future")]

use crate::loom::{AtomicUsize, Ordering, checkpoint, deadline};
use crate::lot::{Newcomer, Place, Turn, Until, key_of};
use pirn_runtime::internal::{Kind, Reason};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

const WAITERS: usize = 1;
const CLOSED: usize = 1 << 1;
const PERMIT: usize = 1 << 2;

/// Answers.
const GIVEN: usize = 0;
const NOT_GIVEN: usize = 1;

/// A G waits for permits. Who has them is not known.
static ACQUIRE: Reason = Reason::new("sync.Semaphore.Acquire", Kind::Object("semaphore"));

/// A number of permits, which callers acquire and give back: goroutines, OS threads and async tasks.
///
/// A caller may acquire several permits at once. Those that wait are served in their order, whatever they ask for, so a
/// large amount is not overtaken by small ones (as Go's `x/sync/semaphore`, and tokio's). It is one word, and making it
/// needs no memory.
///
/// A [`Permit`] borrows the semaphore; an [`OwnedPermit`](crate::OwnedPermit), of a semaphore in an `Arc`, does not.
///
/// While the runtime of a goroutine shuts down, an `acquire` that waits unwinds it with `pirn::ShutDown`, and takes no
/// permits.
///
/// ```
/// use pirn::sync::Semaphore;
///
/// static AT_ONCE: Semaphore = Semaphore::new(3);
///
/// pirn::run(|| {
///     let gs: Vec<_> = (0..10)
///         .map(|_| {
///             pirn::go(|| {
///                 let _permit = AT_ONCE.acquire(1).unwrap();
///                 // Three at most are here.
///             })
///         })
///         .collect();
///     gs.into_iter().for_each(|g| g.join().unwrap());
///     assert_eq!(AT_ONCE.available(), 3);
/// });
/// ```
pub struct Semaphore {
    state: AtomicUsize,
}

/// The semaphore was closed: there will be no permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcquireError;

/// Why there are no permits now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryAcquireError {
    /// Too few are free, or others wait already; within a timeout, they did not become free in time.
    NoPermits,
    /// The semaphore was closed: there will be none.
    Closed,
}

impl Semaphore {
    /// The largest number of permits.
    pub const MAX_PERMITS: usize = usize::MAX >> 3;

    /// A semaphore with so many permits, which may be none.
    ///
    /// # Panics
    /// If they are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[cfg(not(loom))]
    pub const fn new(permits: usize) -> Semaphore {
        assert!(permits <= Semaphore::MAX_PERMITS, "a semaphore has Semaphore::MAX_PERMITS permits at most");
        Semaphore { state: AtomicUsize::new(permits * PERMIT) }
    }

    /// A semaphore with so many permits.
    #[cfg(loom)]
    pub fn new(permits: usize) -> Semaphore {
        Semaphore { state: AtomicUsize::new(permits * PERMIT) }
    }

    /// How many permits are free: a hint, as that may change at once.
    pub fn available(&self) -> usize {
        self.state.load(Ordering::Relaxed) / PERMIT
    }

    /// Waits for `n` permits; none are to be had at once. The permit gives them back when it is dropped.
    ///
    /// More than the semaphore ever has are waited for as long as it is not closed, and all others wait behind.
    ///
    /// # Errors
    /// If the semaphore was closed.
    pub fn acquire(&self, n: usize) -> Result<Permit<'_>, AcquireError> {
        self.acquire_within(n, Until::Told).map_err(|_| AcquireError)
    }

    /// Acquires `n` permits, if so many are free and nobody waits.
    ///
    /// # Errors
    /// If they are not to be had now, or never.
    pub fn try_acquire(&self, n: usize) -> Result<Permit<'_>, TryAcquireError> {
        checkpoint();
        let taken = match self.take(n) {
            Err(TryAcquireError::NoPermits) if self.available() >= n => self.take_if_nobody_waits(n),
            result => result,
        };
        taken.map(|()| Permit { semaphore: self, n })
    }

    /// Waits for `n` permits for `timeout` at most.
    ///
    /// # Errors
    /// If they were not to be had in this time, or the semaphore was closed.
    pub fn acquire_timeout(&self, n: usize, timeout: Duration) -> Result<Permit<'_>, TryAcquireError> {
        let until = deadline(timeout).map_or(Until::Told, Until::Deadline);
        self.acquire_within(n, until)
    }

    /// Waits for `n` permits until `deadline` at most.
    ///
    /// # Errors
    /// As [`acquire_timeout`](Self::acquire_timeout).
    pub fn acquire_until(&self, n: usize, deadline: Instant) -> Result<Permit<'_>, TryAcquireError> {
        self.acquire_within(n, Until::Deadline(deadline))
    }

    /// As [`acquire`](Self::acquire), for async tasks. The future may be dropped at any time: then its place in the line
    /// is given up, and permits that it was given go to others. One that is forgotten ([`std::mem::forget`]) after it was
    /// polled keeps its place, holds up those behind it, and takes its permits for good.
    ///
    /// ```
    /// let semaphore = pirn::sync::Semaphore::new(2);
    /// pirn::block_on(async {
    ///     let _both = semaphore.acquire_async(2).await.unwrap();
    ///     assert!(semaphore.try_acquire(1).is_err());
    /// });
    /// ```
    pub fn acquire_async(&self, n: usize) -> AcquireFuture<'_> {
        AcquireFuture { semaphore: self, n, place: Place::new() }
    }

    /// Adds `n` permits. Those that wait get them first.
    ///
    /// # Panics
    /// If there would be more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    pub fn add_permits(&self, n: usize) {
        let add = |state: usize| {
            let permits = n.checked_add(state / PERMIT).filter(|sum| *sum <= Semaphore::MAX_PERMITS)?;
            Some((permits * PERMIT) | (state & (PERMIT - 1)))
        };
        // Release: what was done with the permits (partner: `take`).
        match self.state.fetch_update(Ordering::Release, Ordering::Relaxed, add) {
            Ok(before) if before & WAITERS != 0 => self.give_out(),
            Ok(_) => {}
            Err(_) => panic!("a semaphore has {} permits at most; {n} more were added", Semaphore::MAX_PERMITS),
        }
    }

    /// Takes up to `n` of the free permits away for good. Returns how many they were.
    pub fn forget_permits(&self, n: usize) -> usize {
        let mut forgotten = 0;
        let forget = |state: usize| {
            forgotten = n.min(state / PERMIT);
            Some(state - forgotten * PERMIT)
        };
        let _ = self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, forget);
        forgotten
    }

    /// Closes it: all that wait, and all that come, get an error. Permits that were given stay valid.
    pub fn close(&self) {
        self.state.fetch_or(CLOSED, Ordering::Relaxed);
        Turn::of(key_of(self)).tell_all(NOT_GIVEN, |turn| self.note_left(turn));
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.state.load(Ordering::Relaxed) & CLOSED != 0
    }

    /// Takes `n` permits, if so many are free and nobody waits.
    fn take(&self, n: usize) -> Result<(), TryAcquireError> {
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            if state & CLOSED != 0 {
                return Err(TryAcquireError::Closed);
            }
            if n == 0 {
                return Ok(());
            }
            if state & WAITERS != 0 || state / PERMIT < n {
                return Err(TryAcquireError::NoPermits);
            }
            let new = state - n * PERMIT;
            // Acquire: what was done with the permits before (partner: `add_permits`).
            match self.state.compare_exchange_weak(state, new, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(other) => state = other,
            }
        }
    }

    /// The same, where WAITERS may be of those who are not in this process (lot I7).
    #[cold]
    fn take_if_nobody_waits(&self, n: usize) -> Result<(), TryAcquireError> {
        self.note_left(&Turn::of(key_of(self)));
        self.take(n)
    }

    /// Waits for `n` permits for as long as that says.
    pub(crate) fn acquire_within(&self, n: usize, until: Until<'_>) -> Result<Permit<'_>, TryAcquireError> {
        checkpoint();
        let acquired = match self.take(n) {
            Err(TryAcquireError::NoPermits) => self.wait(n, until),
            result => result,
        };
        acquired.map(|()| Permit { semaphore: self, n })
    }

    #[cold]
    fn wait(&self, n: usize, until: Until<'_>) -> Result<(), TryAcquireError> {
        let spot = Newcomer::caller(n, &ACQUIRE).on_stack(until);
        let undo = |answer| self.undo(n, answer);
        let wait = |turn: Turn| turn.wait(&spot, false, until, |turn| self.left(turn), undo);
        match self.take_or(n, wait)? {
            None | Some(Some(GIVEN)) => Ok(()),
            Some(None) => Err(TryAcquireError::NoPermits),
            Some(Some(_)) => Err(TryAcquireError::Closed),
        }
    }

    /// Takes `n` permits; or calls `wait` in a turn in which the caller has to stand in the line. So the turn, which has just
    /// been written, is not moved.
    #[inline(always)]
    fn take_or<R>(&self, n: usize, wait: impl FnOnce(Turn) -> R) -> Result<Option<R>, TryAcquireError> {
        loop {
            match self.take(n) {
                Err(TryAcquireError::NoPermits) => {}
                result => return result.map(|()| None),
            }
            let turn = Turn::of(key_of(self));
            if turn.settle(self.state.load(Ordering::Relaxed) & WAITERS != 0) {
                self.state.fetch_and(!WAITERS, Ordering::Relaxed);
            }
            let must_wait = |state: usize| {
                let waits = state & CLOSED == 0 && (state & WAITERS != 0 || state / PERMIT < n);
                waits.then_some(state | WAITERS)
            };
            if self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, must_wait).is_ok() {
                return Ok(Some(wait(turn)));
            }
        }
    }

    /// Gives permits to those that wait, as far as they suffice.
    #[cold]
    fn give_out(&self) {
        self.left(&mut Turn::of(key_of(self)));
    }

    /// In a turn: one that waited has left by itself, or there are more permits. Gives them out, from the head of the line.
    fn left(&self, turn: &mut Turn) {
        while let Some(first) = turn.first() {
            let n = first.what;
            // Who waits when it is closed gets no permits, though it may not have been told yet.
            let give = |state: usize| (state & CLOSED == 0 && state / PERMIT >= n).then(|| state - n * PERMIT);
            // Acquire: as in `take`; the one that is told gets it from here.
            if self.state.fetch_update(Ordering::Acquire, Ordering::Relaxed, give).is_err() {
                break;
            }
            turn.tell_first(GIVEN);
        }
        self.note_left(turn);
    }

    fn note_left(&self, turn: &Turn) {
        if turn.is_empty() {
            self.state.fetch_and(!WAITERS, Ordering::Relaxed);
        }
    }

    /// One has been told, but has no use for it.
    fn undo(&self, n: usize, answer: usize) {
        if answer == GIVEN {
            self.add_permits(n);
        }
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Semaphore");
        debug.field("available", &self.available()).field("is_closed", &self.is_closed()).finish()
    }
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semaphore is closed")
    }
}

impl std::error::Error for AcquireError {}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryAcquireError::NoPermits => "too few permits are free",
            TryAcquireError::Closed => "the semaphore is closed",
        })
    }
}

impl std::error::Error for TryAcquireError {}

/// Permits of a [`Semaphore`], which go back when this is dropped.
#[must_use = "the permits go back at once if this is not kept"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    n: usize,
}

impl<'a> Permit<'a> {
    /// How many permits these are.
    pub fn count(&self) -> usize {
        self.n
    }

    /// The semaphore that they are of.
    pub fn semaphore(&self) -> &'a Semaphore {
        self.semaphore
    }

    /// The permits do not go back.
    pub fn forget(mut self) {
        self.n = 0;
    }

    /// Splits off `n` of them. None if these are fewer.
    pub fn split(&mut self, n: usize) -> Option<Permit<'a>> {
        self.n = self.n.checked_sub(n)?;
        Some(Permit { semaphore: self.semaphore, n })
    }

    /// Adds others of the same semaphore to these.
    ///
    /// # Panics
    /// If they are another semaphore's.
    #[track_caller]
    pub fn merge(&mut self, mut other: Permit<'a>) {
        assert!(ptr::eq(self.semaphore, other.semaphore), "permits of two semaphores cannot be merged");
        self.n += std::mem::take(&mut other.n);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.n > 0 {
            self.semaphore.add_permits(self.n);
        }
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("count", &self.n).finish()
    }
}

/// What [`Semaphore::acquire_async`] returns.
#[must_use = "futures do nothing unless they are polled"]
pub struct AcquireFuture<'a> {
    semaphore: &'a Semaphore,
    n: usize,
    place: Place,
}

impl<'a> Future for AcquireFuture<'a> {
    type Output = Result<Permit<'a>, AcquireError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        checkpoint();
        let (semaphore, n) = (self.semaphore, self.n);
        let permit = |is_given: bool| if is_given { Ok(Permit { semaphore, n }) } else { Err(AcquireError) };
        // SAFETY: the place is pinned with the future.
        let place = unsafe { self.map_unchecked_mut(|this| &mut this.place) };
        if place.is_used() {
            return place.poll(context).map(|answer| permit(answer == GIVEN));
        }
        match semaphore.take(n) {
            Err(TryAcquireError::NoPermits) => {}
            result => return Poll::Ready(permit(result.is_ok())),
        }
        let mut newcomer = Some(Newcomer::task(n, &ACQUIRE, context));
        let stand = |turn| place.stand(turn, newcomer.take().expect("it stands once"));
        let taken = semaphore.take_or(n, stand);
        if let Some(newcomer) = newcomer {
            newcomer.discard();
        }
        match taken {
            Ok(Some(())) => Poll::Pending,
            taken => Poll::Ready(permit(taken.is_ok())),
        }
    }
}

impl Drop for AcquireFuture<'_> {
    fn drop(&mut self) {
        let (semaphore, n) = (self.semaphore, self.n);
        // SAFETY: it was pinned if it was ever polled, and is not moved any more.
        let place = unsafe { Pin::new_unchecked(&mut self.place) };
        place.withdraw(|turn| semaphore.left(turn), |answer| semaphore.undo(n, answer));
    }
}

impl fmt::Debug for AcquireFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireFuture").field("n", &self.n).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{Ordering, PERMIT, Semaphore};
    use std::future::Future;
    use std::task::{Context, Waker};

    /// What is left of those that waited would cost all that come after them.
    #[test]
    fn those_that_waited_leave_nothing_in_the_word() {
        let semaphore = Semaphore::new(0);
        let mut waits = [1, 2].map(|n| Box::pin(semaphore.acquire_async(n)));
        let context = &mut Context::from_waker(Waker::noop());
        assert!(waits.iter_mut().all(|future| future.as_mut().poll(context).is_pending()));
        semaphore.add_permits(3);
        assert_eq!(semaphore.state.load(Ordering::Relaxed), 0);
        drop(waits);
        assert_eq!(semaphore.state.load(Ordering::Relaxed), 3 * PERMIT);
    }
}
