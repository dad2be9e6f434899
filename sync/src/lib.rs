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
mod map; // `Map`
mod map_hasher; // its hasher
mod map_table; // a shard of a `Map`
mod reading; // reading without a lock what others replace
mod pool; // `Pool`
mod pool_bin; // a bin of a pool
mod pool_slot; // the slot of a bin
mod lazy_lock; // `LazyLock`
mod once_lock; // `OnceLock`
mod once; // `Once`
mod wait_group; // `WaitGroup`
mod count; // a count that can be waited for: of a `WaitGroup`, and of a group of tasks
mod barrier; // `Barrier`
mod event; // `Event`
mod notify; // `Notify`
mod waiting; // waits for what a word says
mod owned_permit; // `OwnedPermit`
mod semaphore; // `Semaphore`
mod condvar; // `Condvar`
mod upgradable; // the reader of an `RwLock` that may become a writer
mod rwlock; // `RwLock`
mod mutex; // `Mutex`
mod mapped; // guards for a part of a value
mod guard; // what all guards show
mod raw_rwlock_upgrade; // the reader of it that may become a writer
mod raw_rwlock_task; // how async tasks wait for it
mod raw_rwlock; // the lock under an `RwLock`
mod rwlock_word; // the word of that
mod raw_mutex; // the lock under a mutex
mod mutex_word; // the word of that
mod lot; // the parking lot: who waits, by address
mod holder; // who holds a lock
mod loom; // the atomics of std, or those of loom

#[cfg(any(feature = "lock_api_04", feature = "lock_api_05"))]
pub use {raw_mutex::RawMutex, raw_rwlock::RawRwLock};

pub use barrier::{Barrier, BarrierWaitResult};
pub use condvar::{Condvar, WaitFuture, WaitTimeoutResult};
pub use event::Event;
pub use lazy_lock::LazyLock;
#[cfg(not(loom))]
pub use map::Map;
#[cfg(not(loom))]
pub use map_hasher::{MapHasher, MapState};
pub use mapped::{MappedMutexGuard, MappedRwLockReadGuard, MappedRwLockWriteGuard};
pub use mutex::{LockFuture, Mutex, MutexGuard};
pub use notify::{Notified, Notify};
pub use once::{Once, OnceState};
pub use once_lock::OnceLock;
pub use owned_permit::OwnedPermit;
#[cfg(not(loom))]
pub use pool::{Pool, Pooled};
pub use rwlock::{ReadFuture, RwLock, RwLockReadGuard, RwLockWriteGuard, WriteFuture};
pub use semaphore::{AcquireError, AcquireFuture, Permit, Semaphore, TryAcquireError};
pub use upgradable::RwLockUpgradableReadGuard;
pub use wait_group::{Token, WaitGroup};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
