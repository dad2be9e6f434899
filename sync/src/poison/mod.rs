//! The locks with poisoning: a panic of the one that writes is told to those that come after it. Signatures and errors
//! are those of [`std::sync`], so `use pirn::sync::poison as sync;` takes its place.
//!
//! A goroutine that is unwound by a shutdown of its runtime (`pirn::ShutDown`) poisons what it holds, as any unwinding
//! does.
//!
//! ```
//! use pirn::sync::poison::{Condvar, Mutex};
//!
//! static READY: Mutex<bool> = Mutex::new(false);
//! static CHANGED: Condvar = Condvar::new();
//!
//! pirn::run(|| {
//!     pirn::go(|| {
//!         *READY.lock().unwrap() = true;
//!         CHANGED.notify_one();
//!     });
//!     let ready = CHANGED.wait_while(READY.lock().unwrap(), |ready| !*ready).unwrap();
//!     assert!(*ready);
//! });
//! ```

//! The rest of this page is for those who work on it.
//!
//! # What lives here
//! `mutex`, `rwlock` and `condvar`, around those of this crate; and `flag`, which says whether a lock is poisoned.
//!
//! # Who may come in
//! Users.
//!
//! # Invariants
//! 1. The flag is read and written under the lock, which orders it.
//! 2. A guard that writes poisons the lock before it unlocks it, if it goes because its thread unwinds.
//!
//! # Tests
//! `tests/poison.rs`, and std's own by `ci/sync-suites`.

#![cfg(not(loom))]

mod condvar;
mod rwlock;
mod mutex;
mod flag;

pub use crate::barrier::{Barrier, BarrierWaitResult};
pub use crate::condvar::WaitTimeoutResult;
pub use crate::lazy_lock::LazyLock;
pub use crate::mapped::MappedRwLockReadGuard;
pub use crate::once::{Once, OnceState};
pub use crate::once_lock::OnceLock;
pub use condvar::Condvar;
pub use mutex::{MappedMutexGuard, Mutex, MutexGuard};
pub use rwlock::{MappedRwLockWriteGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use std::sync::{Arc, LockResult, PoisonError, TryLockError, TryLockResult, Weak, atomic};
