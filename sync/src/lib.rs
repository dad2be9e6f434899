//! Locks, wait groups, semaphores, contexts and task groups, for goroutines, OS threads and async tasks alike.
//!
//! The modules are floors: each uses only those below it.

// A room or file that has unsafe code allows it at its head, and says what for.
#![deny(unsafe_code)]

pub mod group; // Gs that end together: `ErrGroup`, `task_group`, `gather`, `race`
pub mod context; // `Context`: cancellation, deadlines and values, from parent to child
mod for_lock_api_04; // the raw locks under the guards of lock_api 0.4
mod for_lock_api_05; // the same of lock_api 0.5
pub mod poison; // the same locks with poisoning: std's signatures
mod barrier; // `Barrier`
mod condvar; // `Condvar`
mod rwlock; // `RwLock`
mod semaphore; // `Semaphore`
mod event; // `Event`
mod mutex; // `Mutex`
mod raw_rwlock; // the lock under an `RwLock`
mod notify; // `Notify`
mod wait_group; // `WaitGroup`
mod waiting; // waits for what a word says
mod raw_mutex; // the lock under a mutex
mod lot; // the parking lot: who waits, by address
mod holder; // who holds a lock
mod loom; // the atomics of std, or those of loom

#[cfg(any(feature = "lock_api_04", feature = "lock_api_05"))]
pub use {raw_mutex::RawMutex, raw_rwlock::RawRwLock};

pub use barrier::{Barrier, BarrierWaitResult};
pub use condvar::{Condvar, WaitTimeoutResult};
pub use event::Event;
pub use mutex::{LockFuture, MappedMutexGuard, Mutex, MutexGuard};
pub use notify::{Notified, Notify};
pub use rwlock::{
    MappedRwLockReadGuard, MappedRwLockWriteGuard, ReadFuture, RwLock, RwLockReadGuard, RwLockWriteGuard, WriteFuture,
};
pub use semaphore::{AcquireError, AcquireFuture, Permit, Semaphore, TryAcquireError};
pub use wait_group::{Token, WaitGroup};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
