//! What tests of others need to run on Gs with libc's calls hooked: a runtime for each test, and `std::thread` with Gs
//! behind it. `ci/hook-suites` puts it under the tests of std, parking_lot, crossbeam-channel and others, which use their
//! own types.

use pirn_hook as _;
use pirn_runtime::{Builder, go};
use std::sync::Once;
use std::time::{Duration, Instant};

// With `extern crate pirn_hook_suite as std` at its root a crate of tests has Gs in the place of its threads.
pub use std::*;

pub mod thread;

/// Longer than a G takes to begin, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a test as the main G of a runtime of its own. Its Gs have thread-locals of their own; the others are not hooked.
///
/// # Panics
/// As the test does, and if nothing is hooked.
pub fn on_g(test: fn()) {
    static CHECKED: Once = Once::new();
    CHECKED.call_once(check);
    pirn_suite::on_g(test);
}

/// A suite that runs without the hook would pass too.
#[expect(clippy::disallowed_methods, reason = "a variable of the tests")]
fn check() {
    assert_eq!(std::env::var("PIRN_TEST_MODE").as_deref(), Ok("isolated"), "in the other mode nothing is hooked");
    let runtime = Builder::new().procs(1).build().expect("a runtime");
    let watched = runtime.handle();
    runtime.run(move || {
        let sleeper = go(|| std::thread::sleep(PATIENCE));
        let began = Instant::now();
        let is_hooked = || watched.goroutines().iter().any(|g| g.to_string().contains("nanosleep"));
        while !is_hooked() {
            assert!(began.elapsed() < PATIENCE / 2, "a sleep of std's is not hooked");
            pirn_runtime::sleep(Duration::from_millis(1));
        }
        // It ends with its runtime.
        drop(sleeper);
    });
}
