//! Coroutines of corosensei: each switch goes by way of the home.

use super::Tracer;
use super::what::{Arrival, LeaveFor, PackedOutcome};
use crate::stack::GStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr;

/// Whether a coroutine can leave for another one.
pub(crate) const DIRECT: bool = false;

/// What a coroutine is resumed for.
#[derive(Clone, Copy)]
enum Errand {
    /// To run for the first time: here is its place.
    Begin(*const Coro),
    Continue,
    /// To leave its trace.
    Trace(*mut Tracer),
}

/// Where coroutines are resumed from. corosensei keeps this on the coroutine's stack.
#[derive(Debug)]
pub(crate) struct Home;

impl Home {
    pub(crate) fn new() -> Home {
        Home
    }
}

/// A coroutine that has not ended.
pub(crate) struct Coro {
    inner: UnsafeCell<ManuallyDrop<Coroutine<Errand, PackedOutcome, (), GStack>>>,
    /// The way back, just below the top of its stack; null before its first run.
    yielder: Cell<*const Yielder<Errand, PackedOutcome>>,
}

impl Coro {
    /// A coroutine that will run `entry(arg, ..)` on `stack`. `entry` must not unwind (I2); it returns where to go at
    /// the end, which is the home.
    #[inline]
    pub(crate) fn new<A: Copy + 'static>(stack: GStack, arg: A, entry: fn(A, Arrival) -> LeaveFor<'static>) -> Coro {
        let run = move |yielder: &Yielder<Errand, PackedOutcome>, errand: Errand| {
            if let Errand::Begin(coro) = errand {
                // SAFETY: it stays there until it ends (I4).
                unsafe { &*coro }.yielder.set(yielder);
            }
            let _home = entry(arg, None);
        };
        Coro {
            inner: UnsafeCell::new(ManuallyDrop::new(Coroutine::with_stack(stack, run))),
            yielder: Cell::new(ptr::null()),
        }
    }

    /// About where its innermost frames begin: an address to prefetch from, upward.
    #[inline]
    pub(crate) fn frames_at(&self) -> *const u8 {
        // corosensei does not say. Those of a G that waits take some lines below its top.
        self.yielder.get().cast::<u8>().wrapping_sub(320)
    }

    /// About where its outermost frames end: an address to prefetch up to.
    #[inline]
    pub(crate) fn frames_end(&self) -> *const u8 {
        self.yielder.get().cast()
    }

    /// Runs the coroutine until one leaves for `home`.
    ///
    /// # Safety
    /// The caller owns it, and it does not run (I1).
    #[inline(always)]
    pub(crate) unsafe fn resume(&self, _home: &Home) -> PackedOutcome {
        let errand = if self.yielder.get().is_null() { Errand::Begin(self) } else { Errand::Continue };
        // SAFETY: as the caller promises.
        match unsafe { &mut *self.inner.get() }.resume(errand) {
            CoroutineResult::Yield(asks) => asks,
            CoroutineResult::Return(()) => PackedOutcome::FINISHED,
        }
    }

    /// Leaves the stack; returns when the coroutine is continued, perhaps by another thread.
    ///
    /// # Safety
    /// Only from the coroutine itself, on its own stack.
    #[inline(always)]
    pub(crate) unsafe fn leave(&self, to: LeaveFor<'_>) -> Arrival {
        let LeaveFor::Home(_, asks) = to else { unreachable!("there is no direct switch") };
        // SAFETY: the yielder lives as long as the coroutine, which is the caller.
        let yielder = unsafe { &*self.yielder.get() };
        if let Errand::Trace(tracer) = yielder.suspend(asks) {
            leave_trace(yielder, asks, tracer);
        }
        None
    }

    /// Has the coroutine, which has run before and is suspended, leave its stack trace in `tracer`.
    ///
    /// # Safety
    /// As for [`resume`](Self::resume).
    pub(crate) unsafe fn trace(&self, tracer: &mut Tracer) {
        // SAFETY: as the caller promises.
        let _same_as_before = unsafe { &mut *self.inner.get() }.resume(Errand::Trace(tracer));
    }
}

/// Leaves the trace, as often as a tracer asks for it, and suspends again.
#[cold]
#[inline(never)]
fn leave_trace(yielder: &Yielder<Errand, PackedOutcome>, asks: PackedOutcome, mut tracer: *mut Tracer) {
    loop {
        // SAFETY: the code that resumed this owns the tracer alone, and waits until the coroutine suspends again.
        unsafe { &mut *tracer }.trace();
        match yielder.suspend(asks) {
            Errand::Trace(next) => tracer = next,
            _ => return,
        }
    }
}

impl fmt::Debug for Coro {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coro").finish_non_exhaustive()
    }
}
