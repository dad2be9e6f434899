//! Contexts and timers of channels under a clock that the test moves. Every test here takes the clock, so they go one by
//! one.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{runtime, wait_until_waiting};
use pirn_channels::timer;
use pirn_runtime::internal::SetClock;
use pirn_sync::context::{Context, ContextError};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_nanos(1);

#[test]
fn a_deadline_is_of_the_clock_that_is_set() {
    let clock = SetClock::take();
    let rt = runtime(1);
    let (context, _cancel) = rt.run(|| Context::background().with_timeout(HOUR));
    let (child, _) = context.with_deadline(clock.now() + 2 * HOUR);
    assert_eq!(child.deadline(), Some(clock.now() + HOUR));
    let waits = rt.go(move || child.wait());
    wait_until_waiting(&rt.handle(), waits.id());
    clock.advance(HOUR - MOMENT);
    rt.run(|| timer(Duration::ZERO).receiver().recv()).expect("it comes at once");
    assert_eq!(context.err(), None);
    clock.advance(MOMENT);
    assert_eq!(waits.join().expect("it waits and ends"), ContextError::DeadlineExceeded);
    // No time passes on the way.
    let (late, _cancel) = rt.run(|| Context::background().with_timeout(Duration::ZERO));
    assert_eq!(late.err(), Some(ContextError::DeadlineExceeded));
}

#[test]
fn a_sleep_ends_when_the_clock_has_moved_as_far() {
    let clock = SetClock::take();
    let rt = runtime(1);
    let (context, _cancel) = Context::background().with_cancel();
    let sleeps = rt.go(move || context.sleep(HOUR));
    wait_until_waiting(&rt.handle(), sleeps.id());
    clock.advance(HOUR);
    assert_eq!(sleeps.join().expect("it sleeps"), Ok(()));
}

#[test]
fn a_timer_that_is_reset_fires_at_the_new_time() {
    let clock = SetClock::take();
    let rt = runtime(1);
    let timer = rt.run(|| timer(HOUR));
    let receiver = timer.receiver().clone();
    clock.advance(HOUR / 2);
    assert!(rt.run(|| timer.reset(HOUR)));
    let due = clock.now() + HOUR;
    let receives = rt.go(move || receiver.recv());
    wait_until_waiting(&rt.handle(), receives.id());
    clock.advance(HOUR - MOMENT);
    assert!(!receives.is_finished());
    clock.advance(MOMENT);
    assert_eq!(receives.join().expect("it receives"), Ok(due));
}
