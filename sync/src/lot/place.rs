//! The place of a future in the lot.

use super::newcomer::Newcomer;
use super::table::{Spot, Turn};
use crate::loom::{Unparker, checkpoint};
use pirn_runtime::internal::{Reason, discard};
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Where a future waits. Its owner has it withdrawn when it is dropped, before anything else is.
pub(crate) struct Place {
    spot: Option<Spot>,
    key: usize,
    _is_pinned: PhantomPinned,
}

// SAFETY: others reach the spot only in turns.
unsafe impl Send for Place {}
// SAFETY: a shared place can do nothing.
unsafe impl Sync for Place {}

impl Place {
    /// One that stands nowhere.
    pub(crate) fn new() -> Place {
        Place { spot: None, key: 0, _is_pinned: PhantomPinned }
    }

    /// Whether it stands somewhere, or has been told.
    pub(crate) fn is_used(&self) -> bool {
        self.spot.is_some()
    }

    /// Stands in the line, and ends the turn.
    pub(crate) fn stand(self: Pin<&mut Self>, turn: Turn, newcomer: Newcomer) {
        // SAFETY: nothing is moved out.
        let this = unsafe { self.get_unchecked_mut() };
        debug_assert!(this.spot.is_none());
        this.key = turn.key();
        let spot = this.spot.insert(Spot::new(newcomer.want, true, false, newcomer.unparker));
        // SAFETY: it is pinned, and withdrawn before it is dropped.
        unsafe { turn.into_held().stand(spot, false) };
    }

    /// Whether it has been told, and what. If not, `context` is woken then. After the answer it stands nowhere.
    pub(crate) fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<usize> {
        // SAFETY: nothing is moved out while it stands somewhere.
        let this = unsafe { self.get_unchecked_mut() };
        let spot = this.spot.as_ref().expect("it stands somewhere");
        if let Some(answer) = spot.told() {
            this.spot = None;
            return Poll::Ready(answer);
        }
        // The waker's code runs outside of the turn.
        let unparker = Unparker::from(context.waker().clone());
        let turn = Turn::of(this.key);
        let old = match spot.told() {
            Some(_) => unparker,
            // SAFETY: this is the operation itself, in a turn, and it has not been told.
            None => unsafe { spot.ticket().replace_unparker(unparker) },
        };
        drop(turn);
        discard(old);
        match spot.told() {
            Some(answer) => {
                this.spot = None;
                Poll::Ready(answer)
            }
            None => Poll::Pending,
        }
    }

    /// An operation of a task: it succeeds at once if `is_taken`, or stands in the line of `key` if it `will_wait`, and
    /// succeeds when it has been told.
    pub(crate) fn poll_taking(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        key: usize,
        what: usize,
        reason: &'static Reason,
        is_taken: impl Fn() -> bool,
        will_wait: impl Fn(&Turn) -> bool,
    ) -> Poll<()> {
        checkpoint();
        if self.is_used() {
            return self.poll(context).map(|_| ());
        }
        while !is_taken() {
            let newcomer = Newcomer::task(what, reason, context);
            let turn = Turn::of(key);
            if will_wait(&turn) {
                self.stand(turn, newcomer);
                return Poll::Pending;
            }
            drop(turn);
            newcomer.discard();
        }
        Poll::Ready(())
    }

    /// What it has been told, if it has. Then it stands nowhere.
    pub(crate) fn take_answer(self: Pin<&mut Self>) -> Option<usize> {
        // SAFETY: nothing is moved out while it stands somewhere.
        let this = unsafe { self.get_unchecked_mut() };
        let answer = this.spot.as_ref()?.told()?;
        this.spot = None;
        Some(answer)
    }

    /// The future is dropped: as in [`Turn::wait`].
    pub(crate) fn withdraw(self: Pin<&mut Self>, left: impl FnOnce(&mut Turn), undo: impl FnOnce(usize)) {
        // SAFETY: nothing is moved out while it stands somewhere.
        let this = unsafe { self.get_unchecked_mut() };
        if let Some(spot) = &this.spot
            && !Turn::of(this.key).withdraw(spot, left)
        {
            undo(spot.told().expect("who has left the line has been told"));
        }
        this.spot = None;
    }
}
