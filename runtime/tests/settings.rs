//! What a runtime is built with: the builder, the environment, and a system that refuses.

mod common;

use common::{
    Countdown, Ended, builder, child_case, eventually, house, runtime, shares_thread_locals, subprocess, threads_of,
    wait_until_asleep,
};
use pirn_runtime::{Builder, blocking, go, maxprocs, park, sleep, stack_use, yield_now};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Building is an error that says all of this.
#[track_caller]
fn refused(builder: Builder, says: &[&str]) {
    let error = builder.build().map(drop).expect_err("it is absurd");
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    for word in says {
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn absurd_numbers_are_refused_by_name() {
    for procs in [0, 1025, 5000, usize::MAX] {
        refused(builder().procs(procs), &[&procs.to_string(), "procs", "1 to 1024"]);
    }
    for bytes in [0, 1, 64 * KIB - 1, (1 << 30) + 1, 2 << 30, usize::MAX] {
        refused(builder().procs(1).stack_size(bytes), &[&bytes.to_string(), "stack", "64 KiB to 1 GiB"]);
    }
    for (procs, threads) in [(1, 0), (1, 1), (4, 4), (4, 3)] {
        refused(builder().procs(procs).max_threads(threads), &["max_threads", &threads.to_string()]);
    }
}

/// What a program asks for is not left out, as the environment's is, but refused.
#[test]
fn a_wrong_list_of_keys_is_refused() {
    refused(
        builder().debug("schedtrac=1"),
        &["Builder::debug", "unknown key \"schedtrac\"", "schedtrace=MILLISECONDS"],
    );
    refused(builder().debug("schedtrace=1,blockers=yes"), &["bad value \"blockers=yes\""]);
}

#[test]
fn the_extremes_that_are_allowed() {
    let rt = house(builder().procs(1).max_threads(2).stack_size(64 * KIB));
    assert_eq!(rt.run(|| go(|| 4).join().expect("no panic")), 4);
    let rt = house(builder().procs(1024).stack_size(1 << 30));
    assert_eq!(rt.run(|| (maxprocs(), go(|| 4).join().expect("no panic"))), (1024, 4));
}

#[test]
fn a_runtime_with_no_mode_chosen_owns_its_thread_locals_or_says_that_it_can_not() {
    thread_local!(static MARK: std::cell::Cell<u32> = const { std::cell::Cell::new(0) });
    match Builder::new().procs(1).build() {
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.to_string().contains("shared_thread_locals"), "{error}");
        }
        Ok(rt) => {
            let gs: Vec<_> = (1..=50)
                .map(|i| {
                    rt.go(move || {
                        assert_eq!(MARK.get(), 0, "it begins with fresh ones");
                        MARK.set(i);
                        for _ in 0..20 {
                            yield_now();
                            assert_eq!(MARK.get(), i, "another G's");
                        }
                    })
                })
                .collect();
            gs.into_iter().for_each(|g| g.join().expect("no panic"));
            assert!(rt.shutdown_timeout(Duration::from_secs(30)));
        }
    }
}

#[test]
fn hooks_and_names_of_threads() {
    let (starts, stops) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let names = Arc::new(Mutex::new(Vec::new()));
    let (started, stopped, named) = (starts.clone(), stops.clone(), names.clone());
    let rt = builder()
        .procs(3)
        .thread_name(|n| format!("hooked-{n}"))
        .on_thread_start(move || {
            let name = std::thread::current().name().map(str::to_owned);
            named.lock().expect("nobody panics").push(name.expect("it has one"));
            started.fetch_add(1, Ordering::Relaxed);
        })
        .on_thread_stop(move || {
            stopped.fetch_add(1, Ordering::Relaxed);
        })
        .build()
        .expect("a runtime");
    rt.run(|| (0..100).for_each(|_| drop(go(|| sleep(Duration::from_micros(100))))));
    assert!(rt.shutdown_timeout(Duration::from_secs(30)));
    let mut names = names.lock().expect("nobody panics");
    names.sort();
    names.dedup();
    assert_eq!(names.len(), starts.load(Ordering::Relaxed), "each name once");
    assert!(names.iter().all(|name| name.starts_with("hooked-")), "{names:?}");
    assert!(!names.is_empty());
    eventually("each thread that started has stopped", || stops.load(Ordering::Relaxed) == names.len());
    // The hook is the last but one thing that a thread does.
    eventually("no thread is left", || common::threads("hooked-") == 0);
}

#[test]
fn the_environment_is_asked_when_the_builder_is_not() {
    const TEST: &str = "the_environment_is_asked_when_the_builder_is_not";
    if let Some(case) = child_case(TEST) {
        let rt = match &*case {
            "set" => house(builder().procs(2).stack_size(64 * KIB)),
            _ => house(builder()),
        };
        let (procs, limit) = rt.run(|| (maxprocs(), stack_use().expect("on a G").limit_bytes));
        eprintln!("procs={procs} limit={}", limit.next_power_of_two());
        return;
    }
    let own = std::thread::available_parallelism().map_or(1, |n| n.get());
    let default = if cfg!(debug_assertions) { MIB } else { 256 * KIB };
    let says = |case, variables: &[(&str, &str)], procs: usize, limit: usize| {
        let ended = subprocess(TEST, case, variables);
        ended.expect_success().expect_says(&format!("procs={procs} limit={limit}\n"));
        ended
    };
    let silent = |ended: Ended| assert_eq!(ended.stderr.lines().count(), 1, "{ended:#?}");
    silent(says("", &[], own, default));
    silent(says("", &[("PIRN_MAXPROCS", "3"), ("PIRN_STACK", "4M")], 3, 4 * MIB));
    silent(says("set", &[("PIRN_MAXPROCS", "3"), ("PIRN_STACK", "4M")], 2, 64 * KIB));
    silent(says("", &[("PIRN_STACK", "70000")], own, 256 * KIB));
    // Bad values: a line each, and the runtime goes on with what it would have without them.
    for (name, value) in [
        ("PIRN_MAXPROCS", "0"),
        ("PIRN_MAXPROCS", "many"),
        ("PIRN_STACK", "1"),
        ("PIRN_STACK", "3T"),
        ("PIRN_DEBUG", "schedtrace=often"),
        ("PIRN_DEBUG", "nonsense=1"),
    ] {
        let ended = says("", &[(name, value)], own, default);
        let complaints: Vec<_> = ended.stderr.lines().filter(|line| line.contains("pirn: ")).collect();
        assert_eq!((complaints.len(), ended.stderr.lines().count()), (1, 2), "{ended:#?}");
        let named = value.split('=').next().expect("it has a first part");
        assert!(complaints[0].contains(name) && complaints[0].contains(named), "{complaints:?}");
        assert!(complaints[0].contains("accepted: "), "{complaints:?}");
    }
}

/// Takes a number from between two texts, and what comes after.
#[track_caller]
fn number<'a>(text: &'a str, before: &str, after: &str) -> (u64, &'a str) {
    let rest = text.strip_prefix(before).unwrap_or_else(|| panic!("no {before:?} at {text:?}"));
    let (digits, rest) = rest.split_once(after).unwrap_or_else(|| panic!("no {after:?} in {rest:?}"));
    let digit = |byte: u8| byte.is_ascii_digit();
    assert!(!digits.is_empty() && digits.bytes().all(digit), "{digits:?} in {text:?}");
    (digits.parse().expect("digits"), rest)
}

/// What every format has in front: the time, and whether the numbers are possible.
fn check_head(line: &str, procs: u64) -> (u64, &str) {
    let (ms, rest) = number(line, "SCHED ", "ms: ");
    let (gomaxprocs, rest) = number(rest, "gomaxprocs=", " ");
    let (idle, rest) = number(rest, "idleprocs=", " ");
    let (threads, rest) = number(rest, "threads=", " ");
    let (spinning, rest) = number(rest, "spinningthreads=", " ");
    let (need, rest) = number(rest, "needspinning=", " ");
    let (idle_threads, rest) = number(rest, "idlethreads=", " ");
    let (_, rest) = number(rest, "runqueue=", " ");
    assert_eq!(gomaxprocs, procs, "{line}");
    assert!(idle <= procs && spinning <= threads && idle_threads < threads && need <= 1, "{line}");
    (ms, rest)
}

fn check_list(text: &str, procs: usize) -> Vec<u64> {
    let all: Vec<u64> = text.split_whitespace().map(|n| n.parse().expect("a number")).collect();
    assert_eq!(all.len(), procs, "{text:?}");
    all
}

fn check_trace(ended: &Ended, check: impl Fn(&str) -> u64) {
    ended.expect_success();
    let times: Vec<u64> = ended.stderr.lines().map(check).collect();
    assert!(times.len() >= 5, "{ended:#?}");
    assert!(times[0] < 100, "the first line comes at once: {ended:#?}");
    assert!(times.is_sorted_by(|a, b| a < b), "{ended:#?}");
    assert!(*times.last().expect("there are some") >= 40, "{ended:#?}");
}

#[test]
fn schedtrace_has_gos_shape() {
    const TEST: &str = "schedtrace_has_gos_shape";
    if let Some(case) = child_case(TEST) {
        let rt = match &*case {
            "builder" => house(builder().procs(3).debug("schedtrace=10")),
            _ => house(builder()),
        };
        rt.run(|| {
            let all = Countdown::new(200);
            for _ in 0..200 {
                let all = all.clone();
                go(move || {
                    (0..100).for_each(|_| yield_now());
                    sleep(Duration::from_millis(100));
                    all.done();
                });
            }
            all.wait();
        });
        return;
    }
    let go_shape = |line: &str| {
        let (ms, rest) = check_head(line, 3);
        let rest = rest.strip_prefix("[ ").expect("Go 1.27 has a space there");
        let (local, rest) = rest.split_once(" ] schedticks=[ ").expect("ticks");
        check_list(local, 3);
        check_list(rest.strip_suffix(" ]").expect("the end"), 3);
        ms
    };
    let compact = |line: &str| {
        let (ms, rest) = check_head(line, 3);
        let local = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        check_list(local.expect("brackets"), 3);
        assert!(!rest.contains("[ ") && !rest.contains(" ]"), "{line}");
        ms
    };
    let with = |case, debug| subprocess(TEST, case, &[("PIRN_MAXPROCS", "3"), ("PIRN_DEBUG", debug)]);
    check_trace(&with("", "schedtrace=10"), go_shape);
    check_trace(&with("", "schedtrace=10,schedfmt=go"), go_shape);
    check_trace(&with("", "schedfmt=compact,schedtrace=10"), compact);
    check_trace(&with("builder", ""), go_shape);
    let ended = with("", "");
    assert_eq!(ended.expect_success().stderr, "", "no line without being asked");
}

// ------------------------------------------------------------------------------------------- a system that refuses

/// Where the lines go: to a file, at its end; and where they can not be written, that is said once, and nothing else breaks.
#[test]
fn schedtrace_into_a_file() {
    const TEST: &str = "schedtrace_into_a_file";
    if child_case(TEST).is_some() {
        return builder().build().expect("a runtime").run(|| sleep(Duration::from_millis(300)));
    }
    let out = std::env::temp_dir().join(format!("pirn-schedout-{}", std::process::id()));
    let debug = |path: &str| format!("schedtrace=20,schedout={path}");
    for _ in 0..2 {
        let ended = subprocess(TEST, "file", &[("PIRN_DEBUG", &debug(&out.to_string_lossy()))]);
        assert!(!ended.expect_success().stderr.contains("SCHED"), "{ended:?}");
    }
    let text = std::fs::read_to_string(&out).expect("it was written");
    std::fs::remove_file(&out).expect("it is there");
    assert!(text.lines().all(|line| line.starts_with("SCHED ")), "{text}");
    let begins = text.lines().filter(|line| line.starts_with("SCHED 0ms: ")).count();
    assert_eq!((begins, text.lines().count() >= 10), (2, true), "{text}");

    let full = subprocess(TEST, "full", &[("PIRN_DEBUG", &debug("/dev/full"))]);
    full.expect_success().expect_says("pirn: schedout: can not write to /dev/full: No space left on device");
    assert_eq!(full.stderr.matches("/dev/full").count(), 1, "{full:?}");

    let nowhere = subprocess(TEST, "nowhere", &[("PIRN_DEBUG", &debug("/nowhere/at/all"))]);
    nowhere.expect_success().expect_says("schedout=/nowhere/at/all: No such file or directory");
    nowhere.expect_says("the lines go to stderr").expect_says("SCHED 0ms: ");
}

fn limit(resource: libc::__rlimit_resource_t, soft: u64) {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a valid place for the answer.
    let got = unsafe { libc::getrlimit(resource, &raw mut limits) };
    assert_eq!(got, 0);
    limits.rlim_cur = soft.min(limits.rlim_max);
    // SAFETY: valid limits.
    let set = unsafe { libc::setrlimit(resource, &raw const limits) };
    assert_eq!(set, 0);
}

fn address_space() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = text.split(' ').next().and_then(|n| n.parse().ok()).expect("a number of pages");
    pages * 4096
}

/// Root may have as many processes as it likes; nobody may not.
fn become_nobody() -> bool {
    // SAFETY: it changes only who this child is.
    unsafe { libc::setuid(65534) == 0 }
}

fn work(gs: usize) {
    let all = Countdown::new(gs);
    for _ in 0..gs {
        let all = all.clone();
        go(move || {
            for _ in 0..20 {
                sleep(Duration::from_micros(200));
                yield_now();
            }
            all.done();
        });
    }
    all.wait();
}

fn a_thread_is_refused() -> bool {
    std::thread::Builder::new().spawn(|| ()).is_err()
}

/// There is no address space for another thread's stack: the runtime goes on with those it has, and gets more later.
fn without_more_threads() {
    let rt = house(builder().procs(4).stack_size(64 * KIB));
    rt.run(|| {
        let warm: Vec<_> = (0..50).map(|_| go(yield_now)).collect();
        warm.into_iter().for_each(|g| g.join().expect("no panic"));
    });
    let never_had_a_thread = (0..20).any(|_| {
        // Threads that are about to start need some memory, or std ends the process.
        wait_until_asleep(|| threads_of(&rt.thread_prefix()), 5);
        limit(libc::RLIMIT_AS, address_space() + MIB as u64);
        let refused_before = a_thread_is_refused();
        rt.run(|| work(50));
        // More than there are threads for.
        rt.run(|| {
            let slow: Vec<_> =
                (0..32).map(|_| go(|| blocking(|| std::thread::sleep(Duration::from_millis(5))))).collect();
            slow.into_iter().for_each(|g| g.join().expect("no panic"));
        });
        // Memory that was given back meanwhile may have been enough for one.
        let refused_to_the_end = refused_before && a_thread_is_refused();
        limit(libc::RLIMIT_AS, u64::MAX);
        refused_to_the_end
    });
    assert!(never_had_a_thread, "the limit never worked all the time");
    rt.run(|| work(50));
    eprintln!("went on");
}

/// No thread at all: an error from `build`, and nothing is left of it; later it works.
fn without_any_thread() {
    if !become_nobody() {
        eprintln!("can not become nobody; went on");
        return;
    }
    limit(libc::RLIMIT_NPROC, 1);
    if !a_thread_is_refused() {
        eprintln!("this system does not count threads; went on");
        return;
    }
    let error = builder().procs(2).build().map(drop).expect_err("there is no thread");
    // What the kernel says, or what the mode that needs a thread to begin with says.
    match error.kind() {
        ErrorKind::Unsupported if !shares_thread_locals() => assert!(error.to_string().contains("thread")),
        kind => assert_eq!(kind, ErrorKind::WouldBlock, "{error:?}"),
    }
    limit(libc::RLIMIT_NPROC, u64::MAX);
    let rt = builder().procs(2).build().expect("now there are threads");
    rt.run(|| work(10));
    limit(libc::RLIMIT_NPROC, 1);
    assert!(a_thread_is_refused());
    // Those that are there do it.
    rt.run(|| work(50));
    assert!(rt.shutdown_timeout(Duration::from_secs(30)));
    eprintln!("went on");
}

#[test]
fn a_system_without_threads() {
    const TEST: &str = "a_system_without_threads";
    match child_case(TEST).as_deref() {
        Some("no more") => return without_more_threads(),
        Some("none") => return without_any_thread(),
        _ => {}
    }
    for case in ["no more", "none"] {
        let ended = subprocess(TEST, case, &[]);
        ended.expect_success().expect_says("went on");
        // Once for each runtime, and with what to do, though nobody listens to `tracing`.
        let said = ended.stderr.matches("pirn: no thread for the runtime ").count();
        let advised = ended.stderr.matches("Raise the limit on threads (ulimit -u, ").count();
        assert!(said == advised && said <= 1 && (said == 1 || case == "none"), "{ended:#?}");
    }
}

/// Gs that all end need only a few stacks at a time, and so get by with little address space.
fn in_little_address_space(mib: u64) {
    limit(libc::RLIMIT_AS, address_space() + (mib << 20));
    match builder().procs(2).stack_size(256 * KIB).build() {
        Err(error) => eprintln!("not built: {error}"),
        Ok(rt) => {
            rt.run(|| {
                let mut started = 0;
                for _ in 0..2000 {
                    match pirn_runtime::try_go(yield_now) {
                        Ok(g) => {
                            g.join().expect("no panic");
                            started += 1;
                        }
                        Err(error) => eprintln!("not started: {error}"),
                    }
                }
                eprintln!("{started} ran");
            });
            assert!(rt.shutdown_timeout(Duration::from_secs(10)));
        }
    }
}

/// Gs that park until the last one has begun need all their stacks at a time; there is not that much.
fn more_than_fits(mib: u64) {
    limit(libc::RLIMIT_AS, address_space() + (mib << 20));
    let rt = builder().procs(2).stack_size(256 * KIB).build().expect("there is room for that");
    let refused = rt.run(|| {
        for n in 0..100_000 {
            if let Err(error) = pirn_runtime::try_go(park) {
                eprintln!("after {n}: {error}");
                assert_eq!(error.kind(), ErrorKind::OutOfMemory);
                return true;
            }
            yield_now();
        }
        false
    });
    assert!(refused, "there can not be room for so many");
    eprintln!("refused in time");
    assert!(rt.shutdown_timeout(Duration::from_secs(10)), "they end, those without a stack too");
}

#[test]
fn a_system_without_address_space() {
    const TEST: &str = "a_system_without_address_space";
    if let Some(case) = child_case(TEST) {
        eprintln!("{case}");
        let (what, mib) = case.split_once(' ').expect("two words");
        let mib = mib.parse().expect("a number");
        return if what == "little" { in_little_address_space(mib) } else { more_than_fits(mib) };
    }
    for mib in [1, 512, 4096] {
        let ended = subprocess(TEST, &format!("little {mib}"), &[]);
        ended.expect_success();
        assert!(mib == 1 || ended.stderr.contains("2000 ran"), "{mib} MiB is enough: {ended:#?}");
    }
    // Each thread that allocates may reserve 128 MiB, so with much less there might be no stack at all.
    for mib in [768, 2048] {
        let ended = subprocess(TEST, &format!("many {mib}"), &[]);
        ended.expect_success().expect_says("refused in time");
        let said = ended.stderr.matches("pirn: no stack for a new goroutine of the runtime ").count();
        assert_eq!(said, 1, "{ended:#?}");
    }
}

/// There is not one stack: nothing can go on, and the process says so about a second later.
#[test]
fn without_any_stack_the_process_says_so_and_ends() {
    const TEST: &str = "without_any_stack_the_process_says_so_and_ends";
    if let Some(case) = child_case(TEST) {
        return in_little_address_space(case.parse().expect("a number"));
    }
    for mib in [8, 64] {
        let began = Instant::now();
        let ended = subprocess(TEST, &mib.to_string(), &[]);
        if !shares_thread_locals() {
            // The self-test wants a stack, so building is an error already.
            ended.expect_success().expect_says("not built: no memory for a goroutine stack");
            continue;
        }
        assert_eq!(ended.signal(), Some(libc::SIGABRT), "{mib} MiB: {ended:#?}");
        ended.expect_says("no goroutine can run: there is no memory or address space for stacks");
        assert!(began.elapsed() < Duration::from_secs(60), "{mib} MiB: {:?}", began.elapsed());
    }
}

#[test]
fn a_runtime_that_is_not_used_ends() {
    for procs in [1, 8] {
        runtime(procs).close();
    }
}
