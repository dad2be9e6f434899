//! The word of an [`RwLock`](crate::RwLock).
//! ```text
//!   LOOK        WRITER or UPGRADING is set; or WAITERS is, and WOKEN is not
//!   readers     how many have it to read
//!   UPGRADING   that reader stands first in the lot, until the others have gone; changed only in a turn
//!   UPGRADABLE  one of the readers may become a writer
//!   WOKEN       a writer that waited is awake and tries again
//!   WAITERS     somebody stands in the lot, under the lock's address; changed only in a turn of that (lot I1)
//!   WRITER      somebody has it to write
//! ```
//! LOOK is the sign. So to come and to go as a reader are one addition and one subtraction, after which the processor
//! knows the sign of the sum. There is no cheaper locked instruction, as its old value is not asked for; and no load
//! comes before it, which would wait for the last locked instruction.

use crate::loom::{AtomicU32, Ordering};

pub(crate) const WRITER: u32 = 1;
pub(crate) const WAITERS: u32 = 1 << 1;
pub(crate) const WOKEN: u32 = 1 << 2;
pub(crate) const UPGRADABLE: u32 = 1 << 3;
pub(crate) const UPGRADING: u32 = 1 << 4;
pub(crate) const READER: u32 = 1 << 5;
pub(crate) const LOOK: u32 = 1 << 31;
/// Is added when a reader goes. (The compiler makes the short instruction of an addition, but not of a subtraction.)
pub(crate) const ONE_LESS: u32 = READER.wrapping_neg();

/// One writes, and nobody else wants it.
pub(crate) const WRITTEN: u32 = WRITER | LOOK;

/// How many may read. There is room for twice as many, so that one that comes too many can be told so. While the sign is
/// not set nobody counts them, until their number sets it.
const READERS_MAX: u32 = LOOK / READER / 2;

/// Whether a reader has to look closer.
#[inline]
pub(crate) fn has_look(state: u32) -> bool {
    state.cast_signed() < 0
}

/// Somebody waits, and nobody is awake.
#[inline]
pub(crate) fn is_asleep(state: u32) -> bool {
    state & (WAITERS | WOKEN) == WAITERS
}

/// With LOOK as it has to be, after another bit was changed.
#[inline]
pub(crate) fn settled(state: u32) -> u32 {
    if state & (WRITER | UPGRADING) != 0 || is_asleep(state) { state | LOOK } else { state & !LOOK }
}

/// Changes it by `f`. Returns what it was.
pub(crate) fn update(word: &AtomicU32, ordering: Ordering, f: impl Fn(u32) -> u32) -> u32 {
    let changed = word.fetch_update(ordering, Ordering::Relaxed, |state| Some(settled(f(state))));
    changed.expect("the change is always made")
}

/// Nobody has it. LOOK alone is the mark of too many readers.
#[inline]
pub(crate) fn is_free(state: u32) -> bool {
    state & !(WOKEN | WAITERS) == 0 || state == WAITERS | LOOK
}

/// Some read.
pub(crate) fn is_read(state: u32) -> bool {
    state & WRITER == 0 && state & !LOOK >= READER
}

/// A reader need not wait: nobody writes or upgrades; and nobody waits, or one of those is awake, or nobody has it.
#[inline]
pub(crate) fn may_read(state: u32) -> bool {
    state & (WRITER | UPGRADING) == 0 && (!is_asleep(state) || is_free(state))
}

/// The same for one that may upgrade.
pub(crate) fn may_read_upgradable(state: u32) -> bool {
    may_read(state) && state & UPGRADABLE == 0
}

/// The same for one that reads already.
#[inline]
pub(crate) fn may_read_again(state: u32) -> bool {
    state & WRITER == 0
}

/// Whether more read than may.
pub(crate) fn is_full(state: u32) -> bool {
    (state & !LOOK) / READER > READERS_MAX || (state & (LOOK | WRITER | UPGRADING) == LOOK && !is_asleep(state))
}

/// With one reader more.
#[inline]
pub(crate) fn one_more(state: u32) -> u32 {
    let new = state.wrapping_add(READER);
    if is_full(new) {
        too_many();
    }
    new
}

/// With one reader more, which may upgrade.
pub(crate) fn one_more_upgradable(state: u32) -> u32 {
    one_more(state) | UPGRADABLE
}

/// With a writer in the place of the upgradable reader, if that is the only one.
pub(crate) fn upgraded(state: u32) -> Option<u32> {
    let is_alone = state & !(LOOK | WAITERS | WOKEN | UPGRADING) == READER | UPGRADABLE;
    is_alone.then(|| settled((state - READER) & !(UPGRADABLE | UPGRADING) | WRITER))
}

#[cold]
pub(crate) fn too_many() -> ! {
    panic!("RwLock: {READERS_MAX} have it to read, which is all that it has room for; guards may have been forgotten");
}
