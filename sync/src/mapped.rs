//! Guards for a part of what a lock guards.

#![allow(unsafe_code, reason = "a part of the value under a lock")]

use crate::guard::show;
use crate::raw_mutex::RawMutex;
use crate::raw_rwlock::RawRwLock;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};

/// A part of the value of an [`RwLock`](crate::RwLock) that is locked to read: see
/// [`RwLockReadGuard::map`](crate::RwLockReadGuard::map).
#[must_use = "the lock is unlocked at once if the guard is not kept"]
pub struct MappedRwLockReadGuard<'a, T: ?Sized> {
    raw: &'a RawRwLock,
    /// No reference: a function that takes the guard and drops it would promise that nobody writes until it returns.
    value: NonNull<T>,
}

// SAFETY: it stands for a `&T`, and the lock belongs to no thread.
unsafe impl<T: ?Sized + Sync> Send for MappedRwLockReadGuard<'_, T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for MappedRwLockReadGuard<'_, T> {}

impl<'a, T: ?Sized> MappedRwLockReadGuard<'a, T> {
    /// For a part of the value under `raw`, which the caller has locked to read.
    pub(crate) fn new(raw: &'a RawRwLock, value: NonNull<T>) -> Self {
        MappedRwLockReadGuard { raw, value }
    }

    /// A guard for a part of the part.
    pub fn map<U: ?Sized, F: FnOnce(&T) -> &U>(this: Self, part: F) -> MappedRwLockReadGuard<'a, U> {
        let value = NonNull::from(part(&this));
        MappedRwLockReadGuard::new(ManuallyDrop::new(this).raw, value)
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
            Some(value) => Ok(MappedRwLockReadGuard::new(ManuallyDrop::new(this).raw, value)),
            None => Err(this),
        }
    }
}

impl<T: ?Sized> Deref for MappedRwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held to read.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized> Drop for MappedRwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        self.raw.unlock_read();
    }
}

/// A guard for a part of a value that its holder may change.
macro_rules! mapped {
    ($(#[doc = $doc:literal])* $guard:ident of $raw:ident, $unlock:ident) => {
        $(#[doc = $doc])*
        #[must_use = "the lock is unlocked at once if the guard is not kept"]
        pub struct $guard<'a, T: ?Sized> {
            raw: &'a $raw,
            value: *mut T,
            is_invariant: PhantomData<&'a mut T>,
        }

        // SAFETY: it stands for a `&mut T`, and the lock belongs to no thread.
        unsafe impl<T: ?Sized + Send> Send for $guard<'_, T> {}
        // SAFETY: a shared one shares the value.
        unsafe impl<T: ?Sized + Sync> Sync for $guard<'_, T> {}

        impl<'a, T: ?Sized> $guard<'a, T> {
            /// For a part of the value under `raw`, which the caller has locked.
            pub(crate) fn new(raw: &'a $raw, value: *mut T) -> Self {
                $guard { raw, value, is_invariant: PhantomData }
            }

            /// A guard for a part of the part.
            pub fn map<U: ?Sized, F: FnOnce(&mut T) -> &mut U>(this: Self, part: F) -> $guard<'a, U> {
                let mut this = this;
                let value = ptr::from_mut(part(&mut this));
                $guard::new(ManuallyDrop::new(this).raw, value)
            }

            /// As [`map`](Self::map), for a part that may not be there: then the guard comes back.
            ///
            /// # Errors
            /// The guard, if `part` returns none.
            #[doc(alias = "try_map")]
            pub fn filter_map<U: ?Sized, F: FnOnce(&mut T) -> Option<&mut U>>(this: Self, part: F) -> Result<$guard<'a, U>, Self> {
                let mut this = this;
                match part(&mut this).map(ptr::from_mut) {
                    Some(value) => Ok($guard::new(ManuallyDrop::new(this).raw, value)),
                    None => Err(this),
                }
            }
        }

        impl<T: ?Sized> Deref for $guard<'_, T> {
            type Target = T;

            fn deref(&self) -> &T {
                // SAFETY: the lock is held.
                unsafe { &*self.value }
            }
        }

        impl<T: ?Sized> DerefMut for $guard<'_, T> {
            fn deref_mut(&mut self) -> &mut T {
                // SAFETY: the lock is held to write, and the guard is the only one.
                unsafe { &mut *self.value }
            }
        }

        impl<T: ?Sized> Drop for $guard<'_, T> {
            fn drop(&mut self) {
                self.raw.$unlock();
            }
        }
    };
}

mapped! {
    /// A part of the value of a locked [`Mutex`](crate::Mutex): see [`MutexGuard::map`](crate::MutexGuard::map).
    MappedMutexGuard of RawMutex, unlock
}

mapped! {
    /// A part of the value of an [`RwLock`](crate::RwLock) that is locked to write: see
    /// [`RwLockWriteGuard::map`](crate::RwLockWriteGuard::map).
    MappedRwLockWriteGuard of RawRwLock, unlock_write
}

show!(MappedMutexGuard, MappedRwLockReadGuard, MappedRwLockWriteGuard);
