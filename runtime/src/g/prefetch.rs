//! Prefetching: what a pick touches of a G that has waited for long is no longer in the cache.

use super::control::G;
use crate::os::prefetch;

/// A cache line.
const LINE_BYTES: usize = 64;
/// How many cache lines from the top of a stack the last frames of a parked G touch.
const STACK_LINES: usize = 5;

/// Prefetches the part of a record that an unpark and a pick touch. It need not be a record.
#[inline(always)]
pub(crate) fn prefetch_record(g: *const G) {
    prefetch(g);
    prefetch(g.wrapping_byte_add(LINE_BYTES));
}

/// Prefetches what the last frames of a parked G touch. Only for its owner. It reads the record.
#[inline(always)]
pub(crate) fn prefetch_stack(g: &G) {
    if let Some(top) = g.stack_top() {
        for line in 1..=STACK_LINES {
            prefetch(top.wrapping_sub(line * LINE_BYTES));
        }
    }
}
