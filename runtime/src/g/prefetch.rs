//! Prefetching: what a pick touches of a G that has waited for long is no longer in the cache.

use super::control::G;
use crate::os::prefetch_lines;

/// How many cache lines of a record an unpark and a pick touch.
const RECORD_LINES: usize = 2;
/// How many cache lines the innermost frames of a parked G touch.
const STACK_LINES: usize = 8;

/// Prefetches the part of a record that an unpark and a pick touch. It need not be a record.
#[inline(always)]
pub(crate) fn prefetch_record(g: *const G) {
    prefetch_lines(g, RECORD_LINES);
}

/// Prefetches what the innermost frames of a parked G touch. Only for its owner. It reads the record.
#[inline(always)]
pub(crate) fn prefetch_stack(g: &G) {
    if g.has_coro() {
        // SAFETY: the caller owns the G, and it has run.
        let coro = unsafe { g.coro() };
        prefetch_lines(coro.frames_at(), STACK_LINES);
    }
}
