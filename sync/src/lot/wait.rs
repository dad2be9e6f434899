//! How a G or a thread waits in the lot.

use super::table::{Spot, Turn};
use pirn_runtime::internal::on_unwind;
use std::time::Instant;

/// What may end waits: a context.
pub(crate) trait Ends {
    /// Has the caller unparked at the end, while this is there. It may be called again.
    fn begin(&self);

    /// Whether the end has come.
    fn has_ended(&self) -> bool;
}

/// For how long an operation waits.
#[derive(Clone, Copy)]
pub(crate) enum Until<'a> {
    /// It is told, or unwound because its runtime closes.
    Told,
    /// The same, or this moment.
    Deadline(Instant),
    /// The same, or this ends.
    Ended(&'a dyn Ends),
    /// It is told. The caller cannot be unwound: it owes somebody a lock.
    ToldForCertain,
    /// In models, which cannot unwind: it has been told or not, and does what it does when it is unwound.
    #[cfg(all(test, loom))]
    Unwound,
}

impl Until<'_> {
    /// Whether the wait may end though nobody tells.
    pub(crate) fn may_end(self) -> bool {
        matches!(self, Until::Deadline(_) | Until::Ended(_))
    }
}

/// What is done before a wait begins.
pub(crate) struct Before<F: FnOnce() -> bool, G: FnOnce()> {
    /// In the turn, whose lock may be kept until the caller sleeps: so this waits for nothing. Whether there is more.
    pub(crate) in_turn: F,
    /// The rest, after the turn.
    pub(crate) after_turn: G,
}

impl Turn {
    /// Stands in the line, ends the turn, and waits. Returns the answer; none if the wait has ended without one.
    ///
    /// `left` is called in a turn when the caller has left the line by itself: its wait has ended, or it is unwound. `undo` is
    /// called if it has been told but does not return, because it is unwound.
    pub(crate) fn wait(
        self,
        spot: &Spot,
        is_first: bool,
        until: Until<'_>,
        left: impl Fn(&mut Turn),
        undo: impl Fn(usize),
    ) -> Option<usize> {
        self.wait_after(spot, is_first, until, Before { in_turn: || false, after_turn: || () }, left, undo)
    }

    /// The same; `before` is done when the caller stands in the line, and before it parks.
    pub(crate) fn wait_after(
        self,
        spot: &Spot,
        is_first: bool,
        until: Until<'_>,
        before: Before<impl FnOnce() -> bool, impl FnOnce()>,
        left: impl Fn(&mut Turn),
        undo: impl Fn(usize),
    ) -> Option<usize> {
        let (key, reason, ticket) = (self.key(), spot.reason(), spot.ticket());
        let held = self.into_held();
        assert!(spot.is_new(), "a spot is for one wait");
        // SAFETY: it has never stood anywhere, and stays until it is told or withdrawn, also if this is unwound.
        unsafe { held.stand(spot, is_first) };
        let unwound = on_unwind(|| {
            if !Turn::of(key).withdraw(spot, &left) {
                undo(spot.told().expect("who has left the line has been told"));
            }
        });
        match (until, (before.in_turn)()) {
            (Until::Told, false) => {
                // SAFETY: the caller holds the lock, which is a static; all who tell hold it (I4).
                unsafe { ticket.wait_unlocking(held.into_lock(), reason, key) };
            }
            (until, has_more) => {
                drop(held);
                if has_more {
                    (before.after_turn)();
                }
                let has_ended = match until {
                    Until::Told => !ticket.wait(reason, key, None),
                    Until::Deadline(deadline) => !ticket.wait(reason, key, Some(deadline)),
                    Until::Ended(ends) => {
                        ends.begin();
                        !ticket.wait_unless(reason, key, || ends.has_ended())
                    }
                    Until::ToldForCertain => {
                        ticket.wait_uninterruptibly(reason, key);
                        false
                    }
                    #[cfg(all(test, loom))]
                    Until::Unwound => {
                        loom::thread::yield_now();
                        return None;
                    }
                };
                if has_ended && Turn::of(key).withdraw(spot, &left) {
                    unwound.disarm();
                    return None;
                }
            }
        }
        unwound.disarm();
        spot.told()
    }
}
