//! The place of some addresses of futexes: the Gs that wait there, and how many threads do in the kernel.
//!
//! # The argument
//! *A wake is for as many of each kind*, if threads may wait for the word too, as a wait may always end for no reason. So
//! no kind keeps the other from a lock; and if the runtime itself waits in the kernel, in code of the user's as an allocator,
//! it is never a G alone that is woken, which perhaps cannot run before the runtime goes on. The threads come first, as to
//! wake a G may take a lock of the runtime that such a thread holds.
//!
//! *No thread is overlooked.* The kernel is not asked if as many Gs were woken as the caller wants, and no thread counts as
//! one that may wait for the word. That is ordered as the count of the table is (`futex_table.rs`):
//!
//! ```text
//! a wait of a thread                  a wake, by anybody
//!   threads += 1                        (the caller has changed the word)
//!   fence                               fence, in `Bucket::is_empty`
//!   the kernel: lock                    read threads
//!     if the word has changed: no wait  if one may wait for the word: ask the kernel
//!     put it into its queue             wake Gs
//!     unlock, sleep                     if these are less than wanted: ask the kernel
//!   threads -= 1
//! ```
//! If the wait's fence is first, the wake sees that it counts. If the wake's is first, the kernel sees the changed word.
//! Who does not count, as code that makes the system call itself, is woken if no G is.
//!
//! `futex_places_loom.rs` models it, with a kernel that promises no more than that.

use crate::futex_table::Bucket;
use pirn_runtime::internal::{AtomicUsize, Ordering, Told, fence};
use std::ffi::c_long;

/// A bucket, and the threads that wait in the kernel for its words.
pub(crate) struct Place {
    pub(crate) bucket: Bucket,
    threads: Threads,
}

impl Place {
    /// Nobody waits.
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Place {
        Place { bucket: Bucket::new(), threads: Threads(AtomicUsize::new(0)) }
    }

    /// Nobody waits.
    #[cfg(loom)]
    pub(crate) fn new() -> Place {
        Place { bucket: Bucket::new(), threads: Threads(AtomicUsize::new(0)) }
    }

    /// A thread waits for the word at that address: `ask` has the kernel compare it, and returns when that has ended.
    pub(crate) fn wait_in_kernel<R>(&self, address: usize, ask: impl FnOnce() -> R) -> R {
        self.threads.come(address);
        let done = ask();
        self.threads.leave(address);
        done
    }

    /// Wakes up to `most` of each kind that wait at that address for one of these bits. `ask_kernel` wakes so many threads,
    /// and returns how many there were; `wake` wakes a G. Returns how many were woken, or what the kernel has returned. The
    /// caller has called [`Bucket::is_empty`] since it has changed the word.
    pub(crate) fn wake(
        &self,
        address: usize,
        bits: u32,
        most: usize,
        ask_kernel: impl Fn(usize) -> c_long,
        wake: impl FnMut(Told),
    ) -> c_long {
        let threads = if self.threads.may_wait(address) { ask_kernel(most) } else { 0 };
        let gs = self.bucket.wake(address, bits, most, wake) as c_long;
        if threads != 0 || gs == most as c_long {
            return (threads.max(0) + gs).min(most as c_long);
        }
        // One of whom nobody knows.
        let threads = ask_kernel(most - gs as usize);
        if gs == 0 { threads } else { threads.max(0) + gs }
    }
}

/// How many wait, in the upper half, and the sum of the marks of their addresses in the lower half: most often there is one,
/// a thread of the runtime that sleeps, and it is seen that it waits for something else.
struct Threads(AtomicUsize);

impl Threads {
    const ONE: usize = 1 << 32;

    fn of(address: usize) -> usize {
        Self::ONE | (spread(address) & 0xFFFF)
    }

    /// The caller is about to wait for that word in the kernel.
    fn come(&self, address: usize) {
        // Relaxed: the fence orders it (partner: the fence in `Bucket::is_empty`).
        self.0.fetch_add(Self::of(address), Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// It does not wait any more.
    fn leave(&self, address: usize) {
        self.0.fetch_sub(Self::of(address), Ordering::Relaxed);
    }

    /// Whether one may wait for that word. The caller has called `Bucket::is_empty` since it has changed the word.
    fn may_wait(&self, address: usize) -> bool {
        let all = self.0.load(Ordering::Relaxed);
        if all >> 32 == 1 { all == Self::of(address) } else { all != 0 }
    }
}

/// Numbers of which neighbours lie far from each other (Knuth, "Sorting and Searching", 6.4).
pub(crate) fn spread(address: usize) -> usize {
    /// 2^64 divided by the golden ratio.
    const SPREAD: usize = 0x9E37_79B9_7F4A_7C15;
    address.wrapping_mul(SPREAD) >> 32
}

#[cfg(all(test, loom))]
#[path = "futex_places_loom.rs"]
mod tests;
