//! Who am I: the M of this OS thread. The only thread-local of the runtime.

#![cfg(not(loom))]

use super::M;
#[cfg(feature = "tracing")]
use crate::user_code::contain;
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

/// Runs the user's callback in the middle of the runtime's own work. Meanwhile the caller is no G: what would park it
/// blocks the thread.
#[cfg(feature = "tracing")]
pub(crate) fn off_duty<R>(callback: impl FnOnce() -> R) -> R {
    // SAFETY: an M lives as long as its thread runs (m I3).
    let m = unsafe { machine().as_ref() };
    let g = m.and_then(M::g);
    if let Some(m) = m {
        m.set_g(None);
    }
    let result = callback();
    if let Some(m) = m {
        m.set_g(g);
    }
    result
}

/// Tells whoever listens that something has happened, by a `tracing` event under `pirn::sched`; compiled to nothing without
/// the feature `tracing`, and a load and a branch without a subscriber. The subscriber is the user's code in the middle of
/// the runtime's: what would park it blocks the thread, and its panics end here, or what is half done would stay so.
macro_rules! event {
    ($name:literal $(, $field:ident = $value:expr)* $(,)?) => {
        #[cfg(feature = "tracing")]
        if tracing::level_enabled!(tracing::Level::TRACE) {
            let tell = || tracing::trace!(name: $name, target: "pirn::sched", $($field = $value,)* $name);
            $crate::m::current::tell(tell);
        }
    };
}

pub(crate) use event;

/// Calls who listens; not on a G whose thread-locals are gone, which a subscriber uses.
#[cfg(feature = "tracing")]
#[cold]
pub(crate) fn tell(tell: impl FnOnce()) {
    // SAFETY: an M lives as long as its thread runs (m I3).
    let g = unsafe { machine().as_ref() }.and_then(M::g);
    if !g.is_some_and(|g| g.is_mute.get()) {
        // What a subscriber panics with has been printed.
        off_duty(|| contain(tell));
    }
}

/// Whether somebody listens to events.
#[cfg(feature = "tracing")]
pub(crate) fn is_heard() -> bool {
    let asks = || tracing::enabled!(target: "pirn::sched", tracing::Level::TRACE);
    may_be_heard() && off_duty(|| contain(asks)).unwrap_or(false)
}

/// Whether somebody may listen to events; a look at one number, which calls nobody.
#[inline(always)]
pub(crate) fn may_be_heard() -> bool {
    #[cfg(feature = "tracing")]
    return tracing::level_enabled!(tracing::Level::TRACE);
    #[cfg(not(feature = "tracing"))]
    false
}
