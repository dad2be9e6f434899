//! Parking: on a G, or on an OS thread.

#![allow(unsafe_code, reason = "which G calls")]

use super::on_g;
use crate::clock::{deadline, ns_of, park_thread};
use crate::g::G;
use crate::m::current;
use crate::m::fork::may_wait;
use crate::reason::Reason;
use crate::timers::Action;
use std::time::{Duration, Instant};

/// Parks the caller until [`Unparker::unpark`](crate::Unparker::unpark) is called on it.
///
/// On a G this gives the thread to other Gs; on an OS thread it is [`std::thread::park`]. As there, an unpark that came
/// before makes the park return at once, several count as one, and a park may also return for no reason: look again at
/// what you wait for. Every other wait of pirn, a receive, a `join` or a `sleep`, may consume the same token, and then
/// goes on waiting for its own event. So an unpark that comes before or during one of those may not make the next park
/// return: before you park, look at what the unparker has set before its unpark.
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
    park_on(&on_g::PARK, 0);
}

/// Parks the caller until it is unparked, or `timeout` has passed.
///
/// ```
/// # pirn::run(|| {
/// pirn::park_timeout(std::time::Duration::from_millis(1));
/// # });
/// ```
pub fn park_timeout(timeout: Duration) {
    park_until_ns(&on_g::PARK, 0, deadline(timeout));
}

/// Parks the caller, which says why, and on what: an address or a number, for observers, or 0.
#[inline(always)]
pub fn park_on(reason: &'static Reason, what: usize) {
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

/// Parks the caller, which says why, and on what, until `deadline` at the latest.
pub fn park_until(reason: &'static Reason, what: usize, deadline: Instant) {
    park_until_ns(reason, what, ns_of(deadline));
}

/// Parks the caller, which says why, and on what, until a deadline.
pub(crate) fn park_until_ns(reason: &'static Reason, what: usize, deadline_ns: u64) {
    let Some(g) = current_g() else {
        may_wait();
        return park_thread(deadline_ns);
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

/// Parks the caller, also when the runtime closes: others borrow from its stack.
pub(crate) fn park_uninterruptibly(reason: &'static Reason, what: usize) {
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

/// The calling G; none on a thread that runs no G.
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
