//! How a G waits for descriptors that are not ours, by their numbers (`netpoll/foreign.rs` has the argument).

#![allow(unsafe_code, reason = "which G calls")]

use super::place::{Place, wake};
use crate::g::G;
use crate::m::fork::is_fork;
use crate::netpoll::{Direction, Who, expose, foreign};
use crate::timers::NEVER;
use std::io;
use std::os::fd::RawFd;

/// Has `park` called while the G `g`, which is the caller, is woken when one of these is ready, or for no reason. `park` is
/// given the number that says to observers what is waited for, and does not unwind.
///
/// # Errors
/// `Unsupported` for one that is waited for by a [`Source`](super::Source); what the system says of one that cannot be
/// watched, as a regular file, or that is closed. Then `park` was not called.
pub(crate) fn wait_for_foreign(
    g: &'static G,
    wanted: &[(RawFd, Direction)],
    park: impl FnOnce(usize),
) -> io::Result<()> {
    // SAFETY: `g` is the caller, so its runtime is there.
    let shared = unsafe { g.shared() };
    let mut what = 0;
    // They leave at the end. Most often there is one. Nothing is allocated for them while some are in lists: an allocator
    // may have to wait.
    let (mut first, mut more) = (Place::default(), Vec::with_capacity(wanted.len().saturating_sub(1)));
    for (nth, (fd, direction)) in wanted.iter().enumerate() {
        let record = foreign(*fd)?;
        let place = if nth == 0 {
            what = record.what();
            &mut first
        } else {
            more.push(Place::default());
            more.last_mut().expect("it was pushed")
        };
        let number = record.side(*direction).lock().push(Who::G(g, g.id()), NEVER);
        place.put((record, *direction), number);
        if record.arm(*fd, shared.netpoll())? {
            shared.has_registered();
        }
    }
    park(what);
    Ok(())
}

/// Something has happened to that descriptor of which an epoll does not hear: those that wait for it by the number try again.
pub fn try_again(fd: RawFd) {
    if !is_fork() {
        expose(fd, wake);
    }
}
