//! The atomics, threads and parking of std and the runtime, or loom's when the models run: chosen here, once. The
//! runtime has chosen for most of it.

#[cfg(loom)]
pub use modelled::*;
pub(crate) use pirn_runtime::internal::{
    Arc, AtomicBool, AtomicIsize, AtomicUsize, Ordering, Unparker, UnsafeCell, checkpoint, has_come, now, park_on,
    park_until, random_below, sleep,
};

#[cfg(loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(not(loom))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(loom)]
#[path = "modelled_loom.rs"]
mod modelled;

#[cfg(all(test, loom))]
#[path = "channels_loom.rs"]
mod models;
