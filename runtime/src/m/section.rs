//! Inside or outside of the runtime: how an M keeps others off its P without a read-modify-write, and how its P is
//! taken from it while it is outside.
//!
//! # The protocol
//! ```text
//! enter (the M, on its own thread)          borrow (sysmon)
//!   inside = 1              (plain store)     lock
//!   light fence                               wanted = 1
//!   if wanted: take and release the lock      heavy fence
//!   p = own P, if it still has one            if inside == 0: P-local work in the M's place,
//!   ... P-local work ...                         or retake: own P of the M = none
//! leave: inside = 0         (release)         wanted = 0; unlock
//! ```
//!
//! # The argument
//! The M's fence stands between its store of `inside` and its load of `wanted`, the borrower's between its store of
//! `wanted` and its load of `inside`. So at least one load sees the other's store: either the borrower sees the M
//! inside and refuses the borrow, or the M sees that it is wanted and waits for the lock, which the borrower holds
//! until it is done. A borrower that sees `inside == 0` reads it with Acquire from `leave`'s Release, so it sees all
//! that the M did. An M that waited acquires the lock, so it sees all that the borrower did. An M that does *not* see
//! `wanted` after a borrow reads the 0 that the borrower stored with Release after its work, or came before the
//! borrow.
//!
//! **Retake.** A borrower that has the M's P may take it away: it stores "none" into the M's `p` before it ends the
//! borrow. From then on the P is the borrower's, with no lock. The M writes `p` only inside, so not during the
//! borrow. It reads `p` only inside and after `enter`; by the argument above it was inside before (and the borrow was
//! refused), or it reads "none". It never uses a P that it read in an earlier stay: an [`OwnedP`](crate::p::OwnedP)
//! does not outlive the stay it was read in. The taker sees what the M did with the P before it left, by the Release
//! in `leave`. The M does not see what the taker and later holders do, and need not.
//!
//! The pair of fences is asymmetric: the light one only stops the compiler; the heavy one is
//! `membarrier(PRIVATE_EXPEDITED)`, which makes every running thread of the process pass a full fence. So `enter` is
//! two plain accesses (measured: 1 ns, against 5 for an atomic exchange). Where membarrier is missing both are full
//! fences. The model in `section_loom.rs` has full fences on both sides.
//!
//! **A fence that fails.** The kind of fence is chosen once, and the Ms rely on it. If the kernel refuses the heavy
//! one later, because a seccomp filter was installed meanwhile, the borrow is refused too: without the fence the
//! borrower may have missed that the M is inside. This is sound, as the borrower has touched nothing but `wanted`. An
//! M that enters and sees it waits for the lock and goes on; one that does not see it goes on at once; to both it is
//! a borrow that found the M inside. What no longer works is what borrows are for: no P is retaken, and what a P
//! hides is not shown until its M enters. sysmon reports this once ([`has_lost_fence`]).

use crate::loom::{AtomicU32, Ordering, fence};
use crate::loom::{Mutex, MutexGuard};
use std::sync::TryLockError;

/// Whether the light fence may be light. Set once before the first M runs.
#[cfg(not(loom))]
static ASYMMETRIC: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Finds out whether the kernel has the heavy fence.
#[cfg(not(loom))]
pub(crate) fn choose_fences() {
    ASYMMETRIC.store(crate::os::register_membarrier(), Ordering::Relaxed);
}

/// Whether the light fence is light, so that others may use the pair of fences too: `os::light_fence` and
/// [`heavy_fence`].
#[cfg(not(loom))]
#[inline(always)]
pub(crate) fn are_fences_asymmetric() -> bool {
    ASYMMETRIC.load(Ordering::Relaxed)
}

#[cfg(not(loom))]
#[inline(always)]
fn light_fence() {
    if ASYMMETRIC.load(Ordering::Relaxed) {
        crate::os::light_fence();
    } else {
        fence(Ordering::SeqCst);
    }
}

/// False if the kernel has refused: nothing is fenced.
#[cfg(not(loom))]
pub(crate) fn heavy_fence() -> bool {
    if ASYMMETRIC.load(Ordering::Relaxed) {
        let is_fenced = crate::os::heavy_fence();
        if !is_fenced {
            LOST_FENCE.store(true, Ordering::Relaxed);
        }
        return is_fenced;
    }
    fence(Ordering::SeqCst);
    true
}

/// The kernel has refused the heavy fence after it had allowed it.
#[cfg(not(loom))]
static LOST_FENCE: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Whether borrows are refused because the kernel refuses the heavy fence: true once in each process, for the caller
/// that reports it.
#[cfg(not(loom))]
pub(crate) fn has_lost_fence() -> bool {
    static SAID: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    LOST_FENCE.load(Ordering::Relaxed) && !SAID.swap(true, Ordering::Relaxed)
}

#[cfg(loom)]
fn light_fence() {
    fence(Ordering::SeqCst);
}

#[cfg(loom)]
fn heavy_fence() -> bool {
    fence(Ordering::SeqCst);
    true
}

/// An M's section. It starts inside: the M loop itself is all runtime.
#[derive(Debug)]
pub(crate) struct Section {
    /// Written by the M alone.
    inside: AtomicU32,
    /// Written by the borrower alone, under the lock.
    wanted: AtomicU32,
    borrower: Mutex<()>,
}

/// The proof that a borrower has the M's P-local data to itself; ends the borrow when dropped.
#[derive(Debug)]
pub(crate) struct Borrowed<'a> {
    section: &'a Section,
    _lock: MutexGuard<'a, ()>,
}

impl Section {
    /// The section of an M that is inside.
    pub(crate) fn new() -> Section {
        Section { inside: AtomicU32::new(1), wanted: AtomicU32::new(0), borrower: Mutex::new(()) }
    }

    /// The M enters from a G's own code. False if it was inside already: then a caller further up will leave.
    #[inline(always)]
    pub(crate) fn enter(&self) -> bool {
        if self.inside.load(Ordering::Relaxed) != 0 {
            return false;
        }
        self.inside.store(1, Ordering::Relaxed);
        light_fence();
        // Acquire: partner is the Release in `Borrowed::drop`.
        if self.wanted.load(Ordering::Acquire) != 0 {
            self.wait();
        }
        true
    }

    #[cold]
    fn wait(&self) {
        drop(self.borrower.lock());
    }

    /// The M leaves, to a G's own code.
    #[inline(always)]
    pub(crate) fn leave(&self) {
        self.inside.store(0, Ordering::Release);
    }

    /// Whether the M is inside: a hint.
    pub(crate) fn is_inside(&self) -> bool {
        self.inside.load(Ordering::Relaxed) != 0
    }

    /// Tries to act in the place of an M that is outside. None if it is inside, or if that is not known.
    pub(crate) fn borrow(&self) -> Option<Borrowed<'_>> {
        let lock = match self.borrower.try_lock() {
            Ok(lock) => lock,
            Err(TryLockError::Poisoned(e)) => e.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        self.wanted.store(1, Ordering::Relaxed);
        let is_fenced = heavy_fence();
        let borrowed = Borrowed { section: self, _lock: lock };
        // Acquire: partner is the Release in `leave`.
        (is_fenced && self.inside.load(Ordering::Acquire) == 0).then_some(borrowed)
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        self.section.wanted.store(0, Ordering::Release);
    }
}

#[cfg(all(test, loom))]
#[path = "section_loom.rs"]
mod tests;
