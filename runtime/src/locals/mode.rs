//! The two modes: thread-locals of the M, or of each G's own.

use super::block::{make, set_room};
use super::self_test;
use crate::os::Mutex;
use crate::os::{Blocks, ThreadPointer, loaded_block, thread_local_blocks};
use crate::stack::{Slot, StackError, any_slot_in_use, stack_base_at};
use std::io;

/// Whose thread-locals the Gs of a runtime use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Locals {
    /// Those of the M that runs them.
    Shared,
    /// Their own.
    Own(&'static Blocks),
}

impl Locals {
    /// Gs with thread-locals of their own, if this system can do it; `leaves_room`: with room for all static thread-locals
    /// of libraries that may be loaded later, in all runtimes from now on.
    ///
    /// # Errors
    /// `Unsupported`, with what is missing or what failed.
    pub(crate) fn isolated(leaves_room: bool) -> io::Result<Locals> {
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
        if leaves_room {
            blocks.leave_room_for_libraries();
        }
        let mut tested = TESTED.lock().unwrap_or_else(|e| e.into_inner());
        if !*tested {
            self_test::run(blocks).map_err(unsupported)?;
            blocks.learn_to_unmake();
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

    /// The block of thread-locals for a new G in `slot`, whose stack begins below it; `leaves_room`: with room for all
    /// libraries that may be loaded later.
    ///
    /// # Errors
    /// If there is no memory for a block.
    #[inline]
    pub(crate) fn block_for(self, slot: &Slot, leaves_room: bool) -> Result<Option<ThreadPointer>, StackError> {
        match self {
            // A slot whose top holds a block that another runtime's Gs use keeps it.
            Locals::Shared => Ok(None),
            Locals::Own(blocks) => match self.block_at_hand(slot, leaves_room) {
                Some(block) => Ok(block),
                None => make(blocks, slot, leaves_room).map(Some),
            },
        }
    }

    /// As [`block_for`](Self::block_for), if no block has to be made.
    #[inline(always)]
    pub(crate) fn block_at_hand(self, slot: &Slot, leaves_room: bool) -> Option<Option<ThreadPointer>> {
        match self {
            Locals::Shared => Some(None),
            Locals::Own(blocks) => (slot.room_bytes() != 0).then(|| {
                let block = blocks.place(slot.end(), slot.spread());
                let make_room =
                    |below| set_room(blocks, slot, block, if leaves_room { blocks.below_max() } else { below });
                // SAFETY: it was made when the room was set aside, and the slot has no G.
                unsafe { blocks.renew(block, make_room) };
                Some(block)
            }),
        }
    }

    /// Whether a new G may begin on the stack of one that has ended, in `slot`, with its block: there is as much room
    /// below the block as a new G has to have.
    #[inline(always)]
    pub(crate) fn may_begin_in(self, slot: &Slot, leaves_room: bool) -> bool {
        match self {
            Locals::Shared => true,
            Locals::Own(blocks) => {
                let below = loaded_block().address() - slot.stack_base();
                below >= if leaves_room { blocks.below_max() } else { blocks.room_now() }
            }
        }
    }

    /// Gives the new G that begins in `slot`, on the stack of the calling one, which has ended, new thread-locals.
    #[inline(always)]
    pub(crate) fn renew_in(self, slot: &Slot) {
        if let Locals::Own(blocks) = self {
            // SAFETY: the block is loaded by the caller alone, and `destroy` has ended its use.
            unsafe { blocks.renew_own(slot.stack_base()) };
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
    /// each G, as it takes a lock of the loader. Says what to warn of, once for each library.
    pub(crate) fn look_for_libraries(self) -> Option<String> {
        let Locals::Own(blocks) = self else { return None };
        blocks.look_again();
        let (library, below) = blocks.take_overlap()?;
        let gs = any_slot_in_use(|slot| {
            // One that has a room has a block.
            slot.room_bytes() != 0 && blocks.place(slot.end(), slot.spread()).address() - slot.stack_base() < below
        });
        gs.then(|| overlap_warning(&library))
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
            let stack_base = stack_base_at(loaded_block().address()).expect("the block of a G lies in its slot");
            // SAFETY: the block is loaded by the caller alone, and `destroy` has ended its use.
            unsafe { blocks.renew_own(stack_base) };
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

#[cold]
fn overlap_warning(library: &str) -> String {
    format!(
        "{library} has static thread-locals (initial-exec) and was loaded while goroutines live that have no room for \
         them: in those its thread-locals lie in the stack, so they must not call it. Load it before they begin, link it, \
         or set Builder::room_for_libraries or PIRN_DEBUG=libraryroom=1"
    )
}
