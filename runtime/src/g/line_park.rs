//! The line park: a G that waits in one line, and that only a holder of the line's lock wakes. It costs no
//! read-modify-write beside those of the lock.
//!
//! # The protocol
//! ```text
//!   the G that waits                            the one that tells it
//!     lock the line                               lock the line
//!     stand in it                                 take the G's waiter out
//!     is_parked = true                            is_parked? (then is_parked = false)
//!     the record names this line park             tell it
//!     leave the stack                             unlock
//!     (who runs next) unlock  ------------------> was it parked: the G is the teller's, make it ready
//!                                                 else: unpark it by its park word
//! ```
//! The lock is held until the G has left its stack. So who finds `is_parked` under the lock may resume the G at once,
//! and nobody else may: `is_parked` is set to false under the lock by who takes the G.
//!
//! # Those that look from outside
//! A runtime that closes wakes every G, and an observer takes a G for a trace. They do not know the line. They turn the
//! line park into a park by the park word (`expose`), and then go on as with any other G. For this they use the line
//! park, which lies on the G's stack, so the G must not go on meanwhile:
//!
//! ```text
//!   the G, when it goes on                      the exposer
//!     the record names none                       lock EXPOSERS
//!     light fence                                 exposes = true
//!     if exposes: lock and unlock EXPOSERS        heavy fence
//!     ... its stack changes                       if the record names a line park: lock the line;
//!                                                   if is_parked: is_parked = false, commit the park word; unlock
//!                                                 exposes = false; unlock EXPOSERS
//! ```
//! This is the pair of fences of the section (`m/section.rs`): at least one sees the other's store. Either the exposer
//! reads that there is none, or the G sees `exposes` and waits until the exposer is done. The exposer may name another
//! G's line park than it meant, as records are recycled; the argument holds for that one too, because `exposes` is of
//! the process and not of a runtime. Without the asymmetric fences there is no line park.

use crate::loom::{AtomicBool, AtomicPtr, AtomicUsize, Mutex, MutexGuard, Ordering};
use std::cell::Cell;
use std::fmt;
use std::ptr;

/// The lock of a line in which Gs park.
///
/// # Safety
/// It excludes, and what its holder did is seen by the next one, also if it is given back by its count.
pub unsafe trait LineLock {
    /// Takes it. It is held for a short time, so this may spin.
    fn lock(&self);

    /// Gives it back. Only for its holder.
    fn unlock(&self);

    /// What says that it is held. To give it back without `self`, one is added to it, with Release.
    fn count(&self) -> &AtomicUsize;
}

/// What a waiting G leaves for others. It lies with the operation that waits.
pub(crate) struct LinePark {
    /// The G has left its stack, or will before the lock is free, and who sets this to false takes it. Guarded by the
    /// line's lock.
    is_parked: Cell<bool>,
    count: Cell<*const AtomicUsize>,
    lock: Cell<Option<*const dyn LineLock>>,
}

impl LinePark {
    /// One that is not used.
    #[inline(always)]
    pub(crate) fn new() -> LinePark {
        LinePark { is_parked: Cell::new(false), count: Cell::new(ptr::null()), lock: Cell::new(None) }
    }

    /// The G parks. Only for the holder of the lock.
    #[inline(always)]
    pub(crate) fn begin<L: LineLock + 'static>(&self, lock: &L) {
        self.count.set(lock.count());
        self.lock.set(Some(ptr::from_ref(lock) as *const dyn LineLock));
        self.is_parked.set(true);
    }

    /// The caller, which holds the lock, takes the G if it is parked.
    #[inline(always)]
    pub(crate) fn take(&self) -> bool {
        self.is_parked.replace(false)
    }

    /// Unlocks the line: from here on the G may be another's, and this be gone.
    ///
    /// # Safety
    /// The caller holds the lock for the G that parks.
    #[inline(always)]
    pub(crate) unsafe fn unlock(this: *const LinePark) {
        // SAFETY: it is there as long as the lock is held.
        let count = unsafe { &*this }.count.get();
        // SAFETY: the operation that waits keeps what it waits on.
        let count = unsafe { &*count };
        // No other thread writes it while it is held.
        count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }

    /// Turns it into a park by the park word, if the G is parked: `commit` commits that, and its result is returned.
    ///
    /// # Safety
    /// It was begun, and its operation stays until this returns.
    unsafe fn expose(&self, commit: impl FnOnce() -> bool) -> bool {
        let lock = self.lock.get().expect("it was begun");
        // SAFETY: the operation keeps what it waits on.
        let lock = unsafe { &*lock };
        lock.lock();
        let is_committed = !self.take() || commit();
        lock.unlock();
        is_committed
    }
}

impl fmt::Debug for LinePark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinePark").finish_non_exhaustive()
    }
}

/// The line park of a G, if it waits so: a place in its record.
#[derive(Debug)]
pub(crate) struct LinePlace(AtomicPtr<LinePark>);

impl LinePlace {
    pub(crate) fn new() -> LinePlace {
        LinePlace(AtomicPtr::new(ptr::null_mut()))
    }

    /// Only for the G itself, and for the one that finishes its park.
    #[inline(always)]
    pub(crate) fn get(&self) -> *const LinePark {
        self.0.load(Ordering::Relaxed)
    }

    /// The G is about to wait so, and holds the lock.
    #[inline(always)]
    pub(crate) fn set(&self, line: &LinePark) {
        // Release: an exposer sees it begun (partner: `expose`).
        self.0.store(ptr::from_ref(line).cast_mut(), Ordering::Release);
    }

    /// The G goes on. A light fence has to follow, and then [`Exposers::wait`].
    #[inline(always)]
    pub(crate) fn clear(&self) {
        self.0.store(ptr::null_mut(), Ordering::Relaxed);
    }
}

/// Those that look from outside, one at a time.
#[derive(Debug)]
pub(crate) struct Exposers {
    exposes: AtomicBool,
    lock: Mutex<()>,
}

/// The exposer.
#[derive(Debug)]
pub(crate) struct Exposer<'a> {
    exposers: &'a Exposers,
    _lock: MutexGuard<'a, ()>,
}

impl Exposers {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Exposers {
        Exposers { exposes: AtomicBool::new(false), lock: Mutex::new(()) }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Exposers {
        Exposers { exposes: AtomicBool::new(false), lock: Mutex::new(()) }
    }

    /// A G goes on, after a light fence: if one exposes, it may look at the G's stack.
    #[inline(always)]
    pub(crate) fn wait(&self) {
        // Acquire: the exposer's last look at the stack comes before what follows (partner: `Exposer::drop`).
        if self.exposes.load(Ordering::Acquire) {
            self.wait_for_it();
        }
    }

    #[cold]
    #[inline(never)]
    fn wait_for_it(&self) {
        drop(self.lock.lock());
    }

    /// Begins to expose. `heavy_fence` is false if the kernel has refused: then nothing can be exposed.
    pub(crate) fn begin(&self, heavy_fence: impl FnOnce() -> bool) -> Option<Exposer<'_>> {
        // Nothing panics under it.
        let lock = self.lock.lock().unwrap_or_else(|e| e.into_inner());
        self.exposes.store(true, Ordering::Relaxed);
        let exposer = Exposer { exposers: self, _lock: lock };
        heavy_fence().then_some(exposer)
    }
}

impl Exposer<'_> {
    /// If the G that has the place waits in a line, it is parked by its park word from here on. False if that had a
    /// token: then the G is the caller's.
    #[must_use]
    pub(crate) fn expose(&self, place: &LinePlace, commit: impl FnOnce() -> bool) -> bool {
        // Acquire: partner is the Release in `set`.
        let line = place.0.load(Ordering::Acquire);
        // SAFETY: while the record names it, it is there; a G that has gone on since waits for this.
        match unsafe { line.as_ref() } {
            None => true,
            // SAFETY: as above, and it is begun before it is named.
            Some(line) => unsafe { line.expose(commit) },
        }
    }
}

impl Drop for Exposer<'_> {
    fn drop(&mut self) {
        self.exposers.exposes.store(false, Ordering::Release);
    }
}

#[cfg(all(test, loom))]
#[path = "line_park_loom.rs"]
mod tests;
