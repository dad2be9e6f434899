//! `thread::sleep` and libc's sleeps, unmodified, on Gs.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{child_case, eventually, house, isolated, rss_bytes, subprocess};
use pirn_hook as _;
use pirn_runtime::{Builder, Runtime, go};
use std::io::Error;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(3600);

/// How many threads the process has.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("Linux").count()
}

fn timespec(time: Duration) -> libc::timespec {
    libc::timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() }
}

fn read(clock: libc::clockid_t) -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: there is room for it.
    assert_eq!(unsafe { libc::clock_gettime(clock, time.as_mut_ptr()) }, 0);
    // SAFETY: it was written.
    let time = unsafe { time.assume_init() };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn reasons(rt: &Runtime) -> Vec<&'static str> {
    rt.handle().goroutines().iter().filter_map(|g| g.wait_reason).collect()
}

#[test]
fn a_thousand_gs_sleep_on_few_threads() {
    let rt = isolated(2);
    let before = threads();
    let most = Arc::new(AtomicUsize::new(0));
    rt.run({
        let most = most.clone();
        move || {
            let sleep = || {
                let began = Instant::now();
                std::thread::sleep(SHORT * 10);
                assert!(began.elapsed() >= SHORT * 10);
            };
            let sleepers: Vec<_> = (0..1_000).map(|_| go(sleep)).collect();
            std::thread::sleep(SHORT * 5);
            most.store(threads(), Ordering::Relaxed);
            sleepers.into_iter().for_each(|g| g.join().unwrap());
        }
    });
    // Others of this test program run at the same time.
    let most = most.load(Ordering::Relaxed);
    assert!(most <= before + 2 + 8 + 8, "{most} threads, and {before} before");
}

#[test]
fn each_kind_of_sleep_lasts_as_long_as_it_should() {
    isolated(1).run(|| {
        let timed = |what: &str, sleep: &dyn Fn() -> libc::c_int| {
            let began = Instant::now();
            assert_eq!(sleep(), 0, "{what}");
            assert!(began.elapsed() >= SHORT, "{what}: {:?}", began.elapsed());
        };
        let (time, none) = (timespec(SHORT), ptr::null_mut());
        // SAFETY: here and below the times are valid, and nothing is asked for.
        timed("nanosleep", &|| unsafe { libc::nanosleep(&raw const time, none) });
        // SAFETY: it has no preconditions.
        timed("usleep", &|| unsafe { libc::usleep(SHORT.as_micros() as u32) });
        // SAFETY: it has no preconditions.
        timed("sleep", &|| unsafe { libc::sleep(1) } as libc::c_int);
        for clock in [libc::CLOCK_REALTIME, libc::CLOCK_MONOTONIC, libc::CLOCK_BOOTTIME] {
            // SAFETY: as above.
            timed("relative", &|| unsafe { libc::clock_nanosleep(clock, 0, &raw const time, none) });
            timed("absolute", &|| {
                let moment = timespec(read(clock) + SHORT);
                // SAFETY: as above.
                let status = unsafe { libc::clock_nanosleep(clock, libc::TIMER_ABSTIME, &raw const moment, none) };
                assert!(read(clock) >= Duration::new(moment.tv_sec as u64, moment.tv_nsec as u32));
                status
            });
            let past = timespec(Duration::from_secs(1));
            // SAFETY: as above.
            assert_eq!(unsafe { libc::clock_nanosleep(clock, libc::TIMER_ABSTIME, &raw const past, none) }, 0);
        }
    });
}

#[test]
fn a_yield_lets_the_others_of_the_p_run() {
    const TIMES: u64 = 100;
    let rt = isolated(1);
    rt.run(|| {
        for _ in 0..TIMES {
            let has_run = Arc::new(AtomicBool::new(false));
            let other = go({
                let has_run = has_run.clone();
                move || has_run.store(true, Ordering::Relaxed)
            });
            while !has_run.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            other.join().unwrap();
        }
    });
    // Otherwise sysmon takes the P for another M, which is woken each time.
    let wakes = rt.metrics().wakes;
    assert!(wakes < TIMES / 2, "{wakes} wakes");
    // A thread's goes to libc.
    std::thread::yield_now();
}

#[test]
fn what_is_wrong_is_said_as_libc_says_it() {
    isolated(1).run(|| {
        let wrong = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000_000 };
        // SAFETY: it is a time that is not valid, which is an error.
        assert_eq!(unsafe { libc::nanosleep(&raw const wrong, ptr::null_mut()) }, -1);
        assert_eq!(Error::last_os_error().raw_os_error(), Some(libc::EINVAL));
        let time = timespec(Duration::ZERO);
        // SAFETY: as above, it is a clock that there is not.
        assert_eq!(unsafe { libc::clock_nanosleep(99, 0, &raw const time, ptr::null_mut()) }, libc::EINVAL);
        // A call that succeeds leaves it.
        // SAFETY: the time is valid.
        assert_eq!(unsafe { libc::nanosleep(&raw const time, ptr::null_mut()) }, 0);
        std::thread::sleep(SHORT);
        assert_eq!(Error::last_os_error().raw_os_error(), Some(libc::EINVAL));
    });
}

#[test]
fn dumps_say_what_it_waits_in() {
    let rt = isolated(1);
    rt.run(|| drop(go(|| std::thread::sleep(SHORT * 10))));
    eventually("it sleeps", || reasons(&rt) == ["nanosleep"]);
    eventually("no G is left", || rt.handle().goroutines().is_empty());
}

#[test]
fn a_shutdown_ends_sleeps_and_runs_destructors() {
    struct Flag(Arc<AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            // A destructor sleeps its time.
            let began = Instant::now();
            std::thread::sleep(SHORT);
            assert!(began.elapsed() >= SHORT);
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let rt = isolated(1);
    let (is_dropped, is_over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    rt.run(|| {
        let (flag, is_over) = (Flag(is_dropped.clone()), is_over.clone());
        go(move || {
            let _flag = flag;
            std::thread::sleep(LONG);
            is_over.store(true, Ordering::Relaxed);
        });
    });
    eventually("it sleeps", || reasons(&rt) == ["nanosleep"]);
    let began = Instant::now();
    rt.close();
    assert!(is_dropped.load(Ordering::Relaxed));
    assert!(!is_over.load(Ordering::Relaxed));
    assert!(began.elapsed() < LONG / 100);
}

#[test]
fn libc_says_that_it_is_cancelled() {
    let rt = isolated(1);
    let said = Arc::new(AtomicUsize::new(0));
    rt.run(|| {
        let said = said.clone();
        go(move || {
            let time = timespec(LONG);
            // SAFETY: the time is valid.
            assert_eq!(unsafe { libc::nanosleep(&raw const time, ptr::null_mut()) }, -1);
            assert_eq!(Error::last_os_error().raw_os_error(), Some(libc::ECANCELED));
            said.store(1, Ordering::Relaxed);
        });
    });
    eventually("it sleeps", || reasons(&rt) == ["nanosleep"]);
    rt.close();
    assert_eq!(said.load(Ordering::Relaxed), 1);
}

#[test]
fn a_runtime_may_be_without() {
    for rt in [house(Builder::new().procs(1).hook(false)), house(Builder::new().procs(1).debug("hook=0"))] {
        // The G holds its thread: it does not wait as far as the runtime knows.
        rt.run(|| drop(go(|| std::thread::sleep(SHORT))));
        assert!(reasons(&rt).is_empty());
        eventually("no G is left", || rt.handle().goroutines().is_empty());
    }
}

#[test]
fn gs_with_shared_thread_locals_block_their_threads() {
    // SAFETY: nothing here keeps a thread-local over a suspension.
    let rt = house(unsafe { Builder::new().procs(1).shared_thread_locals() });
    rt.run(|| drop(go(|| std::thread::sleep(SHORT))));
    assert!(reasons(&rt).is_empty());
    eventually("no G is left", || rt.handle().goroutines().is_empty());
}

#[test]
fn threads_sleep_as_always() {
    let rt = isolated(1);
    let began = Instant::now();
    std::thread::sleep(SHORT);
    rt.run(|| std::thread::spawn(|| std::thread::sleep(SHORT)).join().unwrap());
    assert!(began.elapsed() >= SHORT * 2);
}

#[test]
fn a_g_that_is_locked_to_its_thread_sleeps() {
    isolated(1).run(|| {
        let locked = pirn_runtime::lock_os_thread();
        let thread = common::thread_number();
        std::thread::sleep(SHORT);
        assert_eq!(common::thread_number(), thread);
        drop(locked);
    });
}

#[test]
fn two_runtimes_sleep_side_by_side() {
    let (a, b) = (isolated(1), isolated(1));
    let began = Instant::now();
    a.run(|| {
        let g = go(|| std::thread::sleep(SHORT * 5));
        b.run(|| go(|| std::thread::sleep(SHORT * 5)).join().unwrap());
        g.join().unwrap();
    });
    assert!(began.elapsed() >= SHORT * 5);
}

/// The thread-locals of a G share a page with its first frames: std's and ours of a sleep have to fit there too. Without
/// optimisation frames are larger.
#[test]
fn a_sleep_needs_no_second_page() {
    const TEST: &str = "a_sleep_needs_no_second_page";
    const KIB: usize = 1 << 10;
    const GS: usize = 2_000;
    let kib_max = if cfg!(debug_assertions) { 32 } else { 6 };
    // It measures the whole process, so it has one of its own.
    if child_case(TEST).is_none() {
        subprocess(TEST, "", &[]).expect_success();
        return;
    }
    isolated(1).run(|| {
        let (slept, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let sleeper = || {
            let (slept, is_over) = (slept.clone(), is_over.clone());
            go(move || {
                while !is_over.load(Ordering::Relaxed) {
                    std::thread::sleep(SHORT);
                    slept.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        // What is made once is there then.
        let first = sleeper();
        while slept.swap(0, Ordering::Relaxed) == 0 {
            std::thread::sleep(SHORT);
        }
        let before = rss_bytes();
        let sleepers: Vec<_> = (0..GS).map(|_| sleeper()).collect();
        while slept.load(Ordering::Relaxed) < 2 * GS {
            std::thread::sleep(SHORT);
        }
        let each = (rss_bytes() - before) / GS;
        is_over.store(true, Ordering::Relaxed);
        sleepers.into_iter().chain([first]).for_each(|g| g.join().unwrap());
        // A page, and the record, the handle, the timer and what malloc has for each.
        assert!(each < kib_max * KIB, "{each} bytes for each");
    });
}
