//! The atomics, cells and locks of std, or loom's when the models run: chosen here, once. For models there is also a
//! substitute for parking (`parking`).

#[cfg(not(loom))]
pub(crate) use crate::os::{Mutex, MutexGuard};
#[cfg(not(loom))]
pub use cell::UnsafeCell;
#[cfg(not(loom))]
pub(crate) use spin::{Gate, nap, pause, yield_thread};
#[cfg(not(loom))]
pub use std::sync::Arc;
#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicPtr, AtomicU32, AtomicUsize, Ordering, fence};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU8, AtomicU64};

#[cfg(loom)]
pub use loom::cell::UnsafeCell;
#[cfg(loom)]
pub use loom::sync::Arc;
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicBool, AtomicIsize, AtomicPtr, AtomicU32, AtomicUsize, Ordering, fence};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU8, AtomicU64};
#[cfg(loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};

#[cfg(all(test, loom))]
pub(crate) use loom::{model, thread};

#[cfg(loom)]
pub(crate) use gate::{Gate, nap, pause, yield_thread};

#[cfg(loom)]
#[path = "gate_loom.rs"]
mod gate;
#[cfg(loom)]
#[path = "parking_loom.rs"]
pub(crate) mod parking;

#[cfg(not(loom))]
mod cell {
    /// std's cell with loom's verbs.
    #[derive(Debug)]
    pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        /// A cell with that value.
        #[inline(always)]
        pub const fn new(value: T) -> UnsafeCell<T> {
            UnsafeCell(std::cell::UnsafeCell::new(value))
        }

        /// Calls `f` with a pointer to the value, to read.
        #[inline(always)]
        pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        /// Calls `f` with a pointer to the value, to write.
        #[inline(always)]
        pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }
}

/// What the lock of a line uses.
#[cfg(not(loom))]
mod spin {
    pub(crate) use crate::os::nap;
    pub(crate) use std::thread::yield_now as yield_thread;

    #[inline]
    pub(crate) fn pause(times: u32) {
        for _ in 0..times {
            std::hint::spin_loop();
        }
    }

    /// What a lock needs under loom.
    #[derive(Debug)]
    pub(crate) struct Gate;

    impl Gate {
        pub(crate) const fn new() -> Gate {
            Gate
        }

        #[inline(always)]
        pub(crate) fn enter(&self) {}

        #[inline(always)]
        pub(crate) fn leave(&self) {}

        /// In which order all take several of them.
        #[inline(always)]
        pub(crate) fn order(&self, address: usize) -> usize {
            address
        }
    }
}
