//! What tests that were written for threads need to run on Gs: names of `std::thread` and of `crossbeam_utils::thread`
//! with Gs behind them, and a runtime for each test. `ci/crossbeam-suite` puts it under crossbeam-channel's own tests,
//! and `ci/sync-suites` under tests of locks.

use pirn_runtime::Builder;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

pub mod thread;

/// Longer than a test takes, on a busy machine: `PIRN_TEST_HANG_SECS`, or so many seconds.
const HANG_SECS: u64 = 150;
/// So long Gs that are about to end are waited for.
const GRACE: Duration = Duration::from_millis(100);

/// Runs a test as the main G of a runtime of its own, on as many Ps as `PIRN_MAXPROCS` says.
///
/// Gs that it leaves behind are left alone, as threads would be: some of the tests take being unwound for a failure.
///
/// # Panics
/// As the test does.
pub fn on_g(test: fn()) {
    let runtime = builder().build().expect("a runtime for a test");
    let watched = runtime.handle();
    let (ended, wait) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if wait.recv_timeout(patience()) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let gs = watched.goroutines();
            let mut text = format!("HANG: {} Gs\n", gs.len());
            gs.iter().take(50).for_each(|g| text.push_str(&format!("{g} waiting for {:?}\n", g.waiting_for)));
            // Not by a macro: the test runner keeps back what these print, and would never show it.
            let _ = std::io::stderr().write_all(text.as_bytes());
            std::process::abort();
        }
    });
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| runtime.run(test))) {
        // What the G has printed does not say in which test it was. This is shown beside its name.
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        println!("a G panicked: {}", text.unwrap_or("with something that is no text"));
        resume_unwind(payload);
    }
    drop(ended);
    watchdog.join().expect("it only waits");
    let began = Instant::now();
    while !runtime.goroutines().is_empty() {
        if began.elapsed() > GRACE {
            return std::mem::forget(runtime);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(runtime.shutdown_timeout(patience() / 2), "there are no Gs to wait for");
}

#[expect(clippy::disallowed_methods, reason = "a variable of the tests")]
fn patience() -> Duration {
    let secs = std::env::var("PIRN_TEST_HANG_SECS").ok();
    Duration::from_secs(secs.map_or(HANG_SECS, |secs| secs.parse().expect("PIRN_TEST_HANG_SECS is a number")))
}

/// A builder in the thread-local mode that `PIRN_TEST_MODE` asks for, as in the tests of the runtime.
#[expect(clippy::disallowed_methods, reason = "a variable of the tests")]
fn builder() -> Builder {
    match std::env::var("PIRN_TEST_MODE").as_deref() {
        // SAFETY: no test keeps a thread-local, or its address, over a suspension.
        Err(_) | Ok("shared") => unsafe { Builder::new().shared_thread_locals() },
        Ok("isolated") => Builder::new(),
        Ok(other) => panic!("PIRN_TEST_MODE={other}: shared or isolated"),
    }
}
