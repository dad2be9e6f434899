//! Who holds a lock, in 32 bits: the low ones of a party's word.

use pirn_runtime::internal::{Party, Reason, party_word};

/// The word has two bits for others, which are not kept.
const UNUSED_BITS: u32 = 2;
/// What is left for a number, beside the bit that says that it is a thread's.
#[cfg(not(loom))]
const NUMBER_BITS: u32 = 31;

/// The caller. For one G in 2^31 it is 0, which is nobody.
#[inline]
pub(crate) fn me() -> u32 {
    (party_word() >> UNUSED_BITS) as u32
}

/// Who that is, as reports name it. The number of a G is completed to the latest that fits: it is wrong for one that has
/// held its lock while 2^31 others were started. 0 is nobody.
pub(crate) fn party(short: u32) -> Option<Party> {
    let party = Party::from_word(u64::from(short) << UNUSED_BITS)?;
    #[cfg(not(loom))]
    if let Party::G(low) = party {
        return Some(Party::G(pirn_runtime::internal::latest_id_like(low, NUMBER_BITS)));
    }
    Some(party)
}

/// The caller is about to wait, without a deadline, for what it has itself.
#[cold]
pub(crate) fn report_own(reason: &'static Reason, key: usize) {
    #[cfg(not(loom))]
    pirn_runtime::internal::report_self_wait(reason, key);
    #[cfg(loom)]
    let _ = (reason, key);
}
