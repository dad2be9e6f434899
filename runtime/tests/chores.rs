//! Chores are done when they are due, where no user waits for them, under a set clock.

mod common;

use common::{eventually, runtime};
use pirn_runtime::current_gid;
use pirn_runtime::internal::{SetClock, call_later, run_due};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

static CALLS: AtomicUsize = AtomicUsize::new(0);
static ON_GS: AtomicUsize = AtomicUsize::new(0);

fn count() {
    ON_GS.fetch_add(usize::from(current_gid().is_some()), Ordering::Relaxed);
    // Whoever sees this sees the other too.
    CALLS.fetch_add(1, Ordering::Release);
}

/// How often one was called in all, and on Gs, since the last call of this.
fn calls() -> (usize, usize) {
    (CALLS.swap(0, Ordering::Acquire), ON_GS.swap(0, Ordering::Relaxed))
}

#[test]
fn a_thread_does_what_is_due() {
    let clock = SetClock::take();
    call_later(SECOND * 2, count);
    call_later(SECOND, count);
    run_due();
    assert_eq!(calls(), (0, 0));
    clock.advance(SECOND);
    run_due();
    assert_eq!(calls(), (1, 0));
    clock.advance(SECOND);
    run_due();
    run_due();
    assert_eq!(calls(), (1, 0));
    // A panic ends there.
    call_later(Duration::ZERO, || resume_unwind(Box::new(())));
    call_later(Duration::ZERO, count);
    run_due();
    assert_eq!(calls(), (1, 0));
}

#[test]
fn a_runtime_that_has_nothing_to_do_does_them_on_gs() {
    let clock = SetClock::take();
    let house = runtime(2);
    for _ in 0..3 {
        // From a G, so that sysmon sees it before it sleeps.
        house.run(|| call_later(SECOND, count));
        thread::sleep(Duration::from_millis(20));
        assert_eq!(calls(), (0, 0));
        clock.advance(SECOND);
        eventually("it is done", || CALLS.load(Ordering::Relaxed) == 1);
        assert_eq!(calls(), (1, 1));
    }
    // One that blocks holds up no other.
    house.run(|| {
        call_later(SECOND, || {
            while CALLS.load(Ordering::Relaxed) == 0 {
                thread::sleep(Duration::from_millis(1));
            }
        });
        call_later(SECOND, count);
    });
    clock.advance(SECOND);
    eventually("both are done", || CALLS.load(Ordering::Relaxed) == 1 && house.goroutines().is_empty());
    calls();
    house.close();
}

#[test]
fn the_end_of_a_runtime_loses_none() {
    let clock = SetClock::take();
    let house = runtime(1);
    house.run(|| call_later(SECOND, count));
    house.close();
    clock.advance(SECOND);
    assert_eq!(calls(), (0, 0));
    let house = runtime(1);
    house.run(|| ());
    eventually("it is done", || CALLS.load(Ordering::Relaxed) == 1);
    assert_eq!(calls(), (1, 1));
    house.close();
}
