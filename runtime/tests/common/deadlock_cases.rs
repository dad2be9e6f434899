//! For programs that run themselves, once for each case, and tell the deadlocks among them: what such a program does, apart
//! from its cases.

use pirn_runtime::Builder;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

const CHILD: &str = "PIRN_TEST_CHILD";

/// A report comes sooner than this, on a machine that has much else to do.
const AT_ONCE: Duration = Duration::from_secs(8);

/// A case: its name, what a child does, and whether that is a deadlock.
pub(crate) type Case = (&'static str, fn(), bool);

#[expect(clippy::disallowed_methods, reason = "the tests have variables of their own")]
fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn builder() -> Builder {
    if env("PIRN_TEST_MODE").is_some_and(|mode| mode == "shared") {
        // SAFETY: no case keeps a thread-local over a suspension.
        return unsafe { Builder::new().shared_thread_locals() };
    }
    Builder::new()
}

/// The main function: of a child, or of the program that starts one for each case.
pub(crate) fn run(cases: &[Case]) -> ExitCode {
    if let Some(child) = env(CHILD) {
        let (_, case, _) = cases.iter().find(|(name, ..)| *name == child).expect("a case");
        builder().procs(2).build().expect("a runtime").run(case);
        return ExitCode::SUCCESS;
    }
    let mut failed = false;
    for (name, _, is_deadlock) in cases {
        let me = std::env::current_exe().expect("the path of the test");
        let began = Instant::now();
        let ended = Command::new("timeout").arg("60").arg(me).env(CHILD, name).output().expect("it starts");
        let stderr = String::from_utf8_lossy(&ended.stderr);
        let is_reported = stderr.contains("all goroutines are asleep - deadlock!") && ended.status.code() == Some(2);
        let is_reported = is_reported && began.elapsed() < AT_ONCE;
        if is_reported != *is_deadlock || (!is_deadlock && !ended.status.success()) {
            failed = true;
            eprintln!("{name}: {:?} after {:?}\n{stderr}", ended.status, began.elapsed());
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
