//! [`Pool`]: values that are not in use, in a bin for each P.
//!
//! # The bins
//! A bin has a lock that nobody waits for: who finds it locked goes to the next bin. It is held for a push or a pop, and
//! no code of the user's runs under it. Which bin is the caller's own is a hint. So a pool works from any thread, and from
//! a G that has been moved.
//!
//! # Age
//! A bin has two generations, as Go's pools: at each step of age the values of the older one are dropped, and the younger
//! one becomes the older. A value that is taken and put back is young again. Steps come every [`PERIOD`] from a thread
//! that all pools share (`Ager`). It lives while some pool has values.
//!
//! A pool is on the ager's list while `is_aged` is set. The ager clears it when it has found no value, and looks once
//! more: a put before that look is seen by it, and one after it finds the flag cleared (the locks of the bins order the
//! two), and puts the pool on the list again.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "the values in a bin")]

use crate::holder::me;
use crate::once_lock::OnceLock;
use pirn_runtime::internal::p_number;
use std::cell::UnsafeCell;
use std::fmt;
use std::mem::{ManuallyDrop, forget, replace, take};
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

/// A value that is not used for so long, or twice that, is dropped. Go's pools live for one to two collections, of which
/// there is one every two minutes at least, and mostly many more.
const PERIOD: Duration = Duration::from_secs(10);

/// No more bins than this, whatever machine it is.
const BINS_MAX: usize = 64;

/// Values that are made when they are needed and kept when they are not, for the next that needs one: Go's `sync.Pool`,
/// for goroutines, OS threads and async tasks. It saves making what is costly to make, as buffers are.
///
/// [`get`](Self::get) takes one of those that are kept, or makes one; which one it is nobody can say, and it is as it was
/// left. When the [`Pooled`] is dropped the value goes back, unless its holder panics: it may be half changed then.
///
/// A pool is no place to keep things: what is not used for 10 to 20 seconds is dropped, on a thread of the pools' own.
/// Nothing here waits. Making a pool needs no memory.
///
/// ```
/// use pirn::sync::Pool;
///
/// static BUFFERS: Pool<Vec<u8>> = Pool::new(|| Vec::with_capacity(4096));
///
/// pirn::run(|| {
///     let gs: Vec<_> = (0..100)
///         .map(|n| {
///             pirn::go(move || {
///                 let mut buffer = BUFFERS.get();
///                 buffer.clear();
///                 buffer.extend_from_slice(format!("{n}").as_bytes());
///                 buffer.len()
///             })
///         })
///         .collect();
///     assert_eq!(gs.into_iter().map(|g| g.join().unwrap()).sum::<usize>(), 190);
/// });
/// ```
pub struct Pool<T: Send + 'static> {
    make: fn() -> T,
    max: usize,
    bins: OnceLock<Arc<Bins<T>>>,
}

impl<T: Send + 'static> Pool<T> {
    /// A pool of what `make` makes.
    pub const fn new(make: fn() -> T) -> Pool<T> {
        Pool { make, max: usize::MAX, bins: OnceLock::new() }
    }

    /// The same; it keeps `max` values at most, and drops what is put back beyond that. With 0 it keeps none.
    #[must_use]
    pub const fn with_max(mut self, max: usize) -> Pool<T> {
        self.max = max;
        self
    }

    /// Takes a value, or makes one.
    ///
    /// # Panics
    /// If making one does.
    #[inline]
    pub fn get(&self) -> Pooled<'_, T> {
        let value = self.take().unwrap_or_else(self.make);
        Pooled { pool: self, value: ManuallyDrop::new(value) }
    }

    /// Takes a value, if one is kept.
    #[inline]
    pub fn take(&self) -> Option<T> {
        self.bins.get()?.pop()
    }

    /// Puts a value in, whoever has made it.
    pub fn put(&self, value: T) {
        let bins = self.bins.get_or_init(|| Arc::new(Bins::new(self.max)));
        // What is not kept is dropped here, outside of the lock.
        drop(bins.push(value));
        if !bins.is_aged.load(Ordering::Relaxed) && !bins.is_aged.swap(true, Ordering::Relaxed) {
            watch(bins);
        }
    }

    /// How many are kept: a hint, as it may change at once.
    pub fn kept(&self) -> usize {
        self.bins.get().map_or(0, |bins| bins.kept())
    }

    /// Drops all that are kept now.
    pub fn clear(&self) {
        while let Some(value) = self.take() {
            drop(value);
        }
    }
}

impl<T: Send + 'static> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("kept", &self.kept()).finish_non_exhaustive()
    }
}

/// A value of a [`Pool`], which goes back when this is dropped.
pub struct Pooled<'a, T: Send + 'static> {
    pool: &'a Pool<T>,
    /// It is there until this is dropped.
    value: ManuallyDrop<T>,
}

impl<T: Send + 'static> Pooled<'_, T> {
    /// Takes the value away from the pool.
    pub fn into_inner(this: Self) -> T {
        let mut this = ManuallyDrop::new(this);
        // SAFETY: this is not dropped, and the value is taken once.
        unsafe { ManuallyDrop::take(&mut this.value) }
    }
}

impl<T: Send + 'static> Deref for Pooled<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Send + 'static> DerefMut for Pooled<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: Send + 'static> Drop for Pooled<'_, T> {
    fn drop(&mut self) {
        // SAFETY: it is taken once, here.
        let value = unsafe { ManuallyDrop::take(&mut self.value) };
        if !thread::panicking() {
            self.pool.put(value);
        }
    }
}

impl<T: Send + fmt::Debug + 'static> fmt::Debug for Pooled<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// All bins of a pool.
struct Bins<T> {
    bins: Box<[Bin<T>]>,
    max: usize,
    /// How many are kept, or about to be, if there is a maximum.
    kept: AtomicUsize,
    /// It is on the ager's list.
    is_aged: AtomicBool,
}

/// The values of one P, more or less.
#[repr(align(64))]
struct Bin<T> {
    is_locked: AtomicBool,
    /// How many it has: a hint for those that look for one. Written under the lock.
    len: AtomicUsize,
    generations: UnsafeCell<Generations<T>>,
}

struct Generations<T> {
    young: Vec<T>,
    old: Vec<T>,
}

// SAFETY: the values may be sent, and are used under the lock.
unsafe impl<T: Send> Sync for Bin<T> {}

impl<T> Bin<T> {
    /// Calls `f` under the lock, if that is free.
    #[inline]
    fn with<R>(&self, f: impl FnOnce(&mut Generations<T>) -> R) -> Option<R> {
        /// Unlocks, also if there is no memory for a push.
        struct Unlock<'a>(&'a AtomicBool);
        impl Drop for Unlock<'_> {
            fn drop(&mut self) {
                // Release: what was done to the bin (partner: the Acquire below).
                self.0.store(false, Ordering::Release);
            }
        }
        // Acquire: as above.
        if self.is_locked.swap(true, Ordering::Acquire) {
            return None;
        }
        let _unlock = Unlock(&self.is_locked);
        // SAFETY: the lock is held.
        let generations = unsafe { &mut *self.generations.get() };
        let result = f(generations);
        self.len.store(generations.young.len() + generations.old.len(), Ordering::Relaxed);
        Some(result)
    }
}

impl<T> Bins<T> {
    fn new(max: usize) -> Bins<T> {
        let threads = thread::available_parallelism().map_or(1, |n| n.get());
        let bin = |_| Bin {
            is_locked: AtomicBool::new(false),
            len: AtomicUsize::new(0),
            generations: UnsafeCell::new(Generations { young: Vec::new(), old: Vec::new() }),
        };
        Bins {
            bins: (0..threads.next_power_of_two().min(BINS_MAX)).map(bin).collect(),
            max,
            kept: AtomicUsize::new(0),
            is_aged: AtomicBool::new(false),
        }
    }

    /// All bins, the caller's own first.
    #[inline]
    fn own_first(&self) -> impl Iterator<Item = &Bin<T>> {
        let own = p_number().unwrap_or_else(|| me() as usize >> 1) & (self.bins.len() - 1);
        let (before, from_own) = self.bins.split_at(own);
        from_own.iter().chain(before)
    }

    #[inline]
    fn pop(&self) -> Option<T> {
        let has_some = self.own_first().filter(|bin| bin.len.load(Ordering::Relaxed) > 0);
        let value = { has_some }.find_map(|bin| bin.with(|bin| bin.young.pop().or_else(|| bin.old.pop()))?)?;
        self.release(1);
        Some(value)
    }

    /// Keeps the value, or gives it back.
    fn push(&self, value: T) -> Option<T> {
        let keep = |kept: usize| (kept < self.max).then_some(kept + 1);
        if self.max != usize::MAX && self.kept.fetch_update(Ordering::Relaxed, Ordering::Relaxed, keep).is_err() {
            return Some(value);
        }
        let mut value = Some(value);
        for bin in self.own_first() {
            if bin.with(|bin| bin.young.extend(value.take())).is_some() {
                return None;
            }
        }
        // All are in use at this moment.
        self.release(1);
        value
    }

    /// So many are not kept any more.
    #[inline]
    fn release(&self, n: usize) {
        if self.max != usize::MAX {
            self.kept.fetch_sub(n, Ordering::Relaxed);
        }
    }

    fn kept(&self) -> usize {
        self.bins.iter().map(|bin| bin.len.load(Ordering::Relaxed)).sum()
    }
}

/// What the ager does to each pool.
trait Aged: Send + Sync {
    /// A step of age. False if the pool is empty, and not on the list any more.
    fn age(&self) -> bool;
}

impl<T: Send> Aged for Bins<T> {
    fn age(&self) -> bool {
        for bin in &self.bins {
            // A bin that is in use now is aged by the next step.
            let step = |bin: &mut Generations<T>| {
                let young = take(&mut bin.young);
                replace(&mut bin.old, young)
            };
            let dropped = bin.with(step).unwrap_or_default();
            self.release(dropped.len());
            for value in dropped {
                // A panic of one destructor is its own; the hook has said it.
                if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
                    // Its own destructor might panic too.
                    forget(payload);
                }
            }
        }
        self.has_some() || {
            self.is_aged.store(false, Ordering::Relaxed);
            self.has_some() && !self.is_aged.swap(true, Ordering::Relaxed)
        }
    }
}

impl<T> Bins<T> {
    /// Whether there is a value. This waits for the locks of the bins, which are held for some instructions.
    fn has_some(&self) -> bool {
        self.bins.iter().any(|bin| {
            loop {
                if let Some(has_some) = bin.with(|bin| !bin.young.is_empty() || !bin.old.is_empty()) {
                    break has_some;
                }
                thread::yield_now();
            }
        })
    }
}

/// The pools that have values, while there is a thread that ages them; empty if there is none.
static AGED: Mutex<Vec<Weak<dyn Aged>>> = Mutex::new(Vec::new());

/// Puts a pool on the list.
#[cold]
fn watch<T: Send + 'static>(bins: &Arc<Bins<T>>) {
    let weak: Weak<dyn Aged> = Arc::downgrade(&(bins.clone() as Arc<dyn Aged>));
    let mut aged = AGED.lock().unwrap_or_else(PoisonError::into_inner);
    aged.push(weak);
    if aged.len() == 1 && thread::Builder::new().name("pirn-pools".to_owned()).spawn(run_ager).is_err() {
        // No thread is to be had: the next that puts something tries again.
        aged.clear();
        bins.is_aged.store(false, Ordering::Relaxed);
    }
}

/// The thread that ages all pools, until they are empty.
fn run_ager() {
    loop {
        pirn_runtime::sleep(PERIOD);
        let pools = AGED.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Destructors run outside of the lock, as they may use a pool; also those of a pool that is dropped meanwhile.
        let age = |pool: &Weak<dyn Aged>| pool.upgrade().is_some_and(|pool| pool.age());
        let has_some = |pool: &&Weak<dyn Aged>| catch_unwind(AssertUnwindSafe(|| age(pool))).unwrap_or(true);
        let empty: Vec<_> = pools.iter().filter(|pool| !has_some(pool)).collect();
        let mut aged = AGED.lock().unwrap_or_else(PoisonError::into_inner);
        for empty in empty {
            // One that is on the list once more stays there once.
            if let Some(nth) = aged.iter().position(|pool| pool.ptr_eq(empty)) {
                aged.remove(nth);
            }
        }
        if aged.is_empty() {
            return;
        }
    }
}
