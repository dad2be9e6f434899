//! The event, for goroutines, threads and async tasks.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::common::{builder, eventually, house};
use crew::{KINDS, Kind, everywhere, in_time, on_gs, poll_once};
use pirn_runtime::{ShutDown, block_on};
use pirn_sync::Event;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// Waits in the way of that kind.
fn wait(kind: Kind, event: &Event) {
    match kind {
        Kind::Task => block_on(event.wait_async()),
        _ => event.wait(),
    }
}

#[test]
fn all_kinds_wait_until_it_is_set() {
    on_gs(|| {
        let event = Arc::new(Event::new());
        let waiters: Vec<_> = KINDS
            .into_iter()
            .map(|kind| {
                let event = event.clone();
                kind.go_and_wait(move || wait(kind, &event))
            })
            .collect();
        assert!(!event.is_set());
        event.set();
        waiters.into_iter().for_each(|waiter| waiter.join());
        assert!(event.is_set());
        KINDS.into_iter().for_each(|kind| wait(kind, &event));
    });
}

/// With more than one turn tells.
#[test]
fn a_reset_at_once_does_not_keep_those_that_waited() {
    on_gs(|| {
        let event = Arc::new(Event::default());
        let waiters: Vec<_> = (0..100)
            .map(|_| {
                let event = event.clone();
                Kind::G.go_and_wait(move || event.wait())
            })
            .collect();
        event.set();
        event.reset();
        waiters.into_iter().for_each(|waiter| waiter.join());
        assert!(!event.wait_timeout(Duration::from_millis(1)));
    });
}

#[test]
fn it_is_set_and_reset_any_number_of_times() {
    everywhere(|kind| {
        let [ping, pong] = [(); 2].map(|()| Arc::new(Event::new()));
        let (hear, say) = (ping.clone(), pong.clone());
        let worker = kind.go(move || {
            for _ in 0..200 {
                hear.wait();
                hear.reset();
                say.set();
            }
        });
        for _ in 0..200 {
            ping.set();
            pong.wait();
            pong.reset();
        }
        worker.join();
        // To set it twice is to set it once.
        ping.set();
        ping.set();
        ping.reset();
        assert!(!ping.is_set());
    });
}

#[test]
fn timeouts_of_nought_and_for_ever() {
    everywhere(|kind| {
        let event = Arc::new(Event::new());
        assert!(!event.wait_timeout(Duration::ZERO));
        let other = event.clone();
        let waiter = kind.go(move || other.wait_timeout(Duration::MAX));
        event.set();
        assert!(waiter.join());
        assert!(event.wait_timeout(Duration::ZERO));
    });
}

#[test]
fn a_future_that_is_dropped_leaves_nothing() {
    let event = Event::new();
    {
        let mut dropped = pin!(event.wait_async());
        assert!(poll_once(&mut dropped).is_pending());
    }
    let mut last = pin!(event.wait_async());
    assert!(poll_once(&mut last).is_pending());
    event.set();
    assert!(poll_once(&mut last).is_ready());
}

#[test]
fn a_shutdown_unwinds_thousands_that_wait() {
    in_time(|| {
        let mut house = house(builder().procs(2));
        let event = Arc::new(Event::new());
        let waiters: Vec<_> = (0..3000)
            .map(|_| {
                let event = event.clone();
                house.go(move || event.wait())
            })
            .collect();
        let handle = house.handle();
        eventually("all wait", || {
            handle.goroutines().iter().filter(|g| g.state == pirn_runtime::State::Waiting).count() == 3000
        });
        assert!(house.take().shutdown_timeout(Duration::from_secs(20)));
        for waiter in waiters {
            assert!(waiter.join().expect_err("it was unwound").is::<ShutDown>());
        }
        assert!(!event.is_set());
        event.set();
        event.wait();
        house.check_empty();
    });
}
