//! The values of pthread keys (thread-specific data) of a block.

use super::thread_pointer::ThreadPointer;
use std::ffi::c_void;
use std::ptr;

/// What glibc knows of a pthread key.
#[derive(Debug)]
#[repr(C)]
pub(super) struct SpecificKey {
    /// It changes when the key is made or deleted; values of before are stale.
    sequence: usize,
    destructor: Option<unsafe extern "C" fn(*mut c_void)>,
}

/// Thread-specific data: two levels of so many places, each a sequence number and a value.
const SPECIFIC: usize = 32;
/// A destructor may set a value again; glibc looks so many times.
const SPECIFIC_ROUNDS: usize = 4;

/// Where a block has its values, and what glibc knows of the keys.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) specific: usize,
    pub(super) keys: *const SpecificKey,
}

impl Keys {
    /// Runs the destructors of the values of a block, which is loaded by its user.
    #[inline]
    pub(super) fn destroy(&self, block: ThreadPointer) {
        for _ in 0..SPECIFIC_ROUNDS {
            // libc says here whether any value was set.
            let used = self.specific + SPECIFIC * size_of::<usize>();
            if block.get(used) & 0xff == 0 {
                return;
            }
            block.put_u8(used, 0);
            self.destroy_specific(block);
        }
    }

    /// What glibc does for the values of pthread keys at the end of a thread.
    #[cold]
    fn destroy_specific(&self, block: ThreadPointer) {
        for key in 0..SPECIFIC * SPECIFIC {
            let level = block.get(self.specific + key / SPECIFIC * size_of::<usize>());
            if level == 0 {
                continue;
            }
            let place = ptr::with_exposed_provenance_mut::<[usize; 2]>(level).wrapping_add(key % SPECIFIC);
            // SAFETY: a level has so many places, and they are the running block's own.
            let [sequence, value] = unsafe { place.read() };
            if value == 0 {
                continue;
            }
            // SAFETY: as above.
            unsafe { place.write([sequence, 0]) };
            // SAFETY: glibc has as many keys as there are places.
            let known = unsafe { &*self.keys.wrapping_add(key) };
            if let Some(destructor) = known.destructor
                && known.sequence == sequence
            {
                // SAFETY: the program gave it for values of this key.
                unsafe { destructor(ptr::with_exposed_provenance_mut(value)) };
            }
        }
    }
}
