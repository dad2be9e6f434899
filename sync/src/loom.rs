//! The atomics and parking of std and the runtime, or loom's when the models run. The runtime has chosen.

#[cfg(not(loom))]
pub(crate) use pirn_runtime::internal::may_spin;
pub(crate) use pirn_runtime::internal::{
    Arc, AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering, Unparker, checkpoint, give_way, now, now_ns,
};

#[cfg(loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(not(loom))]
pub(crate) use std::sync::{Mutex, MutexGuard};

/// Pauses the CPU while another one works.
#[cfg(not(loom))]
#[inline]
pub(crate) fn pause(times: u32) {
    for _ in 0..times {
        std::hint::spin_loop();
    }
}

/// The moment that is `timeout` from now; none if it is too far away to be one.
pub(crate) fn deadline(timeout: std::time::Duration) -> Option<std::time::Instant> {
    now().checked_add(timeout)
}

#[cfg(loom)]
#[path = "modelled_loom.rs"]
mod modelled;
#[cfg(loom)]
pub(crate) use modelled::{are_starved, may_spin, pause};

#[cfg(all(test, loom))]
#[path = "locks_loom.rs"]
mod models;
