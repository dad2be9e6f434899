//! The counterpart of a park: wakes a G, an OS thread, or an async task.

#![allow(unsafe_code, reason = "who has become the owner of a G")]

use super::verbs::current_g;
use crate::clock::now_ns;
use crate::g::{G, Runnable, Runs, Unparked, prefetch_record};
use crate::m::current::party_word;
use crate::reason::Party;
use crate::sched;
use std::fmt;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::Thread;

/// Wakes one waiter: a G, an OS thread, or an async task.
///
/// [`Unparker::current`] makes the one for the caller; a [`Waker`] can be turned into one, and one into a [`Waker`].
/// You may keep it as long as you like: to unpark a G that has ended does nothing.
///
/// ```
/// let me = pirn::Unparker::current();
/// std::thread::spawn(move || me.unpark());
/// pirn::park();
/// ```
#[derive(Clone)]
pub struct Unparker(Target);

#[derive(Clone)]
enum Target {
    G(&'static G, u64),
    Thread(Thread),
    Task(Waker),
}

impl Unparker {
    /// Makes the unparker of the caller, which is a G or an OS thread.
    pub fn current() -> Unparker {
        match current_g() {
            Some(g) => Unparker(Target::G(g, g.id())),
            None => Unparker(Target::Thread(std::thread::current())),
        }
    }

    /// The same, with the caller's word (`party_word`) and the time in nanoseconds, which for a G is that of the coarse
    /// clock: a reading of the clock costs as much as a switch.
    ///
    /// Inlined: what is returned in memory, written in halves and read as a whole, holds up the CPU.
    #[doc(hidden)]
    #[inline(always)]
    pub fn current_at() -> (Unparker, u64, u64) {
        let Some(g) = current_g() else { return Unparker::of_thread_at() };
        // SAFETY: `g` is the caller, so its runtime is there.
        let coarse_ns = unsafe { g.shared() }.coarse_ns();
        (Unparker(Target::G(g, g.id())), Party::G(g.id()).to_word(), coarse_ns)
    }

    #[cold]
    fn of_thread_at() -> (Unparker, u64, u64) {
        (Unparker::current(), party_word(), now_ns())
    }

    /// Makes the waiter's current park return, or otherwise its next one. Another wait of pirn that comes first may
    /// consume this: see [`park`](crate::park()).
    #[inline(always)]
    pub fn unpark(&self) {
        self.unpark_to_run(Runs::Next);
    }

    /// The same, and says when a G runs.
    #[doc(hidden)]
    #[inline(always)]
    pub fn unpark_to_run(&self, when: Runs) {
        match (&self.0, when) {
            (Target::G(g, id), Runs::Next) => unpark_g(g, *id),
            (Target::G(g, id), Runs::Last) => unpark_g_last(g, *id),
            (Target::Thread(thread), _) => thread.unpark(),
            (Target::Task(waker), _) => waker.wake_by_ref(),
        }
    }

    /// The G, if it is one.
    pub(crate) fn g(&self) -> Option<&'static G> {
        if let Target::G(g, _) = self.0 { Some(g) } else { None }
    }

    /// The waiter will be unparked soon: what that touches may have been cold for as long as it waits.
    #[doc(hidden)]
    #[inline]
    pub fn prefetch(&self) {
        if let Target::G(g, _) = &self.0 {
            prefetch_record(*g);
        }
    }

    /// Makes the waiter ready, a G that the caller has taken from its line.
    ///
    /// # Safety
    /// The caller has taken it (`LinePark::take`), and does this once.
    #[inline(always)]
    pub(crate) unsafe fn ready(&self, when: Runs) {
        if let Target::G(g, _) = &self.0 {
            // SAFETY: as the caller promises.
            ready_g(unsafe { Runnable::own(g) }, when);
        }
    }

    /// The same for one that may be gone as soon as the waiter is ready. It is used up.
    ///
    /// # Safety
    /// As for `ready`.
    #[inline(always)]
    pub(crate) unsafe fn ready_from(unparker: *const Unparker, when: Runs) {
        // SAFETY: it is there until the waiter is ready.
        if let Target::G(g, _) = unsafe { &(*unparker).0 } {
            let g = *g;
            // SAFETY: as the caller promises.
            ready_g(unsafe { Runnable::own(g) }, when);
        }
    }

    /// Whether both wake the same waiter, for certain.
    pub fn will_unpark(&self, other: &Unparker) -> bool {
        match (&self.0, &other.0) {
            (Target::G(_, a), Target::G(_, b)) => a == b,
            (Target::Thread(a), Target::Thread(b)) => a.id() == b.id(),
            (Target::Task(a), Target::Task(b)) => a.will_wake(b),
            _ => false,
        }
    }
}

/// Unparks the G with that id, if the record is still its.
#[inline(never)]
pub(crate) fn unpark_g(g: &'static G, id: u64) {
    if g.word.unpark(id) == Unparked::Claimed {
        // SAFETY: it has just been claimed (g I2).
        sched::ready::ready(unsafe { Runnable::own(g) });
    }
}

/// The same for one of those that one call wakes.
#[inline(never)]
fn unpark_g_last(g: &'static G, id: u64) {
    if g.word.unpark(id) == Unparked::Claimed {
        // SAFETY: as above.
        ready_last(unsafe { Runnable::own(g) });
    }
}

#[inline(always)]
fn ready_g(g: Runnable, when: Runs) {
    match when {
        Runs::Next => ready_next(g),
        Runs::Last => ready_last(g),
    }
}

/// As `unpark_g`: it is not inlined either.
#[inline(never)]
fn ready_next(g: Runnable) {
    sched::ready::ready(g);
}

#[inline(never)]
fn ready_last(g: Runnable) {
    sched::ready::ready_last(g);
}

impl From<Waker> for Unparker {
    fn from(waker: Waker) -> Unparker {
        Unparker(Target::Task(waker))
    }
}

impl From<Unparker> for Waker {
    fn from(unparker: Unparker) -> Waker {
        struct Wakes(Unparker);
        impl Wake for Wakes {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
            fn wake_by_ref(self: &Arc<Self>) {
                self.0.unpark();
            }
        }
        match unparker.0 {
            Target::Task(waker) => waker,
            _ => Waker::from(Arc::new(Wakes(unparker))),
        }
    }
}

impl fmt::Debug for Unparker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Target::G(_, id) => write!(f, "Unparker(G{id})"),
            Target::Thread(thread) => write!(f, "Unparker({:?})", thread.id()),
            Target::Task(_) => f.write_str("Unparker(task)"),
        }
    }
}
