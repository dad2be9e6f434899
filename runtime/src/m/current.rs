//! The M of this OS thread, and the kernel's number of a thread that is none. The only thread-locals of the runtime.

#![cfg(not(loom))]

use super::M;
use crate::g::locals_lie_at;
use crate::os::{loaded_block, thread_id, word_at};
use crate::reason::Party;
use std::arch::asm;
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    static CURRENT: Cell<*const M> = const { Cell::new(ptr::null()) };
    /// The kernel's number of a thread that is no M, once it has been asked for; 0 before. It is not read on a G.
    static THREAD_ID: Cell<i32> = const { Cell::new(0) };
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

/// Where `CURRENT` is, from the thread pointer: the same for all threads and Gs. 0: that is not known.
static PLACE: AtomicUsize = AtomicUsize::new(0);

/// The runtime is a part of the program, or of a library that was loaded with it and not later: then its thread-locals are
/// at one place for all threads.
pub(crate) fn is_at_one_place() {
    PLACE.store(place(), Ordering::Relaxed);
}

/// Where `CURRENT` of this thread is, from the thread pointer.
fn place() -> usize {
    CURRENT.with(|current| ptr::from_ref(current).addr()).wrapping_sub(loaded_block().address())
}

/// This thread begins to run Gs, as `m`.
pub(crate) fn begin_machine(m: *const M) {
    set_machine(m);
    locals_lie_at(place());
}

/// Whether the caller is surely no M. It is two loads, and no call for which registers would have to be saved.
#[inline(always)]
pub(crate) fn is_surely_none() -> bool {
    // At the place 0 is the thread pointer itself.
    word_at(PLACE.load(Ordering::Relaxed)) == 0
}

/// Makes `m` the M of this thread. When Gs own their thread-locals this is written at every resume, into the block
/// that has just been loaded.
#[inline(never)]
pub(crate) fn set_machine(m: *const M) {
    // SAFETY: as in `machine`.
    unsafe { asm!("", options(nostack, preserves_flags)) };
    CURRENT.set(m);
}

/// The word of the party that calls: the G, or the thread if it runs none. A lock is taken with it, so it is short.
///
/// Never inlined, and opaque, as `machine`.
#[inline(never)]
pub fn party_word() -> u64 {
    // SAFETY: as in `machine`.
    unsafe { asm!("", options(nostack, preserves_flags)) };
    // SAFETY: an M lives as long as its thread runs (I3).
    let party = match unsafe { CURRENT.get().as_ref() } {
        Some(m) => m.g().map_or_else(|| Party::Thread(m.tid()), |g| Party::G(g.id())),
        None => Party::Thread(own_thread_id()),
    };
    party.to_word()
}

/// The number of the M that runs the caller: a hint, which may be wrong after any suspension. None on a thread that is
/// none.
///
/// Never inlined, and opaque, as `machine`.
#[inline(never)]
pub fn m_number() -> Option<u32> {
    // SAFETY: as in `machine`.
    unsafe { asm!("", options(nostack, preserves_flags)) };
    // SAFETY: an M lives as long as its thread runs (I3).
    let m = unsafe { CURRENT.get().as_ref() };
    m.map(|m| m.id)
}

/// The kernel's number of this thread, which is no M. The child of a fork has another number than the thread that
/// forked: `forget_thread_id` sees to it. Where no runtime has been built nobody calls that, and the child goes on with
/// the number of its parent, which no other thread of the child is likely to get.
#[inline]
fn own_thread_id() -> i32 {
    match THREAD_ID.get() {
        0 => ask_thread_id(),
        tid => tid,
    }
}

#[cold]
fn ask_thread_id() -> i32 {
    let tid = thread_id();
    THREAD_ID.set(tid);
    tid
}

/// This thread is that of a fork, and has another number.
pub(super) fn forget_thread_id() {
    THREAD_ID.set(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::g::locals_in;

    /// Without it the wrong lines are prefetched, which no result shows.
    #[test]
    fn an_m_says_where_the_locals_lie() {
        begin_machine(ptr::null());
        let current = CURRENT.with(|current| ptr::from_ref(current).addr());
        assert_eq!(locals_in(loaded_block()).addr(), current);
    }
}
