//! # What lives here
//! Waiting: [`park`] and its counterpart [`Unparker`], the one primitive that everything else waits with, and the
//! waiter that lies on a waiting stack ([`waiter`]).
//!
//! # Who may come in
//! Everything that waits or wakes. The public functions work on Gs and on OS threads; an [`Unparker`] may also stand
//! for an async task.
//!
//! # Invariants
//! 1. One park uses one token up, one unpark leaves at most one; an unpark before the park counts (`g/word.rs`).
//! 2. A park may return without an unpark: who waits for something looks again.
//! 3. When the runtime closes, a park unwinds the G instead of returning, unless it unwinds already, or waits for Gs
//!    that borrow from its stack.
//! 4. In shared mode a G that unwinds stays with its M while it is parked (`sched/locked.rs`): std counts panics in a
//!    thread-local, which in isolated mode goes with the G.

mod on_g;
pub(crate) mod waiter;

pub(crate) use on_g::{checkpoint, give_way, in_closing, unwind_if_closing, yield_on_g};

use crate::g::{G, Runnable, Unparked};
use crate::m::current;
use crate::m::fork::may_wait;
use crate::os::now_ns;
use crate::probe::WaitReason;
use crate::sched;
use crate::timers::Action;
use std::fmt;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

/// Parks the caller until somebody calls [`Unparker::unpark`] on it.
///
/// On a G this gives the thread to other Gs; on an OS thread it is [`std::thread::park`]. As there, an unpark that
/// came before makes the park return at once, several count as one, and a park may also return for no reason: look
/// again at what you wait for. Every wait of pirn uses the same token up, a receive, a `join` or a `sleep` too, and goes on
/// waiting for its own thing. So an unpark that comes before or during one of those may not make the next park return:
/// look *before* you park, at what the unparker has set before.
///
/// While the runtime shuts down a park unwinds the G with [`ShutDown`](crate::ShutDown):
/// [`Runtime::shutdown_timeout`](crate::Runtime::shutdown_timeout) has the rule.
///
/// ```
/// # pirn::run(|| {
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use std::sync::Arc;
///
/// let done = Arc::new(AtomicBool::new(false));
/// let (me, flag) = (pirn::Unparker::current(), done.clone());
/// pirn::go(move || {
///     flag.store(true, Ordering::Release);
///     me.unpark();
/// });
/// while !done.load(Ordering::Acquire) {
///     pirn::park();
/// }
/// # });
/// ```
#[inline]
pub fn park() {
    park_for(WaitReason::Park);
}

/// Parks the caller until it is unparked, or `timeout` has passed.
///
/// ```
/// # pirn::run(|| {
/// pirn::park_timeout(std::time::Duration::from_millis(1));
/// # });
/// ```
pub fn park_timeout(timeout: Duration) {
    park_until(WaitReason::Park, 0, deadline(timeout));
}

/// The clock plus a duration, without overflow.
pub(crate) fn deadline(after: Duration) -> u64 {
    now_ns().saturating_add(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX))
}

/// Parks the caller, who says why.
#[inline(always)]
pub(crate) fn park_for(reason: WaitReason) {
    park_on(reason, 0);
}

/// Parks the caller, who says why, and on what: an address or a number, for observers.
#[inline(always)]
pub(crate) fn park_on(reason: WaitReason, what: usize) {
    match current_g() {
        Some(g) => {
            g.waits_on(what);
            on_g::park(g, reason);
        }
        None => {
            may_wait();
            std::thread::park();
        }
    }
}

/// Parks the caller, who says why, and on what, until a deadline.
pub(crate) fn park_until(reason: WaitReason, what: usize, deadline_ns: u64) {
    let Some(g) = current_g() else {
        may_wait();
        return std::thread::park_timeout(Duration::from_nanos(deadline_ns.saturating_sub(now_ns())));
    };
    // SAFETY: `g` is the caller, so it lives, and so does its runtime.
    let shared = unsafe { g.shared() };
    g.waits_on(what);
    // A runtime whose G runs has not ended.
    let key = shared.add_timer(deadline_ns, Action::Wake(g, g.id())).expect("timers end after the Gs");
    let _cancel = defer(|| {
        shared.cancel_timer(key);
    });
    on_g::park(g, reason);
}

/// Parks the caller for something that must be waited for even when the runtime closes: others borrow from its stack.
pub(crate) fn park_uninterruptibly(reason: WaitReason, what: usize) {
    match current_g() {
        Some(g) => {
            g.waits_on(what);
            on_g::park_uninterruptibly(g, reason);
        }
        None => {
            may_wait();
            std::thread::park();
        }
    }
}

/// The G that calls, none on a thread that runs no G.
#[inline]
pub(crate) fn current_g() -> Option<&'static G> {
    // SAFETY: an M lives as long as its thread runs (m I3).
    unsafe { current::machine().as_ref() }.and_then(|m| m.g())
}

/// Runs `f` at the end of a scope, unwinding or not.
pub(crate) fn defer<F: FnMut()>(f: F) -> impl Drop {
    struct Defer<F: FnMut()>(F);
    impl<F: FnMut()> Drop for Defer<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    Defer(f)
}

/// Wakes one waiter: a G, an OS thread, or an async task.
///
/// [`Unparker::current`] makes the one for the caller; a [`Waker`] turns into one, and one into a [`Waker`]. It may be
/// kept as long as one likes: to unpark a G that has ended does nothing.
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
    /// The one that wakes the caller: a G, or an OS thread.
    pub fn current() -> Unparker {
        match current_g() {
            Some(g) => Unparker(Target::G(g, g.id())),
            None => Unparker(Target::Thread(std::thread::current())),
        }
    }

    /// Makes the waiter's current park return, or else its next one, unless another wait of pirn comes first, which uses
    /// that up: see [`park`].
    #[inline(always)]
    pub fn unpark(&self) {
        match &self.0 {
            Target::G(g, id) => unpark_g(g, *id),
            Target::Thread(thread) => thread.unpark(),
            Target::Task(waker) => waker.wake_by_ref(),
        }
    }

    /// Whether both certainly wake the same waiter.
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
