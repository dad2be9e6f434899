//! `poll`, `ppoll`.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "functions in the place of libc's")]

use crate::attempts::{answer, is_valid, look_until};
use crate::calls::POLL;
use crate::clocks::duration;
use crate::next;
use libc::{c_int, c_short, nfds_t, pollfd, sigset_t, timespec};
use pirn_runtime::internal::{Direction, Hooked};
use std::time::Duration;

/// What an epoll that is armed for one direction hears of. Of other things only libc's call does.
const READS: c_short = libc::POLLIN | libc::POLLRDNORM;
const WRITES: c_short = libc::POLLOUT | libc::POLLWRNORM;

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn poll(asked: *mut pollfd, count: nfds_t, timeout_ms: c_int) -> c_int {
    // SAFETY: as the caller.
    let poll = |timeout_ms| unsafe { next::poll(asked, count, timeout_ms) };
    let Some(g) = Hooked::current() else { return poll(timeout_ms) };
    // SAFETY: as the caller.
    unsafe { poll_on(g, asked, count, timeout_ms) }
}

/// Out of line, so that a thread, which runs no G, has fewer registers to save.
///
/// # Safety
/// As for `poll`.
#[inline(never)]
unsafe fn poll_on(g: Hooked, asked: *mut pollfd, count: nfds_t, timeout_ms: c_int) -> c_int {
    // SAFETY: as the caller promises.
    let poll = |timeout_ms| unsafe { next::poll(asked, count, timeout_ms) };
    let timeout = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
    // SAFETY: a look has been made, so that many are there.
    let wanted = || unsafe { wanted_of(asked, count) };
    answer(look_until(g, &POLL, timeout, wanted, || poll(0)), || poll(timeout_ms))
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn ppoll(
    asked: *mut pollfd,
    count: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: as the caller.
    let plainly = || unsafe { next::ppoll(asked, count, timeout, mask) };
    // SAFETY: it is valid, or null.
    let time = unsafe { timeout.as_ref() };
    let wait = time.map(|time| duration(Some(time)));
    // The thread's mask is not the G's.
    let Some(g) = Hooked::current().filter(|_| mask.is_null() && is_valid(wait)) else { return plainly() };
    // SAFETY: as the caller.
    let look = || unsafe { next::poll(asked, count, 0) };
    // SAFETY: a look has been made, so that many are there.
    let wanted = || unsafe { wanted_of(asked, count) };
    answer(look_until(g, &POLL, wait.flatten(), wanted, look), plainly)
}

/// What an epoll can be armed for. None: there is more. The records are read one by one by their address: the kernel writes
/// into them at each look, so no reference to them may be kept over one.
///
/// # Safety
/// So many are there.
unsafe fn wanted_of(asked: *const pollfd, count: nfds_t) -> Option<Vec<(c_int, Direction)>> {
    let mut wanted = Vec::with_capacity(count as usize);
    for nth in 0..count as usize {
        // SAFETY: as the caller promises.
        let place = unsafe { asked.add(nth) };
        // SAFETY: as above.
        let one = unsafe { place.read() };
        if one.fd < 0 {
            continue;
        }
        // The end of what the peer sends is readable too, but what it sent before may be as well.
        let hears = READS | WRITES | if one.events & READS != 0 { libc::POLLRDHUP } else { 0 };
        if one.events & !hears != 0 || one.events & (READS | WRITES) == 0 {
            return None;
        }
        if one.events & READS != 0 {
            wanted.push((one.fd, Direction::Read));
        }
        if one.events & WRITES != 0 {
            wanted.push((one.fd, Direction::Write));
        }
    }
    Some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(fd: c_int, events: c_short) -> pollfd {
        pollfd { fd, events, revents: 0 }
    }

    #[test]
    fn the_kernel_may_write_between_the_looks() {
        let mut all =
            [asked(5, libc::POLLIN | libc::POLLOUT), asked(-1, libc::POLLIN), asked(6, libc::POLLRDHUP | READS)];
        let first = all.as_mut_ptr();
        // SAFETY: so many are there.
        let wanted = move || unsafe { wanted_of(first, 3) };
        // SAFETY: as above.
        unsafe { (*first).revents = libc::POLLIN };
        let (reads, writes) = (Direction::Read, Direction::Write);
        assert_eq!(wanted(), Some(vec![(5, reads), (5, writes), (6, reads)]));
        // SAFETY: as above.
        unsafe { (*first).events = libc::POLLPRI };
        assert_eq!(wanted(), None);
    }

    #[test]
    fn none_may_be_asked_for() {
        // SAFETY: none is there.
        assert_eq!(unsafe { wanted_of(std::ptr::null(), 0) }, Some(Vec::new()));
    }
}
