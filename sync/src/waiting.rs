//! Waits for what a word says: what wait groups, events, notifications and onces have in common.
//!
//! # The protocol
//! Each is a word with a bit "somebody waits", which is changed only in a turn of the lot (lot I1). A wait looks at the
//! word. If it has to wait, it takes a turn, looks again and sets the bit in one step, and stands in the line. Who
//! changes the word so that those who wait may continue does so in one step that fails if the bit is set; then it does
//! it in a turn, and tells them in the same turn.
//!
//! # Invariants
//! 1. *Nobody waits for ever.* Who stands in the line has set the bit, so the change is made in a turn that finds him.
//! 2. *Who came after the change is not told by it.* He stands behind those who were there in the turn of the change,
//!    and [`Turn::tell_all`] tells no more than those. So a wait that has been told need not look at the word again,
//!    which may be in use for the next round.

#![allow(unsafe_code, reason = "places in futures that wait")]

use crate::loom::{checkpoint, deadline};
use crate::lot::{Newcomer, Place, Turn, Until, key_of};
use pirn_runtime::internal::Reason;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// What can be waited for.
pub(crate) trait Awaited {
    /// Why one waits.
    fn reason(&self) -> &'static Reason;

    /// Whether there is nothing to wait for. If there is something to take, this has taken it.
    fn has_come(&self) -> bool;

    /// Whether the bit "somebody waits" is set.
    fn has_waiters(&self) -> bool;

    /// In a turn: the same as `has_come` the other way round, and it sets the bit "somebody waits" if the caller has to wait.
    fn will_wait(&self) -> bool;

    /// In a turn: some have left the line.
    fn left(&self, turn: &mut Turn);

    /// One has been told, but has no use for the answer: it was unwound, or its future was dropped.
    fn undo(&self, _answer: usize) {}

    /// Its address.
    fn key(&self) -> usize {
        key_of(self)
    }
}

/// Waits. False if the wait has ended without what it is for.
#[inline]
pub(crate) fn wait(what: &impl Awaited, until: Until<'_>) -> bool {
    checkpoint();
    what.has_come() || wait_in_line(what, until)
}

/// Waits for `timeout` at most. False if that has passed.
#[inline]
pub(crate) fn wait_timeout(what: &impl Awaited, timeout: Duration) -> bool {
    checkpoint();
    what.has_come() || wait_in_line(what, deadline(timeout).map_or(Until::Told, Until::Deadline))
}

#[cold]
fn wait_in_line(what: &impl Awaited, until: Until<'_>) -> bool {
    let spot = Newcomer::caller(0, what.reason()).on_stack(until);
    let turn = turn_of(what);
    if !what.will_wait() {
        return true;
    }
    turn.wait(&spot, false, until, |turn| what.left(turn), |answer| what.undo(answer)).is_some()
}

/// A turn for one that may have to stand in the line: those that have forgotten their futures are out of it (lot I6).
fn turn_of(what: &impl Awaited) -> Turn {
    let turn = Turn::of(what.key());
    // If nobody stands there the bit is taken back by the next that leaves.
    _ = turn.settle(what.has_waiters());
    turn
}

/// What is borrowed can be waited for too.
impl<A: Awaited> Awaited for &A {
    fn reason(&self) -> &'static Reason {
        (**self).reason()
    }

    fn has_come(&self) -> bool {
        (**self).has_come()
    }

    fn has_waiters(&self) -> bool {
        (**self).has_waiters()
    }

    fn will_wait(&self) -> bool {
        (**self).will_wait()
    }

    fn left(&self, turn: &mut Turn) {
        (**self).left(turn);
    }

    fn undo(&self, answer: usize) {
        (**self).undo(answer);
    }

    fn key(&self) -> usize {
        (**self).key()
    }
}

/// The future of a wait. If it is dropped it has not waited.
pub(crate) struct Wait<A: Awaited> {
    what: A,
    place: Place,
}

impl<A: Awaited> Wait<A> {
    pub(crate) fn new(what: A) -> Wait<A> {
        Wait { what, place: Place::new() }
    }

    /// Whether it stands in the line, or has been told and does not know it yet.
    pub(crate) fn is_in_line(&self) -> bool {
        self.place.is_used()
    }

    /// Whether it has been told, without another waker. If so it is over.
    pub(crate) fn is_told(self: Pin<&mut Self>) -> bool {
        self.place().take_answer().is_some()
    }

    fn place(self: Pin<&mut Self>) -> Pin<&mut Place> {
        // SAFETY: the place is pinned with the future.
        unsafe { self.map_unchecked_mut(|this| &mut this.place) }
    }
}

impl<A: Awaited> Future for Wait<A> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        checkpoint();
        if self.place.is_used() {
            return self.place().poll(context).map(|_| ());
        }
        if self.what.has_come() {
            return Poll::Ready(());
        }
        let newcomer = Newcomer::task(0, self.what.reason(), context);
        let turn = turn_of(&self.what);
        if self.what.will_wait() {
            self.place().stand(turn, newcomer);
            return Poll::Pending;
        }
        drop(turn);
        newcomer.discard();
        Poll::Ready(())
    }
}

impl<A: Awaited> Drop for Wait<A> {
    fn drop(&mut self) {
        let what = &self.what;
        // SAFETY: it was pinned if it was ever polled, and is not moved any more.
        let place = unsafe { Pin::new_unchecked(&mut self.place) };
        place.withdraw(|turn| what.left(turn), |answer| what.undo(answer));
    }
}
