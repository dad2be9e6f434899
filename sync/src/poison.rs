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

#![cfg(not(loom))]

pub use crate::barrier::{Barrier, BarrierWaitResult};
use crate::condvar;
pub use crate::condvar::WaitTimeoutResult;
use crate::guard::show;
pub use crate::lazy_lock::LazyLock;
pub use crate::once::{Once, OnceState};
pub use crate::once_lock::OnceLock;
use crate::{mutex, rwlock};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
pub use std::sync::{Arc, LockResult, PoisonError, TryLockError, TryLockResult, Weak, atomic};
use std::thread::panicking;
use std::time::Duration;

/// Whether one has panicked that held a lock to write.
#[derive(Debug, Default)]
struct Flag(AtomicBool);

impl Flag {
    const fn new() -> Flag {
        Flag(AtomicBool::new(false))
    }

    fn get(&self) -> bool {
        // The lock orders what was written under it, this too.
        self.0.load(Ordering::Relaxed)
    }

    fn result<G>(&self, guard: G) -> LockResult<G> {
        if self.get() { Err(PoisonError::new(guard)) } else { Ok(guard) }
    }

    fn try_result<G>(&self, guard: Option<G>) -> TryLockResult<G> {
        match guard {
            None => Err(TryLockError::WouldBlock),
            Some(guard) => self.result(guard).map_err(TryLockError::Poisoned),
        }
    }
}

/// What a guard that writes poisons when it goes, if its thread unwinds then and did not when it came. It lies before
/// the guard of the lock, so that it goes first.
struct Watch<'a> {
    poison: &'a Flag,
    unwound_before: bool,
}

impl<'a> Watch<'a> {
    #[inline]
    fn new(poison: &'a Flag) -> Watch<'a> {
        Watch { poison, unwound_before: panicking() }
    }
}

impl Drop for Watch<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.unwound_before && panicking() {
            self.poison.0.store(true, Ordering::Relaxed);
        }
    }
}

/// As [`std::sync::Mutex`]; see [`crate::Mutex`] for how it waits.
#[derive(Default)]
pub struct Mutex<T: ?Sized> {
    poison: Flag,
    inner: mutex::Mutex<T>,
}

impl<T> Mutex<T> {
    /// A mutex around that value.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex { poison: Flag::new(), inner: mutex::Mutex::new(value) }
    }

    /// The value.
    ///
    /// # Errors
    /// The value, if the mutex is poisoned.
    pub fn into_inner(self) -> LockResult<T> {
        let Mutex { poison, inner } = self;
        poison.result(inner.into_inner())
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock.
    ///
    /// # Errors
    /// The guard, if the mutex is poisoned.
    #[inline]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        let guard = MutexGuard::new(&self.poison, self.inner.lock());
        self.poison.result(guard)
    }

    /// Locks it if it is free.
    ///
    /// # Errors
    /// If it is not free, or poisoned.
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        let guard = self.inner.try_lock().map(|inner| MutexGuard::new(&self.poison, inner));
        self.poison.try_result(guard)
    }

    /// Whether it is poisoned.
    pub fn is_poisoned(&self) -> bool {
        self.poison.get()
    }

    /// It is not poisoned any more.
    pub fn clear_poison(&self) {
        self.poison.0.store(false, Ordering::Relaxed);
    }

    /// The value, of a mutex that nobody can have locked.
    ///
    /// # Errors
    /// The same, if the mutex is poisoned.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        let Mutex { poison, inner } = self;
        poison.result(inner.get_mut())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Mutex<T> {
        Mutex::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Mutex");
        match self.inner.try_lock() {
            Some(guard) => debug.field("data", &&*guard),
            None => debug.field("data", &format_args!("<locked>")),
        };
        debug.field("poisoned", &self.poison.get()).finish_non_exhaustive()
    }
}

/// As [`std::sync::MutexGuard`], but it may be sent.
#[must_use = "the mutex is unlocked at once if the guard is not kept"]
pub struct MutexGuard<'a, T: ?Sized> {
    watch: Watch<'a>,
    inner: mutex::MutexGuard<'a, T>,
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    #[inline]
    fn new(poison: &'a Flag, inner: mutex::MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        MutexGuard { watch: Watch::new(poison), inner }
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

/// As [`std::sync::RwLock`]; see [`crate::RwLock`] for how it waits.
#[derive(Default)]
pub struct RwLock<T: ?Sized> {
    poison: Flag,
    inner: rwlock::RwLock<T>,
}

impl<T> RwLock<T> {
    /// A lock around that value.
    pub const fn new(value: T) -> RwLock<T> {
        RwLock { poison: Flag::new(), inner: rwlock::RwLock::new(value) }
    }

    /// The value.
    ///
    /// # Errors
    /// The value, if the lock is poisoned.
    pub fn into_inner(self) -> LockResult<T> {
        let RwLock { poison, inner } = self;
        poison.result(inner.into_inner())
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits until nobody writes, and no writer waits.
    ///
    /// # Errors
    /// The guard, if the lock is poisoned.
    #[inline]
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        self.poison.result(RwLockReadGuard::new(self.inner.read()))
    }

    /// Waits until nobody has it.
    ///
    /// # Errors
    /// The guard, if the lock is poisoned.
    #[inline]
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        self.poison.result(RwLockWriteGuard::new(&self.poison, self.inner.write()))
    }

    /// Locks it to read, if that needs no wait.
    ///
    /// # Errors
    /// If it does, or the lock is poisoned.
    pub fn try_read(&self) -> TryLockResult<RwLockReadGuard<'_, T>> {
        self.poison.try_result(self.inner.try_read().map(RwLockReadGuard::new))
    }

    /// Locks it to write, if nobody has it.
    ///
    /// # Errors
    /// If somebody has, or the lock is poisoned.
    pub fn try_write(&self) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        let guard = self.inner.try_write().map(|inner| RwLockWriteGuard::new(&self.poison, inner));
        self.poison.try_result(guard)
    }

    /// Whether it is poisoned.
    pub fn is_poisoned(&self) -> bool {
        self.poison.get()
    }

    /// It is not poisoned any more.
    pub fn clear_poison(&self) {
        self.poison.0.store(false, Ordering::Relaxed);
    }

    /// The value, of a lock that nobody can have locked.
    ///
    /// # Errors
    /// The same, if the lock is poisoned.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        let RwLock { poison, inner } = self;
        poison.result(inner.get_mut())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> RwLock<T> {
        RwLock::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RwLock");
        match self.inner.try_read_recursive() {
            Some(guard) => debug.field("data", &&*guard),
            None => debug.field("data", &format_args!("<locked>")),
        };
        debug.field("poisoned", &self.poison.get()).finish_non_exhaustive()
    }
}

/// As [`std::sync::RwLockReadGuard`], but it may be sent.
#[must_use = "the lock is unlocked at once if the guard is not kept"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    /// The whole value. A guard that knows its lock is invariant in `T`, and that of std is not.
    inner: rwlock::MappedRwLockReadGuard<'a, T>,
}

impl<'a, T: ?Sized> RwLockReadGuard<'a, T> {
    #[inline]
    fn new(inner: rwlock::RwLockReadGuard<'a, T>) -> RwLockReadGuard<'a, T> {
        RwLockReadGuard { inner: rwlock::RwLockReadGuard::map(inner, |value| value) }
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

/// As [`std::sync::RwLockWriteGuard`], but it may be sent.
#[must_use = "the lock is unlocked at once if the guard is not kept"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    #[expect(dead_code, reason = "it does its work when it is dropped")]
    watch: Watch<'a>,
    inner: rwlock::RwLockWriteGuard<'a, T>,
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    #[inline]
    fn new(poison: &'a Flag, inner: rwlock::RwLockWriteGuard<'a, T>) -> RwLockWriteGuard<'a, T> {
        RwLockWriteGuard { watch: Watch::new(poison), inner }
    }

    /// Reads from now on; nobody writes in between.
    pub fn downgrade(this: Self) -> RwLockReadGuard<'a, T> {
        let RwLockWriteGuard { watch: _, inner } = this;
        RwLockReadGuard::new(rwlock::RwLockWriteGuard::downgrade(inner))
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

show!(MutexGuard, RwLockReadGuard, RwLockWriteGuard);

/// As [`std::sync::Condvar`], for the [`Mutex`] of this module; see [`crate::Condvar`] for how it waits.
#[derive(Debug, Default)]
pub struct Condvar {
    inner: condvar::Condvar,
}

impl Condvar {
    /// One that nobody waits for.
    pub const fn new() -> Condvar {
        Condvar { inner: condvar::Condvar::new() }
    }

    /// Unlocks the mutex, waits until notified, and locks it again.
    ///
    /// # Errors
    /// The guard, if the mutex is poisoned.
    pub fn wait<'a, T: ?Sized>(&self, mut guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        self.inner.wait(&mut guard.inner);
        again(guard)
    }

    /// Waits as long as `condition` holds.
    ///
    /// # Errors
    /// The guard, if the mutex is poisoned.
    pub fn wait_while<'a, T: ?Sized, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: F,
    ) -> LockResult<MutexGuard<'a, T>>
    where
        F: FnMut(&mut T) -> bool,
    {
        while condition(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// Waits until notified, or until `timeout` has passed.
    ///
    /// # Errors
    /// The guard, if the mutex is poisoned.
    pub fn wait_timeout<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let result = self.inner.wait_timeout(&mut guard.inner, timeout);
        with(result, again(guard))
    }

    /// Waits as long as `condition` holds, or until `timeout` has passed.
    ///
    /// # Errors
    /// The guard, if the mutex is poisoned.
    pub fn wait_timeout_while<'a, T: ?Sized, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        timeout: Duration,
        condition: F,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)>
    where
        F: FnMut(&mut T) -> bool,
    {
        let result = self.inner.wait_timeout_while(&mut guard.inner, timeout, condition);
        with(result, again(guard))
    }

    /// Notifies the one that has waited longest, if there is one.
    pub fn notify_one(&self) {
        self.inner.notify_one();
    }

    /// Notifies all that wait.
    pub fn notify_all(&self) {
        self.inner.notify_all();
    }
}

/// The guard, after a wait in which others had the mutex.
fn again<T: ?Sized>(guard: MutexGuard<'_, T>) -> LockResult<MutexGuard<'_, T>> {
    let poison = guard.watch.poison;
    poison.result(guard)
}

/// The guard with what the wait said.
fn with<G>(result: WaitTimeoutResult, guard: LockResult<G>) -> LockResult<(G, WaitTimeoutResult)> {
    match guard {
        Ok(guard) => Ok((guard, result)),
        Err(poisoned) => Err(PoisonError::new((poisoned.into_inner(), result))),
    }
}
