//! The child of a fork has the memory of a runtime and none of its threads: what it asks of it ends with a clear word.

mod common;

use common::{House, builder, child_case, house, subprocess};
use pirn_runtime::{Runtime, Unparker, current, go, park, sleep, try_go, yield_now};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Forks so often: what goes wrong does not each time.
const TIMES: usize = 20;

/// Has the child call `f` and leave with what it returns. How it ended.
fn fork(f: impl FnOnce() -> i32) -> ExitStatus {
    // SAFETY: the child does what is tested, and nothing of the test harness's.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        let status = f();
        // SAFETY: no preconditions.
        unsafe { libc::_exit(status) };
    }
    wait(child)
}

fn wait(child: i32) -> ExitStatus {
    let mut status = 0;
    // SAFETY: the status is valid to be written.
    while unsafe { libc::waitpid(child, &raw mut status, 0) } != child {}
    ExitStatus::from_raw(status)
}

/// A runtime whose other Gs come and go all the time, and allocate, until `over`.
fn busy(over: &Arc<AtomicBool>) -> House {
    let rt = house(builder().procs(2));
    for _ in 0..8 {
        let over = over.clone();
        rt.go(move || {
            while !over.load(Ordering::Relaxed) {
                // None when the runtime closes.
                let gs: Vec<_> = (0..10).filter_map(|i| try_go(move || vec![i; 100].len()).ok()).collect();
                assert!(gs.into_iter().all(|g| g.join().expect("no panic") == 100));
                sleep(Duration::from_micros(100));
            }
        });
    }
    rt
}

/// Runs `f` on a G of a busy runtime, so often.
fn on_a_g(f: impl Fn() + Send + Sync + 'static) {
    let over = Arc::new(AtomicBool::new(false));
    let rt = busy(&over);
    rt.run(|| (0..TIMES).for_each(|_| f()));
    over.store(true, Ordering::Relaxed);
}

#[test]
fn a_g_that_forked_finds_no_runtime_and_builds_none() {
    on_a_g(|| {
        let ended = fork(|| {
            let refused = |error: std::io::Error| error.to_string().contains("fork before the first runtime is built");
            let builds = builder().build().err().is_some_and(refused);
            let starts = try_go(|| ()).err().is_some_and(refused);
            yield_now();
            sleep(Duration::from_millis(1));
            if builds && starts && current().is_none() { 7 } else { 8 }
        });
        assert_eq!(ended.code(), Some(7), "{ended}");
    });
}

/// What libc takes for free in the child, it may give to new threads.
#[test]
fn a_g_that_forked_starts_threads() {
    on_a_g(|| {
        let mine = [0x5a_u8; 8192];
        let ended = fork(|| {
            for _ in 0..3 {
                let threads: Vec<_> = (0..40_u8)
                    .map(|i| std::thread::spawn(move || std::hint::black_box([i; 64 << 10])[7] == i))
                    .collect();
                if !threads.into_iter().all(|thread| thread.join().is_ok_and(|right| right)) {
                    return 8;
                }
            }
            // Long enough to be switched away and back by the kernel.
            std::thread::sleep(Duration::from_millis(2));
            if mine.iter().all(|byte| std::hint::black_box(*byte) == 0x5a) { 7 } else { 9 }
        });
        assert_eq!(ended.code(), Some(7), "{ended}");
    });
}

#[test]
fn what_would_reach_the_parents_runtime_ends_with_a_message() {
    const TEST: &str = "what_would_reach_the_parents_runtime_ends_with_a_message";
    match child_case(TEST).as_deref() {
        Some("park") => on_a_g(|| {
            let ended = fork(|| {
                park();
                8
            });
            assert_eq!(ended.code(), Some(2), "{ended}");
        }),
        Some("join") => on_a_g(|| {
            let g = go(|| sleep(Duration::from_millis(1)));
            let ended = fork(|| {
                let other = std::panic::catch_unwind(|| go(|| ()));
                i32::from(other.is_ok())
            });
            assert_eq!(ended.code(), Some(0), "{ended}");
            g.join().expect("no panic");
        }),
        Some("end") => on_a_g(|| {
            // The child goes on where the parent does, to the end of the G.
            let pid = go(|| {
                // SAFETY: as above.
                unsafe { libc::fork() }
            });
            let ended = wait(pid.join().expect("no panic"));
            assert_eq!(ended.code(), Some(2), "{ended}");
        }),
        Some("thread joins") => {
            let rt = house(builder().procs(1));
            let over = Arc::new(AtomicBool::new(false));
            let g = rt.go({
                let over = over.clone();
                move || {
                    while !over.load(Ordering::Relaxed) {
                        sleep(Duration::from_millis(1));
                    }
                }
            });
            // SAFETY: as above.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let _ = g.join();
                // SAFETY: no preconditions.
                unsafe { libc::_exit(8) };
            }
            assert_eq!(wait(child).code(), Some(2));
            over.store(true, Ordering::Relaxed);
            g.join().expect("no panic");
        }
        _ => {
            for (case, what, times) in [
                ("park", "fatal error: a goroutine that has forked waits in the child: this process is a fork", TIMES),
                ("join", "go: this process is a fork of one that has a runtime", TIMES),
                ("end", "fatal error: a goroutine that has forked has come to its end in the child", TIMES),
                ("thread joins", "fatal error: a thread waits for a goroutine of its parent", 1),
            ] {
                let ended = subprocess(TEST, case, &[]);
                ended.expect_success();
                assert_eq!(ended.stderr.matches(what).count(), times, "{case}: {ended:#?}");
            }
        }
    }
}

#[test]
fn a_thread_that_forked_leaves_the_runtime_alone() {
    let over = Arc::new(AtomicBool::new(false));
    let mut rt = Some(busy(&over));
    let (say, said) = std::sync::mpsc::channel();
    let waits = rt.as_ref().expect("it is there").go({
        let over = over.clone();
        move || {
            say.send(Unparker::current()).expect("it is waited for");
            while !over.load(Ordering::Relaxed) {
                park();
            }
        }
    });
    let waiting = said.recv().expect("it has said so");
    for _ in 0..TIMES {
        let handle = rt.as_ref().expect("it is there").handle();
        let ended = fork(|| {
            let refused = builder().build().is_err() && handle.try_go_with(Default::default(), || ()).is_err();
            waiting.unpark();
            let dropped: Runtime = rt.as_mut().expect("it is there").take();
            drop(dropped);
            if refused { 7 } else { 8 }
        });
        assert_eq!(ended.code(), Some(7), "{ended}");
    }
    over.store(true, Ordering::Relaxed);
    waiting.unpark();
    waits.join().expect("no panic");
}

#[test]
fn programs_are_started_from_gs_as_before() {
    on_a_g(|| {
        let mut prepared = Command::new("/bin/true");
        // SAFETY: the closure does nothing.
        unsafe { prepared.pre_exec(|| Ok(())) };
        assert!(prepared.status().expect("it starts").success());
        assert!(Command::new("/bin/true").status().expect("it starts").success());
        let mut fails = Command::new("/bin/true");
        // SAFETY: as above.
        unsafe { fails.pre_exec(|| Err(std::io::ErrorKind::Other.into())) };
        assert!(fails.status().is_err());
        let mut missing = Command::new("/no/such");
        // SAFETY: as above.
        unsafe { missing.pre_exec(|| Ok(())) };
        assert!(missing.status().is_err());
    });
}
