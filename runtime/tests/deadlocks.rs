//! Deadlocks, in programs that have no thread but their own: what a test runner's process is not. So this is a program
//! that runs itself, once for each case.

#[path = "common/fake_lock.rs"]
mod fake_lock;

use fake_lock::{lock, lock_until};
use pirn_runtime::internal::{Direction, Source};
use pirn_runtime::time::after_func;
use pirn_runtime::{
    Builder, DeadlockReport, GoBuilder, Handle, Unparker, go, lock_os_thread, park, park_timeout, sleep,
};
use std::os::fd::AsFd;
use std::process::{Command, ExitCode, Output};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

const MOMENT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_millis(400);
const CHILD: &str = "PIRN_TEST_CHILD";

/// A case: its name, what a child does, and whether that is a deadlock.
const CASES: &[(&str, fn(), bool)] = &[
    ("g_waits_for_g", g_waits_for_g, true),
    ("thread_waits_for_g", thread_waits_for_g, true),
    ("locked_g", locked_g, true),
    ("after_timers", after_timers, true),
    ("after_a_thread_has_gone", after_a_thread_has_gone, true),
    ("after_a_handle_has_gone", after_a_handle_has_gone, true),
    ("after_a_blocked_g", after_a_blocked_g, true),
    ("full_pipe", full_pipe, true),
    ("after_a_descriptor", after_a_descriptor, true),
    ("cycle_of_locks", cycle_of_locks, true),
    ("cycle_of_joins", cycle_of_joins, true),
    ("cycle_with_a_thread", cycle_with_a_thread, true),
    ("cycle_of_one", cycle_of_one, true),
    ("thread_in_a_lock", thread_in_a_lock, true),
    ("thread_in_a_lock_for_a_time", thread_in_a_lock_for_a_time, false),
    ("timer", timer, false),
    ("descriptor", descriptor, false),
    ("handle", handle, false),
    ("thread", thread, false),
    ("other_runtime", other_runtime, false),
    ("blocked_g", blocked_g, false),
    ("results", results, false),
    ("off", off, false),
    ("warn", warn, false),
];

#[expect(clippy::disallowed_methods, reason = "the tests have variables of their own")]
fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn builder() -> Builder {
    if env("PIRN_TEST_MODE").is_some_and(|mode| mode == "shared") {
        // SAFETY: nothing here keeps a thread-local over a suspension.
        return unsafe { Builder::new().shared_thread_locals() }.procs(2);
    }
    Builder::new().procs(2)
}

fn run<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    builder().build().expect("a runtime").run(f)
}

#[inline(never)]
fn wait_for_ever() {
    loop {
        park();
    }
}

fn culprit() -> pirn_runtime::JoinHandle<()> {
    GoBuilder::new().name("culprit").go(wait_for_ever)
}

fn g_waits_for_g() {
    run(|| culprit().join().expect("never"));
}

fn thread_waits_for_g() {
    let rt = builder().procs(1).build().expect("a runtime");
    rt.go(|| sleep(MOMENT)).join().expect("no panic");
    rt.go(|| drop(culprit())).join().expect("no panic");
    rt.go(wait_for_ever).join().expect("never");
}

/// It is watched still, but nobody waits for it.
fn after_a_descriptor() {
    let (reader, _writer) = std::io::pipe().expect("a pipe");
    let source = Source::new("pipe");
    run(|| {
        let seen = source.begin(Direction::Read).expect("it is open");
        source.wait(reader.as_fd(), seen, Some(Instant::now() + MOMENT)).expect_err("nobody writes");
        culprit().join().expect("never");
    });
}

fn locked_g() {
    run(|| {
        let locked = GoBuilder::new().name("culprit").go(|| {
            let _mine = lock_os_thread();
            wait_for_ever();
        });
        locked.join().expect("never");
    });
}

fn after_timers() {
    run(|| {
        let g = culprit();
        let timer = after_func(LONG, || ());
        sleep(MOMENT);
        assert!(timer.stop());
        after_func(MOMENT, || ());
        g.join().expect("never");
    });
}

fn after_a_thread_has_gone() {
    thread::spawn(|| thread::sleep(LONG));
    run(|| culprit().join().expect("never"));
}

fn after_a_handle_has_gone() {
    static KEPT: Mutex<Option<Handle>> = Mutex::new(None);
    *KEPT.lock().expect("no panic") = run(Handle::current);
    let rt = builder().build().expect("a runtime");
    let handle = rt.handle();
    rt.run(move || {
        // What it was for is over.
        drop(handle);
        culprit().join().expect("never");
    });
}

fn after_a_blocked_g() {
    run(|| {
        let g = culprit();
        go(|| thread::sleep(LONG)).join().expect("no panic");
        g.join().expect("never");
    });
}

/// Standard error is a pipe that is full, and nobody reads it: the program ends all the same.
fn full_pipe() {
    let mut ends = [0; 2];
    // SAFETY: a valid place for two descriptors.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    // SAFETY: an open descriptor takes the place of standard error.
    assert_eq!(unsafe { libc::dup2(ends[1], 2) }, 2);
    // SAFETY: an open descriptor.
    assert!(unsafe { libc::fcntl(2, libc::F_SETPIPE_SZ, 4096) } > 0);
    run(|| {
        let _gs: Vec<_> = (0..100).map(|_| culprit()).collect();
        culprit().join().expect("never");
    });
}

fn named(name: &str, f: impl FnOnce() + Send + 'static) -> pirn_runtime::JoinHandle<()> {
    GoBuilder::new().name(name).go(f)
}

/// Each has locked one, and wants the next one's.
fn cycle_of_locks() {
    run(|| {
        let gs: Vec<_> = [("a", 0xa0, 0xb0), ("b", 0xb0, 0xc0), ("c", 0xc0, 0xa0)]
            .into_iter()
            .map(|(name, mine, wanted)| {
                named(name, move || {
                    lock(mine);
                    sleep(MOMENT);
                    lock(wanted);
                })
            })
            .collect();
        gs.into_iter().for_each(|g| g.join().expect("never"));
    });
}

fn cycle_of_joins() {
    static HANDLE: Mutex<Option<pirn_runtime::JoinHandle<()>>> = Mutex::new(None);
    run(|| {
        let a = named("a", || {
            sleep(MOMENT);
            let b = HANDLE.lock().expect("no panic").take().expect("it is there");
            b.join().expect("never");
        });
        *HANDLE.lock().expect("no panic") = Some(named("b", || a.join().expect("never")));
        wait_for_ever();
    });
}

fn cycle_with_a_thread() {
    lock(0xa0);
    run(|| lock(0xa0));
}

fn cycle_of_one() {
    run(|| {
        lock(0xa0);
        lock(0xa0);
    });
}

/// The main thread is stuck too, in a lock.
fn thread_in_a_lock() {
    let rt = builder().build().expect("a runtime");
    rt.run(|| lock(0xa0));
    let _culprit = rt.go(wait_for_ever);
    lock(0xa0);
}

fn thread_in_a_lock_for_a_time() {
    let rt = builder().build().expect("a runtime");
    rt.run(|| lock(0xa0));
    let _waits = rt.go(wait_for_ever);
    assert!(!lock_until(0xa0, Some(Instant::now() + LONG)));
}

fn timer() {
    run(|| {
        let began = Instant::now();
        drop(culprit());
        park_timeout(LONG);
        assert!(began.elapsed() >= LONG);
    });
}

/// A child of the process has the other end, and closes it when it ends.
fn descriptor() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut child = Command::new("sleep").arg("0.4").stdout(writer).spawn().expect("a child");
    run(|| {
        let began = Instant::now();
        drop(culprit());
        let source = Source::new("pipe");
        let seen = source.begin(Direction::Read).expect("it is open");
        source.wait(reader.as_fd(), seen, None).expect("the child ends");
        assert!(began.elapsed() >= LONG / 2);
    });
    child.wait().expect("it is ours");
}

fn handle() {
    let rt = builder().build().expect("a runtime");
    let handle = rt.handle();
    // Behind the runtime's back: a signal handler's work, say, or a thread of C's that is not there yet.
    thread::scope(|s| {
        s.spawn(|| {
            thread::sleep(LONG);
            handle.go(|| ()).join().expect("no panic");
        });
        rt.go(|| sleep(MOMENT)).join().expect("no panic");
    });
    let waiting = rt.go(park);
    thread::sleep(LONG);
    // This thread has done nothing meanwhile, and the G waited.
    assert!(!waiting.is_finished());
}

fn thread() {
    run(|| {
        let me = Unparker::current();
        thread::spawn(move || {
            thread::sleep(LONG);
            me.unpark();
        });
        park();
    });
}

fn other_runtime() {
    let other = builder().build().expect("a runtime");
    run(|| {
        let me = Unparker::current();
        other.go(move || {
            sleep(LONG);
            me.unpark();
        });
        park();
    });
}

fn blocked_g() {
    run(|| {
        let me = Unparker::current();
        go(move || {
            thread::sleep(LONG);
            me.unpark();
        });
        park();
    });
}

/// The end of what a thread waits for is no deadlock of the rest: the thread is about to go on.
fn results() {
    let rt = builder().build().expect("a runtime");
    let _left: Vec<_> = (0..10).map(|_| rt.go(wait_for_ever)).collect();
    for i in 0..3000 {
        assert_eq!(rt.go(move || i).join().expect("no panic"), i);
        assert_eq!(rt.run(|| i), i);
    }
}

fn off() {
    let rt = builder().deadlock_report(DeadlockReport::Off).build().expect("a runtime");
    end_soon(&rt);
    rt.run(wait_for_ever);
}

fn warn() {
    let rt = builder().deadlock_report(DeadlockReport::Warn).name("stuck").build().expect("a runtime");
    end_soon(&rt);
    rt.run(wait_for_ever);
}

/// Ends the process after a while, by the kernel, with no thread and no timer of the runtime's.
fn end_soon(_: &pirn_runtime::Runtime) {
    extern "C" fn on_alarm(_: libc::c_int) {
        // SAFETY: `_exit` may be called in a signal handler.
        unsafe { libc::_exit(0) };
    }
    // SAFETY: the handler does nothing but end the process.
    unsafe { libc::signal(libc::SIGALRM, on_alarm as extern "C" fn(_) as usize) };
    // SAFETY: it has no preconditions.
    unsafe { libc::alarm(2) };
}

fn child(case: &str) -> Output {
    let exe = std::env::current_exe().expect("the path of this program");
    let mut command = Command::new("timeout");
    command.arg("60").arg(exe).env(CHILD, case).env("RUST_BACKTRACE", "0").env_remove("PIRN_DEBUG");
    command.output().expect("a child")
}

/// What the report of a case says of its cycle, with `*` for what is not known before.
fn cycle_of(case: &str) -> Option<&'static [&'static str]> {
    Some(match case {
        "cycle_of_locks" => &[
            "cycle: goroutine ",
            " \"a\" waits for mutex 0xb0 held by goroutine ",
            " \"b\" (lock of a test), which waits for mutex 0xc0 held by goroutine ",
            " \"c\" (lock of a test), which waits for mutex 0xa0 held by goroutine ",
            " (lock of a test)\n\n",
            "[lock of a test, \"a\", on mutex 0xb0, held by goroutine ",
            " \"b\" since ",
        ],
        "cycle_of_joins" => &[
            "cycle: goroutine ",
            " \"a\" waits for the end of goroutine ",
            " \"b\" (join), which waits for the end of goroutine ",
            " (join)\n\ngoroutine ",
        ],
        "cycle_with_a_thread" => &[
            "cycle: goroutine ",
            " \"main\" waits for mutex 0xa0 held by thread ",
            " \"deadlocks",
            "\" (lock of a test), which waits for the end of goroutine ",
            " (join)\n\ngoroutine ",
        ],
        "cycle_of_one" => &[
            "cycle: goroutine ",
            " \"main\" waits for mutex 0xa0, which it has locked itself (lock of a test), for ever ",
        ],
        "thread_in_a_lock" => &["deadlock!\n\ngoroutine ", " [park, for "],
        _ => return None,
    })
}

/// Whether these parts are said in that order, and no other cycle.
fn says_cycle(said: &str, parts: &[&str]) -> bool {
    let rest = parts.iter().try_fold(said, |rest, part| Some(rest.split_once(part)?.1));
    rest.is_some() && said.matches("cycle: ").count() == usize::from(parts[0].starts_with("cycle"))
}

/// What is wrong with how a case ended.
fn wrong(case: &str, is_deadlock: bool, ended: &Output) -> Option<&'static str> {
    let said = String::from_utf8_lossy(&ended.stderr);
    let reports = said.matches("all goroutines are asleep - deadlock!").count();
    let whole = || {
        if let Some(cycle) = cycle_of(case) {
            return says_cycle(&said, cycle);
        }
        let culprit = said.split("\n\n").find(|part| part.contains("\"culprit\"")).unwrap_or(&said);
        culprit.contains("[park") && culprit.contains("wait_for_ever") && culprit.contains(file!())
    };
    if is_deadlock {
        match ended.status.code() {
            Some(2) if case == "full_pipe" => None,
            Some(2) if reports != 1 || !said.starts_with("fatal error: all goroutines") => Some("it did not say so"),
            Some(2) => (!whole()).then_some("it did not say who waits, and where"),
            _ => Some("it did not end with status 2"),
        }
    } else if !ended.status.success() {
        Some("it failed")
    } else if case == "warn" {
        (reports != 1 || !said.contains("\"stuck\"")).then_some("it did not warn once")
    } else {
        (reports != 0).then_some("it is no deadlock")
    }
}

fn main() -> ExitCode {
    if let Some(case) = env(CHILD) {
        let (_, act, _) = CASES.iter().find(|(name, ..)| *name == case).expect("a case");
        act();
        return ExitCode::SUCCESS;
    }
    let mut failed = 0;
    for (case, _, is_deadlock) in CASES {
        let ended = child(case);
        match wrong(case, *is_deadlock, &ended) {
            None => println!("test {case} ... ok"),
            Some(what) => {
                failed += 1;
                println!("test {case} ... FAILED: {what}: {}", ended.status);
                println!("{}", String::from_utf8_lossy(&ended.stderr));
            }
        }
    }
    let passed = CASES.len() - failed;
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
