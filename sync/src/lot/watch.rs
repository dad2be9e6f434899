//! What the runtime's reports learn of those that wait here: who has what is waited for; threads, which the runtime does
//! not know; waits that may end by themselves; and whether anybody waits for a lock, so that cycles are looked for.

use super::table::{Turn, Want};
use crate::holder::party;
use pirn_runtime::internal::Owner;
use std::ptr;

/// Who holds the lock of type `L` at the address `key`, for an observer, which may have any number for an address. It is
/// one if somebody waits there on a stack for whom `is_one` holds: who waits for a lock borrows it (lot I3).
pub(crate) fn owner_of<L>(key: usize, is_one: fn(&Want) -> bool, holder: fn(&L) -> u32) -> Option<Owner> {
    let turn = Turn::of(key);
    if !turn.is_borrowed(is_one) {
        return None;
    }
    // SAFETY: as above, until the end of the turn.
    let short = holder(unsafe { &*ptr::with_exposed_provenance::<L>(key) });
    drop(turn);
    party(short).map(Owner::of)
}

#[cfg(not(loom))]
pub(super) use sources::begin;

#[cfg(not(loom))]
mod sources {
    use super::party;
    use crate::lot::table::each_wait;
    use pirn_runtime::internal::{Wait, WaitSource, add_waits};
    use std::sync::atomic::{AtomicBool, Ordering};

    /// For each wait: from the first one on the reports know of them. No other waits for the first one: the child of a fork
    /// may be without it.
    pub(in crate::lot) fn begin() {
        static HAS_BEGUN: AtomicBool = AtomicBool::new(false);
        if !HAS_BEGUN.load(Ordering::Relaxed) && !HAS_BEGUN.swap(true, Ordering::Relaxed) {
            add_waits(WaitSource { longest, each });
        }
    }

    fn longest() -> Option<u64> {
        let mut longest = None;
        each_wait(|_, want, may_end| {
            if !may_end && want.reason.has_owner() && longest.is_none_or(|longest| want.since_ns < longest) {
                longest = Some(want.since_ns);
            }
        });
        longest
    }

    fn each(f: &mut dyn FnMut(Wait)) {
        // Collected first: what `f` does with them is not known, and the lock of a bucket is short.
        let mut waits = Vec::new();
        each_wait(|what, want, may_end| {
            // A task has no number: it is seen where it is polled.
            if let Some(party) = party(want.who) {
                waits.push(Wait { party, reason: want.reason, what, since_ns: want.since_ns, may_end });
            }
        });
        waits.into_iter().for_each(f);
    }
}

/// There are no reports in a model.
#[cfg(loom)]
pub(super) fn begin() {}
