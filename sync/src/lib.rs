//! Locks, wait groups, semaphores, contexts and task groups, for goroutines, OS threads and async tasks alike.
//!
//! The modules are floors: each uses only those below it.

// A room or file that has unsafe code allows it at its head, and says what for.
#![deny(unsafe_code)]

mod condvar; // `Condvar`
mod rwlock; // `RwLock`
mod semaphore; // `Semaphore`
mod mutex; // `Mutex`
mod raw_rwlock; // the lock under an `RwLock`
mod raw_mutex; // the lock under a mutex
mod holder; // who holds a lock
mod lot; // the parking lot: who waits, by address
mod loom; // the atomics of std, or those of loom

pub use condvar::{Condvar, WaitTimeoutResult};
pub use mutex::{LockFuture, MappedMutexGuard, Mutex, MutexGuard};
pub use rwlock::{
    MappedRwLockReadGuard, MappedRwLockWriteGuard, ReadFuture, RwLock, RwLockReadGuard, RwLockWriteGuard, WriteFuture,
};
pub use semaphore::{AcquireError, AcquireFuture, Permit, Semaphore, TryAcquireError};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
