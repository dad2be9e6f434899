//! [`Mutex`].

#![allow(unsafe_code, reason = "the value under the lock")]

use crate::guard::show;
use crate::loom::deadline;
use crate::lot::{Place, Until};
use crate::mapped::MappedMutexGuard;
use crate::raw_mutex::RawMutex;
use std::cell::UnsafeCell;
use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A lock around a value, which one caller at a time may use: a goroutine, an OS thread or an async task.
///
/// It is [`std::sync::Mutex`] without poisoning: a panic of the one that holds it unlocks it. A goroutine that waits for
/// it parks, and its thread runs others. [`poison::Mutex`](crate::poison::Mutex) has std's own signatures.
///
/// The lock is one word beside the value, and making it needs no memory. The guard may be sent to another goroutine or
/// thread, which unlocks it then.
///
/// **Fairness.** A caller that comes may be faster than those that wait; so a lock that is free is taken at once. But
/// who has waited for a millisecond is handed the lock by the next that unlocks it, which then lets others run. These
/// are the rules of Go's `sync.Mutex`. An async task is always handed the lock in its turn.
///
/// **Errors of use.** A goroutine that locks a mutex that it holds waits for ever; the report of deadlocks says so, and
/// a warning comes at once (also if it has given the guard away, which is not known). A guard that is forgotten ([`std::mem::forget`]) leaves the mutex locked.
///
/// While the runtime of a goroutine shuts down, a `lock` that waits unwinds it with `pirn::ShutDown`; the mutex is as
/// before.
///
/// ```
/// use pirn::sync::Mutex;
///
/// static COUNT: Mutex<u64> = Mutex::new(0);
///
/// pirn::run(|| {
///     let gs: Vec<_> = (0..10).map(|_| pirn::go(|| *COUNT.lock() += 1)).collect();
///     gs.into_iter().for_each(|g| g.join().unwrap());
///     assert_eq!(*COUNT.lock(), 10);
/// });
/// ```
pub struct Mutex<T: ?Sized> {
    raw: RawMutex,
    value: UnsafeCell<T>,
}

// SAFETY: one at a time has the value, from whichever thread.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// A mutex around that value.
    #[cfg(not(loom))]
    pub const fn new(value: T) -> Mutex<T> {
        Mutex { raw: RawMutex::new(), value: UnsafeCell::new(value) }
    }

    /// A mutex around that value.
    #[cfg(loom)]
    pub fn new(value: T) -> Mutex<T> {
        Mutex { raw: RawMutex::new(), value: UnsafeCell::new(value) }
    }

    /// The value, of a mutex that nobody can have locked.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock. The guard unlocks it when it is dropped.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.raw.lock();
        MutexGuard { mutex: self }
    }

    /// Locks it if it is free; this never waits.
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.raw.try_lock().then(|| MutexGuard { mutex: self })
    }

    /// Waits for the lock for `timeout` at most. None if it was not to be had.
    pub fn try_lock_for(&self, timeout: Duration) -> Option<MutexGuard<'_, T>> {
        let is_locked = match deadline(timeout) {
            Some(deadline) => self.raw.lock_until(deadline),
            None => {
                self.raw.lock();
                true
            }
        };
        is_locked.then(|| MutexGuard { mutex: self })
    }

    /// Waits for the lock until `deadline` at most. None if it was not to be had.
    pub fn try_lock_until(&self, deadline: Instant) -> Option<MutexGuard<'_, T>> {
        self.raw.lock_until(deadline).then(|| MutexGuard { mutex: self })
    }

    /// Waits for the lock for as long as that says.
    pub(crate) fn lock_within(&self, until: Until<'_>) -> Option<MutexGuard<'_, T>> {
        (self.raw.try_lock() || self.raw.wait(until)).then(|| MutexGuard { mutex: self })
    }

    /// As [`lock`](Self::lock), for async tasks. The future may be dropped at any time; then it does not hold the lock,
    /// and others that wait are not held up.
    ///
    /// A task that is handed the lock has it from then on, also while it is not polled. So a future that is forgotten
    /// ([`std::mem::forget`]) after it was polled leaves the mutex locked when its turn has come.
    ///
    /// ```
    /// let mutex = pirn::sync::Mutex::new(1);
    /// pirn::block_on(async {
    ///     *mutex.lock_async().await += 1;
    ///     assert_eq!(*mutex.lock_async().await, 2);
    /// });
    /// ```
    pub fn lock_async(&self) -> LockFuture<'_, T> {
        LockFuture { mutex: self, place: Place::new() }
    }

    /// Whether it is locked: a hint, as that may change at once.
    pub fn is_locked(&self) -> bool {
        self.raw.is_locked()
    }

    /// The value, of a mutex that nobody can have locked.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
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
        match self.try_lock() {
            Some(guard) => debug.field("value", &&*guard),
            None => debug.field("value", &format_args!("<locked>")),
        };
        debug.finish()
    }
}

/// The value of a locked [`Mutex`]; unlocks it when it is dropped.
#[must_use = "the mutex is unlocked at once if the guard is not kept"]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
}

// SAFETY: a shared guard shares the value. (It is Send if the mutex is Sync, as no thread owns anything.)
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// The mutex that it has locked.
    pub fn mutex(this: &Self) -> &'a Mutex<T> {
        this.mutex
    }

    /// Unlocks it. If somebody waits, that one gets the lock, and runs next.
    pub fn unlock_fair(this: Self) {
        ManuallyDrop::new(this).mutex.raw.unlock_fair();
    }

    /// A guard for a part of the value.
    pub fn map<U: ?Sized, F: FnOnce(&mut T) -> &mut U>(this: Self, part: F) -> MappedMutexGuard<'a, U> {
        let mut this = this;
        let value = ptr::from_mut(part(&mut this));
        MappedMutexGuard::new(&ManuallyDrop::new(this).mutex.raw, value)
    }

    /// As [`map`](Self::map), for a part that may not be there: then the guard comes back.
    ///
    /// # Errors
    /// The guard, if `part` returns none.
    ///
    /// ```
    /// use pirn::sync::{MappedMutexGuard, Mutex, MutexGuard};
    ///
    /// let names = Mutex::new(vec!["a", "b"]);
    /// let guard = MutexGuard::filter_map(names.lock(), |names| names.get_mut(2)).unwrap_err();
    /// let guard = MutexGuard::map(guard, |names| names.as_mut_slice());
    /// *MappedMutexGuard::filter_map(guard, |names| names.first_mut()).unwrap() = "c";
    /// assert_eq!(*names.lock(), ["c", "b"]);
    /// ```
    #[doc(alias = "try_map")]
    pub fn filter_map<U: ?Sized, F: FnOnce(&mut T) -> Option<&mut U>>(
        this: Self,
        part: F,
    ) -> Result<MappedMutexGuard<'a, U>, Self> {
        let mut this = this;
        match part(&mut this).map(ptr::from_mut) {
            Some(value) => Ok(MappedMutexGuard::new(&ManuallyDrop::new(this).mutex.raw, value)),
            None => Err(this),
        }
    }

    /// The lock, for a condition variable.
    pub(crate) fn raw(&self) -> &'a RawMutex {
        &self.mutex.raw
    }

    /// Unlocks it while `f` runs.
    pub fn unlocked<R>(this: &mut Self, f: impl FnOnce() -> R) -> R {
        struct Relock<'a>(&'a RawMutex);
        impl Drop for Relock<'_> {
            fn drop(&mut self) {
                self.0.lock_for_certain();
            }
        }
        this.mutex.raw.unlock();
        let _relock = Relock(&this.mutex.raw);
        f()
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held, and the guard is the only one.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.mutex.raw.unlock();
    }
}

show!(MutexGuard);

/// What [`Mutex::lock_async`] returns.
#[must_use = "futures do nothing unless they are polled"]
pub struct LockFuture<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    place: Place,
}

impl<T: ?Sized> LockFuture<'_, T> {
    fn place(self: Pin<&mut Self>) -> Pin<&mut Place> {
        // SAFETY: the place is pinned with the future.
        unsafe { self.map_unchecked_mut(|this| &mut this.place) }
    }
}

impl<'a, T: ?Sized> Future for LockFuture<'a, T> {
    type Output = MutexGuard<'a, T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<MutexGuard<'a, T>> {
        let mutex = self.mutex;
        mutex.raw.poll_lock(self.place(), context).map(|()| MutexGuard { mutex })
    }
}

impl<T: ?Sized> Drop for LockFuture<'_, T> {
    fn drop(&mut self) {
        let raw = &self.mutex.raw;
        // SAFETY: it was pinned if it was ever polled, and is not moved any more.
        raw.forget_place(unsafe { Pin::new_unchecked(&mut self.place) });
    }
}

impl<T: ?Sized> fmt::Debug for LockFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockFuture").finish_non_exhaustive()
    }
}
