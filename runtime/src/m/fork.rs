//! The child of a fork: it has the memory of the process and one of its threads, so it has Gs, but no Ms to run them.
//!
//! # What happens there
//! If a G has forked, the child continues on the G's stack, with its block of thread-locals; to libc that block is
//! the only thread. The thread under the G is gone: libc treats the M's stack as free, and gives it to the next
//! thread that is started. So the G must never get there again, by a suspension or at its end. [`in_child`] therefore
//! makes the caller a thread that is no M. From then on it finds no runtime, which the public functions ask for
//! first; and those that would wait for a G check whether this is a fork. This adds nothing to what a G does often.
//!
//! No one knows whether other threads held locks when the process forked, so no runtime is built in the child. The
//! child may do all that needs no runtime, as long as it needs no lock of one; above all exec and exit.

#![cfg(not(loom))]

use super::{M, current};
use crate::os::{Rseq, exit_at_once, loaded_block, on_fork};
use crate::probe::last_words;
use std::io;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

/// This process: 0 is no fork since its first runtime was built, otherwise one of the two below.
static FORK: AtomicU8 = AtomicU8::new(0);
const ON_THREAD: u8 = 1;
/// By a G, or something else that ran on an M.
const ON_M: u8 = 2;

/// Known before the first fork.
static RSEQ: OnceLock<Option<Rseq>> = OnceLock::new();

/// Lets children know that they are forks.
///
/// # Errors
/// There is no memory for it.
pub(crate) fn watch_forks() -> io::Result<()> {
    RSEQ.get_or_init(Rseq::find);
    on_fork(None, in_child)
}

/// Runs in the child, where only what is signal-safe may run.
extern "C" fn in_child() {
    // SAFETY: the record of the M is still there to be read.
    let m = unsafe { current::machine().as_ref() };
    FORK.store(if m.is_some() { ON_M } else { ON_THREAD }, Ordering::Relaxed);
    if let Some(own) = m.and_then(M::own_block)
        && own != loaded_block()
        && let Some(rseq) = RSEQ.get().copied().flatten()
    {
        // The kernel writes into the block of the thread that is gone, whose memory may be given back.
        rseq.forget(own);
    }
    current::set_machine(ptr::null());
    current::forget_thread_id();
}

/// Whether this process was forked after its first runtime was built.
#[inline]
pub fn is_fork() -> bool {
    // Relaxed: only one thread is there when it is set.
    FORK.load(Ordering::Relaxed) != 0
}

/// In a fork there is no runtime, and none can be built.
#[cold]
pub(crate) fn error_in_fork() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "this process is a fork of one that has a runtime, of which only the memory is here: exec another program or \
         exit, or fork before the first runtime is built",
    )
}

/// Ends the child of a fork, which `does` something that needs what is not there.
#[cold]
pub(crate) fn end_in_fork(does: &str) -> ! {
    last_words(format!("fatal error: {does}: {}\n", error_in_fork()).as_bytes());
    exit_at_once(2);
}

/// The caller is about to wait, and is no G. If it was one, in the parent, it would wait for ever.
#[inline]
pub(crate) fn may_wait() {
    if FORK.load(Ordering::Relaxed) == ON_M {
        end_in_fork("a goroutine that has forked waits in the child");
    }
}
