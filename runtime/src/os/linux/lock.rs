//! The lock of the runtime's own data. It is as std's, but waits by a system call of its own (`unhooked.rs`), so that the
//! crate `hook` never parks a G that waits for it. It has std's signatures, as models have loom's lock in its place, but it is
//! never poisoned.
//!
//! Each thread knows how many it holds ([`holds_one`]): what it allocates meanwhile is code of the user's, if there is an
//! allocator, and that must not park the G, nor wake another one.

use super::unhooked::{futex_wait, futex_wake};
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::hint::spin_loop;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LockResult, TryLockError, TryLockResult};

const FREE: u32 = 0;
const HELD: u32 = 1;
/// The same, and a thread may sleep until it is free.
const WAITED_FOR: u32 = 2;

/// How often a thread looks again before it sleeps.
const SPINS: u32 = 100;

thread_local! {
    /// How many the caller holds, and whether it has something to do when it holds none (`HAS_REST`).
    static HOW_MANY: Cell<u32> = const { Cell::new(0) };
    static REST: Cell<Option<fn()>> = const { Cell::new(None) };
}

const HAS_REST: u32 = 1 << 31;

/// Whether the caller holds a lock of the runtime.
#[inline]
pub(crate) fn holds_one() -> bool {
    HOW_MANY.get() != 0
}

/// Has `f` called when the caller, which holds a lock, holds none any more.
pub(crate) fn when_none_is_held(f: fn()) {
    REST.set(Some(f));
    HOW_MANY.set(HOW_MANY.get() | HAS_REST);
}

#[cold]
#[inline(never)]
fn do_rest() {
    HOW_MANY.set(0);
    if let Some(f) = REST.take() {
        f();
    }
}

/// See the head of this file.
pub(crate) struct Mutex<T: ?Sized> {
    state: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the lock hands the value from one thread to another.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: as above, one at a time.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

/// The lock, held.
#[must_use = "it unlocks when it is dropped"]
pub(crate) struct MutexGuard<'a, T: ?Sized> {
    lock: &'a Mutex<T>,
    /// It belongs to the thread that has locked it.
    not_send: PhantomData<*mut ()>,
}

// SAFETY: a shared guard gives shared references to the value.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<T> Mutex<T> {
    /// A free one.
    pub(crate) const fn new(value: T) -> Mutex<T> {
        Mutex { state: AtomicU32::new(FREE), value: UnsafeCell::new(value) }
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock.
    ///
    /// # Errors
    /// None.
    #[inline]
    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        if !self.try_acquire() {
            self.acquire();
        }
        Ok(self.guard())
    }

    /// The lock, if it is free.
    ///
    /// # Errors
    /// `WouldBlock` if it is not.
    #[inline]
    pub(crate) fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        if self.try_acquire() { Ok(self.guard()) } else { Err(TryLockError::WouldBlock) }
    }

    #[inline]
    fn guard(&self) -> MutexGuard<'_, T> {
        HOW_MANY.set(HOW_MANY.get() + 1);
        MutexGuard { lock: self, not_send: PhantomData }
    }

    #[inline]
    fn try_acquire(&self) -> bool {
        // Acquire: what was done under the lock before (partner: the drop of a guard).
        self.state.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[cold]
    fn acquire(&self) {
        for _ in 0..SPINS {
            match self.state.load(Ordering::Relaxed) {
                FREE if self.try_acquire() => return,
                // Others sleep for it: it does not become free soon.
                WAITED_FOR => break,
                _ => spin_loop(),
            }
        }
        // Whoever has slept does not know whether others do, so it says that they may. Acquire: as above.
        while self.state.swap(WAITED_FOR, Ordering::Acquire) != FREE {
            futex_wait(&self.state, WAITED_FOR);
        }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // Release: partner is `try_acquire`.
        if self.lock.state.swap(FREE, Ordering::Release) == WAITED_FOR {
            futex_wake(&self.lock.state);
        }
        let held = HOW_MANY.get() - 1;
        HOW_MANY.set(held);
        if held == HAS_REST {
            do_rest();
        }
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held, by this guard alone.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").field("is_held", &(self.state.load(Ordering::Relaxed) != FREE)).finish_non_exhaustive()
    }
}

impl<T: ?Sized> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MutexGuard").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_nobody_waits_for_ever() {
        let count = Mutex::new(0);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for nth in 0..20_000 {
                        let mut count = count.lock().expect("it is never poisoned");
                        let before = *count;
                        if nth % 1_000 == 0 {
                            // The others sleep meanwhile.
                            std::thread::yield_now();
                        }
                        *count = before + 1;
                    }
                });
            }
        });
        assert_eq!(*count.lock().expect("it is never poisoned"), 80_000);
    }

    #[test]
    fn the_rest_comes_when_none_is_held() {
        thread_local! { static DONE: Cell<u32> = const { Cell::new(0) } }
        let (a, b) = (Mutex::new(()), Mutex::new(()));
        let (first, second) = (a.lock(), b.lock());
        when_none_is_held(|| DONE.set(DONE.get() + 1));
        drop(first);
        assert!(holds_one() && DONE.get() == 0);
        drop(second);
        assert!(!holds_one() && DONE.get() == 1);
        drop(a.lock());
        assert_eq!(DONE.get(), 1);
    }

    #[test]
    fn one_that_is_held_is_not_had() {
        let lock = Mutex::new(());
        let held = lock.try_lock().expect("it is free");
        assert!(lock.try_lock().is_err());
        drop(held);
        assert!(lock.try_lock().is_ok());
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _held = lock.lock();
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(lock.try_lock().is_ok());
    }
}
