//! [`Pool`]: values that are not in use, in a bin for each OS thread, more or less.
//!
//! # The bins
//! A bin has a slot for one value. Whoever takes a value from the slot of its own bin, or has found the slot empty, holds
//! the slot until it gives the value back; that is one locked instruction for both (`pool_slot.rs`).
//!
//! All other values are under the bin's lock, for which nobody waits: who finds it locked goes to the next bin. It is held
//! for a push or a pop, and no code of the user's runs under it. Which bin is the caller's own is a hint. So a pool works
//! from any thread, and from a G that has been moved.
//!
//! The own bin follows from the number of the M, not of the P: a G that computes for long loses its P and runs on, and
//! would share a bin with the one that gets the P. There are several bins for each CPU, since there are more Ms than
//! CPUs: two threads that run at the same time seldom have the same bin.
//!
//! # Age
//! A value is young or old, as in Go's pools: at each step of age the old values are dropped, and the young ones
//! become old. A value that is taken and put back is young again. Steps come every [`PERIOD`] while some pool
//! has values. They are a chore of the runtime: sysmon starts a G for each, and no thread or timer waits for it. Where no
//! runtime is, a thread that uses the pool does the step, if it is due.
//!
//! A pool is on the list [`AGED`] while `is_aged` is set. A step clears it when it has found no value, nor a slot that is
//! held, and looks once more: a put before that look is seen by it, and one after it finds the flag cleared (the locks of
//! the bins order the two, and the look at a slot), and puts the pool on the list again. The chore is set while the list is not empty: by whoever makes it not
//! empty, and by a step that leaves something there. The list's lock makes steps come one after the other; destructors
//! run after it has been given back.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "the value of a Pooled")]

use crate::holder::me;
use crate::loom::checkpoint;
use crate::once_lock::OnceLock;
use crate::pool_bin::Bin;
use crate::pool_slot::Held;
use pirn_runtime::internal::{call_later, m_number};
use std::fmt;
use std::mem::{ManuallyDrop, forget};
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

/// A value that is not used for so long, or twice that, is dropped. Go's pools live for one to two collections, of which
/// there is one every two minutes at least, and mostly many more.
const PERIOD: Duration = Duration::from_secs(10);

/// So many bins for each CPU, but no more than [`BINS_MAX`].
const BINS_PER_CPU: usize = 4;

/// No more bins than this, whatever machine it is.
const BINS_MAX: usize = 128;

/// Values that are made when they are needed and kept when they are not, for the next that needs one: Go's `sync.Pool`,
/// for goroutines, OS threads and async tasks. It saves making what is costly to make, as buffers are.
///
/// [`get`](Self::get) takes one of those that are kept, or makes one; which one it is nobody can say, and it is as it was
/// left. When the [`Pooled`] is dropped the value goes back, unless its holder panics: it may be half changed then.
///
/// A pool is no place to keep things: what is not used for 10 to 20 seconds is dropped, on a goroutine that a runtime
/// starts for that. What waits for such a drop may wait for ever: it does not keep a runtime from reporting that all
/// its goroutines are asleep. While no goroutine runs, old values are dropped when a thread uses a pool, or else when
/// a runtime next has something to do.
///
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
        // A G that only uses a pool, and loses its P, would run on beside the next one, and use a bin of another thread.
        checkpoint();
        let bins = self.bins();
        let (own, is_thread) = own_bin();
        let bin = bins.nth(own);
        if is_thread {
            // There may be no runtime that does the steps of age.
            bin.count_use();
        }
        let (home, value) = match bin.hold() {
            Some((home, Some(value))) => {
                bins.release(1);
                (Some(home), value)
            }
            // If making one panics the slot is let go.
            Some((home, None)) => (Some(home), self.take_or_make(bins, own)),
            None => (None, self.take_or_make(bins, own)),
        };
        Pooled { bins, home: ManuallyDrop::new(home), value: ManuallyDrop::new(value) }
    }

    #[cold]
    fn take_or_make(&self, bins: &Bins<T>, own: usize) -> T {
        bins.pop(own).unwrap_or_else(self.make)
    }

    #[inline]
    fn bins(&self) -> &Arc<Bins<T>> {
        self.bins.get_or_init(|| Arc::new(Bins::new(self.max)))
    }

    /// Takes a value, if one is kept.
    #[inline]
    pub fn take(&self) -> Option<T> {
        self.bins.get()?.pop(own_bin().0)
    }

    /// Puts a value in, whoever has made it.
    pub fn put(&self, value: T) {
        self.bins().put(value);
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
    bins: &'a Arc<Bins<T>>,
    /// The slot to which the value goes back. None: another one held it. As the value.
    home: ManuallyDrop<Option<Held<'a, T>>>,
    /// It is there until this is dropped.
    value: ManuallyDrop<T>,
}

impl<T: Send + 'static> Pooled<'_, T> {
    /// Takes the value away from the pool.
    pub fn into_inner(this: Self) -> T {
        let mut this = ManuallyDrop::new(this);
        // SAFETY: this is not dropped, and the slot is let go once.
        unsafe { ManuallyDrop::drop(&mut this.home) };
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
    #[inline]
    fn drop(&mut self) {
        // SAFETY: it is taken once, here.
        let value = unsafe { ManuallyDrop::take(&mut self.value) };
        // SAFETY: as the value.
        let home = unsafe { ManuallyDrop::take(&mut self.home) };
        if thread::panicking() {
            return;
        }
        match home {
            Some(home) => self.bins.give_back(value, home),
            None => self.bins.put(value),
        }
    }
}

impl<T: Send + fmt::Debug + 'static> fmt::Debug for Pooled<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// All bins of a pool. Aligned as a bin is: all who use the pool read it, and a value that has just been made may lie
/// beside it.
#[repr(align(128))]
struct Bins<T> {
    bins: Box<[Bin<T>]>,
    max: usize,
    /// How many are kept, or about to be, if there is a maximum.
    kept: AtomicUsize,
    /// It is on the list of those that age.
    is_aged: AtomicBool,
}

/// A number from which the caller's bin follows, and whether the caller is a thread that runs no G.
#[inline]
fn own_bin() -> (usize, bool) {
    match m_number() {
        Some(m) => (m as usize, false),
        None => (me() as usize >> 1, true),
    }
}

impl<T> Bins<T> {
    fn new(max: usize) -> Bins<T> {
        let cpus = thread::available_parallelism().map_or(1, |n| n.get());
        Bins {
            bins: (0..(cpus * BINS_PER_CPU).next_power_of_two().min(BINS_MAX)).map(|_| Bin::new()).collect(),
            max,
            kept: AtomicUsize::new(0),
            is_aged: AtomicBool::new(false),
        }
    }

    /// The nth bin after the first, and round.
    #[inline]
    fn nth(&self, n: usize) -> &Bin<T> {
        // Their number is a power of two.
        &self.bins[n & (self.bins.len() - 1)]
    }

    /// All bins, the caller's own first.
    fn own_first(&self, own: usize) -> impl Iterator<Item = &Bin<T>> {
        (0..self.bins.len()).map(move |n| self.nth(own + n))
    }

    /// Puts a value into a bin, if there is room.
    #[cold]
    fn put(self: &Arc<Self>, value: T)
    where
        T: Send + 'static,
    {
        let (own, is_thread) = own_bin();
        // What is not kept is dropped outside of the lock.
        drop(self.push(value, own).err());
        self.see_to_age();
        if is_thread {
            self.nth(own).count_use();
        }
    }

    /// Gives a value back to the slot that it came from, if there is room.
    #[inline]
    fn give_back(self: &Arc<Self>, value: T, home: Held<'_, T>)
    where
        T: Send + 'static,
    {
        if self.reserve() {
            home.give_back(value);
            self.see_to_age();
        }
    }

    /// Puts the pool on the list of those that age, if it is not there.
    #[inline]
    fn see_to_age(self: &Arc<Self>)
    where
        T: Send + 'static,
    {
        if !self.is_aged.load(Ordering::Relaxed) {
            add_to_aged(self);
        }
    }

    /// Takes a value, from the own bin if that has one.
    fn pop(&self, own: usize) -> Option<T> {
        let value = self.own_first(own).find_map(Bin::pop)?;
        self.release(1);
        Some(value)
    }

    /// Keeps the value, if there is room; if not, returns it.
    fn push(&self, mut value: T, own: usize) -> Result<(), T> {
        if !self.reserve() {
            return Err(value);
        }
        for bin in self.own_first(own) {
            match bin.push(value) {
                Ok(()) => return Ok(()),
                Err(back) => value = back,
            }
        }
        // All are in use at this moment.
        self.release(1);
        Err(value)
    }

    /// One more is kept, if that is not more than the maximum.
    #[inline]
    fn reserve(&self) -> bool {
        let keep = |kept: usize| (kept < self.max).then_some(kept + 1);
        self.max == usize::MAX || self.kept.fetch_update(Ordering::Relaxed, Ordering::Relaxed, keep).is_ok()
    }

    /// So many are not kept any more.
    #[inline]
    fn release(&self, n: usize) {
        if self.max != usize::MAX {
            self.kept.fetch_sub(n, Ordering::Relaxed);
        }
    }

    fn kept(&self) -> usize {
        self.bins.iter().map(|bin| bin.len()).sum()
    }
}

/// What a step of age does to each pool.
trait Aged: Send + Sync {
    /// Takes what has become too old out of it; the closures that are added to `drops` drop it. False if the pool is
    /// empty and nobody holds a slot, and not to be on the list any more.
    fn age(&self, drops: &mut Vec<Box<dyn FnOnce()>>) -> bool;
}

impl<T: Send + 'static> Aged for Bins<T> {
    fn age(&self, drops: &mut Vec<Box<dyn FnOnce()>>) -> bool {
        for bin in &self.bins {
            let old = bin.age();
            if !old.is_empty() {
                self.release(old.len());
                // A panic of one destructor is its own.
                drops.push(Box::new(|| old.into_iter().for_each(|value| contain(|| drop(value)))));
            }
        }
        let may_have_some = || self.bins.iter().any(Bin::may_have_some);
        may_have_some() || {
            self.is_aged.store(false, Ordering::Relaxed);
            may_have_some() && !self.is_aged.swap(true, Ordering::Relaxed)
        }
    }
}

/// Ends a panic of `f` here; the hook has said what happened.
fn contain(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        // Its own destructor might panic too.
        forget(payload);
    }
}

/// The pools that have values. While there are some, a step is to come.
static AGED: Mutex<Vec<Weak<dyn Aged>>> = Mutex::new(Vec::new());

fn lock_aged() -> MutexGuard<'static, Vec<Weak<dyn Aged>>> {
    // Nothing panics under it but an allocation that fails.
    AGED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts a pool on the list, if it is not there.
#[cold]
fn add_to_aged<T: Send + 'static>(bins: &Arc<Bins<T>>) {
    if bins.is_aged.swap(true, Ordering::Relaxed) {
        return;
    }
    let weak: Weak<dyn Aged> = Arc::downgrade(&(bins.clone() as Arc<dyn Aged>));
    let mut aged = lock_aged();
    aged.push(weak);
    if aged.len() == 1 {
        call_later(PERIOD, age_all);
    }
}

/// A step of age of all pools.
fn age_all() {
    let (mut drops, mut pools) = (Vec::new(), Vec::new());
    let mut aged = lock_aged();
    aged.retain(|pool| {
        let Some(pool) = pool.upgrade() else { return false };
        let has_some = pool.age(&mut drops);
        // It may be the last that has it by now.
        pools.push(pool);
        has_some
    });
    if !aged.is_empty() {
        call_later(PERIOD, age_all);
    }
    drop(aged);
    // Only now, as destructors may use a pool, or never return.
    drops.into_iter().for_each(contain);
    pools.into_iter().for_each(|pool| contain(|| drop(pool)));
}
