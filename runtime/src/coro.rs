//! # What lives here
//! The stack switch: a coroutine on a stack of ours, and the two verbs `resume` and `suspend`. The only room that
//! knows corosensei.
//!
//! # Invariants
//! 1. A coroutine is resumed by the one M that owns its G, and never while it runs.
//! 2. Nothing unwinds out of a coroutine: the entry catches every panic.
//! 3. A coroutine that has not finished is never dropped: its frames may be borrowed. Its G keeps it whole.
//!
//! # What a switch costs
//! A bare pair of `resume` and `suspend` is 2 to 3 ns. corosensei pairs `call` with `ret` across the two stacks, so
//! each real call between the coroutine's first frame and the `suspend` makes the CPU mispredict returns: about
//! 20 ns with one frame or more. That is why the way from the public functions to here is inlined.

use crate::probe::WaitReason;
use crate::stack::GStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use std::mem::ManuallyDrop;

/// What a G wants from its M. Small enough to travel in a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspend {
    /// Run another; run me when somebody has unparked me.
    Park(WaitReason),
    /// Run another; I go to the end of the local queue.
    Yield,
    /// Run another; I go to the end of the global queue.
    YieldGlobal,
}

/// How a resume ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It left its stack and wants something.
    Suspended(Suspend),
    /// It has ended; its stack is free.
    Finished,
}

/// The way from a coroutine's own stack back to the M that resumed it. It points to the top of that stack.
#[derive(Clone, Copy)]
pub(crate) struct WayOut(*const Yielder<(), Suspend>);

impl WayOut {
    /// Where it is: just below the top of the coroutine's stack.
    #[inline]
    pub(crate) fn address(self) -> *const u8 {
        self.0.cast()
    }

    /// Leaves the stack; returns when the coroutine is resumed again, perhaps by another M.
    ///
    /// # Safety
    /// Only from the coroutine that was given this way out, on its own stack.
    #[inline(always)]
    pub(crate) unsafe fn suspend(self, what: Suspend) {
        // SAFETY: the yielder lives as long as the coroutine, which is the caller.
        let yielder = unsafe { &*self.0 };
        yielder.suspend(what);
    }
}

/// A coroutine that has not ended.
pub(crate) struct Coro(ManuallyDrop<Coroutine<(), Suspend, (), GStack>>);

impl Coro {
    /// A coroutine that will run `entry(arg, way_out)` on `stack`. `entry` must not unwind (I2).
    #[inline]
    pub(crate) fn new<A: Copy + 'static>(stack: GStack, arg: A, entry: fn(A, WayOut)) -> Coro {
        Coro(ManuallyDrop::new(Coroutine::with_stack(stack, move |yielder: &Yielder<(), Suspend>, ()| {
            entry(arg, WayOut(yielder));
        })))
    }

    /// Goes on with the coroutine until it suspends or ends.
    #[inline(always)]
    pub(crate) fn resume(&mut self) -> Outcome {
        match self.0.resume(()) {
            CoroutineResult::Yield(what) => Outcome::Suspended(what),
            CoroutineResult::Return(()) => Outcome::Finished,
        }
    }
}
