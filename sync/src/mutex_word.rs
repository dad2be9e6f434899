//! The word of a [`Mutex`](crate::Mutex).
//! ```text
//!   LOOK      WAITERS is set, and WOKEN is not: one that unlocks has to look closer
//!   WOKEN     somebody who waited is awake and tries again, or somebody spins: unlocking need not wake another;
//!             set only in a turn
//!   WAITERS   somebody stands in the lot, under the lock's address; changed only in a turn of that (lot I1)
//!   HELD      somebody has it
//! ```
//! LOOK is the sign. So to lock is to set one bit, and to unlock is one addition: each is one locked instruction, whoever
//! waits, and the processor says what follows from it without the word's being read.

use crate::loom::{AtomicU32, Ordering};

pub(crate) const HELD: u32 = 1;
pub(crate) const WAITERS: u32 = 1 << 1;
pub(crate) const WOKEN: u32 = 1 << 2;
pub(crate) const LOOK: u32 = 1 << 31;
/// Is added to unlock. (The compiler makes the short instruction of an addition, but not of a subtraction.)
pub(crate) const NOT_HELD: u32 = HELD.wrapping_neg();

/// Whether the one that has unlocked has to look closer.
#[inline]
pub(crate) fn has_look(state: u32) -> bool {
    state.cast_signed() < 0
}

/// With LOOK as it has to be, after WAITERS or WOKEN was changed.
#[inline]
pub(crate) fn settled(state: u32) -> u32 {
    if state & (WAITERS | WOKEN) == WAITERS { state | LOOK } else { state & !LOOK }
}

/// Changes it by `f`. Returns what it was.
pub(crate) fn update(word: &AtomicU32, ordering: Ordering, f: impl Fn(u32) -> u32) -> u32 {
    let changed = word.fetch_update(ordering, Ordering::Relaxed, |state| Some(settled(f(state))));
    changed.expect("the change is always made")
}
