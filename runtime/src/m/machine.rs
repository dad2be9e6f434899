//! The record of an M.

#![cfg(not(loom))]

use super::section::Section;
use super::sleep::{Sleep, Wake};
use super::wake_word::WakeBy;
use crate::coro::{Home, PackedOutcome};
use crate::g::{G, Runnable};
use crate::os::{ThreadPointer, loaded_block};
use crate::p::{FreeP, OwnedP, P};
use crate::sched::Shared;
use std::cell::Cell;
use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

/// An OS thread that runs Gs.
#[repr(align(128))]
pub(crate) struct M {
    /// Whether its thread is inside, in the runtime, or outside, in a G's own code.
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
    /// The number of the G that has asked to have the thread to itself, or 0.
    pub(crate) locked_to: AtomicU64,
    /// Its G is asked to let others run, at its next call that may: it has run for long, or it has no P.
    asked: AtomicBool,
    /// The P that its G has lost while it ran, as the number plus one, and when. For observers.
    lost_p: AtomicU32,
    lost_ns: AtomicU64,
    /// It has to end when its G ends: the guard that would unlock its thread has leaked.
    pub(crate) is_tainted: AtomicBool,
    /// It has ended, or is about to. Written under the scheduler's lock.
    pub(crate) has_departed: AtomicBool,
    /// The kernel's number of its thread; 0 before it has begun.
    tid: AtomicI32,
    /// The signals that were blocked on its thread then.
    mask: AtomicU64,
    sleep: Sleep,
    /// Where its loop has left its thread's own stack. Only for its own thread, as the next two.
    pub(crate) home: Home,
    /// The G that has left its stack for the one that runs now, and what it asks for.
    pub(crate) left: Cell<(*const G, PackedOutcome)>,
    /// The next G, which a G has picked that has left for the loop.
    pub(crate) picked: Cell<Option<Runnable>>,
    /// Its thread's own thread-locals.
    own_block: OnceLock<ThreadPointer>,
    me: Weak<M>,
}

/// In how many runtimes some G is asked to let others run. A call looks at this first, as it is no thread-local. It
/// cannot overflow: it counts runtimes.
static ASKED: AtomicU32 = AtomicU32::new(0);

/// Whether some G of the process is asked to let others run.
#[inline(always)]
pub(crate) fn is_any_asked() -> bool {
    ASKED.load(Ordering::Relaxed) != 0
}

/// A runtime starts or stops asking Gs.
pub(crate) fn count_asking(begins: bool) {
    if begins {
        ASKED.fetch_add(1, Ordering::Relaxed);
    } else {
        ASKED.fetch_sub(1, Ordering::Relaxed);
    }
}

// SAFETY: `shared` outlives the M's thread, which holds it; the cells are for that thread alone; everything else is
// atomic.
unsafe impl Send for M {}
// SAFETY: as above.
unsafe impl Sync for M {}

impl M {
    /// An M that has no thread yet.
    pub(crate) fn new(id: u32, shared: *const Shared) -> Arc<M> {
        Arc::new_cyclic(|me| M {
            section: Section::new(),
            p: AtomicPtr::new(ptr::null_mut()),
            g: AtomicPtr::new(ptr::null_mut()),
            shared,
            id,
            handed: AtomicPtr::new(ptr::null_mut()),
            searching: AtomicBool::new(false),
            locked_g: AtomicPtr::new(ptr::null_mut()),
            waits_for_locked: AtomicBool::new(false),
            locked_to: AtomicU64::new(0),
            asked: AtomicBool::new(false),
            lost_p: AtomicU32::new(0),
            lost_ns: AtomicU64::new(0),
            is_tainted: AtomicBool::new(false),
            has_departed: AtomicBool::new(false),
            tid: AtomicI32::new(0),
            mask: AtomicU64::new(0),
            sleep: Sleep::new(),
            home: Home::new(),
            left: Cell::new((ptr::null(), PackedOutcome::FINISHED)),
            picked: Cell::new(None),
            own_block: OnceLock::new(),
            me: me.clone(),
        })
    }

    /// A reference that keeps the M.
    pub(crate) fn arc(&self) -> Arc<M> {
        self.me.upgrade().expect("the caller keeps the M")
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
    pub(super) unsafe fn p(&self) -> Option<OwnedP<'_>> {
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

    /// Makes it the holder of that P. Only for the M's own thread, in its section.
    #[inline]
    pub(super) fn set_p(&self, p: *const P) {
        self.p.store(p.cast_mut(), Ordering::Relaxed);
    }

    /// Takes its P from it.
    ///
    /// # Safety
    /// As for `p`; and no [`OwnedP`] that came from there is used any more.
    #[inline]
    pub(super) unsafe fn take_p(&self) -> Option<FreeP<'_>> {
        let p = self.p.load(Ordering::Relaxed);
        self.set_p(ptr::null());
        // SAFETY: Ps live as long as the runtime.
        let p = unsafe { p.as_ref() }?;
        // SAFETY: the M held it, by I1 alone, and holds it no longer.
        Some(unsafe { FreeP::own(p) })
    }

    /// Notes that its G continues without a P, for observers.
    pub(crate) fn note_lost(&self, p: &P, now_ns: u64) {
        self.lost_ns.store(now_ns, Ordering::Relaxed);
        self.lost_p.store(p.id as u32 + 1, Ordering::Relaxed);
    }

    /// Notes that it has a P again.
    pub(crate) fn note_regained(&self) {
        self.lost_p.store(0, Ordering::Relaxed);
    }

    /// The P that its G has lost, by its number, and when.
    pub(crate) fn lost(&self) -> Option<(u32, u64)> {
        let p = self.lost_p.load(Ordering::Relaxed).checked_sub(1)?;
        Some((p, self.lost_ns.load(Ordering::Relaxed)))
    }

    /// Asks its G to let others run.
    pub(crate) fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Whether its G is asked to let others run.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Its G has left its stack: if it was asked to, that is done.
    #[inline(always)]
    pub(crate) fn has_heard(&self) {
        if self.is_asked() {
            self.asked.store(false, Ordering::Relaxed);
        }
    }

    /// The kernel's number of its thread; 0 before it has begun.
    pub(crate) fn tid(&self) -> i32 {
        self.tid.load(Ordering::Relaxed)
    }

    /// Whether the same signals are blocked on its thread, the caller's, as when that began. In a signal handler more are,
    /// unless that was installed with SA_NODEFER. Some 0.15 us.
    pub(crate) fn has_its_own_mask(&self) -> bool {
        crate::os::signal_mask() == self.mask.load(Ordering::Relaxed)
    }

    /// The G that it runs, for the M itself: the G cannot end before the M goes on.
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

    /// Whether a G has picked the next one for its loop. Only for its own thread.
    pub(crate) fn has_picked(&self) -> bool {
        // SAFETY: only this thread uses it, and nothing else does during this call.
        unsafe { &*self.picked.as_ptr() }.is_some()
    }

    /// Registers the calling thread as this M's, before it does anything else.
    pub(crate) fn begin_thread(&self) {
        self.tid.store(crate::os::thread_id(), Ordering::Relaxed);
        self.mask.store(crate::os::signal_mask(), Ordering::Relaxed);
        self.sleep.set_thread();
        // It is set once: only the M's own first lines call this.
        let _ = self.own_block.set(loaded_block());
    }

    /// The block of thread-locals that its thread was made with.
    pub(crate) fn own_block(&self) -> Option<ThreadPointer> {
        self.own_block.get().copied()
    }

    /// Sleeps until it is woken, or until `until_ns`, or for no reason: the caller looks again. Only for the M's own
    /// thread.
    pub(crate) fn sleep(&self, until_ns: u64) {
        self.sleep.sleep(until_ns);
    }

    /// Sleeps in `poll`, which waits for events and the poller's bell. It is not called if a wake came before. Only for
    /// the M's own thread.
    pub(crate) fn poll(&self, poll: impl FnOnce()) {
        self.sleep.poll(poll);
    }

    /// Whether it sleeps so: a hint.
    pub(crate) fn polls(&self) -> bool {
        self.sleep.polls()
    }

    /// Wakes the M, or makes its next sleep return at once. If it polls, the caller rings the poller's bell.
    pub(crate) fn wake(&self) -> WakeBy {
        self.sleep.wake()
    }

    /// Wakes the M later, when it may be gone already.
    pub(crate) fn to_wake(&self) -> Wake {
        self.sleep.to_wake()
    }

    /// Gives it a P; the caller wakes it next.
    pub(crate) fn hand(&self, p: FreeP<'_>) {
        // Release: the P's own data go with it (partner: `take_handed`).
        self.handed.store(p.into_ptr().cast_mut(), Ordering::Release);
    }

    /// Whether it has been handed a P.
    pub(crate) fn has_handed(&self) -> bool {
        !self.handed.load(Ordering::Acquire).is_null()
    }

    /// Takes the P that it has been handed.
    pub(crate) fn take_handed(&self) -> Option<FreeP<'_>> {
        if self.handed.load(Ordering::Relaxed).is_null() {
            return None;
        }
        let p = self.handed.swap(ptr::null_mut(), Ordering::Acquire);
        // SAFETY: Ps live as long as the runtime.
        let p = unsafe { p.as_ref() }?;
        // SAFETY: `hand` gave the ownership up for this, and it has just been taken out for good.
        Some(unsafe { FreeP::own(p) })
    }
}

impl fmt::Debug for M {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("M").field("id", &self.id).finish_non_exhaustive()
    }
}
