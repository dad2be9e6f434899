//! # What lives here
//! The stack switch: a coroutine on a stack of ours, and the two verbs `resume` and `suspend`; and how a suspended one
//! leaves its stack trace. The only room that knows corosensei.
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

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "stack switches")]

use crate::os::{Frame, unwind};
use crate::reason::Reason;
use crate::stack::GStack;
use corosensei::{Coroutine, CoroutineResult, Yielder, on_stack};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

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

/// A [`Suspend`] in one word, which travels in a register: the address of a reason, or one of two that no reason has.
#[derive(Clone, Copy)]
struct PackedSuspend(*const Reason);

const YIELD: *const Reason = ptr::without_provenance(1);
const YIELD_GLOBAL: *const Reason = ptr::without_provenance(2);

impl PackedSuspend {
    #[inline(always)]
    fn of(what: Suspend) -> PackedSuspend {
        match what {
            Suspend::Park(reason) => PackedSuspend(reason),
            Suspend::Yield => PackedSuspend(YIELD),
            Suspend::YieldGlobal => PackedSuspend(YIELD_GLOBAL),
        }
    }
}

/// An [`Outcome`] in one word. Null: it has ended.
#[derive(Clone, Copy)]
pub(crate) struct PackedOutcome(*const Reason);

impl PackedOutcome {
    /// Its meaning. Call this where the branches that resume have joined again. If each branch unpacked its outcome,
    /// the compiled code would pack it again to join them.
    #[inline(always)]
    pub(crate) fn unpack(self) -> Outcome {
        if self.0.is_null() {
            return Outcome::Finished;
        }
        if ptr::eq(self.0, YIELD) {
            return Outcome::Suspended(Suspend::Yield);
        }
        if ptr::eq(self.0, YIELD_GLOBAL) {
            return Outcome::Suspended(Suspend::YieldGlobal);
        }
        // SAFETY: `PackedSuspend::of` has made it from a reference to a static.
        Outcome::Suspended(Suspend::Park(unsafe { &*self.0 }))
    }
}

/// How a resume ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It left its stack and asks for something.
    Suspended(Suspend),
    /// It has ended; its stack is free.
    Finished,
}

/// Takes the stack trace of a coroutine that is suspended: the coroutine is resumed with it, walks up its own frames,
/// and suspends again. It does so on the tracer's stack, so that its own needs no room and gets no pages.
pub(crate) struct Tracer {
    stack: GStack,
    /// What was found, the innermost first, those of the tracer's stack too.
    pub(crate) frames: Vec<Frame>,
}

impl Tracer {
    /// Finds up to `most` frames, working on `stack`.
    pub(crate) fn new(stack: GStack, most: usize) -> Tracer {
        Tracer { stack, frames: Vec::with_capacity(most) }
    }

    fn trace(&mut self) {
        let Tracer { stack, frames } = self;
        frames.clear();
        on_stack(stack, || {
            unwind(|frame| {
                frames.push(frame);
                // A coroutine that is traced must not allocate, so the frames must fit.
                frames.len() < frames.capacity()
            });
        });
    }
}

/// What a coroutine is resumed for: to continue (None), or to leave its trace.
type Errand = Option<NonNull<Tracer>>;

/// The way from a coroutine's own stack back to the M that resumed it. It points to the top of that stack.
#[derive(Clone, Copy)]
pub(crate) struct WayOut(*const Yielder<Errand, PackedSuspend>);

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
        let what = PackedSuspend::of(what);
        if let Some(tracer) = yielder.suspend(what) {
            leave_trace(yielder, what, tracer);
        }
    }
}

/// Leaves the trace, as often as a tracer asks for it, and suspends again.
#[cold]
#[inline(never)]
fn leave_trace(yielder: &Yielder<Errand, PackedSuspend>, what: PackedSuspend, mut tracer: NonNull<Tracer>) {
    loop {
        // SAFETY: the code that resumed this owns the tracer alone, and waits until the coroutine suspends again.
        unsafe { tracer.as_mut() }.trace();
        match yielder.suspend(what) {
            Some(next) => tracer = next,
            None => return,
        }
    }
}

/// A coroutine that has not ended.
pub(crate) struct Coro(ManuallyDrop<Coroutine<Errand, PackedSuspend, (), GStack>>);

impl Coro {
    /// A coroutine that will run `entry(arg, way_out)` on `stack`. `entry` must not unwind (I2).
    #[inline]
    pub(crate) fn new<A: Copy + 'static>(stack: GStack, arg: A, entry: fn(A, WayOut)) -> Coro {
        Coro(ManuallyDrop::new(Coroutine::with_stack(stack, move |yielder: &Yielder<Errand, PackedSuspend>, _| {
            entry(arg, WayOut(yielder));
        })))
    }

    /// Runs the coroutine until it suspends or ends.
    #[inline(always)]
    pub(crate) fn resume(&mut self) -> PackedOutcome {
        match self.0.resume(None) {
            CoroutineResult::Yield(PackedSuspend(what)) => PackedOutcome(what),
            CoroutineResult::Return(()) => PackedOutcome(ptr::null()),
        }
    }

    /// Has the coroutine, which has been resumed before and is suspended, leave its stack trace in `tracer`.
    pub(crate) fn trace(&mut self, tracer: &mut Tracer) {
        let _same_as_before = self.0.resume(Some(NonNull::from(tracer)));
    }
}
