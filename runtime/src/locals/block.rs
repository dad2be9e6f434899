//! A block of thread-locals: made in a slot, loaded for a call.

use crate::os::{Blocks, ThreadPointer, known_blocks};
use crate::stack::{Slot, StackError};
use std::ptr;

/// Makes the block of a slot that has none.
#[cold]
pub(super) fn make(blocks: &Blocks, slot: &Slot, leaves_room: bool) -> Result<ThreadPointer, StackError> {
    blocks.look_again();
    let block = blocks.place(slot.end(), slot.spread());
    // SAFETY: the slot has no G yet, and the kept part of the room is kept from here on.
    let made = unsafe { blocks.make(block) };
    let below = made.map_err(|e| StackError::Refused {
        class: slot.class(),
        what: "allocating thread-locals",
        errno: e.raw_os_error().unwrap_or(12),
    })?;
    set_room(blocks, slot, block, below);
    if leaves_room {
        set_room(blocks, slot, block, blocks.below_max());
    }
    Ok(block)
}

/// Has the stack of `slot` begin `below` bytes below the thread pointer of its block. It has no G yet.
#[inline]
pub(super) fn set_room(blocks: &Blocks, slot: &Slot, block: ThreadPointer, below: usize) {
    let room_bytes = slot.end() - (block.address() - below);
    if slot.room_bytes() != room_bytes {
        change_room(blocks, slot, block, room_bytes);
    }
}

/// When the block has just been made, when libraries have been loaded since the last G, and for the main G.
#[cold]
fn change_room(blocks: &Blocks, slot: &Slot, block: ThreadPointer, room_bytes: usize) {
    let before_bytes = slot.room_bytes();
    if before_bytes != 0 && before_bytes < room_bytes {
        // It was stack. A library whose thread-locals come to lie there finds zeros.
        let added = ptr::with_exposed_provenance_mut::<u8>(slot.end() - room_bytes);
        // SAFETY: the slot has no G, and this is a part of it below the block.
        unsafe { ptr::write_bytes(added, 0, room_bytes - before_bytes) };
    }
    slot.set_room(room_bytes, slot.end() - (block.address() - blocks.kept_below()));
}

/// Unmakes the block in the room at the top of a free slot, for the scavenger. Says whether that was possible.
pub(crate) fn unmake_block(slot: &Slot) -> bool {
    // SAFETY: a slot with a room has a block, which is loaded nowhere, as the slot has no G.
    known_blocks().is_some_and(|blocks| unsafe { blocks.unmake(blocks.place(slot.end(), slot.spread())) })
}
