//! What the crate `hook` docks on: whether a call of libc's comes from a G's own code, and how such a G waits.
//!
//! A wait here never unwinds, as there is a frame of C's below it. When the runtime closes it ends as
//! [`is_cancelled`](Hooked::is_cancelled), and the call returns an error. A G that is in a destructor waits on, as in
//! all waits (`boot/stop.rs`).

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "which G calls")]

use crate::clock::{deadline, now_ns, ns_of};
use crate::config::UNWINDS;
use crate::event::CallCounts;
use crate::g::{G, Runs};
use crate::m::{M, current};
use crate::os::{Mutex, holds_one, when_none_is_held};
use crate::park::{checkpoint_if, defer, in_closing, park_uninterruptibly, unpark_g};
use crate::reason::Reason;
use crate::sched::Entered;
use crate::source::{Began, Direction, Evidence, Glance, wait_for_foreign};
use crate::timers::Action;
use crate::wait::Told;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::RawFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::thread::panicking;
use std::time::{Duration, Instant};

/// A call of libc's, or several that wait alike: why a G waits in it, and by which number its waits are counted.
pub struct Call {
    number: usize,
    reason: Reason,
}

impl Call {
    /// No two have the same number. It is less than 24.
    pub const fn new(number: usize, reason: Reason) -> Call {
        Call { number, reason }
    }

    /// Why a G waits in it.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// The number.
    pub fn number(&self) -> usize {
        self.number
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Call").field(&self.reason.name()).finish()
    }
}

/// The calls that are hooked in this program. Not set: none is.
static CALLS: OnceLock<&'static [&'static Call]> = OnceLock::new();

/// What is done with what was left to sysmon.
static LATER: OnceLock<fn()> = OnceLock::new();
static HAS_LATER: AtomicBool = AtomicBool::new(false);

/// libc's blocking functions are hooked in this program. Runtimes that are built later have their Gs parked there. sysmon
/// calls `later` for what was left to it ([`leave_to_sysmon`]).
pub fn hook_is_linked(calls: &'static [&'static Call], later: fn()) {
    let _ = LATER.set(later);
    let _ = CALLS.set(calls);
}

/// Calls `leave`, which puts something where `later` will find it, and is short. False if there is no sysmon that is bound
/// to look after that: then `leave` is not called. sysmon looks within 10 ms. The caller may be anything: the runtime itself
/// too, under its locks.
///
/// While an M holds a P sysmon looks again and again. Here the M holds one, and is inside, so it is not taken from it; when
/// all have been given back sysmon looks once more before it sleeps (`has_later`). When the runtime closes, either sysmon
/// sees at its end what was left, or this sees that the runtime closes, and does it now.
pub fn leave_to_sysmon(leave: impl FnOnce()) -> bool {
    let Some(entered) = Entered::new() else { return false };
    let shared = entered.shared();
    if entered.p().is_none() || shared.is_closing() {
        return false;
    }
    leave();
    // Release: what was left (partner: `do_later`). Acquire: as in the model (`late_wakes_loom.rs` of the hook), where all
    // exchanges have one order so.
    HAS_LATER.swap(true, Ordering::AcqRel);
    // Partner: the fence at sysmon's end (`do_later_at_end`).
    fence(Ordering::SeqCst);
    let closes = shared.is_closing();
    drop(entered);
    if closes {
        do_later();
    }
    true
}

/// Whether something was left to sysmon.
pub(crate) fn has_later() -> bool {
    HAS_LATER.load(Ordering::Relaxed)
}

/// For sysmon: does what was left to it, or to that of another runtime.
pub(crate) fn do_later() {
    if has_later()
        && HAS_LATER.swap(false, Ordering::AcqRel)
        && let Some(later) = LATER.get()
    {
        later();
    }
}

/// The same, when sysmon ends.
pub(crate) fn do_later_at_end() {
    // Partner: the fence in `leave_to_sysmon`. The runtime closes.
    fence(Ordering::SeqCst);
    do_later();
}

/// The hooks are a part of the program itself, or the runtime is one of what was loaded with it.
pub fn hook_was_loaded_with_the_program() {
    current::is_at_one_place();
}

/// Whether they are.
pub(crate) fn is_linked() -> bool {
    CALLS.get().is_some()
}

/// How often Gs of a runtime have waited in each call, by the call's name.
pub(crate) fn waits_by_call(counts: &CallCounts) -> Vec<(&'static str, u64)> {
    let calls = CALLS.get().copied().unwrap_or_default();
    calls.iter().map(|call| (call.reason.name(), counts.get(call.number))).collect()
}

/// Whether it has to be said that Gs with shared thread-locals are not parked: true once in each process.
pub(crate) fn must_say_not_hooked() -> bool {
    static IS_SAID: AtomicBool = AtomicBool::new(false);
    !IS_SAID.swap(true, Ordering::Relaxed)
}

/// The first of the Gs that were told where none may be woken; each names the next (`next_left`). Nothing is allocated for
/// them: an allocator may take a lock, and whoever unlocks it may have to leave a G here. It is a leaf.
static LEFT: Mutex<Option<&'static G>> = Mutex::new(None);
static ARE_LEFT: AtomicBool = AtomicBool::new(false);

/// Wakes an operation that was told, for a caller that may be anything: the runtime itself too, in the middle of its work
/// and under its locks, when it has called code of others. Then sysmon wakes it, or the caller when it holds no lock.
pub fn wake_from_anywhere(told: Told, when: Runs) {
    // SAFETY: an M lives as long as its thread runs (m I3).
    let m = unsafe { current::machine().as_ref() };
    let in_work = m.filter(|m| m.section.is_inside() || m.g().is_none());
    match (in_work, told.g()) {
        (Some(m), Some(g)) => {
            leave(g);
            // SAFETY: an M's runtime lives as long as its thread.
            unsafe { &*m.shared_ptr() }.rouse_sysmon();
        }
        (None, Some(g)) if holds_one() => {
            leave(g);
            when_none_is_held(wake_left);
        }
        _ => told.wake_to_run(when),
    }
}

#[cold]
fn leave(g: &'static G) {
    let mut first = LEFT.lock().unwrap_or_else(|e| e.into_inner());
    // If it is in, who takes it out takes the lock before it wakes it, so the G sees that it was told this time too.
    if !g.is_left.replace(true) {
        g.next_left.set(first.replace(g));
    }
    drop(first);
    // Release: partner is `wake_left`, which looks when sysmon is unparked, or before.
    ARE_LEFT.store(true, Ordering::Release);
}

/// For sysmon, and others that hold no lock: wakes those. If another G has a record by now, it is woken for no reason, which each wait allows.
pub(crate) fn wake_left() {
    if ARE_LEFT.load(Ordering::Relaxed) && ARE_LEFT.swap(false, Ordering::Acquire) {
        while let Some(g) = take_left() {
            unpark_g(g, g.id());
        }
    }
}

fn take_left() -> Option<&'static G> {
    let mut first = LEFT.lock().unwrap_or_else(|e| e.into_inner());
    let g = first.take()?;
    *first = g.next_left.take();
    g.is_left.set(false);
    Some(g)
}

/// The calling G, whose own code makes a hooked call.
#[derive(Clone, Copy)]
pub struct Hooked {
    g: &'static G,
    /// It stands for the caller.
    not_send: PhantomData<*mut ()>,
}

impl Hooked {
    /// Whether there is surely [none](Self::current): quick for the threads of a program that are no Ms.
    #[inline(always)]
    pub fn is_surely_none() -> bool {
        current::is_surely_none()
    }

    /// The caller. None: it is a thread that runs no G, the runtime itself (an M is inside, or on its own stack, or a lock of
    /// the runtime is held), or a G whose runtime is not hooked.
    #[inline]
    pub fn current() -> Option<Hooked> {
        if Self::is_surely_none() {
            return None;
        }
        // SAFETY: an M lives as long as its thread runs (m I3).
        let m = unsafe { current::machine().as_ref() }?;
        if m.section.is_inside() || holds_one() {
            return None;
        }
        let g = m.g()?;
        // SAFETY: `g` is the caller, so its runtime is there.
        let is_hooked = unsafe { g.shared() }.setup.hooked.is_some();
        is_hooked.then_some(Hooked { g, not_send: PhantomData })
    }

    /// Whether it may park where it is. Not in a signal handler that has a stack of its own.
    pub fn may_park(self) -> bool {
        let here = 0_u8;
        let at = (&raw const here).addr();
        // SAFETY: its slot is set as long as it runs, and only its M changes it, when it has ended.
        let slot = unsafe { &*self.g.slot.get() };
        slot.as_ref().is_some_and(|slot| (slot.limit()..slot.stack_base()).contains(&at))
    }

    /// Whether it may park, and go on on another thread. Not if other signals are blocked on its thread than when that began:
    /// they would be blocked on another one afterwards. That is so in a signal handler, or if the G has blocked some. Some
    /// 0.15 us.
    pub fn may_move(self) -> bool {
        // SAFETY: an M lives as long as its thread runs (m I3).
        let m = unsafe { current::machine().as_ref() };
        self.may_park() && m.is_some_and(M::has_its_own_mask)
    }

    /// Lets others run, if the caller has been asked to; but not in a signal handler. What that has interrupted may hold a
    /// lock of malloc's, for which others would wait with their Ps; they would run with its signal blocked; and one that has a
    /// stack of its own must not leave it, as the next signal begins at its top.
    #[inline(always)]
    pub fn checkpoint(self) {
        checkpoint_if(|m| self.may_park() && m.has_its_own_mask());
    }

    /// The next park of the caller returns at once: for a wait that has perhaps taken the token of another one, in whose
    /// midst it is.
    pub fn leave_token(self) {
        unpark_g(self.g, self.g.id());
    }

    /// Whether its wait has to end because its runtime closes. From then on its panics are not printed: they follow from
    /// that.
    pub fn is_cancelled(self) -> bool {
        let is_cancelled = UNWINDS && in_closing(self.g) && !panicking() && !self.g.ending.get();
        if is_cancelled {
            self.g.is_cancelled.set(true);
        }
        is_cancelled
    }

    /// Parks the caller in that call, on what it says: an address or a number, for observers, or 0. This returns when it
    /// is unparked, at the deadline, when the runtime closes, or for no reason: the caller looks.
    pub fn park(self, call: &'static Call, what: usize, deadline: Option<Instant>) {
        match deadline {
            Some(deadline) => self.park_until(call, what, ns_of(deadline)),
            None => {
                self.count(call);
                park_uninterruptibly(&call.reason, what);
            }
        }
    }

    /// Parks the caller in that call for so long. False: it ends before, as the runtime closes. It reads the clock twice, and
    /// its frames should fit on the page that a G has.
    pub fn sleep(self, call: &'static Call, time: Duration) -> bool {
        let until_ns = deadline(time);
        loop {
            if self.is_cancelled() {
                return false;
            }
            self.park_until(call, 0, until_ns);
            if now_ns() >= until_ns {
                return true;
            }
        }
    }

    #[inline]
    fn park_until(self, call: &'static Call, what: usize, until_ns: u64) {
        self.count(call);
        // SAFETY: `g` is the caller, so its runtime is there.
        let shared = unsafe { self.g.shared() };
        // A runtime whose G runs has not ended.
        let timer = Action::Wake(self.g, self.g.id());
        let key = shared.add_timer(until_ns, timer).expect("timers end after the Gs");
        let _cancel = defer(|| {
            shared.cancel_timer(key);
        });
        park_uninterruptibly(&call.reason, what);
    }

    /// Counts a wait in that call.
    #[inline]
    fn count(self, call: &'static Call) {
        // SAFETY: `g` is the caller, so its runtime is there.
        if let Some(counts) = &unsafe { self.g.shared() }.setup.hooked {
            counts.add(call.number, current::m_number().unwrap_or(0) as usize);
        }
    }

    /// Parks the caller until one of these descriptors is ready in that direction; otherwise as [`park`](Self::park). They
    /// are waited for by their numbers alone, so each wait asks the kernel anew. Observers are told of the first of them,
    /// or of something else.
    ///
    /// # Errors
    /// One cannot be waited for so: it is a regular file, it is closed, the system has no memory for it, or pirn's own
    /// sockets wait for it. Then the caller has not waited.
    pub fn wait_for(
        self,
        wanted: &[(RawFd, Direction)],
        call: &'static Call,
        what: Option<usize>,
        deadline: Option<Instant>,
    ) -> io::Result<()> {
        wait_for_foreign(self.g, wanted, |record| self.park(call, what.unwrap_or(record), deadline))
    }

    /// What is known of a descriptor, before an attempt.
    #[inline]
    pub fn glance(self, fd: RawFd, direction: Direction) -> Glance {
        Glance::new(self.g, fd, direction)
    }

    /// Parks the caller by what [is believed](Glance::is_believed) of that descriptor, until something has come since the
    /// glance, the wait [has lasted too long](Began::is_long_ago), or for no reason.
    pub fn wait_believing(self, glance: &Glance, call: &'static Call, what: Option<usize>, began: Began) {
        glance.wait(self.g, began, |record| self.park(call, what.unwrap_or(record), None));
    }

    /// Parks the caller until something has come, as [`wait_for`](Self::wait_for). Since the glance the kernel has said that
    /// the descriptor is a socket, and that operations of that direction block. This returns what may be believed, if they
    /// have no time limit.
    ///
    /// # Errors
    /// As there.
    pub fn wait_kept(
        self,
        glance: &Glance,
        call: &'static Call,
        what: Option<usize>,
        deadline: Option<Instant>,
    ) -> io::Result<Option<Evidence>> {
        glance.wait_kept(self.g, |record| self.park(call, what.unwrap_or(record), deadline))
    }
}

impl fmt::Debug for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hooked").field(&self.g.id()).finish()
    }
}
