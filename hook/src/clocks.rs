//! Times as libc has them.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "a call of libc's")]

use libc::{clockid_t, timespec};
use pirn_runtime::internal::now;
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

/// None: it is not valid. libc says so.
pub(crate) fn duration(time: Option<&timespec>) -> Option<Duration> {
    let time = time?;
    let nanoseconds = u32::try_from(time.tv_nsec).ok().filter(|nanoseconds| *nanoseconds < 1_000_000_000)?;
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, nanoseconds))
}

/// After so long a wait until a moment of the real-time clock looks whether that was set.
const SET_MAX: Duration = Duration::from_secs(1);

/// A moment of a clock of libc's.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    clock: clockid_t,
    at: Duration,
}

impl Moment {
    pub(crate) fn new(clock: clockid_t, at: Duration) -> Moment {
        Moment { clock, at }
    }

    /// After how long to look whether it has come: when it does by what the clock says now, or before, if that may be set.
    /// Zero: it has come.
    pub(crate) fn rest(self) -> Duration {
        let most = if self.clock == libc::CLOCK_REALTIME { SET_MAX } else { Duration::MAX };
        self.at.saturating_sub(read(self.clock)).min(most)
    }

    /// Whether it has come.
    pub(crate) fn has_come(self) -> bool {
        self.rest().is_zero()
    }

    /// When to look. None: never.
    pub(crate) fn next_look(self) -> Option<Instant> {
        now().checked_add(self.rest())
    }
}

/// What a clock says.
fn read(clock: clockid_t) -> Duration {
    let mut time = MaybeUninit::<timespec>::uninit();
    // SAFETY: it is one of the clocks that there are, and there is room.
    unsafe { libc::clock_gettime(clock, time.as_mut_ptr()) };
    // SAFETY: it has been written.
    let time = unsafe { time.assume_init_ref() };
    duration(Some(time)).unwrap_or_default()
}
