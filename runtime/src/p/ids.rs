//! The numbers of Gs.

use std::sync::atomic::{AtomicU64, Ordering};

/// The next process-wide id of a G; 0 is none. It never wraps: the park word has room for 62 bits of it, which is a
/// century of one G a nanosecond.
pub(super) static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Ids for threads without a P: one at a time.
pub(crate) fn fresh_id() -> u64 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}
