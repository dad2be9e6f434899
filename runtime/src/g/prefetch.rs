//! Prefetching: what a pick touches of a G that has waited for long is no longer in the cache.

use super::control::G;
use crate::coro::Coro;
use crate::os::{LINE_BYTES, ThreadPointer, prefetch_lines, prefetch_lines_to_l2};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many cache lines of a record an unpark and a pick touch.
const RECORD_LINES: usize = 2;
/// How many cache lines the innermost frames of a parked G touch.
const STACK_LINES: usize = 8;
/// Of the outermost frames, what the body of a G keeps from the beginning on: a server keeps a connection there. So many lines
/// lie above it, which are of the runtime's own frames and are not touched before the G ends.
const OUTER_LINES: usize = 5;
const OUTER_SKIP: usize = 3;
/// How many cache lines the runtime's own thread-locals touch.
const LOCALS_LINES: usize = 2;

/// Where the runtime's own thread-locals lie in a block, from its thread pointer on: as in the block of the M that began last,
/// which is where they are in all, unless the runtime was loaded later than the program.
static LOCALS_AT: AtomicUsize = AtomicUsize::new(0);

/// They lie there.
pub(crate) fn locals_lie_at(place: usize) {
    LOCALS_AT.store(place, Ordering::Relaxed);
}

/// Prefetches the part of a record that an unpark and a pick touch. It need not be a record.
#[inline(always)]
pub(crate) fn prefetch_record(g: *const G) {
    prefetch_lines(g, RECORD_LINES);
}

/// Prefetches what the innermost frames touch of a parked G that is picked soon. Only for its owner. It reads the record.
#[inline(always)]
pub(crate) fn prefetch_stack(g: &G) {
    if let Some(coro) = coro_of(g) {
        prefetch_lines(coro.frames_at(), STACK_LINES);
    }
}

/// Prefetches what a parked G touches when it goes on, for one of many that were woken at once. Only for its owner. It reads
/// the record.
#[inline(always)]
pub(crate) fn prefetch_all(g: &G) {
    if let Some(coro) = coro_of(g) {
        prefetch_lines_to_l2(coro.frames_at(), STACK_LINES);
        prefetch_lines_to_l2(outer_frames_at(coro), OUTER_LINES);
    }
    // What it touches first of its thread-locals: those of the runtime.
    if let Some(block) = g.block.get() {
        // They need not be on one line.
        prefetch_lines_to_l2(locals_in(block), LOCALS_LINES);
    }
}

#[inline(always)]
fn coro_of(g: &G) -> Option<&Coro> {
    // SAFETY: the caller owns the G, and it has run.
    g.has_coro().then(|| unsafe { g.coro() })
}

#[inline(always)]
fn outer_frames_at(coro: &Coro) -> *const u8 {
    coro.frames_end().wrapping_sub((OUTER_LINES + OUTER_SKIP) * LINE_BYTES)
}

/// Where they lie in that block.
#[inline(always)]
pub(crate) fn locals_in(block: ThreadPointer) -> *const u8 {
    ptr::without_provenance(block.address().wrapping_add(LOCALS_AT.load(Ordering::Relaxed)))
}
