//! Locks, wait groups, semaphores, contexts and task groups, for goroutines, OS threads and async tasks alike.
//!
//! The modules are floors: each uses only those below it.

// A room or file that has unsafe code allows it at its head, and says what for.
#![deny(unsafe_code)]

mod barrier; // `Barrier`
mod map; // `Map`
mod condvar; // `Condvar`
mod event; // `Event`
mod mutex; // `Mutex`
mod notify; // `Notify`
mod pool; // `Pool`
mod lazy_lock; // `LazyLock`
mod once_lock; // `OnceLock`
mod once; // `Once`
mod wait_group; // `WaitGroup`
mod waiting; // waits for what a word says
mod raw_mutex; // the lock under a mutex
mod holder; // who holds a lock
mod lot; // the parking lot: who waits, by address
mod loom; // the atomics of std, or those of loom

pub use barrier::{Barrier, BarrierWaitResult};
pub use condvar::{Condvar, WaitTimeoutResult};
pub use event::Event;
pub use lazy_lock::LazyLock;
#[cfg(not(loom))]
pub use map::Map;
pub use mutex::{LockFuture, MappedMutexGuard, Mutex, MutexGuard};
pub use notify::{Notified, Notify};
pub use once::{Once, OnceState};
pub use once_lock::OnceLock;
#[cfg(not(loom))]
pub use pool::{Pool, Pooled};
pub use wait_group::{Token, WaitGroup};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
