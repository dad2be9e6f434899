//! Whether a lock is poisoned.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};
use std::thread::panicking;

/// Whether one has panicked that held a lock to write.
#[derive(Debug, Default)]
pub(super) struct Flag(AtomicBool);

impl Flag {
    pub(super) const fn new() -> Flag {
        Flag(AtomicBool::new(false))
    }

    pub(super) fn get(&self) -> bool {
        // The lock orders what was written under it, this too.
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, is_poisoned: bool) {
        self.0.store(is_poisoned, Ordering::Relaxed);
    }

    pub(super) fn result<G>(&self, guard: G) -> LockResult<G> {
        if self.get() { Err(PoisonError::new(guard)) } else { Ok(guard) }
    }

    pub(super) fn try_result<G>(&self, guard: Option<G>) -> TryLockResult<G> {
        match guard {
            None => Err(TryLockError::WouldBlock),
            Some(guard) => self.result(guard).map_err(TryLockError::Poisoned),
        }
    }
}

/// What a guard that writes poisons when it goes, if its thread unwinds then and did not when it came. It lies before
/// the guard of the lock, so that it goes first.
pub(super) struct Watch<'a> {
    pub(super) poison: &'a Flag,
    unwound_before: bool,
}

impl<'a> Watch<'a> {
    #[inline]
    pub(super) fn new(poison: &'a Flag) -> Watch<'a> {
        Watch { poison, unwound_before: panicking() }
    }
}

impl Drop for Watch<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.unwound_before && panicking() {
            self.poison.set(true);
        }
    }
}

/// What a guard of a lock has, besides what the lock's own guard does: it watches for a panic.
///
/// `part` runs within the watch: a panic of it drops the watch before the lock is unlocked.
macro_rules! maps {
    ($($guard:ident => $mapped:ident in $lock:ident),*) => {$(
        impl<'a, T: ?Sized> $guard<'a, T> {
            /// A guard for a part of the value.
            pub fn map<U: ?Sized, F: FnOnce(&mut T) -> &mut U>(this: Self, part: F) -> $mapped<'a, U> {
                let $guard { watch, inner } = this;
                let mut kept = None;
                let inner = $lock::$guard::map(inner, |value| {
                    let part = part(value);
                    kept = Some(watch);
                    part
                });
                $mapped { watch: kept.expect("`part` has returned"), inner }
            }

            /// As [`map`](Self::map), for a part that may not be there: then the guard comes back.
            ///
            /// # Errors
            /// The guard, if `part` returns none.
            #[doc(alias = "try_map")]
            pub fn filter_map<U: ?Sized, F: FnOnce(&mut T) -> Option<&mut U>>(this: Self, part: F) -> Result<$mapped<'a, U>, Self> {
                let $guard { watch, inner } = this;
                let mut kept = None;
                let inner = $lock::$guard::filter_map(inner, |value| {
                    let part = part(value);
                    kept = Some(watch);
                    part
                });
                let watch = kept.expect("`part` has returned");
                match inner {
                    Ok(inner) => Ok($mapped { watch, inner }),
                    Err(inner) => Err($guard { watch, inner }),
                }
            }
        }
    )*};
}

/// What a guard that writes gives: the value.
macro_rules! derefs {
    ($($guard:ident),*) => {$(
        impl<T: ?Sized> std::ops::Deref for $guard<'_, T> {
            type Target = T;

            #[inline]
            fn deref(&self) -> &T {
                &self.inner
            }
        }

        impl<T: ?Sized> std::ops::DerefMut for $guard<'_, T> {
            #[inline]
            fn deref_mut(&mut self) -> &mut T {
                &mut self.inner
            }
        }
    )*};
}

/// What both locks have: the value without locking, and the flag.
macro_rules! poisonable {
    ($($lock:ident),*) => {$(
        impl<T> $lock<T> {
            /// A lock around that value.
            pub const fn new(value: T) -> $lock<T> {
                $lock { poison: Flag::new(), inner: inner::$lock::new(value) }
            }

            /// The value, of a lock that nobody can have locked.
            ///
            /// # Errors
            /// The value, if the lock is poisoned.
            pub fn into_inner(self) -> LockResult<T> {
                let $lock { poison, inner } = self;
                poison.result(inner.into_inner())
            }
        }

        impl<T: ?Sized> $lock<T> {
            /// Whether it is poisoned.
            pub fn is_poisoned(&self) -> bool {
                self.poison.get()
            }

            /// It is not poisoned any more.
            pub fn clear_poison(&self) {
                self.poison.set(false);
            }

            /// The value, of a lock that nobody can have locked.
            ///
            /// # Errors
            /// The same, if the lock is poisoned.
            pub fn get_mut(&mut self) -> LockResult<&mut T> {
                let $lock { poison, inner } = self;
                poison.result(inner.get_mut())
            }
        }

        // What a panic has left half done is told.
        impl<T: ?Sized> std::panic::UnwindSafe for $lock<T> {}
        impl<T: ?Sized> std::panic::RefUnwindSafe for $lock<T> {}

        impl<T> From<T> for $lock<T> {
            fn from(value: T) -> $lock<T> {
                $lock::new(value)
            }
        }
    )*};
}

pub(super) use {derefs, maps, poisonable};
