//! `select`, `pselect`, `epoll_wait`, `epoll_pwait`, `epoll_pwait2`: what waits for many descriptors.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "functions in the place of libc's")]

use crate::attempts::{Not, answer, is_valid, look_until};
use crate::calls::{EPOLL_WAIT, SELECT};
use crate::clocks::duration;
use crate::next;
use libc::{c_int, c_ulong, epoll_event, fd_set, sigset_t, timespec, timeval};
use pirn_runtime::internal::{Direction, Hooked};
use std::ptr;
use std::time::Duration;

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_wait(epoll: c_int, events: *mut epoll_event, most: c_int, timeout_ms: c_int) -> c_int {
    // SAFETY: as the caller.
    let wait = |timeout_ms| unsafe { next::epoll_wait(epoll, events, most, timeout_ms) };
    match Hooked::current() {
        Some(g) => answer(wait_for_events(g, epoll, in_ms(timeout_ms), || wait(0)), || wait(timeout_ms)),
        None => wait(timeout_ms),
    }
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_pwait(
    epoll: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout_ms: c_int,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: as the caller.
    let wait = |timeout_ms| unsafe { next::epoll_pwait(epoll, events, most, timeout_ms, mask) };
    match Hooked::current() {
        // The thread's mask is not the G's.
        Some(g) if mask.is_null() => {
            answer(wait_for_events(g, epoll, in_ms(timeout_ms), || wait(0)), || wait(timeout_ms))
        }
        _ => wait(timeout_ms),
    }
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_pwait2(
    epoll: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: as the caller.
    let plainly = || unsafe { next::epoll_pwait2(epoll, events, most, timeout, mask) };
    // SAFETY: it is valid, or null.
    let time = unsafe { timeout.as_ref() }.map(|time| duration(Some(time)));
    let Some(g) = Hooked::current().filter(|_| mask.is_null() && is_valid(time)) else { return plainly() };
    // SAFETY: as the caller.
    let look = || unsafe { next::epoll_wait(epoll, events, most, 0) };
    answer(wait_for_events(g, epoll, time.flatten(), look), plainly)
}

/// An epoll is readable when it has events.
fn wait_for_events(g: Hooked, epoll: c_int, timeout: Option<Duration>, look: impl Fn() -> c_int) -> Result<c_int, Not> {
    look_until(g, &EPOLL_WAIT, timeout, || Some(vec![(epoll, Direction::Read)]), look)
}

/// None: without a limit.
fn in_ms(timeout_ms: c_int) -> Option<Duration> {
    u64::try_from(timeout_ms).ok().map(Duration::from_millis)
}

/// In the place of libc's. Unlike Linux's it leaves the time as it is, as POSIX allows.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn select(
    count: c_int,
    reads: *mut fd_set,
    writes: *mut fd_set,
    others: *mut fd_set,
    timeout: *mut timeval,
) -> c_int {
    // SAFETY: as the caller, or with another time.
    let select = |timeout| unsafe { next::select(count, reads, writes, others, timeout) };
    // SAFETY: it is valid, or null.
    let time = unsafe { timeout.as_ref() }.map(time_of);
    let Some(g) = Hooked::current().filter(|_| are_valid(count, time)) else { return select(timeout) };
    let look = || select(ptr::from_mut(&mut timeval { tv_sec: 0, tv_usec: 0 }));
    // SAFETY: as the caller.
    unsafe { select_on(g, count, [reads, writes, others], time.flatten(), look, || select(timeout)) }
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn pselect(
    count: c_int,
    reads: *mut fd_set,
    writes: *mut fd_set,
    others: *mut fd_set,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: as the caller, or with another time.
    let select = |timeout| unsafe { next::pselect(count, reads, writes, others, timeout, mask) };
    // SAFETY: it is valid, or null.
    let time = unsafe { timeout.as_ref() }.map(|time| duration(Some(time)));
    let is_looked_at = |_: &Hooked| mask.is_null() && are_valid(count, time);
    let Some(g) = Hooked::current().filter(is_looked_at) else { return select(timeout) };
    let look = || select(ptr::from_ref(&timespec { tv_sec: 0, tv_nsec: 0 }));
    // SAFETY: as the caller.
    unsafe { select_on(g, count, [reads, writes, others], time.flatten(), look, || select(timeout)) }
}

/// Whether the arguments are; if not, it is the kernel's to say.
fn are_valid(count: c_int, time: Option<Option<Duration>>) -> bool {
    (0..=libc::FD_SETSIZE as c_int).contains(&count) && is_valid(time)
}

/// `look` asks without waiting, and `plainly` as the caller has.
///
/// # Safety
/// The sets are valid for so many descriptors, or null.
unsafe fn select_on(
    g: Hooked,
    count: c_int,
    sets: [*mut fd_set; 3],
    timeout: Option<Duration>,
    look: impl Fn() -> c_int,
    plainly: impl Fn() -> c_int,
) -> c_int {
    // SAFETY: as the caller promises.
    let sets = sets.map(|set| unsafe { Set::of(set, count) });
    // A look leaves there what it has found.
    // SAFETY: as the caller promises.
    let ask_again = || sets.iter().for_each(|set| unsafe { set.ask_again() });
    let look = || {
        ask_again();
        look()
    };
    let result = look_until(g, &SELECT, timeout, || wanted_of(count, &sets), look);
    if result.is_err() {
        // One that fails leaves the sets as they were.
        ask_again();
    }
    answer(result, plainly)
}

/// How many descriptors one word of a set has.
const BITS: usize = c_ulong::BITS as usize;
const WORDS_MAX: usize = libc::FD_SETSIZE / BITS;

/// A set of the caller's, and what it has asked for: as many words as the kernel reads and writes for that count. The caller's
/// may have no more, and what lies behind them is not ours.
struct Set {
    place: *mut c_ulong,
    words: usize,
    asked: [c_ulong; WORDS_MAX],
}

impl Set {
    /// # Safety
    /// It is valid for so many descriptors, or null.
    unsafe fn of(place: *mut fd_set, count: c_int) -> Set {
        let place = place.cast::<c_ulong>();
        let words = if place.is_null() { 0 } else { (count.unsigned_abs() as usize).div_ceil(BITS).min(WORDS_MAX) };
        let mut asked = [0; WORDS_MAX];
        if words > 0 {
            // SAFETY: as the caller promises.
            unsafe { ptr::copy_nonoverlapping(place, asked.as_mut_ptr(), words) };
        }
        Set { place, words, asked }
    }

    /// Writes there what the caller has asked for.
    ///
    /// # Safety
    /// It is still valid.
    unsafe fn ask_again(&self) {
        if self.words > 0 {
            // SAFETY: as the caller promises.
            unsafe { ptr::copy_nonoverlapping(self.asked.as_ptr(), self.place, self.words) };
        }
    }

    fn has(&self, fd: c_int) -> bool {
        let fd = fd.unsigned_abs() as usize;
        self.asked[fd / BITS] >> (fd % BITS) & 1 != 0
    }
}

/// None: it is not valid.
fn time_of(time: &timeval) -> Option<Duration> {
    let microseconds = u32::try_from(time.tv_usec).ok()?;
    Some(Duration::from_secs(u64::try_from(time.tv_sec).ok()?) + Duration::from_micros(microseconds.into()))
}

/// What an epoll can be armed for. None: there is more.
fn wanted_of(count: c_int, [reads, writes, others]: &[Set; 3]) -> Option<Vec<(c_int, Direction)>> {
    let mut wanted = Vec::new();
    for fd in 0..count {
        if others.has(fd) {
            return None;
        }
        if reads.has(fd) {
            wanted.push((fd, Direction::Read));
        }
        if writes.has(fd) {
            wanted.push((fd, Direction::Write));
        }
    }
    Some(wanted)
}
