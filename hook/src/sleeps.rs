//! `sleep`, `usleep`, `nanosleep`, `clock_nanosleep`, `sched_yield`.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "functions in the place of libc's")]

use crate::calls::NANOSLEEP;
use crate::clocks::{Moment, duration};
use crate::errno::fail;
use crate::next;
use libc::{clockid_t, timespec};
use pirn_runtime::internal::{Hooked, give_way, now};
use std::ffi::{c_int, c_uint};
use std::time::Duration;

/// In the place of libc's.
///
/// # Safety
/// None.
#[unsafe(no_mangle)]
unsafe extern "C" fn sleep(seconds: c_uint) -> c_uint {
    let Some(g) = sleeper() else {
        // SAFETY: as the caller.
        return unsafe { next::sleep(seconds) };
    };
    let (began, time) = (now(), Duration::from_secs(seconds.into()));
    if wait(g, time) {
        return 0;
    }
    // The rest, rounded up.
    let rest = time.saturating_sub(now().saturating_duration_since(began));
    c_uint::try_from(rest.as_nanos().div_ceil(1_000_000_000)).unwrap_or(seconds)
}

/// In the place of libc's.
///
/// # Safety
/// None.
#[unsafe(no_mangle)]
unsafe extern "C" fn usleep(microseconds: libc::useconds_t) -> c_int {
    let Some(g) = sleeper() else {
        // SAFETY: as the caller.
        return unsafe { next::usleep(microseconds) };
    };
    if wait(g, Duration::from_micros(microseconds.into())) { 0 } else { fail(libc::ECANCELED) }
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn nanosleep(time: *const timespec, rest: *mut timespec) -> c_int {
    // SAFETY: it is valid, or null.
    let asked = unsafe { time.as_ref() };
    if let Some(g) = sleeper()
        && let Some(time) = duration(asked)
    {
        return if wait(g, time) { 0 } else { fail(libc::ECANCELED) };
    }
    // SAFETY: as the caller.
    unsafe { next::nanosleep(time, rest) }
}

/// In the place of libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_nanosleep(
    clock: clockid_t,
    flags: c_int,
    time: *const timespec,
    rest: *mut timespec,
) -> c_int {
    // SAFETY: it is valid, or null.
    let asked = unsafe { time.as_ref() };
    if let Some(g) = sleeper()
        && [libc::CLOCK_REALTIME, libc::CLOCK_MONOTONIC, libc::CLOCK_BOOTTIME].contains(&clock)
        && let Some(time) = duration(asked)
    {
        let is_over = match flags & libc::TIMER_ABSTIME {
            0 => wait(g, time),
            _ => wait_for_moment(g, Moment::new(clock, time)),
        };
        return if is_over { 0 } else { libc::ECANCELED };
    }
    // SAFETY: as the caller.
    unsafe { next::clock_nanosleep(clock, flags, time, rest) }
}

/// In the place of libc's. The G goes behind the others of its P. Libc's would have its thread wait for other threads, with
/// the P.
///
/// # Safety
/// None.
#[unsafe(no_mangle)]
unsafe extern "C" fn sched_yield() -> c_int {
    // The first, which is quick, has a call of its own.
    if Hooked::is_surely_none() || sleeper().is_none() {
        // SAFETY: as the caller.
        return unsafe { next::sched_yield() };
    }
    give_way();
    0
}

/// The G that calls, and may sleep without its thread.
#[inline(always)]
fn sleeper() -> Option<Hooked> {
    Hooked::current().filter(|g| g.may_park())
}

/// Parks for so long. False: the runtime closes.
#[inline(always)]
fn wait(g: Hooked, time: Duration) -> bool {
    if time.is_zero() {
        give_way();
        return true;
    }
    g.sleep(&NANOSLEEP, time)
}

/// Parks until that moment. False: the runtime closes.
fn wait_for_moment(g: Hooked, moment: Moment) -> bool {
    loop {
        let rest = moment.rest();
        if !wait(g, rest) {
            return false;
        }
        if rest.is_zero() {
            return true;
        }
    }
}
