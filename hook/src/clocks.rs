//! Times as libc has them.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "a call of libc's")]

use libc::{clockid_t, timespec};
use std::mem::MaybeUninit;
use std::time::Duration;

/// None: it is not valid. libc says so.
pub(crate) fn duration(time: Option<&timespec>) -> Option<Duration> {
    let time = time?;
    let nanoseconds = u32::try_from(time.tv_nsec).ok().filter(|nanoseconds| *nanoseconds < 1_000_000_000)?;
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, nanoseconds))
}

/// What a clock says.
pub(crate) fn read(clock: clockid_t) -> Duration {
    let mut time = MaybeUninit::<timespec>::uninit();
    // SAFETY: it is one of the clocks that there are, and there is room.
    unsafe { libc::clock_gettime(clock, time.as_mut_ptr()) };
    // SAFETY: it has been written.
    let time = unsafe { time.assume_init_ref() };
    duration(Some(time)).unwrap_or_default()
}
