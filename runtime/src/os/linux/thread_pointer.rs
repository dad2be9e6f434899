//! The FS register: which block of thread-locals is loaded, and the words of its control block.

use std::arch::asm;
use std::num::NonZeroUsize;
use std::ptr;

/// What FS holds while a block is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThreadPointer(pub(super) NonZeroUsize);

impl ThreadPointer {
    pub(crate) fn address(self) -> usize {
        self.0.get()
    }

    /// A word of its thread control block.
    pub(super) fn get(self, at: usize) -> usize {
        // SAFETY: callers ask for places inside the control block of a block that is whole.
        unsafe { ptr::with_exposed_provenance::<usize>(self.address().wrapping_add(at)).read() }
    }

    pub(super) fn put(self, at: usize, value: usize) {
        // SAFETY: as above, and the block is being made by the caller.
        unsafe { ptr::with_exposed_provenance_mut::<usize>(self.address().wrapping_add(at)).write(value) };
    }

    pub(super) fn put_u8(self, at: usize, value: u8) {
        // SAFETY: as above.
        unsafe { ptr::with_exposed_provenance_mut::<u8>(self.address().wrapping_add(at)).write(value) };
    }

    pub(super) fn put_u32(self, at: usize, value: u32) {
        // SAFETY: as above.
        unsafe { ptr::with_exposed_provenance_mut::<u32>(self.address().wrapping_add(at)).write(value) };
    }
}

/// The block that is loaded.
#[inline(always)]
pub(crate) fn loaded_block() -> ThreadPointer {
    let pointer: usize;
    // SAFETY: the first word of a thread control block is its own address.
    unsafe { asm!("mov {}, fs:[0]", out(reg) pointer, options(nostack, preserves_flags, readonly)) };
    ThreadPointer(NonZeroUsize::new(pointer).expect("a thread that runs has a control block"))
}

/// The word at that place of the block that is loaded, from its thread control block on. The place is 0, or that of a
/// thread-local which each block has there.
#[inline(always)]
pub(crate) fn word_at(place: usize) -> usize {
    let word: usize;
    // SAFETY: it is there. It is read anew each time, by the register: no address is kept.
    unsafe {
        asm!("mov {word}, fs:[{place}]", word = lateout(reg) word, place = in(reg) place,
            options(nostack, preserves_flags, readonly));
    }
    word
}

/// Loads a block.
///
/// # Safety
/// The block is whole and loaded by no other thread, the system has FSGSBASE (`thread_local_blocks` has seen it), and
/// the caller keeps no address of a thread-local over this.
#[inline(always)]
pub(crate) unsafe fn load_block(block: ThreadPointer) {
    // SAFETY: as the caller promises. Memory is clobbered: what thread-locals hold is another block's now.
    unsafe { asm!("wrfsbase {}", in(reg) block.0.get(), options(nostack, preserves_flags)) };
}

/// Runs `f` with a block loaded instead of the caller's own.
///
/// # Safety
/// The block is loaded nowhere else, and `f` uses no thread-local that the caller has the address of.
#[inline(always)]
pub(crate) unsafe fn with_block<R>(block: ThreadPointer, f: impl FnOnce() -> R) -> R {
    let mine = loaded_block();
    // SAFETY: as the caller promises.
    unsafe { load_block(block) };
    let result = f();
    // SAFETY: it was loaded before, so it is this thread's own.
    unsafe { load_block(mine) };
    result
}
