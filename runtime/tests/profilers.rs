//! A profiler interrupts a thread anywhere and walks up its stack: that ends at the first frame of a G, or of a thread.
//! The switch of corosensei is not made for it, so this is for the switch of pirn's own.
#![cfg(not(feature = "portable-switch"))]

mod common;

use common::{Countdown, child_case, runtime, stress_secs, subprocess};
use pirn_runtime::{Unparker, go, park, yield_now};
use std::arch::naked_asm;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// What the unwinder of the compiler answers when it has found the end of a stack.
const END_OF_STACK: i32 = 5;
/// No stack here has more frames.
const FRAMES_MAX: usize = 200;

/// Stacks begin in so many functions at most: that of Gs, that of threads, that of the process.
const FIRST_MAX: usize = 3;

unsafe extern "C" {
    fn _Unwind_Backtrace(each: extern "C" fn(*mut (), *mut ()) -> i32, walk: *mut ()) -> i32;
    fn _Unwind_GetIP(frame: *mut ()) -> usize;
    fn _Unwind_FindEnclosingFunction(ip: *mut ()) -> *mut ();
}

/// How often the handler has walked, how often that did not end at the end of a stack, and in which functions it ended.
static WALKS: AtomicU64 = AtomicU64::new(0);
static WRONG: AtomicU64 = AtomicU64::new(0);
static FIRST: [AtomicUsize; FIRST_MAX] = [const { AtomicUsize::new(0) }; FIRST_MAX];

/// The frames of a walk before the one that was interrupted: the walk, the handler, and the return from a signal.
const OF_HANDLER: usize = 3;

/// What one walk has seen.
#[derive(Default)]
struct Walk {
    frames: usize,
    /// A place in the outermost function.
    outermost: usize,
}

extern "C" fn each_frame(frame: *mut (), walk: *mut ()) -> i32 {
    // SAFETY: `walk` passes it, and does not use it meanwhile.
    let walk = unsafe { &mut *walk.cast::<Walk>() };
    walk.frames += 1;
    // SAFETY: the unwinder's own frame.
    match unsafe { _Unwind_GetIP(frame) } {
        // The caller of a first function.
        0 => {}
        ip => walk.outermost = ip,
    }
    // Any number but 0 ends the walk.
    i32::from(walk.frames >= FRAMES_MAX)
}

fn walk() {
    let mut walk = Walk::default();
    // SAFETY: the callback gets what it expects.
    let ended = unsafe { _Unwind_Backtrace(each_frame, (&raw mut walk).cast()) };
    // SAFETY: any address will do. As the unwinder does, it looks at the byte before.
    let first = unsafe { _Unwind_FindEnclosingFunction(ptr::without_provenance_mut(walk.outermost)) }.addr();
    let is_known = |known: &AtomicUsize| {
        known.compare_exchange(0, first, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            || known.load(Ordering::Relaxed) == first
    };
    WALKS.fetch_add(1, Ordering::Relaxed);
    // What the linker adds for calls between libraries has no unwind information.
    if first == 0 && walk.frames <= OF_HANDLER + 1 {
        return;
    }
    if ended != END_OF_STACK || first == 0 || !FIRST.iter().any(is_known) {
        WRONG.fetch_add(1, Ordering::Relaxed);
    }
}

extern "C" fn on_signal(_signal: i32) {
    walk();
}

/// Has the handler run on each such signal, on the stack that was interrupted.
fn walk_on(signal: i32) {
    // The first walk may load the unwinder.
    walk();
    // SAFETY: an action without flags and with an empty mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = on_signal as extern "C" fn(i32) as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the handler is signal-safe: the unwinder has been loaded.
    assert_eq!(unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) }, 0);
}

fn check_walks(at_least: u64) {
    let (walks, wrong) = (WALKS.load(Ordering::Relaxed), WRONG.load(Ordering::Relaxed));
    assert_eq!(wrong, 0, "of {walks} walks");
    assert!(walks >= at_least, "only {walks} walks");
}

/// Has the CPU trap after each instruction of the calling thread.
#[unsafe(naked)]
extern "C" fn begin_single_steps() {
    naked_asm!(
        ".cfi_startproc",
        "pushfq",
        ".cfi_adjust_cfa_offset 8",
        "or qword ptr [rsp], 0x100",
        "popfq",
        ".cfi_adjust_cfa_offset -8",
        "ret",
        ".cfi_endproc",
    )
}

/// The opposite.
#[unsafe(naked)]
extern "C" fn end_single_steps() {
    naked_asm!(
        ".cfi_startproc",
        "pushfq",
        ".cfi_adjust_cfa_offset 8",
        "and qword ptr [rsp], -257",
        "popfq",
        ".cfi_adjust_cfa_offset -8",
        "ret",
        ".cfi_endproc",
    )
}

/// Two Gs that park and wake each other `rounds` times; the last of them is left running.
fn ping_pong(rounds: usize, done: &Countdown) {
    let places: Arc<[OnceLock<Unparker>; 2]> = Arc::default();
    let turns = Arc::new(AtomicUsize::new(0));
    for me in 0..2 {
        let (places, turns, done) = (places.clone(), turns.clone(), done.clone());
        go(move || {
            let _first = places[me].set(Unparker::current());
            while places[1 - me].get().is_none() {
                yield_now();
            }
            loop {
                let turn = turns.load(Ordering::Acquire);
                if turn >= rounds {
                    break;
                }
                if turn % 2 == me {
                    turns.store(turn + 1, Ordering::Release);
                    places[1 - me].get().expect("it was there").unpark();
                } else {
                    park();
                }
            }
            places[1 - me].get().expect("it was there").unpark();
            done.done();
        });
    }
}

/// Everything that switches, some times.
fn switch_in_all_ways(times: usize) {
    let done = Countdown::new(2);
    ping_pong(2 * times, &done);
    for _ in 0..times {
        yield_now();
        go(|| ()).join().expect("no panic");
    }
    let handles: Vec<_> = (0..times).map(|_| go(yield_now)).collect();
    handles.into_iter().for_each(|handle| handle.join().expect("no panic"));
    done.wait();
}

#[test]
fn a_stack_can_be_unwound_at_every_instruction() {
    const TEST: &str = "a_stack_can_be_unwound_at_every_instruction";
    let Some(_) = child_case(TEST) else {
        subprocess(TEST, "step", &[]).expect_success();
        return;
    };
    let rt = runtime(1);
    // Its stacks and records are made, and its symbols are bound.
    rt.run(|| switch_in_all_ways(40));
    walk_on(libc::SIGTRAP);
    // The thread is slow now, so sysmon may give the P to another one, which does not trap.
    for _ in 0..100 {
        rt.run(|| {
            begin_single_steps();
            switch_in_all_ways(4);
            end_single_steps();
        });
        if WALKS.load(Ordering::Relaxed) > 20_000 {
            break;
        }
    }
    check_walks(20_000);
    // A thread that still traps must not end: libc blocks signals there, and a trap would kill the process.
    // SAFETY: no preconditions.
    unsafe { libc::_exit(0) };
}

#[test]
fn a_profiler_unwinds_while_gs_switch() {
    const TEST: &str = "a_profiler_unwinds_while_gs_switch";
    let Some(_) = child_case(TEST) else {
        subprocess(TEST, "profile", &[]).expect_success();
        return;
    };
    let rt = runtime(2);
    rt.run(|| switch_in_all_ways(40));
    walk_on(libc::SIGPROF);
    let each = libc::timeval { tv_sec: 0, tv_usec: 1_000 };
    let interval = libc::itimerval { it_interval: each, it_value: each };
    // SAFETY: the interval is valid, and the signal has a handler.
    assert_eq!(unsafe { libc::setitimer(libc::ITIMER_PROF, &raw const interval, ptr::null_mut()) }, 0);
    let began = Instant::now();
    // The timer measures what the process computes, which is little on a busy machine.
    while began.elapsed() < Duration::from_secs(stress_secs().min(30)) || WALKS.load(Ordering::Relaxed) <= 100 {
        rt.run(|| switch_in_all_ways(2_000));
    }
    // SAFETY: as above.
    let never: libc::itimerval = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setitimer(libc::ITIMER_PROF, &raw const never, ptr::null_mut()) }, 0);
    check_walks(100);
}
