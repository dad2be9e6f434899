//! Fences that reach other threads, the clock, and what a thread says about itself or is asked about another.

use std::arch::asm;
use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
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
/// Call it only if [`register_membarrier`] answered true: otherwise the other side needs a real fence too. Even then
/// it may fail, if a seccomp filter was installed later: on false nothing is fenced.
#[must_use = "if it is false nothing is fenced"]
pub(crate) fn heavy_fence() -> bool {
    membarrier(MEMBARRIER_PRIVATE_EXPEDITED)
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
pub(crate) fn monotonic_ns() -> u64 {
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

/// The kernel's number for the calling thread.
pub(crate) fn thread_id() -> i32 {
    // SAFETY: gettid has no arguments and always works.
    unsafe { libc::gettid() }
}

/// How many threads this process has. None: there is no procfs.
pub(crate) fn thread_count() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/task").ok()?.count())
}

/// The threads of this process. None: there is no procfs.
pub(crate) fn threads() -> Option<Vec<i32>> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    Some(tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// What the thread `tid` of this process is called, of which the kernel keeps 15 bytes. None: there is no such
/// thread, or no procfs.
pub(crate) fn thread_name(tid: i32) -> Option<String> {
    let name = std::fs::read(format!("/proc/self/task/{tid}/comm")).ok()?;
    Some(String::from_utf8_lossy(name.strip_suffix(b"\n").unwrap_or(&name)).into_owned())
}

/// Whether the thread `tid` of this process is blocked in a lock, or something of that kind, without a timeout: in a
/// futex. None: there is no such thread, or the kernel does not say.
pub(crate) fn is_in_lock(tid: i32) -> Option<bool> {
    let call = std::fs::read_to_string(format!("/proc/self/task/{tid}/syscall")).ok()?;
    // `202 0x7f5ab1c2d3e0 0x189 0x2 0x0 ...`: the number and its arguments; `running` if it is in none.
    let mut words = call.split_whitespace();
    if words.next()?.parse() != Ok(libc::SYS_futex) {
        return Some(false);
    }
    let mut argument = || u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok();
    let (_, what, _, timeout) = (argument()?, argument()?, argument()?, argument()?);
    let what = (what as libc::c_int) & libc::FUTEX_CMD_MASK;
    let waits = [libc::FUTEX_WAIT, libc::FUTEX_WAIT_BITSET, libc::FUTEX_LOCK_PI, libc::FUTEX_LOCK_PI2].contains(&what);
    Some(waits && timeout == 0)
}

/// How long the thread `tid` of this process has computed so far. None: there is no such thread. About 0.2 us if it
/// sleeps, 0.6 us if it runs.
pub(crate) fn thread_cpu_ns(tid: i32) -> Option<u64> {
    // As `pthread_getcpuclockid` makes it: bit 2 says "of a thread", 2 in the low bits is the scheduler's own count.
    let clock: libc::clockid_t = (!tid << 3) | 0b110;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime writes only to `time`, and refuses a clock that is none.
    let status = unsafe { libc::clock_gettime(clock, &raw mut time) };
    (status == 0).then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// In how many stretches the thread `tid` of this process has run so far: how often it was put on a CPU. None: there
/// is no such thread, or the kernel does not count. About 3 us.
pub(crate) fn thread_stretches(tid: i32) -> Option<u64> {
    let mut text = [0; 64];
    let len = File::open(format!("/proc/self/task/{tid}/schedstat")).ok()?.read(&mut text).ok()?;
    // The time on a CPU, the time in a queue for one, and the number of stretches.
    let stretches = std::str::from_utf8(&text[..len]).ok()?.split_whitespace().nth(2)?;
    stretches.parse().ok()
}

/// Whether the thread `tid` of this process sleeps in the kernel: it neither runs nor waits for a CPU. None: there is
/// no such thread, or no procfs. About 6 us.
pub(crate) fn thread_sleeps(tid: i32) -> Option<bool> {
    let mut stat = [0; 128];
    let len = File::open(format!("/proc/self/task/{tid}/stat")).ok()?.read(&mut stat).ok()?;
    // `1234 (a name, with any characters) S ...`
    let name_ends = stat[..len].iter().rposition(|byte| *byte == b')')?;
    Some(*stat.get(name_ends + 2)? != b'R')
}

/// How many threads of the machine run or wait for a CPU.
#[derive(Debug, Default)]
pub(crate) struct RunningThreads {
    /// Open from the first count on: to open it takes three times as long as to read it.
    loadavg: Option<File>,
}

impl RunningThreads {
    /// Counts them, the calling one among them. None: there is no procfs, or no descriptor. About 3 us, on a machine with
    /// many CPUs more.
    pub(crate) fn count(&mut self) -> Option<usize> {
        if self.loadavg.is_none() {
            self.loadavg = File::open("/proc/loadavg").ok();
        }
        let mut text = [0; 64];
        let len = self.loadavg.as_ref()?.read_at(&mut text, 0).ok()?;
        first_of_fourth(&text[..len])
    }
}

fn first_of_fourth(text: &[u8]) -> Option<usize> {
    // `0.24 1.25 1.72 2/80 28357`
    let counts = std::str::from_utf8(text).ok()?.split_whitespace().nth(3)?;
    counts.split('/').next()?.parse().ok()
}

/// How many CPUs the machine has, also those that this process may not use.
pub(crate) fn online_cpus() -> usize {
    // SAFETY: it reads and writes nothing of ours.
    let cpus = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    usize::try_from(cpus).unwrap_or(1).max(1)
}

/// A cache line.
pub(crate) const LINE_BYTES: usize = 64;

/// Asks for so many cache lines, from that of `first` on, to be fetched, to be written: they are taken from other CPUs at
/// once. Any address will do; a bad one is ignored.
#[inline(always)]
pub(crate) fn prefetch_lines<T>(first: *const T, count: usize) {
    for line in 0..count {
        let line = first.wrapping_byte_add(line * LINE_BYTES);
        // SAFETY: a prefetch is a hint that never faults. A CPU that does not know this one does nothing.
        unsafe { asm!("prefetchw [{}]", in(reg) line, options(nostack, preserves_flags, readonly)) };
    }
}

/// As [`prefetch_lines`] for a great many lines at once: into the second-level cache. A CPU that waits for as many lines of
/// the first level as it can forgets what else it is asked to fetch there (Zen 4: half, of eight lines of each of 32
/// stacks whose pages are not in the TLB).
#[inline(always)]
pub(crate) fn prefetch_lines_to_l2<T>(first: *const T, count: usize) {
    for line in 0..count {
        // SAFETY: a prefetch is a hint that never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(first.wrapping_byte_add(line * LINE_BYTES).cast()) };
    }
}
