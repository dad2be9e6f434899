//! Forks: what a process does first in a child that it forked.

use super::glibc::{rseq_offset, symbol};
use super::thread_pointer::ThreadPointer;
use std::ffi::c_int;
use std::io;

/// What runs before a fork, and after it in the parent.
pub(crate) type Around = (extern "C" fn(), extern "C" fn());

/// Has `in_child` run in each child of `fork`, on the thread that has forked. It must be signal-safe. `before` and
/// `in_parent`, if any, run on that thread before and after, where it goes on. A child that was made without libc's `fork`
/// runs nothing.
///
/// # Errors
/// There is no memory for it.
pub(crate) fn on_fork(around: Option<Around>, in_child: extern "C" fn()) -> io::Result<()> {
    let child: unsafe extern "C" fn() = in_child;
    let before = around.map(|(before, _)| before as unsafe extern "C" fn());
    let in_parent = around.map(|(_, in_parent)| in_parent as unsafe extern "C" fn());
    // SAFETY: the functions are there as long as the program.
    let status = unsafe { libc::pthread_atfork(before, in_parent, Some(child)) };
    if status == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(status)) }
}

/// `enum rseq_flags`, and what glibc registers with (neither is in `libc`).
const RSEQ_FLAG_UNREGISTER: c_int = 1;
const RSEQ_SIGNATURE: u32 = 0x5305_3053;

/// What it takes to tell the kernel that a thread is gone: found before a fork, as looking for symbols is not
/// signal-safe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rseq {
    offset: isize,
    bytes: u32,
}

impl Rseq {
    /// None if the C library has registered nothing.
    pub(crate) fn find() -> Option<Rseq> {
        let offset = rseq_offset()?;
        let bytes = symbol(c"__rseq_size").ok()?.cast::<u32>();
        // SAFETY: glibc declares it as const unsigned int.
        let bytes = unsafe { bytes.read() };
        // It says how much of it is in use; 32 is the least that is registered.
        (bytes > 0).then_some(Rseq { offset, bytes: bytes.max(32) })
    }

    /// Tells the kernel to write no more into the rseq area of `block`, which the calling thread had: the memory may be
    /// given back. Signal-safe.
    pub(crate) fn forget(self, block: ThreadPointer) {
        let area = block.address().wrapping_add_signed(self.offset);
        // SAFETY: to unregister touches no memory; if another is registered the kernel refuses.
        let _ = unsafe { libc::syscall(libc::SYS_rseq, area, self.bytes, RSEQ_FLAG_UNREGISTER, RSEQ_SIGNATURE) };
    }
}

/// Ends the process at once: no exit handlers, nothing is written that was buffered. Signal-safe.
pub(crate) fn exit_at_once(status: c_int) -> ! {
    // SAFETY: no preconditions.
    unsafe { libc::_exit(status) }
}
