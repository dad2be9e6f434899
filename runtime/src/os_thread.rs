//! The thread under a G: blocking it, and having it to oneself.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "which M calls")]

use crate::coro::Suspend;
use crate::g::G;
use crate::m::current;
use crate::park::{checkpoint, current_g, defer, give_way};
use crate::sched::hand_off::{ask_for_p, hand_off_p};
use std::fmt;
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::Ordering;

/// Runs `f`, which blocks the thread: a system call, a lock of another library, C code that waits.
///
/// The G hands off its P first, so other Gs run at once, on another thread if necessary. When `f` has returned, the G
/// takes a P again, and may have to queue for it. `f` runs on the G's own stack and thread. You need not use this
/// function: the P of a G that blocks without it is taken too, some tens of microseconds to a millisecond later. As
/// after any wait, the G may continue on another thread. Not on a G, this only calls `f`.
///
/// ```
/// # pirn::run(|| {
/// let text = pirn::blocking(|| std::fs::read_to_string("Cargo.toml"));
/// assert!(text.unwrap().contains("[package]"));
/// # });
/// ```
pub fn blocking<F, R>(f: F) -> R
where
    F: FnOnce() -> R,
{
    let Some(g) = current_g() else { return f() };
    hand_off_p();
    let _comes_back = defer(|| {
        if !ask_for_p() {
            give_way(g, Suspend::YieldGlobal);
        }
    });
    f()
}

/// Keeps the calling G on its thread, and all others off it, until the guard is dropped.
///
/// Use it for what belongs to a thread outside of the program's own memory: a graphics context, a namespace, a
/// priority. While the G waits, its thread waits too, and a switch to it wakes two threads, which takes some 50 us.
/// Locks nest: the thread is free when the last guard is gone. If a guard is leaked, the thread ends with the G, so
/// that no other G gets what was done to it. Not on a G, this does nothing. As Go's `runtime.LockOSThread`.
///
/// ```
/// # pirn::run(|| {
/// let locked = pirn::lock_os_thread();
/// let thread = std::fs::read_link("/proc/thread-self").unwrap();
/// pirn::sleep(std::time::Duration::from_millis(1));
/// assert_eq!(std::fs::read_link("/proc/thread-self").unwrap(), thread);
/// drop(locked);
/// # });
/// ```
#[must_use = "the thread is unlocked when the guard is dropped"]
pub fn lock_os_thread() -> OsThreadLock {
    // Before it is locked: a locked G cannot continue elsewhere.
    checkpoint();
    let g = current_g();
    if let Some(g) = g {
        g.locks.set(g.locks.get().saturating_add(1));
        mark(g, true);
    }
    OsThreadLock { g: g.map(|g| (g, g.id())), not_send: PhantomData }
}

/// Keeps a G on its thread: see [`lock_os_thread`].
pub struct OsThreadLock {
    g: Option<(&'static G, u64)>,
    /// It belongs to the G that made it.
    not_send: PhantomData<*mut ()>,
}

impl Drop for OsThreadLock {
    fn drop(&mut self) {
        let Some((g, id)) = self.g else { return };
        // A guard in a thread-local of the thread may outlive its G.
        if g.id() != id || !current_g().is_some_and(|me| ptr::eq(me, g)) {
            return;
        }
        let locks = g.locks.get();
        if locks == u32::MAX {
            // So many were leaked that the count is lost: the G stays locked to its end.
            return;
        }
        let left = locks - 1;
        g.locks.set(left);
        if left == 0 {
            mark(g, false);
        }
    }
}

/// Notes in the G, which is the caller, and in its M whether they belong together.
fn mark(g: &'static G, locked: bool) {
    let m = current::machine();
    g.locked_m.set(if locked { m } else { ptr::null() });
    // SAFETY: an M lives as long as its thread runs (m I3), and this is it.
    if let Some(m) = unsafe { m.as_ref() } {
        m.locked_to.store(if locked { g.id() } else { 0 }, Ordering::Relaxed);
    }
}

impl fmt::Debug for OsThreadLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OsThreadLock").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::lock_os_thread;
    use crate::Builder;
    use crate::park::current_g;

    #[test]
    fn guards_that_leak_by_the_billion_keep_the_thread_and_overflow_nothing() {
        // SAFETY: nothing here keeps a thread-local over a suspension.
        let rt = unsafe { Builder::new().procs(1).shared_thread_locals() }.build().expect("a runtime");
        rt.run(|| {
            let g = current_g().expect("a G");
            // As if so many had been leaked.
            g.locks.set(u32::MAX - 1);
            let guards = [lock_os_thread(), lock_os_thread()];
            drop(guards);
            assert_eq!(g.locks.get(), u32::MAX);
            assert!(!g.locked_m.get().is_null());
        });
    }
}
