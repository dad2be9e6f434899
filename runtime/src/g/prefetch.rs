//! Prefetching: what a pick touches of a G that has waited for long is no longer in the cache.

use super::control::G;
use crate::os::{LINE_BYTES, prefetch};

/// How many cache lines the innermost frames of a parked G touch.
const STACK_LINES: usize = 8;

/// Prefetches the part of a record that an unpark and a pick touch. It need not be a record.
#[inline(always)]
pub(crate) fn prefetch_record(g: *const G) {
    prefetch(g);
    prefetch(g.wrapping_byte_add(LINE_BYTES));
}

/// Prefetches what the innermost frames of a parked G touch. Only for its owner. It reads the record.
#[inline(always)]
pub(crate) fn prefetch_stack(g: &G) {
    if g.has_coro() {
        // SAFETY: the caller owns the G, and it has run.
        let coro = unsafe { g.coro() };
        for line in 0..STACK_LINES {
            prefetch(coro.frames_at().wrapping_add(line * LINE_BYTES));
        }
    }
}
