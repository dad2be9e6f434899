//! Stack overflows and other faults, each in a process of its own.

mod common;

use common::{Ended, builder, child_case, house, runtime, shares_thread_locals, subprocess};
use pirn_runtime::{GoBuilder, stack_use};
use std::hint::black_box;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

/// Goes so deep that so many bytes of stack are in use, touching all of them.
#[inline(never)]
fn recurse(bytes: usize) -> usize {
    let frame = black_box([1u8; 1024]);
    if bytes < 1024 {
        return usize::from(frame[bytes % 1024]);
    }
    recurse(bytes - 1024) + usize::from(black_box(&frame)[512])
}

/// Down to a stack pointer so far below, whatever a frame costs.
#[inline(never)]
fn down_to(pointer: usize) -> usize {
    let frame = black_box([1u8; 256]);
    if (&raw const frame).addr() <= pointer {
        return usize::from(frame[7]);
    }
    down_to(pointer) + usize::from(black_box(&frame)[9])
}

#[expect(unconditional_recursion, reason = "that is the point")]
#[inline(never)]
fn for_ever(n: usize) -> usize {
    let frame = black_box([n; 16]);
    for_ever(n + 1) + black_box(frame)[3]
}

/// Touches 8 MiB in one frame.
#[inline(never)]
fn one_huge_frame() -> u8 {
    let mut frame = [0u8; 8 * MIB];
    black_box(&mut frame)[17] = 1;
    frame[8 * MIB - 1] + frame[17]
}

#[track_caller]
fn expect_overflow(ended: &Ended, named: &str, line: &str, limit: &str) {
    assert_eq!(ended.signal(), Some(libc::SIGABRT), "{ended:#?}");
    ended
        .expect_says("fatal error: goroutine stack overflow")
        .expect_says(named)
        .expect_says(line)
        .expect_says(limit)
        .expect_says("raise it with GoBuilder::stack_size, Builder::stack_size or PIRN_STACK");
}

/// Checks what the report says that the G could use: so many KiB at least where it uses the thread-locals of threads, and
/// else some KiB less, for its own.
#[track_caller]
fn expect_usable(ended: &Ended, at_least_kib: usize) {
    let said = ended.stderr.split(" KiB usable").next().and_then(|s| s.rsplit('(').next());
    let kib: usize = said.and_then(|kib| kib.parse().ok()).unwrap_or_else(|| panic!("not said: {ended:#?}"));
    let own_kib = if shares_thread_locals() { 0 } else { 8 };
    assert!((at_least_kib - own_kib..=at_least_kib - own_kib / 8).contains(&kib), "{kib} KiB: {ended:#?}");
}

/// Where the child's G was born, as it said itself.
fn born(ended: &Ended) -> String {
    let line = ended.stderr.lines().find_map(|line| line.strip_prefix("born at line "));
    format!("{}:{}", file!(), line.unwrap_or_else(|| panic!("not said: {ended:#?}")))
}

#[test]
fn an_endless_recursion_is_reported() {
    const TEST: &str = "an_endless_recursion_is_reported";
    if let Some(case) = child_case(TEST) {
        let rt = house(builder().procs(2).stack_size(256 * KIB));
        let builder = GoBuilder::new().name(case);
        eprintln!("born at line {}", line!() + 1);
        let g = rt.run(|| builder.go(|| for_ever(0)));
        g.join().expect("not reached");
    }
    let ended = subprocess(TEST, "the deep one", &[]);
    expect_overflow(&ended, "\"the deep one\", started at", &born(&ended), "256 KiB (");
    expect_usable(&ended, 238);
    assert_eq!(ended.stderr.matches("fatal error").count(), 1, "{ended:#?}");
}

#[test]
fn an_overflow_without_a_name_after_a_move_and_many_others() {
    const TEST: &str = "an_overflow_without_a_name_after_a_move_and_many_others";
    if child_case(TEST).is_some() {
        let rt = house(builder().procs(4).stack_size(64 * KIB));
        rt.run(|| {
            let others: Vec<_> = (0..1000)
                .map(|_| {
                    pirn_runtime::go(|| {
                        loop {
                            pirn_runtime::park();
                        }
                    })
                })
                .collect();
            eprintln!("born at line {}", line!() + 1);
            let g = pirn_runtime::go(|| {
                for _ in 0..100 {
                    pirn_runtime::sleep(std::time::Duration::from_micros(10));
                }
                eprintln!("goes down: {}", pirn_runtime::current().expect("on a G").id());
                for_ever(0)
            });
            drop(others);
            g.join().expect("not reached");
        });
    }
    let ended = subprocess(TEST, "", &[]);
    let id = ended.stderr.split("goes down: G").nth(1).and_then(|s| s.lines().next());
    let named = format!("goroutine {}, started at", id.expect("it said so"));
    expect_overflow(&ended, &named, &born(&ended), "64 KiB (");
    expect_usable(&ended, 46);
}

#[test]
fn a_frame_larger_than_the_stack_and_its_guard() {
    const TEST: &str = "a_frame_larger_than_the_stack_and_its_guard";
    if child_case(TEST).is_some() {
        let rt = house(builder().procs(1).stack_size(256 * KIB));
        eprintln!("born at line {}", line!() + 1);
        let g = rt.go(one_huge_frame);
        g.join().expect("not reached");
    }
    let ended = subprocess(TEST, "", &[]);
    expect_overflow(&ended, "started at", &born(&ended), "256 KiB");
}

#[test]
fn an_overflow_while_the_others_run() {
    const TEST: &str = "an_overflow_while_the_others_run";
    if child_case(TEST).is_some() {
        let rt = house(builder().procs(4).stack_size(64 * KIB));
        // Several overflow at the same time: one report, whole.
        let gs: Vec<_> = (0..8)
            .map(|i| {
                rt.go(move || {
                    pirn_runtime::sleep(std::time::Duration::from_millis(1));
                    for_ever(i)
                })
            })
            .collect();
        for g in gs {
            g.join().expect("not reached");
        }
    }
    let ended = subprocess(TEST, "", &[]);
    expect_overflow(&ended, "goroutine ", "started at", "64 KiB");
    assert_eq!(ended.stderr.matches("fatal error").count(), 1, "{ended:#?}");
}

#[test]
fn limits_are_honoured() {
    let rt = runtime(2);
    for (asked, class) in [
        (64 * KIB, 64 * KIB),
        (64 * KIB + 1, 256 * KIB),
        (256 * KIB, 256 * KIB),
        (MIB, MIB),
        (3 * MIB, 4 * MIB),
        (16 * MIB, 16 * MIB),
        (64 * MIB, 64 * MIB),
        (256 * MIB, 256 * MIB),
        (GIB, GIB),
    ] {
        let g = rt.run(|| {
            GoBuilder::new().stack_size(asked).go(move || {
                let before = stack_use().expect("on a G");
                // All of the usable part but for the last KiB and what the way here took, at most 8 MiB of it.
                let deep = (before.limit_bytes - before.used_bytes - 2 * KIB).min(8 * MIB);
                assert!(down_to(before.pointer - deep) > 0);
                let after = stack_use().expect("on a G");
                assert!(after.committed_bytes >= deep && after.committed_bytes <= after.limit_bytes + 8 * KIB);
                before.limit_bytes
            })
        });
        let limit = g.join().expect("it fits");
        let guard = if class <= MIB { 16 * KIB } else { 64 * KIB };
        let own = if shares_thread_locals() { 0 } else { 8 * KIB };
        assert!((class - guard - 2 * KIB - own..=class).contains(&limit), "{asked}: {limit}");
    }
}

#[test]
fn a_large_stack_takes_what_the_default_does_not() {
    const TEST: &str = "a_large_stack_takes_what_the_default_does_not";
    let rt = runtime(1);
    if child_case(TEST).is_some() {
        rt.go(|| recurse(30 * MIB)).join().expect("not reached");
    }
    let g = rt.run(|| GoBuilder::new().stack_size(64 * MIB).go(|| recurse(30 * MIB / 2)));
    assert_eq!(g.join().expect("it fits"), 15 * KIB + 1);
    let g = rt.run(|| {
        GoBuilder::new().stack_size(64 * MIB).go(|| {
            let here = stack_use().expect("on a G").pointer;
            down_to(here - 30 * MIB)
        })
    });
    assert!(g.join().expect("it fits") > 0);
    let limit = if cfg!(debug_assertions) { "1024 KiB" } else { "256 KiB" };
    expect_overflow(&subprocess(TEST, "", &[]), "goroutine", "started at", limit);
}

#[test]
fn the_environment_sets_the_limit() {
    const TEST: &str = "the_environment_sets_the_limit";
    if child_case(TEST).is_some() {
        let rt = runtime(1);
        rt.go(|| for_ever(0)).join().expect("not reached");
    }
    let ended = subprocess(TEST, "", &[("PIRN_STACK", "4M")]);
    expect_overflow(&ended, "goroutine", "started at", "4096 KiB");
}

/// Writes where nothing is.
#[inline(never)]
fn wild_write(address: usize) {
    let pointer: *mut u8 = std::ptr::with_exposed_provenance_mut(black_box(address));
    // SAFETY: it is not; the process dies of it, which is the point.
    unsafe { pointer.write_volatile(1) };
}

#[test]
fn other_faults_die_as_always() {
    const TEST: &str = "other_faults_die_as_always";
    let wild = |case: &str| {
        if case.contains("null") { 8 } else { 0x7fff_ffff_f000 }
    };
    match child_case(TEST).as_deref() {
        Some(case @ ("g null" | "g high")) => {
            let rt = runtime(2);
            rt.go({
                let address = wild(case);
                move || wild_write(address)
            })
            .join()
            .expect("not reached");
        }
        Some(case @ ("thread null" | "thread high")) => {
            let _rt = runtime(2);
            let address = wild(case);
            let thread = std::thread::spawn(move || wild_write(address));
            thread.join().expect("not reached");
        }
        _ => {}
    }
    for case in ["g null", "g high", "thread null", "thread high"] {
        let ended = subprocess(TEST, case, &[]);
        assert_eq!(ended.signal(), Some(libc::SIGSEGV), "{case}: {ended:#?}");
        assert!(!ended.stderr.contains("overflow"), "{case}: {ended:#?}");
    }
}

#[test]
fn an_ordinary_threads_overflow_is_reported_by_std() {
    const TEST: &str = "an_ordinary_threads_overflow_is_reported_by_std";
    if child_case(TEST).is_some() {
        let rt = runtime(2);
        assert_eq!(rt.run(|| 1), 1);
        let thread = std::thread::Builder::new().name("ordinary".into());
        let thread = thread.spawn(|| for_ever(0)).expect("a thread");
        thread.join().expect("not reached");
    }
    let ended = subprocess(TEST, "", &[]);
    assert_eq!(ended.signal(), Some(libc::SIGABRT), "{ended:#?}");
    ended.expect_says("thread 'ordinary'").expect_says("has overflowed its stack");
    assert!(!ended.stderr.contains("goroutine"), "{ended:#?}");
}

extern "C" fn on_users_fault(_signal: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo to a handler with SA_SIGINFO.
    let info = unsafe { &*info };
    // SAFETY: it is a SIGSEGV, which has an address.
    let address = unsafe { info.si_addr() }.addr();
    let status = if address == 8 { 42 } else { 43 };
    // SAFETY: _exit is signal-safe.
    unsafe { libc::_exit(status) };
}

fn install_users_handler() {
    // SAFETY: an all-zero sigaction is valid.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_users_fault as extern "C" fn(_, _, _) as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the action is complete, and the handler calls only signal-safe code.
    let result = unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, std::ptr::null_mut()) };
    assert_eq!(result, 0);
}

#[test]
fn a_handler_from_before_the_runtime_gets_foreign_faults() {
    const TEST: &str = "a_handler_from_before_the_runtime_gets_foreign_faults";
    if let Some(case) = child_case(TEST) {
        install_users_handler();
        let rt = runtime(2);
        match &*case {
            "g" => rt.go(|| wild_write(8)).join().expect("not reached"),
            "thread" => std::thread::spawn(|| wild_write(8)).join().expect("not reached"),
            _ => drop(rt.go(|| for_ever(0)).join().expect("not reached")),
        }
    }
    for case in ["g", "thread"] {
        let ended = subprocess(TEST, case, &[]);
        assert_eq!(ended.status.code(), Some(42), "{case}: {ended:#?}");
    }
    // Our own faults do not get there.
    expect_overflow(&subprocess(TEST, "overflow", &[]), "goroutine", "started at", "KiB usable");
}
