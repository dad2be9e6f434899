//! The record of an M.

use super::section::Section;
use crate::g::G;
use crate::p::{OwnedP, P};
use crate::sched::Shared;
use std::fmt;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::thread::Thread;

/// An OS thread that runs Gs.
#[repr(align(128))]
pub(crate) struct M {
    /// Whether its thread is in the runtime or in a G's own code.
    pub(crate) section: Section,
    /// The P that it holds. Written by the M in its section.
    p: AtomicPtr<P>,
    /// The G that it runs. Written by the M.
    g: AtomicPtr<G>,
    /// Its runtime, which lives as long as the M's thread.
    shared: *const Shared,
    /// Its number.
    pub(crate) id: u32,

    /// A P that another M has put here before it woke this one.
    handed: AtomicPtr<P>,
    /// Whether it was woken to search, and is counted as searching.
    pub(crate) searching: AtomicBool,
    /// The G that waits for this M alone (see `sched::locked`).
    pub(crate) locked_g: AtomicPtr<G>,
    /// It waits for the G that is locked to it.
    pub(crate) waits_for_locked: AtomicBool,
    thread: OnceLock<Thread>,
}

// SAFETY: `shared` outlives the M's thread, which holds it; everything else is atomic.
unsafe impl Send for M {}
// SAFETY: as above.
unsafe impl Sync for M {}

impl M {
    /// An M that has no thread yet.
    pub(crate) fn new(id: u32, shared: *const Shared) -> M {
        M {
            section: Section::new(),
            p: AtomicPtr::new(ptr::null_mut()),
            g: AtomicPtr::new(ptr::null_mut()),
            shared,
            id,
            handed: AtomicPtr::new(ptr::null_mut()),
            searching: AtomicBool::new(false),
            locked_g: AtomicPtr::new(ptr::null_mut()),
            waits_for_locked: AtomicBool::new(false),
            thread: OnceLock::new(),
        }
    }

    /// The runtime's address, to compare with.
    #[inline]
    pub(crate) fn shared_ptr(&self) -> *const Shared {
        self.shared
    }

    /// The P that it holds.
    ///
    /// # Safety
    /// Only the M's own thread inside its section, or whoever has borrowed it: that makes the caller the owner.
    #[inline(always)]
    pub(crate) unsafe fn p(&self) -> Option<OwnedP<'_>> {
        let p = self.p.load(Ordering::Relaxed);
        // SAFETY: Ps live as long as the runtime.
        let p = unsafe { p.as_ref() }?;
        // SAFETY: as the caller promises.
        Some(unsafe { OwnedP::of(p) })
    }

    /// The P that it holds, to look at.
    #[inline(always)]
    pub(crate) fn p_hint(&self) -> Option<&P> {
        // SAFETY: Ps live as long as the runtime, and that as long as the M's thread.
        unsafe { self.p.load(Ordering::Relaxed).as_ref() }
    }

    /// The number of the P that it holds, for observers and sysmon.
    pub(crate) fn p_ptr(&self) -> *const P {
        self.p.load(Ordering::Relaxed)
    }

    /// Takes or gives up a P. Only the M's own thread.
    #[inline]
    pub(crate) fn set_p(&self, p: *const P) {
        self.p.store(p.cast_mut(), Ordering::Relaxed);
    }

    /// The G that it runs, for itself: it is not gone before the M goes on.
    #[inline(always)]
    pub(crate) fn g(&self) -> Option<&'static G> {
        // SAFETY: G records are never freed.
        unsafe { self.g.load(Ordering::Relaxed).as_ref() }
    }

    /// Whether a G holds its thread: one that it runs, or one that waits and is locked to it.
    pub(crate) fn has_g(&self) -> bool {
        self.g().is_some() || self.waits_for_locked.load(Ordering::Relaxed)
    }

    /// Notes the G that it runs.
    #[inline(always)]
    pub(crate) fn set_g(&self, g: Option<&'static G>) {
        let g = g.map_or(ptr::null_mut(), |g| ptr::from_ref(g).cast_mut());
        self.g.store(g, Ordering::Relaxed);
    }

    /// The M's thread says who it is, before it does anything else.
    pub(crate) fn set_thread(&self, thread: Thread) {
        // It is set once: only the M's own first lines call this.
        let _ = self.thread.set(thread);
    }

    /// Wakes the M, or makes its next sleep return at once.
    pub(crate) fn wake(&self) {
        // An M that has no thread yet looks before it sleeps.
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Its thread, which may be unparked when the M is gone already.
    pub(crate) fn thread(&self) -> Option<Thread> {
        self.thread.get().cloned()
    }

    /// Gives it a P; the caller wakes it next.
    pub(crate) fn hand(&self, p: *const P) {
        // Release: the P's own data go with it (partner: `take_handed`).
        self.handed.store(p.cast_mut(), Ordering::Release);
    }

    /// Whether somebody gave it a P.
    pub(crate) fn has_handed(&self) -> bool {
        !self.handed.load(Ordering::Acquire).is_null()
    }

    /// The P that somebody gave it.
    pub(crate) fn take_handed(&self) -> Option<*const P> {
        if self.handed.load(Ordering::Relaxed).is_null() {
            return None;
        }
        Some(self.handed.swap(ptr::null_mut(), Ordering::Acquire).cast_const())
    }
}

impl fmt::Debug for M {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("M").field("id", &self.id).finish_non_exhaustive()
    }
}
