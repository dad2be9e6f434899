//! Who holds a lock, in 32 bits: the low ones of a party's word.

use pirn_runtime::internal::{Party, Reason, party_word};
#[cfg(not(loom))]
use pirn_runtime::internal::{SHORT_ID_BITS, latest_id_like};

// A number has what the bit leaves that says that it is a thread's.
#[cfg(not(loom))]
const _: () = assert!(SHORT_ID_BITS == u32::BITS - 1);

/// The word has two bits for others, which are not kept.
const UNUSED_BITS: u32 = 2;

/// The caller. It is never 0, which is nobody: no G has a number whose low bits are all 0.
#[inline]
pub(crate) fn me() -> u32 {
    short(party_word())
}

/// The same, of that party's word.
#[inline]
pub(crate) fn short(word: u64) -> u32 {
    (word >> UNUSED_BITS) as u32
}

/// Who that is, as reports name it. The number of a G is completed to the latest that fits: it is wrong for one that has
/// held its lock while 2^31 others were started. 0 is nobody.
pub(crate) fn party(short: u32) -> Option<Party> {
    let party = Party::from_word(u64::from(short) << UNUSED_BITS)?;
    #[cfg(not(loom))]
    if let Party::G(low) = party {
        return Some(Party::G(latest_id_like(low, SHORT_ID_BITS)));
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
