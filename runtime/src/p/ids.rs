//! The numbers of Gs.

use std::sync::atomic::{AtomicU64, Ordering};

/// The next process-wide id of a G; 0 is none. It never wraps: the park word has room for 62 bits of it, which is a
/// century of one G a nanosecond.
pub(super) static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// So many low bits of a G's number are never all 0: who has room for no more of them can say "nobody" by that.
pub const SHORT_ID_BITS: u32 = 31;

/// Ids for threads without a P: one at a time.
pub(crate) fn fresh_id() -> u64 {
    fresh_ids(1).0
}

/// The first of some new ids, and the end of them: `count`, or fewer.
pub(super) fn fresh_ids(count: u64) -> (u64, u64) {
    loop {
        let first = NEXT_ID.fetch_add(count, Ordering::Relaxed);
        let (first, end) = without_nobody(first, first + count);
        if first < end {
            return (first, end);
        }
    }
}

/// A part of these ids, which are not many, in which none has low bits that are all 0.
fn without_nobody(first: u64, end: u64) -> (u64, u64) {
    match first.next_multiple_of(1 << SHORT_ID_BITS) {
        nobody if nobody >= end => (first, end),
        nobody if nobody == first => (first + 1, end),
        nobody => (first, nobody),
    }
}

/// The latest number of a G whose lowest `bits` bits are `low`, for who has room for no more. Numbers come in batches,
/// so it may belong to a G that begins later.
pub fn latest_id_like(low: u64, bits: u32) -> u64 {
    let latest = NEXT_ID.load(Ordering::Relaxed);
    latest - (latest.wrapping_sub(low) & ((1 << bits) - 1)).min(latest)
}

#[cfg(test)]
mod tests {
    use super::{NEXT_ID, Ordering, SHORT_ID_BITS, latest_id_like, without_nobody};

    #[test]
    fn no_number_looks_like_nobody() {
        let nobody = 3 << SHORT_ID_BITS;
        assert_eq!(without_nobody(1, 1025), (1, 1025));
        assert_eq!(without_nobody(nobody - 5, nobody), (nobody - 5, nobody));
        assert_eq!(without_nobody(nobody - 5, nobody + 5), (nobody - 5, nobody));
        assert_eq!(without_nobody(nobody, nobody + 5), (nobody + 1, nobody + 5));
        let (first, end) = without_nobody(nobody, nobody + 1);
        assert!(first >= end, "it has to draw again");
    }

    #[test]
    fn a_number_is_found_by_its_low_bits() {
        NEXT_ID.fetch_max(5000, Ordering::Relaxed);
        let latest = NEXT_ID.load(Ordering::Relaxed);
        for back in [0, 1, 77, 255] {
            let id = latest - back;
            // Others may take some meanwhile.
            let found = latest_id_like(id & 0xFFF, 12);
            assert!(found == id || found == id + 4096, "{found} for {id}");
        }
        assert_eq!(latest_id_like(7, 31), 7);
    }
}
