//! Wakes of all threads that wait in the kernel at some addresses, which are made later, each once, however often they are
//! wanted until then.
//!
//! # The argument
//! *Nobody is overlooked.* Who wants a wake has changed the word, then there is a fence, and then it looks whether the wake
//! is left already. Who makes the wakes takes the address out, then there is a fence, and then the kernel looks for those
//! that wait; and who waits is in the kernel's queue, then there is a fence, and then the kernel compares the word.
//! If the first sees the address, it is taken out after that. So its fence comes before that of the second; and if that
//! does not find one that waits, its fence comes before that of the third, which sees the changed word. If the address is
//! not there it is put there after the change, and the same holds.
//!
//! *Each is made.* The runtime sees to that (`leave_to_sysmon`): whoever puts an address there tells it afterwards. Who finds
//! one there, which the other may have still to tell, need not. An address that another one drives out comes back, and its wake
//! is made at once.
//!
//! An address may be that of something else by then: who waits there is woken for no reason, which each wait allows. The
//! kernel does not follow it.
//!
//! `late_wakes_loom.rs` models it.

use pirn_runtime::internal::{AtomicUsize, Ordering, fence};

/// More than a program has words at which it wakes all within some milliseconds, mostly.
const SLOTS: usize = if cfg!(loom) { 1 } else { 64 };

/// See the head of this file.
pub(crate) struct LateWakes {
    /// Addresses; 0 is none.
    slots: [AtomicUsize; SLOTS],
}

impl LateWakes {
    /// None are left.
    #[cfg(not(loom))]
    pub(crate) const fn new() -> LateWakes {
        LateWakes { slots: [const { AtomicUsize::new(0) }; SLOTS] }
    }

    #[cfg(all(test, loom))]
    fn new() -> LateWakes {
        LateWakes { slots: std::array::from_fn(|_| AtomicUsize::new(0)) }
    }

    fn slot(&self, address: usize) -> &AtomicUsize {
        // They are multiples of four, and of a cache line mostly not neighbours.
        &self.slots[(address >> 6 ^ address >> 2) % SLOTS]
    }

    /// Whether a wake at that address is left already. There was a fence since the caller has changed the word.
    pub(crate) fn is_left(&self, address: usize) -> bool {
        // Relaxed: the fences order it.
        self.slot(address).load(Ordering::Relaxed) == address
    }

    /// Leaves a wake at that address. Returns another address, whose wake is to be made now.
    pub(crate) fn leave(&self, address: usize) -> Option<usize> {
        // Acquire and Release: the fences order it, but so the exchanges have one order for the models too.
        let before = self.slot(address).swap(address, Ordering::AcqRel);
        (before != 0 && before != address).then_some(before)
    }

    /// Makes those that are left.
    pub(crate) fn take(&self, mut wake: impl FnMut(usize)) {
        for slot in &self.slots {
            // Acquire and Release: as above.
            let address = slot.swap(0, Ordering::AcqRel);
            if address != 0 {
                fence(Ordering::SeqCst);
                wake(address);
            }
        }
    }
}

#[cfg(all(test, loom))]
#[path = "late_wakes_loom.rs"]
mod tests;
