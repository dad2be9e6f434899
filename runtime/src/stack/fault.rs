//! Tells a stack overflow from other faults, says so, and aborts.
//!
//! Recovering was tried: corosensei can unwind from the handler, but destructors do not run, locks stay held,
//! and an overflow inside malloc deadlocked the process within 100 tries. Go ends the process too.

use std::fmt::{self, Write as _};
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::arena::{Arena, Owner, owner_of};
use super::slot::Slot;
use crate::os::{self, Fault};
use crate::probe::last_words;

/// Writes who `owner` (of `Slot::set_owner`) is, one or more whole lines. It runs in a signal handler: it
/// must not allocate, lock, or call anything that does, and it must not panic.
pub(crate) type Describe = fn(owner: *const (), out: &mut FaultWriter);

/// Complete before the handler is installed, so a plain read in the handler is enough.
static DESCRIBE: OnceLock<Describe> = OnceLock::new();

/// Has overflows of stacks reported with the help of `describe`. Everything else that faults goes to the
/// handlers that were there before. Only the first call does something. Each thread that runs Gs needs an
/// `os::AltStack`.
///
/// # Errors
///
/// What the kernel answers to a new signal handler.
pub(crate) fn install_overflow_report(describe: Describe) -> io::Result<()> {
    let _ = DESCRIBE.set(describe);
    os::install_fault_handler(on_fault)
}

/// Runs in a signal handler, on the alternate stack. The lines below say why each step is safe there.
fn on_fault(fault: &Fault) {
    // Loads of atomics that are never freed; no locks.
    let Some(overflown) = overflown(fault) else { return };
    static IS_REPORTING: AtomicBool = AtomicBool::new(false);
    // One atomic swap. Relaxed: it guards no data, it only picks the thread that writes.
    if IS_REPORTING.swap(true, Ordering::Relaxed) {
        // Another thread is reporting an overflow, and will end the process.
        loop {
            std::hint::spin_loop();
        }
    }
    // A buffer on this stack; writing to it formats without allocating, and empties it with write(2).
    let mut out = FaultWriter::new();
    out.put("fatal error: goroutine stack overflow\n");
    // Written at once: if the description faults too, this line is there.
    out.flush();
    // A load of a complete value, and a function that promises to be safe here.
    if let Some(describe) = DESCRIBE.get().filter(|_| !overflown.owner.is_null()) {
        describe(overflown.owner, &mut out);
    }
    // Loads of atomics that are never freed.
    let slot = Slot::new(overflown.class, overflown.index);
    out.put("the limit of this stack is ");
    out.put_dec(slot.class().size_bytes() as u64 >> 10);
    out.put(" KiB (");
    out.put_dec(slot.usable_bytes() as u64 >> 10);
    out.put(" KiB usable); raise it with GoBuilder::stack_size, Builder::stack_size or PIRN_STACK\n");
    out.flush();
    // System calls only.
    os::abort();
}

/// The slot whose stack has run over, or nothing if this is another kind of fault.
fn overflown(fault: &Fault) -> Option<Owner> {
    let arena = Arena::find(fault.address)?;
    // Code that does not run on a stack of this arena has not overflown one: it has used a wild pointer. The
    // stack pointer may have left its slot, though: a large frame without probes moves it first and touches
    // later.
    if !arena.contains(fault.stack_pointer) {
        return None;
    }
    match owner_of(fault.address) {
        Some(hit) if hit.is_guard => Some(hit),
        // The usable part of a stack does not fault for want of room (it may for bad hardware).
        Some(_) => None,
        // Never opened, or outside of the slots: a frame that jumped over its guard can get there.
        None => owner_of(fault.stack_pointer),
    }
}

/// Text on its way to standard error from a signal handler: a fixed buffer, no allocation, no locks.
#[derive(Debug)]
pub(crate) struct FaultWriter {
    len: usize,
    buffer: [u8; 1024],
}

impl FaultWriter {
    /// An empty buffer.
    pub(super) fn new() -> FaultWriter {
        FaultWriter { len: 0, buffer: [0; 1024] }
    }

    /// Appends text.
    pub(crate) fn put(&mut self, text: &str) {
        for &byte in text.as_bytes() {
            if self.len == self.buffer.len() {
                self.flush();
            }
            self.buffer[self.len] = byte;
            self.len += 1;
        }
    }

    /// Appends a decimal number.
    pub(crate) fn put_dec(&mut self, number: u64) {
        // Formatting an integer uses a buffer on the stack. `write_str` below never fails.
        let _ = write!(self, "{number}");
    }

    /// Writes out what has been appended.
    pub(super) fn flush(&mut self) {
        last_words(&self.buffer[..self.len]);
        self.len = 0;
    }
}

impl fmt::Write for FaultWriter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text);
        Ok(())
    }
}
