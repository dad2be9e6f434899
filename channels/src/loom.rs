//! The atomics, threads and parking of std and the runtime, or loom's when the models run: chosen here, once.

#[cfg(not(loom))]
pub(crate) use chosen::*;
#[cfg(loom)]
pub(crate) use modelled::*;

#[cfg(not(loom))]
mod chosen {
    pub(crate) use crate::alarm::Alarm;
    pub(crate) use pirn_runtime::Unparker;
    pub(crate) use pirn_runtime::internal::{checkpoint, park_on, park_until, random};
    pub(crate) use pirn_runtime::sleep;
    pub(crate) use std::sync::Arc;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicPtr, AtomicU8, AtomicUsize, Ordering, fence};
    pub(crate) use std::thread::yield_now as yield_thread;
    use std::time::Instant;

    /// Whether the time has come.
    #[inline]
    pub(crate) fn has_come(moment: Instant) -> bool {
        Instant::now() >= moment
    }

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
        pub(crate) fn new() -> Gate {
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

    /// std's cell with loom's verbs.
    #[derive(Debug)]
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        #[inline]
        pub(crate) fn new(value: T) -> UnsafeCell<T> {
            UnsafeCell(std::cell::UnsafeCell::new(value))
        }

        #[inline]
        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }
}

#[cfg(loom)]
#[path = "modelled_loom.rs"]
mod modelled;
