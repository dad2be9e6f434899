//! The ticket: one operation that waits. It is claimed once and told once.

use super::parking::{Unparker, has_come, park_in_line, park_on, park_uninterruptibly, park_until};
use super::told::{Told, discard};
use crate::g::{LineLock, LinePark, Runs};
use crate::loom::{AtomicU8, Ordering, UnsafeCell};
use crate::reason::Reason;
use std::fmt;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr;
use std::time::Instant;

const WAITING: u8 = 0;
const CLAIMED: u8 = 1;
const TOLD: u8 = 2;

/// One waiting operation, which is told an `A`. It lies where the operation waits: on a stack, or in a future. Its
/// address leaves room for three flags.
#[repr(align(8))]
pub struct Ticket<A: Copy = ()> {
    state: AtomicU8,
    /// It waits in several lines, so it is claimed by its state.
    is_in_several: bool,
    /// How it waits in its line, if it does so by that (I7).
    line: LinePark,
    /// There is one until it is told (I2).
    unparker: UnsafeCell<MaybeUninit<Unparker>>,
    /// There is one from when it is told (I2).
    answer: UnsafeCell<MaybeUninit<A>>,
}

// SAFETY: the cells pass on with the state and with the lock of the line (I2), the answer with them.
unsafe impl<A: Copy + Send> Send for Ticket<A> {}
// SAFETY: as above; once it has been told, all may copy the answer.
unsafe impl<A: Copy + Send + Sync> Sync for Ticket<A> {}

impl<A: Copy> Ticket<A> {
    /// A ticket for the caller, which waits in one line at most.
    #[inline]
    pub fn for_caller() -> Ticket<A> {
        Ticket::of(Unparker::current())
    }

    /// A ticket for what `unparker` wakes, which waits in one line at most.
    #[inline]
    pub fn of(unparker: Unparker) -> Ticket<A> {
        Ticket::with(unparker, false)
    }

    /// A ticket for the caller, which waits in several lines.
    #[inline]
    pub fn in_several() -> Ticket<A> {
        Ticket::with(Unparker::current(), true)
    }

    #[inline]
    fn with(unparker: Unparker, is_in_several: bool) -> Ticket<A> {
        Ticket {
            state: AtomicU8::new(WAITING),
            is_in_several,
            line: LinePark::new(),
            unparker: UnsafeCell::new(MaybeUninit::new(unparker)),
            answer: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// Sets another unparker. Returns the old one.
    ///
    /// # Safety
    /// The caller is the operation itself, holds the lock of the only line that it waits in, and has not been told.
    pub unsafe fn replace_unparker(&self, unparker: Unparker) -> Unparker {
        // SAFETY: whoever would take it needs the lock that the caller holds.
        let old = self.unparker.with_mut(|place| unsafe { ptr::replace(place, MaybeUninit::new(unparker)) });
        // SAFETY: it has not been told.
        unsafe { old.assume_init() }
    }

    /// Claims the operation, which has been taken out of a line. False if another was faster.
    #[inline]
    pub(super) fn claim(&self) -> bool {
        !self.is_in_several || self.claim_one_of_several()
    }

    /// Claims an operation in several lines. The operation itself claims its ticket to withdraw: then no other can
    /// claim it. False if another was faster.
    #[inline]
    pub fn claim_one_of_several(&self) -> bool {
        // Acquire and Release: a later claim would see what was done before this one was taken back. There is none
        // today, but the pair costs nothing here.
        self.state.compare_exchange(WAITING, CLAIMED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Tells the operation the answer. From here on it may be gone. The caller must wake what this returns, after
    /// unlocking.
    ///
    /// # Safety
    /// The caller has claimed it, or nothing else knows it; and tells it once.
    #[inline(always)]
    pub unsafe fn tell(ticket: *const Ticket<A>, answer: A) -> Told {
        // SAFETY: it waits until it is told, which is below (I3).
        let ticket = unsafe { &*ticket };
        // SAFETY: it is the caller's until then (I2).
        ticket.answer.with_mut(|place| unsafe { place.cast::<A>().write(answer) });
        // SAFETY: as above, and it has not been told before.
        let unparker = ticket.unparker.with_mut(|place| unsafe { place.cast::<Unparker>().read() });
        let is_taken = ticket.line.take();
        // Release: the answer, and what the teller has put elsewhere (partner: `is_told`).
        ticket.state.store(TOLD, Ordering::Release);
        // SAFETY: it has been taken if it was parked in the line.
        unsafe { Told::of(unparker, is_taken) }
    }

    /// As [`tell`](Self::tell). None: it was parked in its line. Then it is the caller's, and stays as it is until the
    /// caller has it go on by [`ready`](Self::ready).
    ///
    /// # Safety
    /// As for `tell`.
    #[inline(always)]
    pub(super) unsafe fn tell_or_take(ticket: *const Ticket<A>, answer: A) -> Option<Told> {
        // SAFETY: it waits until it is told, which is below (I3).
        let ticket = unsafe { &*ticket };
        // SAFETY: it is the caller's until then (I2).
        ticket.answer.with_mut(|place| unsafe { place.cast::<A>().write(answer) });
        let other = if ticket.line.take() {
            None
        } else {
            // SAFETY: as above, and it has not been told before.
            let unparker = ticket.unparker.with_mut(|place| unsafe { place.cast::<Unparker>().read() });
            Some(Told::from(unparker))
        };
        // Release: as in `tell`.
        ticket.state.store(TOLD, Ordering::Release);
        other
    }

    /// Has the G go on.
    ///
    /// # Safety
    /// The caller has it from `tell_or_take`, and calls this once: afterwards the ticket may be gone.
    #[inline(always)]
    pub(super) unsafe fn ready(ticket: *const Ticket<A>, when: Runs) {
        // SAFETY: it waits until it is made ready.
        let ticket = unsafe { &*ticket };
        let unparker = ticket.unparker.with_mut(|place| place.cast::<Unparker>());
        // SAFETY: it has been told, so nobody else uses it; and it was taken.
        unsafe { Unparker::ready_from(unparker, when) };
    }

    /// For models: uses what is the operation's again, once it goes on (I2).
    #[cfg(all(test, loom))]
    pub(super) fn touch(&self) {
        self.unparker.with_mut(|_| ());
    }

    /// Whether it has been told.
    #[inline]
    pub fn is_told(&self) -> bool {
        self.state.load(Ordering::Acquire) == TOLD
    }

    /// What it has been told. This is not a copy: an answer may be large, and most callers read only its first word.
    #[inline(always)]
    pub fn told(&self) -> Option<&A> {
        // SAFETY: the teller writes it before, and never again.
        self.is_told().then(|| self.answer.with(|place| unsafe { &*place.cast::<A>() }))
    }

    /// Waits until it is told; `what` is what it waits on, for observers, or 0. False if the deadline has passed. If
    /// the caller is unwound this does not return (I6).
    #[inline(always)]
    pub fn wait(&self, reason: &'static Reason, what: usize, deadline: Option<Instant>) -> bool {
        while !self.is_told() {
            match deadline {
                None => park_on(reason, what),
                Some(deadline) if has_come(deadline) => return false,
                Some(deadline) => park_until(reason, what, deadline),
            }
        }
        true
    }

    /// Waits until it is told, or `is_over` holds: then this is false. Who makes that so unparks the caller afterwards.
    pub fn wait_unless(&self, reason: &'static Reason, what: usize, is_over: impl Fn() -> bool) -> bool {
        while !self.is_told() {
            if is_over() {
                return false;
            }
            park_on(reason, what);
        }
        true
    }

    /// Unlocks the line that it stands in, and waits until it is told, as [`wait`](Self::wait) without a deadline (I7).
    ///
    /// # Safety
    /// The caller holds the lock, of the only line that it stands in. Who tells it holds that lock too. The lock stays
    /// until this returns or unwinds, and while it is held for that.
    #[inline(always)]
    pub unsafe fn wait_unlocking<L: LineLock + 'static>(&self, lock: &L, reason: &'static Reason, what: usize) {
        debug_assert!(!self.is_in_several);
        // SAFETY: as the caller promises.
        unsafe { park_in_line(&self.line, lock, reason, what) };
        while !self.is_told() {
            park_on(reason, what);
        }
    }

    /// Waits until it is told, also while the runtime closes.
    pub fn wait_uninterruptibly(&self, reason: &'static Reason, what: usize) {
        while !self.is_told() {
            park_uninterruptibly(reason, what);
        }
    }
}

impl<A: Copy> Drop for Ticket<A> {
    #[inline]
    fn drop(&mut self) {
        if !self.is_told() {
            // SAFETY: it has not been taken, and will not be: the operation is over.
            discard(self.unparker.with_mut(|place| unsafe { place.cast::<Unparker>().read() }));
        }
    }
}

impl<A: Copy> fmt::Debug for Ticket<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("is_told", &self.is_told()).finish_non_exhaustive()
    }
}

/// Calls `f` if the caller is unwound before the guard is disarmed: a wait does so while the runtime closes (I6).
#[inline(always)]
pub fn on_unwind<F: FnOnce()>(f: F) -> OnUnwind<F> {
    OnUnwind(ManuallyDrop::new(f))
}

/// See [`on_unwind`].
#[must_use = "it has to be disarmed"]
pub struct OnUnwind<F: FnOnce()>(ManuallyDrop<F>);

impl<F: FnOnce()> OnUnwind<F> {
    /// The wait has ended.
    #[inline(always)]
    pub fn disarm(self) {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: it is dropped here alone, as the guard is not.
        unsafe { ManuallyDrop::drop(&mut this.0) };
    }
}

impl<F: FnOnce()> Drop for OnUnwind<F> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: it is taken once, as the guard is dropped once.
        let f = unsafe { ManuallyDrop::take(&mut self.0) };
        f();
    }
}

impl<F: FnOnce()> fmt::Debug for OnUnwind<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnUnwind { .. }")
    }
}
