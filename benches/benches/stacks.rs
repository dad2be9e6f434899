//! The first call into a deep stack, which gets its memory page by page through faults, and such a call on memory that
//! is there.
//!
//! tokio is not here: its tasks have no stacks, they call on those of its workers.

mod common;

use common::{Comparison, May, Peer, Threads, Work, repeat};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

const PAGE: usize = 4096;

/// What a page has room for beside a return address and some registers.
const FRAME: usize = PAGE - 40;

/// Pages next to the caller that stay as they are: they hold the frames of who gives the others back.
const KEPT: usize = 2;

/// A call that goes so many pages deep.
#[derive(Clone, Copy)]
struct Deep {
    pages: usize,
    /// Whether the memory has been given back before.
    first: bool,
}

impl Work for Deep {
    fn elements(self) -> u64 {
        self.pages as u64
    }

    fn run<P: Peer>(self, iters: u64) -> Duration {
        let call = || assert_eq!(descend(self.pages + KEPT), self.pages + KEPT);
        call();
        if !self.first {
            return repeat(iters, call);
        }
        let first_call = |_| {
            // SAFETY: every peer's stacks have 238 KiB at least, and the call above went as deep.
            unsafe { give_back(self.pages) };
            let start = Instant::now();
            call();
            start.elapsed()
        };
        (0..iters).map(first_call).sum()
    }
}

/// Goes so many frames of a page deep, and comes back. Returns how many there were.
#[inline(never)]
fn descend(frames: usize) -> usize {
    let mut frame = [MaybeUninit::<u8>::uninit(); FRAME];
    frame[0].write(1);
    black_box(&mut frame);
    let below = if frames > 1 { descend(frames - 1) } else { 0 };
    black_box(&mut frame);
    below + 1
}

/// Gives the memory of so many pages of the stack below the caller back to the kernel.
///
/// # Safety
/// The caller's stack has so many pages left, and [`KEPT`] and one more.
#[inline(never)]
unsafe fn give_back(pages: usize) {
    let mut here = 0_u8;
    let end = (&raw mut here).wrapping_sub(KEPT * PAGE).map_addr(|address| address & !(PAGE - 1));
    let start = end.wrapping_sub(pages * PAGE);
    // SAFETY: the range belongs to this stack, as the caller promises, and is so far below its end that nothing lives
    // there.
    let failed = unsafe { libc::madvise(start.cast(), pages * PAGE, libc::MADV_DONTNEED) };
    assert_eq!(failed, 0, "the memory of a stack can be given back");
}

fn stacks(c: &mut Criterion) {
    for kib in [16, 64, 200] {
        for (name, first) in [("first", true), ("again", false)] {
            let work = Deep { pages: kib * 1024 / PAGE, first };
            let mut peers = Comparison::new(c, format!("stack_{kib}_kib_{name}"));
            peers.on_gs(work).on::<Threads>(work).on::<May>(work);
        }
    }
}

criterion_group!(name = all; config = common::criterion(); targets = stacks);
criterion_main!(all);
