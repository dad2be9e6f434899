//! The M of this OS thread. The only thread-local of the runtime.

#![cfg(not(loom))]

use super::M;
use std::arch::asm;
use std::cell::Cell;
use std::ptr;

thread_local! {
    static CURRENT: Cell<*const M> = const { Cell::new(ptr::null()) };
}

/// The M that runs the caller, null on a thread that is none. Valid until the caller suspends.
///
/// Never inlined, and opaque: optimised code may else keep the address of the thread-local over a suspension, and a
/// G that has moved would read its old thread's.
#[inline(never)]
pub(crate) fn machine() -> *const M {
    // SAFETY: it does nothing. It keeps the optimiser from seeing that the function is pure.
    unsafe { asm!("", options(nostack, preserves_flags)) };
    CURRENT.get()
}

/// Makes `m` the M of this thread. When Gs own their thread-locals this is written at every resume, into the block
/// that has just been loaded.
#[inline(never)]
pub(crate) fn set_machine(m: *const M) {
    // SAFETY: as in `machine`.
    unsafe { asm!("", options(nostack, preserves_flags)) };
    CURRENT.set(m);
}
