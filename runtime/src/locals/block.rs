//! A block of thread-locals: made in a slot, loaded for a call.

use crate::os::{Blocks, ThreadPointer, load_block, loaded_block};
use crate::stack::{Slot, StackError};

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

#[cold]
pub(super) fn make(blocks: &Blocks, slot: &Slot) -> Result<ThreadPointer, StackError> {
    // SAFETY: the slot has no G yet, and its top is kept from here on.
    let made = unsafe { blocks.make(slot.base()) };
    let block = made.map_err(|e| StackError::Refused {
        class: slot.class(),
        what: "allocating thread-locals",
        errno: e.raw_os_error().unwrap_or(12),
    })?;
    slot.keep_top(blocks.room_bytes(), blocks.used_bytes(slot.base()));
    Ok(block)
}
