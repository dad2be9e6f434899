//! Fences that reach other threads, the clock, and what a thread says about itself.

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
use std::sync::OnceLock;
use std::sync::atomic::{Ordering, compiler_fence};

/// `enum membarrier_cmd` (not in `libc`).
const MEMBARRIER_PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
/// Must be said once before the command above.
const MEMBARRIER_REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

/// Prepares the process for [`heavy_fence`] and says whether it may be used. Asks the kernel once.
pub(crate) fn register_membarrier() -> bool {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    *REGISTERED.get_or_init(|| membarrier(MEMBARRIER_REGISTER_PRIVATE_EXPEDITED))
}

/// Runs a full memory barrier on every thread of the process that is running right now; the others had one
/// when they were switched out. With [`light_fence`] on the other side it is worth two `SeqCst` fences.
///
/// Call it only if [`register_membarrier`] answered true: otherwise the other side needs a real fence too.
pub(crate) fn heavy_fence() {
    let done = membarrier(MEMBARRIER_PRIVATE_EXPEDITED);
    debug_assert!(done, "os: heavy_fence without register_membarrier");
}

/// The cheap side of [`heavy_fence`]: keeps the compiler from moving accesses across it, and costs no
/// instruction.
#[inline]
pub(crate) fn light_fence() {
    compiler_fence(Ordering::SeqCst);
}

/// Makes one membarrier call and says whether it worked.
fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: membarrier touches no memory of ours.
    let status = unsafe { libc::syscall(libc::SYS_membarrier, command, 0_u32, 0) };
    status == 0
}

/// Nanoseconds on a clock that never goes back and does not stop while the process lives.
#[inline]
pub(crate) fn now_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime writes only to `now`. This clock always exists.
    let _ = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Says how late the kernel may wake the calling thread from a timed sleep (50,000 ns unless told). A refusal
/// only means later wake-ups, so it is not reported.
pub(crate) fn set_timer_slack_ns(slack_ns: u64) {
    // SAFETY: PR_SET_TIMERSLACK only takes a number, for the calling thread.
    let _ = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, slack_ns as libc::c_ulong) };
}

/// Asks for the cache line at `line` to be fetched. Any address will do; a bad one is ignored.
#[inline(always)]
pub(crate) fn prefetch<T>(line: *const T) {
    // SAFETY: a prefetch is a hint that never faults.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) };
}
