//! The two modes: thread-locals of the M, or of each G's own.

use super::block::make;
use super::self_test;
use crate::os::{Blocks, ThreadPointer, loaded_block, thread_local_blocks};
use crate::stack::{Slot, StackError};
use std::io;
use std::sync::Mutex;

/// Whose thread-locals the Gs of a runtime use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Locals {
    /// Those of the M that runs them.
    Shared,
    /// Their own.
    Own(&'static Blocks),
}

impl Locals {
    /// Gs with thread-locals of their own, if this system can do it.
    ///
    /// # Errors
    /// `Unsupported`, with what is missing or what failed.
    pub(crate) fn isolated() -> io::Result<Locals> {
        // What fails for lack of a thread or of memory may work next time, so only success is kept.
        static TESTED: Mutex<bool> = Mutex::new(false);
        let unsupported = |error: io::Error| match error.kind() {
            io::ErrorKind::Unsupported => io::Error::new(
                io::ErrorKind::Unsupported,
                format!(
                    "goroutines can not have thread-locals of their own here: {error}. \
                     `unsafe {{ Builder::new().shared_thread_locals() }}` does without, if you keep what it asks for"
                ),
            ),
            _ => error,
        };
        let blocks = thread_local_blocks().map_err(unsupported)?;
        let mut tested = TESTED.lock().unwrap_or_else(|e| e.into_inner());
        if !*tested {
            self_test::run(blocks).map_err(unsupported)?;
            *tested = true;
        }
        Ok(Locals::Own(blocks))
    }

    /// How much room at the top of a slot is not stack. Gs that share their M's thread-locals may get a slot that those
    /// of another runtime have used, so they need one as large.
    pub(crate) fn room_bytes(self) -> usize {
        match self {
            // If the system has no blocks, no slot has one.
            Locals::Shared => thread_local_blocks().map_or(0, Blocks::room_bytes),
            Locals::Own(blocks) => blocks.room_bytes(),
        }
    }

    /// The room at the top of `slot` that is not stack, and the block in it that is ready for a new G.
    ///
    /// # Errors
    /// If there is no memory for a block.
    #[inline]
    pub(crate) fn room_for(self, slot: &Slot) -> Result<(usize, Option<ThreadPointer>), StackError> {
        match self {
            // A slot whose top holds a block that another runtime's Gs use keeps it.
            Locals::Shared => Ok((slot.room_bytes(), None)),
            Locals::Own(blocks) => match self.room_at_hand(slot) {
                Some(room) => Ok(room),
                None => Ok((blocks.room_bytes(), Some(make(blocks, slot)?))),
            },
        }
    }

    /// As [`room_for`](Self::room_for), if no block has to be made.
    #[inline(always)]
    pub(crate) fn room_at_hand(self, slot: &Slot) -> Option<(usize, Option<ThreadPointer>)> {
        match self {
            Locals::Shared => Some((slot.room_bytes(), None)),
            Locals::Own(blocks) => slot.has_kept_top().then(|| {
                let block = blocks.block_in(slot.base());
                // SAFETY: it was made when the top was kept, and the slot has no G.
                unsafe { blocks.renew(block) };
                (blocks.room_bytes(), Some(block))
            }),
        }
    }

    /// Makes libraries that the calling thread has loaded since the last look known to new Gs.
    #[inline]
    pub(crate) fn look_for_own_libraries(self) {
        if let Locals::Own(blocks) = self {
            blocks.look_if_caller_loaded();
        }
    }

    /// Makes libraries that were loaded since the last look known to new Gs. It is cheap, but not done at the start of
    /// each G, as it takes a lock of the loader.
    pub(crate) fn look_for_libraries(self) {
        if let Locals::Own(blocks) = self {
            blocks.look_again();
        }
    }

    /// The first thing that a G does.
    #[inline]
    pub(crate) fn init(self) {
        if let Locals::Own(blocks) = self {
            // SAFETY: a G of this runtime runs with its block loaded.
            unsafe { blocks.init() };
        }
    }

    /// Gives the calling G, whose thread-locals have been destroyed, new ones. The runtime's own is among them: the
    /// caller sets it again.
    #[inline]
    pub(crate) fn renew(self) {
        if let Locals::Own(blocks) = self {
            // SAFETY: the block is loaded by the caller alone, and `destroy` has ended its use.
            unsafe { blocks.renew(loaded_block()) };
        }
    }

    /// Runs the destructors of the thread-locals that the calling G has used.
    #[inline]
    pub(crate) fn destroy(self) {
        if let Locals::Own(blocks) = self {
            // SAFETY: as above.
            unsafe { blocks.destroy() };
        }
    }
}
