//! Who holds a lock, in 32 bits: the low ones of a party's word.

#![allow(unsafe_code, reason = "a look at a lock that somebody waits for")]

use crate::lot::{Turn, Want};
use pirn_runtime::internal::{Owner, Party, Reason, party_word};
use std::ptr;

/// The word has two bits for others, which are not kept.
const UNUSED_BITS: u32 = 2;
/// What is left for a number, beside the bit that says that it is a thread's.
#[cfg(not(loom))]
const NUMBER_BITS: u32 = 31;

/// The caller; never 0.
#[inline]
pub(crate) fn me() -> u32 {
    (party_word() >> UNUSED_BITS) as u32
}

/// Who that is. The number of a G is completed to the latest that fits: it is wrong for one that has held its lock
/// while 2^31 others were started. 0 is nobody.
fn party(short: u32) -> Option<Party> {
    let party = Party::from_word(u64::from(short) << UNUSED_BITS)?;
    #[cfg(not(loom))]
    if let Party::G(low) = party {
        return Some(Party::G(pirn_runtime::internal::latest_id_like(low, NUMBER_BITS)));
    }
    Some(party)
}

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

/// The caller waits for what it has itself.
#[cold]
pub(crate) fn report_own(_reason: &'static Reason, _key: usize) {}
