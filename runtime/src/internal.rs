//! What pirn's other crates wait with. No part of the public API: it may change at any time. Models have it too, but
//! for what asks the runtime that a caller runs on.

#[cfg(loom)]
use crate::loom::parking;
#[cfg(not(loom))]
use crate::park as parking;

pub use crate::loom::{Arc, AtomicBool, AtomicIsize, AtomicUsize, Ordering, UnsafeCell, fence};
pub use crate::reason::{Kind, Reason};
pub use crate::wait::{Claimed, Line, OnUnwind, Ticket, Told, Waiter, discard, on_unwind, wake};
pub use parking::{Unparker, checkpoint, has_come, park_on, park_until};

#[cfg(loom)]
pub use parking::{random, sleep};
#[cfg(not(loom))]
pub use {
    crate::time::sleep,
    caller::{has_timers, random},
};

/// What depends on the runtime that the caller runs on.
#[cfg(not(loom))]
mod caller {
    use crate::sched::Entered;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Whether the caller runs on a runtime whose timers it may use: one that does not close.
    pub fn has_timers() -> bool {
        Entered::new().is_some_and(|entered| !entered.shared().is_closing())
    }

    /// A random number, of 64 bits, good enough to be fair.
    #[inline]
    pub fn random() -> u64 {
        if let Some(entered) = Entered::new()
            && let Some(p) = entered.p()
        {
            return p.random();
        }
        // Off the Ms: the golden ratio spreads the seeds, multiplying mixes them (splitmix64).
        static SEED: AtomicU64 = AtomicU64::new(0);
        let seed = SEED.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (seed ^ seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}
