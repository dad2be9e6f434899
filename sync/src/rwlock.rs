//! [`RwLock`].

#![allow(unsafe_code, reason = "the value under the lock")]

use crate::guard::show;
use crate::loom::deadline;
use crate::lot::{Place, Until};
use crate::mapped::{MappedRwLockReadGuard, MappedRwLockWriteGuard};
use crate::raw_rwlock::RawRwLock;
use crate::rwlock_word::may_read;
use std::cell::UnsafeCell;
use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A lock around a value, which one caller may use to write, or many to read.
///
/// It is [`std::sync::RwLock`] without poisoning, for goroutines, OS threads and async tasks.
/// [`poison::RwLock`](crate::poison::RwLock) has std's own signatures. The lock is one word beside the value, making it
/// needs no memory, and guards may be sent.
///
/// **Fairness.** While others read and a writer waits, new readers wait behind it, so readers cannot keep writers out. So a
/// reader that locks again to read, while it reads, may wait for a writer that waits for it: use
/// [`read_recursive`](Self::read_recursive) there. A writer that has been woken may be overtaken until it runs. One that has
/// waited for a millisecond is handed the lock.
///
/// **Reports.** Dumps and reports of deadlocks name who has it to write, or may upgrade. Plain readers are not known by name:
/// so they do not find a deadlock in which one waits for a reader.
///
/// A read costs what a locked instruction costs, on a word that all readers write. It pays for long reads; for short
/// ones a [`Mutex`](crate::Mutex) is as fast, and for values that hardly change there are crates like `arc-swap`.
///
/// While the runtime of a goroutine shuts down, a call that waits unwinds it with `pirn::ShutDown`; the lock is as
/// before.
///
/// ```
/// use pirn::sync::RwLock;
///
/// let names = RwLock::new(vec!["a"]);
/// pirn::run(move || {
///     assert_eq!(names.read().len(), 1);
///     names.write().push("b");
///     let both = (names.read(), names.read());
///     assert_eq!(both.0.len() + both.1.len(), 4);
/// });
/// ```
pub struct RwLock<T: ?Sized> {
    pub(crate) raw: RawRwLock,
    pub(crate) value: UnsafeCell<T>,
}

// SAFETY: the value goes with it.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: readers share the value, and a writer may be on any thread.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

impl<T> RwLock<T> {
    /// A lock around that value.
    #[cfg(not(loom))]
    pub const fn new(value: T) -> RwLock<T> {
        RwLock { raw: RawRwLock::new(), value: UnsafeCell::new(value) }
    }

    /// A lock around that value.
    #[cfg(loom)]
    pub fn new(value: T) -> RwLock<T> {
        RwLock { raw: RawRwLock::new(), value: UnsafeCell::new(value) }
    }

    /// The value, of a lock that nobody can have locked.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits until nobody writes, and no writer waits.
    #[inline]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.raw.read();
        RwLockReadGuard { lock: self }
    }

    /// Waits until nobody writes, whoever waits. For a caller that reads already: [`read`](Self::read) could wait for a
    /// writer that waits for it. Used elsewhere, it keeps writers out.
    pub fn read_recursive(&self) -> RwLockReadGuard<'_, T> {
        self.raw.read_recursive();
        RwLockReadGuard { lock: self }
    }

    /// Locks it to read, if [`read`](Self::read) need not wait.
    #[inline]
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        self.raw.try_read().then(|| RwLockReadGuard { lock: self })
    }

    /// Locks it to read, if [`read_recursive`](Self::read_recursive) need not wait.
    pub fn try_read_recursive(&self) -> Option<RwLockReadGuard<'_, T>> {
        self.raw.try_read_recursive().then(|| RwLockReadGuard { lock: self })
    }

    /// Waits as [`read`](Self::read), for `timeout` at most.
    pub fn try_read_for(&self, timeout: Duration) -> Option<RwLockReadGuard<'_, T>> {
        match deadline(timeout) {
            Some(deadline) => self.try_read_until(deadline),
            None => Some(self.read()),
        }
    }

    /// Waits as [`read`](Self::read), until `deadline` at most.
    pub fn try_read_until(&self, deadline: Instant) -> Option<RwLockReadGuard<'_, T>> {
        self.raw.read_until(deadline).then(|| RwLockReadGuard { lock: self })
    }

    /// Waits until nobody has it.
    #[inline]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.raw.write();
        RwLockWriteGuard { lock: self }
    }

    /// Locks it to write, if nobody has it.
    #[inline]
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        self.raw.try_write().then(|| RwLockWriteGuard { lock: self })
    }

    /// Waits as [`write`](Self::write), for `timeout` at most.
    pub fn try_write_for(&self, timeout: Duration) -> Option<RwLockWriteGuard<'_, T>> {
        match deadline(timeout) {
            Some(deadline) => self.try_write_until(deadline),
            None => Some(self.write()),
        }
    }

    /// Waits as [`write`](Self::write), until `deadline` at most.
    pub fn try_write_until(&self, deadline: Instant) -> Option<RwLockWriteGuard<'_, T>> {
        self.raw.write_until(deadline).then(|| RwLockWriteGuard { lock: self })
    }

    /// Waits to read for as long as that says.
    pub(crate) fn read_within(&self, until: Until<'_>) -> Option<RwLockReadGuard<'_, T>> {
        (self.raw.try_read() || self.raw.wait_to_read(may_read, until)).then(|| RwLockReadGuard { lock: self })
    }

    /// Waits to write for as long as that says.
    pub(crate) fn write_within(&self, until: Until<'_>) -> Option<RwLockWriteGuard<'_, T>> {
        (self.raw.try_write() || self.raw.wait_to_write(until)).then(|| RwLockWriteGuard { lock: self })
    }

    /// As [`read`](Self::read), for async tasks. The future may be dropped at any time; then it does not hold the lock. One
    /// that is forgotten ([`std::mem::forget`]) after it was polled has it for good when its turn has come.
    ///
    /// ```
    /// let lock = pirn::sync::RwLock::new(1);
    /// pirn::block_on(async {
    ///     *lock.write_async().await += 1;
    ///     assert_eq!(*lock.read_async().await, 2);
    /// });
    /// ```
    pub fn read_async(&self) -> ReadFuture<'_, T> {
        ReadFuture { lock: self, place: Place::new() }
    }

    /// As [`write`](Self::write), for async tasks. The future may be dropped at any time; then it does not hold the
    /// lock. If it is forgotten: as [`read_async`](Self::read_async).
    pub fn write_async(&self) -> WriteFuture<'_, T> {
        WriteFuture { lock: self, place: Place::new() }
    }

    /// Whether somebody has it: a hint, as that may change at once.
    pub fn is_locked(&self) -> bool {
        self.raw.is_locked()
    }

    /// Whether somebody has it to write: a hint.
    pub fn is_locked_exclusive(&self) -> bool {
        self.raw.is_locked_exclusive()
    }

    /// The value, of a lock that nobody can have locked.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> RwLock<T> {
        RwLock::new(T::default())
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
        match self.try_read_recursive() {
            Some(guard) => debug.field("value", &&*guard),
            None => debug.field("value", &format_args!("<locked>")),
        };
        debug.finish()
    }
}

/// The value of an [`RwLock`] that is locked to read; unlocks it when it is dropped.
#[must_use = "the lock is unlocked at once if the guard is not kept"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
}

impl<'a, T: ?Sized> RwLockReadGuard<'a, T> {
    /// For a lock that the caller has locked to read.
    pub(crate) fn new(lock: &'a RwLock<T>) -> Self {
        RwLockReadGuard { lock }
    }

    /// The lock.
    pub fn rwlock(this: &Self) -> &'a RwLock<T> {
        this.lock
    }

    /// A guard for a part of the value.
    pub fn map<U: ?Sized, F: FnOnce(&T) -> &U>(this: Self, part: F) -> MappedRwLockReadGuard<'a, U> {
        let value = NonNull::from(part(&this));
        MappedRwLockReadGuard::new(&ManuallyDrop::new(this).lock.raw, value)
    }

    /// As [`map`](Self::map), for a part that may not be there: then the guard comes back.
    ///
    /// # Errors
    /// The guard, if `part` returns none.
    #[doc(alias = "try_map")]
    pub fn filter_map<U: ?Sized, F: FnOnce(&T) -> Option<&U>>(
        this: Self,
        part: F,
    ) -> Result<MappedRwLockReadGuard<'a, U>, Self> {
        match part(&this).map(NonNull::from) {
            Some(value) => Ok(MappedRwLockReadGuard::new(&ManuallyDrop::new(this).lock.raw, value)),
            None => Err(this),
        }
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held to read.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.raw.unlock_read();
    }
}

/// The value of an [`RwLock`] that is locked to write; unlocks it when it is dropped.
#[must_use = "the lock is unlocked at once if the guard is not kept"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// For a lock that the caller has locked to write.
    pub(crate) fn new(lock: &'a RwLock<T>) -> Self {
        RwLockWriteGuard { lock }
    }

    /// The lock.
    pub fn rwlock(this: &Self) -> &'a RwLock<T> {
        this.lock
    }

    /// Reads from now on; others may read too. Nobody writes in between.
    ///
    /// ```
    /// use pirn::sync::{RwLock, RwLockWriteGuard};
    ///
    /// let lock = RwLock::new(1);
    /// let mut one = lock.write();
    /// *one = 2;
    /// let one = RwLockWriteGuard::downgrade(one);
    /// assert_eq!(*one + *lock.read(), 4);
    /// ```
    pub fn downgrade(this: Self) -> RwLockReadGuard<'a, T> {
        let lock = ManuallyDrop::new(this).lock;
        lock.raw.downgrade();
        RwLockReadGuard { lock }
    }

    /// A guard for a part of the value.
    pub fn map<U: ?Sized, F: FnOnce(&mut T) -> &mut U>(this: Self, part: F) -> MappedRwLockWriteGuard<'a, U> {
        let mut this = this;
        let value = ptr::from_mut(part(&mut this));
        MappedRwLockWriteGuard::new(&ManuallyDrop::new(this).lock.raw, value)
    }

    /// As [`map`](Self::map), for a part that may not be there: then the guard comes back.
    ///
    /// # Errors
    /// The guard, if `part` returns none.
    #[doc(alias = "try_map")]
    pub fn filter_map<U: ?Sized, F: FnOnce(&mut T) -> Option<&mut U>>(
        this: Self,
        part: F,
    ) -> Result<MappedRwLockWriteGuard<'a, U>, Self> {
        let mut this = this;
        match part(&mut this).map(ptr::from_mut) {
            Some(value) => Ok(MappedRwLockWriteGuard::new(&ManuallyDrop::new(this).lock.raw, value)),
            None => Err(this),
        }
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held to write, and the guard is the only one.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.raw.unlock_write();
    }
}

show!(RwLockReadGuard, RwLockWriteGuard);

/// What [`RwLock::read_async`] returns.
#[must_use = "futures do nothing unless they are polled"]
pub struct ReadFuture<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    place: Place,
}

impl<'a, T: ?Sized> Future for ReadFuture<'a, T> {
    type Output = RwLockReadGuard<'a, T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<RwLockReadGuard<'a, T>> {
        let lock = self.lock;
        // SAFETY: the place is pinned with the future.
        let place = unsafe { self.map_unchecked_mut(|this| &mut this.place) };
        lock.raw.poll_read(place, context).map(|()| RwLockReadGuard { lock })
    }
}

impl<T: ?Sized> Drop for ReadFuture<'_, T> {
    fn drop(&mut self) {
        // SAFETY: it was pinned if it was ever polled, and is not moved any more.
        self.lock.raw.forget_reader(unsafe { Pin::new_unchecked(&mut self.place) });
    }
}

impl<T: ?Sized> fmt::Debug for ReadFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadFuture").finish_non_exhaustive()
    }
}

/// What [`RwLock::write_async`] returns.
#[must_use = "futures do nothing unless they are polled"]
pub struct WriteFuture<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    place: Place,
}

impl<'a, T: ?Sized> Future for WriteFuture<'a, T> {
    type Output = RwLockWriteGuard<'a, T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<RwLockWriteGuard<'a, T>> {
        let lock = self.lock;
        // SAFETY: the place is pinned with the future.
        let place = unsafe { self.map_unchecked_mut(|this| &mut this.place) };
        lock.raw.poll_write(place, context).map(|()| RwLockWriteGuard { lock })
    }
}

impl<T: ?Sized> Drop for WriteFuture<'_, T> {
    fn drop(&mut self) {
        // SAFETY: it was pinned if it was ever polled, and is not moved any more.
        self.lock.raw.forget_writer(unsafe { Pin::new_unchecked(&mut self.place) });
    }
}

impl<T: ?Sized> fmt::Debug for WriteFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteFuture").finish_non_exhaustive()
    }
}
