//! Waits until a moment of the real-time clock, which is set meanwhile: the program has a clock of its own.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{eventually, isolated, shown_waiting};
use libc::{c_int, clockid_t, timespec};
use pirn_hook as _;
use pirn_runtime::go;
use std::ptr;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const HOUR: Duration = Duration::from_secs(3_600);

/// How far the clock has been set ahead, in seconds.
static AHEAD: AtomicI64 = AtomicI64::new(0);

/// In the place of libc's, for all of this program.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    // SAFETY: as the caller.
    let status = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
    if status == 0 && clock == libc::CLOCK_REALTIME {
        // SAFETY: it has been written.
        unsafe { (*time).tv_sec += AHEAD.load(Ordering::Relaxed) };
    }
    status as c_int
}

fn wait_for_futex(moment: &timespec) -> c_int {
    let word = AtomicU32::new(0);
    let what = libc::FUTEX_WAIT_BITSET | libc::FUTEX_CLOCK_REALTIME | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: a word and a time that are there.
    let waited = unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), what, 0, ptr::from_ref(moment), ptr::null::<u32>(), u32::MAX)
    };
    assert_eq!(waited, -1);
    std::io::Error::last_os_error().raw_os_error().expect("it has failed")
}

fn sleep_until(moment: &timespec) -> c_int {
    // SAFETY: a time that is there.
    unsafe { libc::clock_nanosleep(libc::CLOCK_REALTIME, libc::TIMER_ABSTIME, moment, ptr::null_mut()) }
}

#[test]
fn a_clock_that_is_set_ends_waits_for_its_moments() {
    type Call = fn(&timespec) -> c_int;
    let calls = [(wait_for_futex as Call, "futex", libc::ETIMEDOUT), (sleep_until, "nanosleep", 0)];
    for (call, reason, answer) in calls {
        let rt = isolated(1);
        let moment = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970") + HOUR;
        let moment = timespec { tv_sec: moment.as_secs() as i64, tv_nsec: 0 };
        let g = rt.run(|| go(move || call(&moment)));
        shown_waiting(&rt.handle(), reason);
        AHEAD.fetch_add(2 * HOUR.as_secs().cast_signed(), Ordering::Relaxed);
        eventually(reason, || g.is_finished());
        assert_eq!(g.join().expect("no panic"), answer);
    }
}
