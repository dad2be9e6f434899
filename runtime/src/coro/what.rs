//! What goes over with a switch: one word, which travels in a register.

use super::{Coro, Home};
use crate::reason::Reason;
use std::ptr;

/// What a G asks of its M.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspend {
    /// Run another G; run me after an unpark.
    Park(&'static Reason),
    /// Run another G; I go to the end of the local queue.
    Yield,
    /// Run another G; I go to the end of the global queue.
    YieldGlobal,
}

/// An [`Outcome`] in one word: the address of a reason, or one of three that no reason has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedOutcome(pub(super) *const Reason);

const FINISHED: *const Reason = ptr::null();
const YIELD: *const Reason = ptr::without_provenance(1);
const YIELD_GLOBAL: *const Reason = ptr::without_provenance(2);

impl PackedOutcome {
    /// The coroutine has ended.
    pub(crate) const FINISHED: PackedOutcome = PackedOutcome(FINISHED);

    /// The coroutine asks for that.
    #[inline(always)]
    pub(crate) fn of(what: Suspend) -> PackedOutcome {
        match what {
            Suspend::Park(reason) => PackedOutcome(reason),
            Suspend::Yield => PackedOutcome(YIELD),
            Suspend::YieldGlobal => PackedOutcome(YIELD_GLOBAL),
        }
    }

    /// Whether it yields to the global queue.
    #[inline(always)]
    pub(crate) fn is_global(self) -> bool {
        ptr::eq(self.0, YIELD_GLOBAL)
    }

    /// Whether it has ended.
    #[inline(always)]
    pub(crate) fn is_finished(self) -> bool {
        self.0.is_null()
    }

    /// Why it parks, if it does.
    #[inline(always)]
    pub(crate) fn parks(self) -> Option<&'static Reason> {
        // SAFETY: `of` has made it from a reference to a static.
        (self.0.addr() > YIELD_GLOBAL.addr()).then(|| unsafe { &*self.0 })
    }

    /// Its meaning. Call this where the branches that resume have joined again. If each branch unpacked its outcome,
    /// the compiled code would pack it again to join them.
    #[inline(always)]
    pub(crate) fn unpack(self) -> Outcome {
        match self.parks() {
            Some(reason) => Outcome::Suspended(Suspend::Park(reason)),
            None if self.is_finished() => Outcome::Finished,
            None if ptr::eq(self.0, YIELD) => Outcome::Suspended(Suspend::Yield),
            None => Outcome::Suspended(Suspend::YieldGlobal),
        }
    }
}

/// How a resume ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A coroutine left its stack and asks for something.
    Suspended(Suspend),
    /// It has ended; its stack is free.
    Finished,
}

/// Where a coroutine goes when it leaves its stack.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "the portable implementation knows one way, by itself")]
pub(crate) enum LeaveFor<'a> {
    /// To the home, which does what is asked for.
    Home(&'a Home, PackedOutcome),
    /// To another coroutine, with a word for its [`Arrival`]: where [`DIRECT`](super::DIRECT) is true.
    Coro(&'a Coro, Handover),
}

/// A word for the coroutine that is switched to: an address that is a multiple of 2 and not 0.
pub(crate) type Handover = std::num::NonZeroUsize;

/// With what a coroutine is continued: nothing if it was resumed, the word of the one that has left for it otherwise.
pub(crate) type Arrival = Option<Handover>;
