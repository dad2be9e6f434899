//! Waking those who wait. A waker is the user's code, and so is its destructor: neither runs under a lock, and a panic of
//! either ends here.
//!
//! A waker that panics is a fault of the one who waits. Whoever wakes it may be anybody, and may hold a value that only
//! it has: to unwind there would lose the value, and leave those unwoken who come next. The panic hook has printed it.

use crate::loom::Unparker;
use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Wakes whom an operation has told. Not under a lock.
#[inline]
pub(crate) fn wake(told: Option<Unparker>) {
    if let Some(unparker) = told {
        contain(|| unparker.unpark());
        discard(unparker);
    }
}

/// Drops an unparker that nobody needs any more. Not under a lock.
#[inline]
pub(crate) fn discard(unparker: Unparker) {
    contain(|| drop(unparker));
}

#[inline]
fn contain(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        bury(payload);
    }
}

/// What was thrown may have a destructor that panics too.
#[cold]
fn bury(payload: Box<dyn Any + Send>) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(payload);
    }
}
