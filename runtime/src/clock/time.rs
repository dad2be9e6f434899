//! Reading the clock, and sleeping by it.

use super::hand;
use crate::os::monotonic_ns;
use std::thread;
use std::time::{Duration, Instant};

/// No moment: later than all others.
pub(crate) const NEVER: u64 = u64::MAX;

/// Nanoseconds on the monotonic clock.
#[inline]
pub fn now_ns() -> u64 {
    match hand::stands_at_ns() {
        hand::RUNS => monotonic_ns(),
        at_ns => at_ns,
    }
}

/// The same moment as `now_ns`, as the public API has it.
#[inline]
pub fn now() -> Instant {
    if stands_still() { hand::now() } else { Instant::now() }
}

/// Whether that moment has come.
#[inline]
pub fn has_come(moment: Instant) -> bool {
    now() >= moment
}

/// Whether the clock is under the control of a test. A loop that measures a short time by it must end by itself then.
#[inline]
pub(crate) fn stands_still() -> bool {
    hand::stands_at_ns() != hand::RUNS
}

/// That moment in nanoseconds; now, if it has passed.
#[inline]
pub(crate) fn ns_of(moment: Instant) -> u64 {
    if stands_still() {
        return hand::ns_of(moment);
    }
    deadline(moment.saturating_duration_since(Instant::now()))
}

/// The clock plus a duration, without overflow.
#[inline]
pub(crate) fn deadline(after: Duration) -> u64 {
    now_ns().saturating_add(u64::try_from(after.as_nanos()).unwrap_or(NEVER))
}

/// How long a thread that waits for something of the system may wait there until the clock says `until_ns`; none is
/// without a limit. If the clock stands still it is short, so that the thread sees soon that the clock has moved.
pub(crate) fn rest_ns(until_ns: u64) -> Option<u64> {
    /// How long.
    const GLANCE_NS: u64 = 1_000_000;
    match until_ns {
        NEVER => None,
        _ if stands_still() => Some(if now_ns() < until_ns { GLANCE_NS } else { 0 }),
        _ => Some(until_ns.saturating_sub(now_ns())),
    }
}

/// Parks the calling thread until the clock says `until_ns`, or it is unparked, or for no reason.
pub(crate) fn park_thread(until_ns: u64) {
    if until_ns == NEVER {
        return thread::park();
    }
    let now_ns = now_ns();
    if now_ns >= until_ns {
        return;
    }
    if stands_still() {
        return hand::park(now_ns, None);
    }
    thread::park_timeout(Duration::from_nanos(until_ns - now_ns));
}

/// As [`park_thread`], for sysmon, which has read `now_ns` and looks at more than the clock: it goes on after as long
/// in any case, though the clock stands still.
pub(crate) fn rest_thread(now_ns: u64, until_ns: u64) {
    if until_ns == NEVER {
        return thread::park();
    }
    if now_ns >= until_ns {
        return;
    }
    let rest = Duration::from_nanos(until_ns - now_ns);
    if stands_still() { hand::park(now_ns, Some(rest)) } else { thread::park_timeout(rest) }
}

/// Blocks the calling thread until the clock says `until_ns`, as [`std::thread::sleep`]: an unpark does not end it.
pub(crate) fn sleep_thread(until_ns: u64) {
    if stands_still() {
        return hand::sleep(until_ns);
    }
    thread::sleep(Duration::from_nanos(until_ns.saturating_sub(monotonic_ns())));
}
