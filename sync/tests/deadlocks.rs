//! Programs that have no thread but their own, in which all wait: which of them are deadlocks, and are reported at once.
//! The program runs itself, once for each case.

use pirn_runtime::{Builder, go};
use pirn_sync::Pool;
use pirn_sync::context::Context;
use pirn_sync::group::ErrGroup;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

const CHILD: &str = "PIRN_TEST_CHILD";

/// A report comes sooner than this, on a machine that has much else to do.
const AT_ONCE: Duration = Duration::from_secs(8);

/// A case: its name, what a child does, and whether that is a deadlock.
const CASES: &[(&str, fn(), bool)] = &[
    ("nobody_cancels", nobody_cancels, true),
    ("a_call_is_registered", a_call_is_registered, true),
    ("a_group_waits_for_its_own_end", a_group_waits_for_its_own_end, true),
    ("a_pool_has_values", a_pool_has_values, true),
    ("a_deadline", a_deadline, false),
];

#[expect(clippy::disallowed_methods, reason = "the tests have variables of their own")]
fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn nobody_cancels() {
    let (context, _cancel) = Context::background().with_cancel();
    context.wait();
}

/// It remembers the runtime of its caller, and does not count as something from outside.
fn a_call_is_registered() {
    let (context, _cancel) = Context::background().with_cancel();
    let _stop = context.after_func(|| unreachable!("nobody cancels"));
    let g = go(move || context.wait());
    _ = g.join();
}

fn a_group_waits_for_its_own_end() {
    let group = std::sync::Arc::new(ErrGroup::<()>::new());
    let inner = group.clone();
    group.go(move || inner.wait());
    _ = group.wait();
}

/// They will be dropped in some seconds, which is nothing to wait for.
fn a_pool_has_values() {
    static POOL: Pool<Vec<u8>> = Pool::new(|| Vec::with_capacity(100));
    drop(POOL.get());
    assert_eq!(POOL.kept(), 1);
    pirn_runtime::park();
}

fn a_deadline() {
    let (context, _cancel) = Context::background().with_timeout(Duration::from_millis(50));
    let (child, _cancel) = context.with_cancel();
    child.wait();
}

fn builder() -> Builder {
    if env("PIRN_TEST_MODE").is_some_and(|mode| mode == "shared") {
        // SAFETY: nothing here keeps a thread-local over a suspension.
        return unsafe { Builder::new().shared_thread_locals() };
    }
    Builder::new()
}

fn main() -> ExitCode {
    if let Some(child) = env(CHILD) {
        let (_, case, _) = CASES.iter().find(|(name, ..)| *name == child).expect("a case");
        builder().procs(2).build().expect("a runtime").run(case);
        return ExitCode::SUCCESS;
    }
    let mut failed = false;
    for (name, _, is_deadlock) in CASES {
        let me = std::env::current_exe().expect("the path of the test");
        let began = Instant::now();
        let ended = Command::new("timeout").arg("60").arg(me).env(CHILD, name).output().expect("it starts");
        let stderr = String::from_utf8_lossy(&ended.stderr);
        let is_reported = stderr.contains("all goroutines are asleep - deadlock!") && ended.status.code() == Some(2);
        let is_reported = is_reported && began.elapsed() < AT_ONCE;
        if is_reported != *is_deadlock || (!is_deadlock && !ended.status.success()) {
            failed = true;
            eprintln!("{name}: {:?}\n{stderr}", ended.status);
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
