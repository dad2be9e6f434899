//! The numbers of Gs.

use std::sync::atomic::{AtomicU64, Ordering};

/// The next process-wide id of a G; 0 is none. It never wraps: the park word has room for 62 bits of it, which is a
/// century of one G a nanosecond.
pub(super) static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Ids for threads without a P: one at a time.
pub(crate) fn fresh_id() -> u64 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

/// The latest number of a G whose lowest `bits` bits are `low`, for who has room for no more. Numbers come in batches,
/// so it may belong to a G that begins later.
pub fn latest_id_like(low: u64, bits: u32) -> u64 {
    let latest = NEXT_ID.load(Ordering::Relaxed);
    latest - (latest.wrapping_sub(low) & ((1 << bits) - 1)).min(latest)
}

#[cfg(test)]
mod tests {
    use super::{NEXT_ID, Ordering, latest_id_like};

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
