//! `poll`, `ppoll`.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "functions in the place of libc's")]

use crate::attempts::{answer, look_until};
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
    let Some(g) = Hooked::current().filter(|_| timeout_ms != 0) else { return poll(timeout_ms) };
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
    // SAFETY: so many are there.
    let all = unsafe { all_of(asked, count) };
    answer(look_until(g, &POLL, timeout, || wanted_of(all), || poll(0)), || poll(timeout_ms))
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
    // The thread's mask is not the G's; and a time that is not valid is libc's to say.
    let Some(g) = Hooked::current().filter(|_| mask.is_null() && wait != Some(None)) else { return plainly() };
    // SAFETY: so many are there.
    let all = unsafe { all_of(asked, count) };
    // SAFETY: as the caller.
    let look = || unsafe { next::poll(asked, count, 0) };
    answer(look_until(g, &POLL, wait.flatten(), || wanted_of(all), look), plainly)
}

/// # Safety
/// So many are there, and nobody else uses them.
unsafe fn all_of<'a>(asked: *const pollfd, count: nfds_t) -> &'a [pollfd] {
    if count == 0 || asked.is_null() {
        return &[];
    }
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(asked, count as usize) }
}

/// What an epoll can be armed for. None: there is more.
fn wanted_of(asked: &[pollfd]) -> Option<Vec<(c_int, Direction)>> {
    let mut wanted = Vec::with_capacity(asked.len());
    for one in asked.iter().filter(|one| one.fd >= 0) {
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
