//! Accepting, for all kinds of listeners: what happens if there is no descriptor to be had.

use crate::poll::Poll;
use crate::sys;
use pirn_runtime::internal::sleep;
use socket2::{SockAddr, SockRef};
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// So long a pause is if there is no descriptor, first and at most: while it lasts the connection waits in the queue of
/// the system. An edge of netpoll would not come for it again.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Accepts a connection. Those that ended before that are left out.
pub(crate) fn accept<T: AsFd>(listener: &Poll<T>) -> io::Result<(OwnedFd, SockAddr)> {
    let mut pause = PAUSE_MIN;
    loop {
        match listener.read_with(|inner| accept_now(listener, inner)) {
            Err(error) if sys::is_aborted(&error) => {}
            Err(error) if sys::is_out_of_descriptors(&error) && !listener.is_nonblocking() => {
                warn(&error);
                sleep(pause);
                pause = (pause * 2).min(PAUSE_MAX);
            }
            done => return done,
        }
    }
}

/// Accepts a connection if there is one. When the listener, or a clone of it, has been closed, the system says that in
/// several ways; of Unix, that there is none now.
pub(crate) fn accept_now<T: AsFd>(listener: &Poll<T>, inner: &T) -> io::Result<(OwnedFd, SockAddr)> {
    sys::accept(inner).map_err(|error| if is_closed(listener) { listener.closed() } else { error })
}

/// Ends a listener and its clones.
pub(crate) fn close<T: AsFd>(listener: &Poll<T>) {
    // Release, before the shutdown: an accept that fails because of that sees this (partner: `is_closed`).
    listener.shared().made().is_closed.store(true, Ordering::Release);
    listener.close();
    // Those that wait at a clone are told by the system. It fails if it was shut down before.
    _ = SockRef::from(listener).shutdown(Shutdown::Both);
}

fn is_closed<T: AsFd>(listener: &Poll<T>) -> bool {
    // Acquire: as in `close`.
    listener.shared().get().is_some_and(|shared| shared.is_closed.load(Ordering::Acquire))
}

/// What an iterator over connections gives for the result of an `accept`: nothing if the listener is closed.
pub(crate) fn next<T: AsFd, S>(listener: &Poll<T>, accepted: io::Result<S>) -> Option<io::Result<S>> {
    if accepted.is_err() && is_closed(listener) { None } else { Some(accepted) }
}

/// Says once in a process that connections wait.
#[cold]
fn warn(error: &io::Error) {
    static IS_SAID: AtomicBool = AtomicBool::new(false);
    if !IS_SAID.swap(true, Ordering::Relaxed) {
        let is_said = pirn_runtime::internal::warn(format!(
            "a connection cannot be accepted: {error}; it waits, and accept tries again some times a second. Raise the \
             limit on open files (ulimit -n), or close what is not needed"
        ));
        // A thread that runs no G cannot say it. The next G may.
        IS_SAID.store(is_said, Ordering::Relaxed);
    }
}
