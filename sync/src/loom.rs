//! The atomics and parking of std and the runtime, or loom's when the models run. The runtime has chosen.

#[cfg(not(loom))]
pub(crate) use pirn_runtime::internal::may_spin;
pub(crate) use pirn_runtime::internal::{AtomicU32, AtomicUsize, Ordering, Unparker, checkpoint, give_way, now};

/// Pauses the CPU while another one works.
#[cfg(not(loom))]
#[inline]
pub(crate) fn pause(times: u32) {
    for _ in 0..times {
        std::hint::spin_loop();
    }
}

#[cfg(loom)]
pub(crate) fn pause(_: u32) {
    loom::thread::yield_now();
}

/// The moment that is `timeout` from now; none if it is too far away to be one.
pub(crate) fn deadline(timeout: std::time::Duration) -> Option<std::time::Instant> {
    now().checked_add(timeout)
}

#[cfg(loom)]
loom::thread_local! {
    /// Whether the others, as this thread sees it, have waited for long.
    static ARE_STARVED: std::cell::Cell<bool> = std::cell::Cell::new(false);
}

/// In the models a thread has its own opinion on that.
#[cfg(loom)]
pub(crate) fn are_starved() -> bool {
    ARE_STARVED.with(std::cell::Cell::get)
}

/// Sets the opinion of this thread.
#[cfg(all(test, loom))]
pub(crate) fn set_starved(are_starved: bool) {
    ARE_STARVED.with(|starved| starved.set(are_starved));
}

#[cfg(loom)]
loom::thread_local! {
    static SPINS: std::cell::Cell<bool> = std::cell::Cell::new(false);
}

/// In the models some threads spin.
#[cfg(loom)]
pub(crate) fn may_spin() -> bool {
    SPINS.with(std::cell::Cell::get)
}

/// This thread spins.
#[cfg(all(test, loom))]
pub(crate) fn set_spins() {
    SPINS.with(|spins| spins.set(true));
}

#[cfg(all(test, loom))]
#[path = "locks_loom.rs"]
mod models;
