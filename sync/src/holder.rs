//! Who holds a lock, in 32 bits: the low ones of a party's word.

use pirn_runtime::internal::{Party, Reason, party_word};

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
#[cfg(not(loom))]
pub(crate) fn party(short: u32) -> Option<Party> {
    match Party::from_word(u64::from(short) << UNUSED_BITS)? {
        Party::G(low) => Some(Party::G(pirn_runtime::internal::latest_id_like(low, NUMBER_BITS))),
        thread => Some(thread),
    }
}

/// The caller waits for what it has itself.
#[cold]
pub(crate) fn report_own(_reason: &'static Reason, _key: usize) {}
