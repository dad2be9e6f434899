//! What pirn's other crates wait with. No part of the public API: it may change at any time.

use crate::park;
use crate::sched::Entered;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

pub use crate::event::{Event, Teller, listen};
pub use crate::g_local::GLocal;
pub use crate::probe::WaitReason;

/// Parks the caller, who says why, and on what: an address, or 0.
#[inline(always)]
pub fn park_for(reason: WaitReason, what: usize) {
    park::park_on(reason, what);
}

/// Parks the caller, who says why and on what, until `deadline` at the latest.
pub fn park_until(reason: WaitReason, what: usize, deadline: Instant) {
    park::park_until(reason, what, park::deadline(deadline.saturating_duration_since(Instant::now())));
}

/// A call that need not park: lets others run if the caller has been asked to.
#[inline(always)]
pub fn checkpoint() {
    park::checkpoint();
}

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
