//! Who holds a lock, in 32 bits.

use pirn_runtime::internal::Reason;

/// The caller.
#[cfg(not(loom))]
#[inline]
pub(crate) fn me() -> u32 {
    pirn_runtime::current_gid().map_or(1, |id| id.as_u64() as u32)
}

#[cfg(loom)]
pub(crate) fn me() -> u32 {
    1
}

/// The caller waits for what it has itself.
#[cold]
pub(crate) fn report_own(_reason: &'static Reason, _key: usize) {}
