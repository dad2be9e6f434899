//! How much of the top of a slot a block of thread-locals takes, and where in its page it lies.

use super::memory::page_bytes;

/// Stacks begin at multiples of this.
const STACK_ALIGN: usize = 16;

/// What a block leaves free for static thread-locals of libraries that are loaded later: as much as glibc itself expects
/// of the libraries of one namespace (`OTHER_IE_TLS`). libgomp has 136, the OpenGL libraries of Mesa some less together.
pub(super) const SPARE_BYTES: usize = 144;

/// What the frames of a G that waits may take of the page that its block is on: a sleep takes 650.
const FRAMES_BYTES: usize = 768;
/// Blocks of neighbours lie so far apart in their pages, in so many steps at most, or they would all fight for the same
/// few sets of the processor's cache.
pub(super) const COLOUR_BYTES: usize = 64;
const COLOURS_MAX: usize = 16;

/// How far below the thread pointer a stack begins if the thread-locals that are there begin `below`.
pub(super) fn with_spare(below: usize) -> usize {
    (below + SPARE_BYTES).next_multiple_of(STACK_ALIGN)
}

pub(super) fn below_max(static_bytes: usize, control_bytes: usize) -> usize {
    (static_bytes - control_bytes).next_multiple_of(STACK_ALIGN)
}

/// In how many places in their pages blocks of that size can lie, so that the first frames fit on the same page. A
/// block that is too large for that has its stack on another page anyway.
pub(super) fn colours(block_bytes: usize) -> usize {
    match page_bytes().checked_sub(block_bytes + FRAMES_BYTES) {
        Some(left_bytes) => (1 << (left_bytes / COLOUR_BYTES + 1).ilog2()).min(COLOURS_MAX),
        None => COLOURS_MAX,
    }
}
