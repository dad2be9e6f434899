//! How a thread waits for a descriptor that runs no G: in the kernel, for the descriptor and a bell.

use super::descriptor::{Seen, Source, may_wait, result_of, timed_out};
use super::place::Place;
use crate::clock::{now_ns, rest_ns};
use crate::m::fork::is_fork;
use crate::netpoll::{Bell, Direction, Who};
use crate::os::poll_one;
use crate::timers::NEVER;
use std::io;
use std::os::fd::BorrowedFd;

/// How long a thread waits before it looks again, if the system has no descriptor for a bell.
const DEAF_NS: u64 = 10_000_000;

/// See [`Source::wait`]. Not inlined: a G has no use for its frame.
#[inline(never)]
pub(super) fn wait(source: &Source, fd: BorrowedFd<'_>, seen: Seen, deadline_ns: u64) -> io::Result<()> {
    let writes = seen.direction == Direction::Write;
    if is_fork() {
        return wait_in_fork(fd, writes, deadline_ns);
    }
    let Some((record, look)) = source.start(seen) else { return Ok(()) };
    let side = record.side(seen.direction);
    let bell = Bell::take();
    let mut place = Place::new();
    loop {
        let mut locked = side.lock();
        let until_ns = match may_wait(side, &locked, look, deadline_ns) {
            Ok(until_ns) => until_ns,
            Err(answer) => return answer,
        };
        if let Some(bell) = bell.fd() {
            // The kernel wakes it at its deadline.
            place.put((record, seen.direction), locked.push(Who::Thread(bell.clone()), NEVER));
        }
        drop(locked);
        let rest_ns = rest_ns(until_ns);
        let rest_ns = if bell.fd().is_some() { rest_ns } else { Some(rest_ns.unwrap_or(NEVER).min(DEAF_NS)) };
        let polled = poll_one(fd, writes, bell.fd().map(|bell| &**bell), rest_ns);
        if polled.rings
            && let Some(bell) = bell.fd()
        {
            bell.silence();
        }
        place.leave();
        if let Some(found) = side.differs(look) {
            return result_of(found);
        }
        if polled.is_ready {
            side.undrain();
            return Ok(());
        }
    }
}

/// Nobody but the kernel can wake the child.
fn wait_in_fork(fd: BorrowedFd<'_>, writes: bool, deadline_ns: u64) -> io::Result<()> {
    let is_over = deadline_ns != NEVER && deadline_ns <= now_ns();
    if is_over {
        return Err(timed_out());
    }
    poll_one(fd, writes, None, rest_ns(deadline_ns));
    Ok(())
}
