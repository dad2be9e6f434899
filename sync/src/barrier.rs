//! [`Barrier`]: how many have arrived, which round it is, and whether somebody stands in the line. All are used only in
//! turns of the barrier's address.
//!
//! The last of a round begins the next round and tells those who stand in the line. If not all are told in one turn, some
//! of the last round still stand there, before all of the next, while the next round arrives. So one that leaves the line
//! by itself looks at the round: if it is another one, its own is complete, and it has passed.

#![allow(unsafe_code, reason = "places in futures that wait")]

use crate::loom::{AtomicBool, AtomicUsize, Ordering, checkpoint, deadline};
use crate::lot::{Newcomer, Place, Turn, Until, key_of};
use pirn_runtime::internal::{Kind, Reason};
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// What those that wait are told.
const PASSED: usize = 0;

/// A G waits until the others have arrived.
static WAIT: Reason = Reason::new("sync.Barrier.Wait", Kind::Object("barrier"));

/// Lets some callers wait for each other: [`std::sync::Barrier`], for goroutines, OS threads and async tasks.
///
/// Each round ends when as many as the barrier was made for have arrived; then all of them continue, and one is the
/// leader: the last. It may be used for any number of rounds, at once.
///
/// Who stops waiting has not arrived: one whose time is over ([`wait_timeout`](Self::wait_timeout)), one whose future is
/// dropped, a goroutine that is unwound while its runtime shuts down (`pirn::ShutDown`). The others wait for another in
/// its place. Once a round is complete, all of it have passed.
///
/// ```
/// use pirn::sync::Barrier;
///
/// static BARRIER: Barrier = Barrier::new(10);
///
/// pirn::run(|| {
///     let gs: Vec<_> = (0..10).map(|_| pirn::go(|| BARRIER.wait().is_leader())).collect();
///     let leaders = gs.into_iter().map(|g| g.join().unwrap()).filter(|is_leader| *is_leader);
///     assert_eq!(leaders.count(), 1);
/// });
/// ```
pub struct Barrier {
    n: usize,
    /// Of this round.
    arrived: AtomicUsize,
    /// It may wrap: who compares has been here for less.
    round: AtomicUsize,
    /// Somebody stands in the line: of this round, or still of the last one.
    has_waiters: AtomicBool,
}

impl Barrier {
    /// A barrier for `n`. With 0 it is as with 1: nobody waits, and each is the leader.
    #[cfg(not(loom))]
    pub const fn new(n: usize) -> Barrier {
        Barrier { n, arrived: AtomicUsize::new(0), round: AtomicUsize::new(0), has_waiters: AtomicBool::new(false) }
    }

    /// A barrier for `n`.
    #[cfg(loom)]
    pub fn new(n: usize) -> Barrier {
        Barrier { n, arrived: AtomicUsize::new(0), round: AtomicUsize::new(0), has_waiters: AtomicBool::new(false) }
    }

    /// Arrives, and waits until all have.
    pub fn wait(&self) -> BarrierWaitResult {
        self.wait_within(Until::Told).expect("there is no deadline")
    }

    /// Arrives, and waits until all have, or until `timeout` has passed: then the caller has not arrived, and this is
    /// none.
    pub fn wait_timeout(&self, timeout: Duration) -> Option<BarrierWaitResult> {
        self.wait_within(deadline(timeout).map_or(Until::Told, Until::Deadline))
    }

    /// As [`wait`](Self::wait), for async tasks. The task arrives when the future is polled first; if the future is
    /// dropped while others are missing, it has not arrived. If it is forgotten ([`std::mem::forget`]) it has.
    ///
    /// ```
    /// let barrier = pirn::sync::Barrier::new(2);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| barrier.wait());
    ///     pirn::block_on(barrier.wait_async());
    /// });
    /// ```
    pub fn wait_async(&self) -> impl Future<Output = BarrierWaitResult> + Send + Sync + '_ {
        Arrival { barrier: self, round: 0, place: Place::new() }
    }

    pub(crate) fn wait_within(&self, until: Until<'_>) -> Option<BarrierWaitResult> {
        checkpoint();
        let spot = Newcomer::caller(0, &WAIT).on_stack(until);
        let mut turn = Turn::of(key_of(self));
        let Some(round) = self.arrive(&turn) else { return Some(self.complete(&mut turn)) };
        // Said in the turn in which it leaves: afterwards the round may be another one though it has not arrived.
        let has_retreated = Cell::new(false);
        let left = |turn: &mut Turn| {
            has_retreated.set(self.retreat(round));
            self.left(turn);
        };
        // One that has been told and is unwound has passed: there is nothing to undo.
        turn.wait(&spot, false, until, left, |_| ());
        (!has_retreated.get()).then_some(BarrierWaitResult(false))
    }

    /// In a turn: the caller arrives. Returns the round in which it has to wait; none if it is the last.
    fn arrive(&self, turn: &Turn) -> Option<usize> {
        // Those that have forgotten their futures leave the line (lot I6).
        _ = turn.settle(self.has_waiters.load(Ordering::Relaxed));
        let arrived = self.arrived.load(Ordering::Relaxed) + 1;
        if arrived >= self.n {
            return None;
        }
        self.arrived.store(arrived, Ordering::Relaxed);
        self.has_waiters.store(true, Ordering::Relaxed);
        Some(self.round.load(Ordering::Relaxed))
    }

    /// The last of a round has arrived, in this turn.
    fn complete(&self, turn: &mut Turn) -> BarrierWaitResult {
        self.arrived.store(0, Ordering::Relaxed);
        self.round.store(self.round.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        turn.tell_all(PASSED, |turn| self.left(turn));
        BarrierWaitResult(true)
    }

    /// In a turn: some have left the line.
    fn left(&self, turn: &mut Turn) {
        if turn.is_empty() {
            self.has_waiters.store(false, Ordering::Relaxed);
        }
    }

    /// In a turn: one of that round has left the line. It has not arrived, unless the round is complete: then this is
    /// false.
    fn retreat(&self, round: usize) -> bool {
        let is_this_round = self.round.load(Ordering::Relaxed) == round;
        if is_this_round {
            self.arrived.store(self.arrived.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
        }
        is_this_round
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").field("n", &self.n).finish_non_exhaustive()
    }
}

/// What a wait at a [`Barrier`] returns.
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// Whether the caller is the leader of this round: one is.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.0
    }
}

impl fmt::Debug for BarrierWaitResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarrierWaitResult").field("is_leader", &self.0).finish()
    }
}

/// What [`Barrier::wait_async`] returns.
struct Arrival<'a> {
    barrier: &'a Barrier,
    /// The round in which it waits.
    round: usize,
    place: Place,
}

impl Arrival<'_> {
    fn place(self: Pin<&mut Self>) -> Pin<&mut Place> {
        // SAFETY: the place is pinned with the future.
        unsafe { self.map_unchecked_mut(|this| &mut this.place) }
    }
}

impl Future for Arrival<'_> {
    type Output = BarrierWaitResult;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<BarrierWaitResult> {
        checkpoint();
        if self.place.is_used() {
            return self.place().poll(context).map(|_| BarrierWaitResult(false));
        }
        let barrier = self.barrier;
        let newcomer = Newcomer::task(0, &WAIT, context);
        let mut turn = Turn::of(key_of(barrier));
        let Some(round) = barrier.arrive(&turn) else {
            let leader = barrier.complete(&mut turn);
            drop(turn);
            newcomer.discard();
            return Poll::Ready(leader);
        };
        // SAFETY: nothing is moved.
        unsafe { self.as_mut().get_unchecked_mut() }.round = round;
        self.place().stand(turn, newcomer);
        Poll::Pending
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        let (barrier, round) = (self.barrier, self.round);
        // SAFETY: it was pinned if it was ever polled, and is not moved any more.
        let place = unsafe { Pin::new_unchecked(&mut self.place) };
        let left = |turn: &mut Turn| {
            barrier.retreat(round);
            barrier.left(turn);
        };
        place.withdraw(left, |_| ());
    }
}

#[cfg(all(test, loom))]
#[path = "barrier_loom.rs"]
mod models;
