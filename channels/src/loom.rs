//! The atomics, threads and parking of std and the runtime, or loom's when the models run: chosen here, once. The
//! runtime has chosen for most of it.

#[cfg(not(loom))]
pub(crate) use chosen::*;
#[cfg(loom)]
pub(crate) use modelled::*;
pub(crate) use pirn_runtime::internal::{
    Arc, AtomicBool, AtomicIsize, AtomicUsize, Ordering, Unparker, UnsafeCell, checkpoint, fence, has_come, now,
    park_on, park_until, random_below, sleep,
};

#[cfg(not(loom))]
mod chosen {
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
}

#[cfg(loom)]
#[path = "modelled_loom.rs"]
mod modelled;

#[cfg(all(test, loom))]
#[path = "channels_loom.rs"]
mod models;
