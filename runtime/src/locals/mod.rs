//! # What lives here
//! Whose thread-locals a G uses: its own, or those of the M that runs it ([`Locals`]), and the test that the own ones
//! work on this system (`self_test`).
//!
//! # Who may come in
//! `boot` chooses; `sched/run.rs` binds a block to a G with its stack, and loads it around each resume.
//!
//! # The argument
//! A thread-local breaks in two ways when a G moves from one OS thread to another: a reference into it, or a value that
//! must not change threads, goes on on a thread that it does not belong to; and optimised code may keep the address of a
//! thread-local over any call, a suspension too. Both rest on one assumption: that a function's thread does not change
//! under it. Here it does not. A G has a thread-local block of its own, of the same make as a thread's, and while it
//! runs, FS points to it, whichever M runs it. Its stack and its thread-locals move together. So to the program a G is a
//! thread, and the M is only the CPU that it runs on: addresses that were kept stay right, values that are not `Send`
//! stay with their owner, and what std and libc keep per thread (the panic count, the owner of a lock, `errno`, the
//! allocator's cache) is kept per G.
//!
//! # Invariants
//! 1. A block is loaded by at most one M, the one that runs its G. While an M runs none, its own block is loaded.
//! 2. Between loading a block and resuming, and between the suspension and loading the M's own, no thread-local is used
//!    but the runtime's own one, which is never cached (`m/current.rs`).
//! 3. A block is made once for a slot and stays there. Each new G in the slot finds the program's thread-locals as a
//!    new thread does, those of libraries that were loaded later too. libc's part is kept: freed with its G it would
//!    leak the allocator's cache.
//! 4. A slot has room for the block beside the stack that was asked for, however large the program's thread-locals are:
//!    they choose the size class too (`stack_class` in `go/builder.rs`).
//! 5. The destructors of a G's thread-locals run on the G's stack with its block loaded, before its joiner is told.
//!
//! # Limits
//! - What the kernel keeps per thread does not move with a G: the thread id, signal mask, priority, affinity. A G's
//!   block has an id of its own that the kernel does not know, so what libc asks the kernel by it fails in a G
//!   (`pthread_getaffinity_np` and the like for oneself), and a contended priority-inheritance mutex hangs.
//! - `setuid`, `setgid` and the like, which libc carries out on every thread, do not return on a G: change identity
//!   before the first runtime is built.
//! - A library that is loaded later (`dlopen`) and insists on static thread-locals (initial-exec) finds them
//!   uninitialised in Gs that have begun before: glibc initialises them in the threads that it knows. Gs that begin
//!   after it was loaded have them, but for some that begin within milliseconds: the library is seen when a block is
//!   made, a runtime is built, a thread outside of the runtime that has loaded it starts a G, or sysmon looks. Ordinary
//!   thread-locals of such a library work everywhere.
//! - An allocator with a heap per thread (mimalloc, jemalloc) has one per G.
//! - A library that has room for so many threads counts each G that uses it: the registry of tracing-subscriber panics
//!   when more than 4096 Gs live that have made a span.
//! - Valgrind and sanitizers do not follow the FS register. With shared thread-locals Valgrind works with
//!   `--max-stackframe=40000`, AddressSanitizer with `-Cllvm-args=-asan-stack=0`; ThreadSanitizer does not work.
//! - In the child of a fork the block of the G that has forked is the only thread that libc knows, and the stack of the M
//!   is free: `m/fork.rs`.
//!
//! # Tests
//! `self_test.rs` runs once in each process. Of those in `tests/`, `breakages.rs` shows the two ways in which
//! thread-locals break, which they do without blocks; `torture.rs` moves Gs that hold something a million times a second;
//! `crates.rs` does it to crates, `like_a_thread.rs` to std, `locals.rs` to libc.

#![cfg(not(loom))]

mod self_test;

use crate::os::{Blocks, ThreadPointer, load_block, loaded_block, thread_local_blocks};
use crate::stack::{Slot, StackError};
use std::io;
use std::sync::Mutex;

/// Whose thread-locals the Gs of a runtime use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Locals {
    /// Those of whichever M runs them.
    Shared,
    /// Their own.
    Own(&'static Blocks),
}

impl Locals {
    /// Gs with thread-locals of their own, if this system can do it.
    ///
    /// # Errors
    /// `Unsupported`, with what is missing or what failed.
    pub(crate) fn own() -> io::Result<Locals> {
        // What fails for want of a thread or of memory may work next time; only success is kept.
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
            // Where there can be no blocks, no slot has one.
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
            Locals::Own(blocks) => {
                let block = if slot.has_kept_top() {
                    let block = blocks.block_in(slot.base());
                    // SAFETY: it was made when the top was kept, and the slot has no G.
                    unsafe { blocks.renew(block) };
                    block
                } else {
                    make(blocks, slot)?
                };
                Ok((blocks.room_bytes(), Some(block)))
            }
        }
    }

    /// Has new Gs find libraries that the calling thread has loaded since the last look.
    #[inline]
    pub(crate) fn look_for_own_libraries(self) {
        if let Locals::Own(blocks) = self {
            blocks.look_if_caller_loaded();
        }
    }

    /// Has new Gs find libraries that were loaded since the last look. Cheap, but no part of the start of each G: it takes
    /// a lock of the loader.
    pub(crate) fn look_for_libraries(self) {
        if let Locals::Own(blocks) = self {
            blocks.look_again();
        }
    }

    /// The first thing that a G does.
    #[inline]
    pub(crate) fn begin(self) {
        if let Locals::Own(blocks) = self {
            // SAFETY: a G of this runtime runs with its block loaded.
            unsafe { blocks.begin() };
        }
    }

    /// Has the calling G, whose thread-locals have been destroyed, find new ones. The runtime's own is among them: the
    /// caller sets it again.
    #[cold]
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
fn make(blocks: &Blocks, slot: &Slot) -> Result<ThreadPointer, StackError> {
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
