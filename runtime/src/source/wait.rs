//! How a G and an async task wait for a descriptor, at the epoll of a runtime.

#![allow(unsafe_code, reason = "which G calls")]

use super::alarm::arm;
use super::descriptor::{Seen, Source, may_wait, result_of};
use super::on_thread;
use super::place::{Guard, Place, wake};
use crate::clock::{now_ns, ns_of};
use crate::g::G;
use crate::m::fork::{error_in_fork, is_fork};
use crate::netpoll::{Direction, Look, Record, Who, expose, register};
use crate::park::{current_g, park_on, unpark_g};
use crate::reason::{Kind, Reason};
use crate::sched::{Entered, Shared};
use crate::timers::NEVER;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::task::{Context, Poll};
use std::time::Instant;

/// A wait for a descriptor.
static IO_WAIT: Reason = Reason::new("IO wait", Kind::Descriptor);

impl Source {
    /// Waits until the operation that has seen this should be tried again: there may be something to read, or room to
    /// write, or nothing at all has happened. Several may wait, in each direction.
    ///
    /// # Errors
    /// `TimedOut` when the earlier of `deadline` and the sticky one has passed; `NotConnected` if it was shut;
    /// `Unsupported` for what cannot be waited for, as a regular file; `AlreadyExists` if another `Source` of the same
    /// runtime waits for this descriptor; what the system says when it has no memory or no descriptor for an epoll.
    pub fn wait(&self, fd: BorrowedFd<'_>, seen: Seen, deadline: Option<Instant>) -> io::Result<()> {
        let deadline_ns = deadline.map_or(NEVER, in_ns);
        let Some(g) = current_g() else { return on_thread::wait(self, fd, seen, deadline_ns) };
        let Some((record, look)) = self.start(seen) else { return Ok(()) };
        // Here, where the frame of the wait is not there yet, which ends by that call: what adds the descriptor to the epoll
        // and what parks need about as much of the stack, and an idle connection would have a page for their sum.
        // SAFETY: `g` is the caller, so its runtime is there.
        self.register(record, fd, unsafe { g.shared() })?;
        wait_on_g(g, (record, seen.direction), look, deadline_ns)
    }

    /// As [`wait`](Self::wait), for async code: `Ready(Ok(()))` says that the operation should be tried again. `place`
    /// is where this operation waits. It needs a runtime: the one that the caller runs on, or else the one on which
    /// something has waited for this descriptor before.
    ///
    /// # Errors
    /// As there; `Unsupported` without a runtime.
    pub fn poll_wait(
        &self,
        fd: BorrowedFd<'_>,
        seen: Seen,
        place: &mut Place,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match self.try_poll_wait(fd, seen, place, cx) {
            Ok(true) => Poll::Pending,
            Ok(false) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Whether it waits now.
    fn try_poll_wait(
        &self,
        fd: BorrowedFd<'_>,
        seen: Seen,
        place: &mut Place,
        cx: &mut Context<'_>,
    ) -> io::Result<bool> {
        if is_fork() {
            return Err(error_in_fork());
        }
        place.leave();
        let Some((record, look)) = self.start(seen) else { return Ok(false) };
        let shared = Entered::new().map(|entered| entered.shared().arc());
        match &shared {
            Some(shared) => self.register(record, fd, shared)?,
            None if record.is_registered() => {}
            None => return Err(io::Error::new(io::ErrorKind::Unsupported, NO_RUNTIME)),
        }
        // It is the user's code, and so is what drops it: both without the lock.
        let who = Who::Task(cx.waker().clone());
        let at = (record, seen.direction);
        let side = record.side(seen.direction);
        let mut locked = side.lock();
        let until_ns = match may_wait(side, &locked, look, NEVER) {
            Ok(until_ns) => until_ns,
            Err(answer) => {
                drop(locked);
                who.discard();
                return answer.map(|()| false);
            }
        };
        place.put(at, locked.push(who, until_ns));
        let rest = arm(&mut locked, at, || shared, until_ns);
        drop(locked);
        match rest {
            Some(rest) => rest.finish(),
            None => {
                place.leave();
                return Err(io::Error::new(io::ErrorKind::Unsupported, NO_RUNTIME));
            }
        }
        Ok(true)
    }

    /// Registers the descriptor with that runtime, if it is with none.
    #[inline]
    fn register(&self, record: &'static Record, fd: BorrowedFd<'_>, shared: &Shared) -> io::Result<()> {
        if record.is_registered() { Ok(()) } else { self.register_first(record, fd, shared) }
    }

    #[cold]
    #[inline(never)]
    fn register_first(&self, record: &'static Record, fd: BorrowedFd<'_>, shared: &Shared) -> io::Result<()> {
        if register(record, fd, self.kind(), shared.netpoll())? {
            shared.has_registered();
        }
        expose(fd.as_raw_fd(), wake);
        Ok(())
    }
}

const NO_RUNTIME: &str =
    "async code that waits for a descriptor needs a runtime of pirn: run it on a goroutine, by block_on";

/// Reads the clock in a frame of its own, so that the call of `wait_on_g` can be a jump.
#[inline(never)]
fn in_ns(deadline: Instant) -> u64 {
    ns_of(deadline)
}

/// Waits at the epoll where the descriptor of that record is registered.
#[inline(never)]
fn wait_on_g(g: &'static G, at: (&'static Record, Direction), look: Look, deadline_ns: u64) -> io::Result<()> {
    let (record, direction) = at;
    // It leaves when this is unwound.
    let mut place = Place::new();
    while record.is_registered() {
        match enlist(g, at, look, deadline_ns) {
            Ok(number) => place.put(at, number),
            Err(answer) => return answer,
        }
        park_on(&IO_WAIT, record.what());
        if let Some(found) = record.side(direction).differs(look) {
            // Whoever has changed it takes all waiters.
            place.was_taken();
            return result_of(found);
        }
        // Woken for no reason, or as its deadline has passed or was changed.
        place.leave();
    }
    // It was taken out of its epoll meanwhile.
    Ok(())
}

/// Puts the G `g`, which is the caller, into the list of that side, if it may wait: its number there. Otherwise what the
/// wait answers.
#[inline(never)]
fn enlist(
    g: &'static G,
    at: (&'static Record, Direction),
    look: Look,
    deadline_ns: u64,
) -> Result<u64, io::Result<()>> {
    let (record, direction) = at;
    let side = record.side(direction);
    let mut locked = side.lock();
    let until_ns = may_wait(side, &locked, look, deadline_ns)?;
    let number = locked.push(Who::G(g, g.id()), until_ns);
    if until_ns != NEVER {
        arm_for_g(g, locked, at, until_ns, look);
    }
    Ok(number)
}

/// Sees to it that the G `g`, which has put itself into the list, is woken at `until_ns`.
#[inline(never)]
pub(super) fn arm_for_g(
    g: &'static G,
    mut locked: Guard<'_>,
    at: (&'static Record, Direction),
    until_ns: u64,
    look: Look,
) {
    // SAFETY: `g` is the caller, so its runtime is there.
    let shared = unsafe { g.shared() };
    // A runtime whose G runs has not ended.
    let rest = arm(&mut locked, at, || Some(shared.arc()), until_ns).expect("timers end after the Gs");
    drop(locked);
    if rest.is_nothing() {
        return;
    }
    rest.finish();
    // That has freed memory. If the user's allocator has waited for a lock, its wait may have consumed what a wake left.
    if at.0.side(at.1).differs(look).is_some() || now_ns() >= until_ns {
        unpark_g(g, g.id());
    }
}
