//! The wait group, for goroutines, threads and async tasks.
//!
//! Go's `src/sync/waitgroup_test.go`, as semantics: `TestWaitGroup` is `rounds_with_two_groups`, `TestWaitGroupMisuse` is
//! `done_below_nought_says_so`, `TestWaitGroupRace` is `a_wait_returns_when_both_are_done`, `TestWaitGroupGo` is
//! `go_counts_until_the_end`. `TestWaitGroupMisuse2` and `3` expect panics of which this group has none:
//! `an_add_beside_a_wait_is_no_mistake` and `a_group_is_reused_at_once` do the same and expect none. `TestWaitGroupAlign`
//! is about 32-bit platforms of Go. `TestIssue76126` expects that a panic of a goroutine ends the program; here it ends the
//! goroutine, and `one_that_panics_is_done` says what the group does then.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::common::{builder, eventually, house};
use crew::{KINDS, Kind, everywhere, in_time, on_gs, poll_once};
use pirn_channels::unbounded;
use pirn_runtime::{ShutDown, block_on, go};
use pirn_sync::{Token, WaitGroup};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Waits in the way of that kind.
fn wait(kind: Kind, group: &WaitGroup) {
    match kind {
        Kind::Task => block_on(group.wait_async()),
        _ => group.wait(),
    }
}

fn message_of(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("it panics");
    match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => (*payload.downcast::<&str>().expect("a message")).to_owned(),
    }
}

#[test]
fn rounds_with_two_groups() {
    fn rounds(kind: Kind) {
        let (first, second) = (WaitGroup::new(), WaitGroup::new());
        for _ in 0..8 {
            let (exited_in, exited) = unbounded();
            first.add(16);
            second.add(16);
            let workers: Vec<_> = (0..16)
                .map(|_| {
                    let (first, second, exited) = (first.clone(), second.clone(), exited_in.clone());
                    kind.go(move || {
                        first.done();
                        wait(kind, &second);
                        exited.send(()).unwrap();
                    })
                })
                .collect();
            first.wait();
            for _ in 0..16 {
                assert!(exited.try_recv().is_err(), "released too soon");
                second.done();
            }
            for _ in 0..16 {
                exited.recv().unwrap();
            }
            workers.into_iter().for_each(|worker| worker.join());
        }
    }
    everywhere(rounds);
    rounds(Kind::Task);
}

#[test]
fn done_below_nought_says_so() {
    let group = WaitGroup::new();
    group.add(1);
    group.done();
    assert_eq!(message_of(|| group.done()), "WaitGroup: done was called more often than was added");
    assert_eq!(group.count(), 0);
    // Nothing is broken by it.
    group.add(1);
    assert_eq!(group.count(), 1);
    group.done();
    group.wait();
}

#[test]
fn a_count_that_would_be_too_large_says_so() {
    const COUNT_MAX: usize = 1 << 38;
    let group = WaitGroup::new();
    group.add(COUNT_MAX);
    assert!(message_of(|| group.add(1)).starts_with("WaitGroup: the count would be too large"));
    assert!(message_of(|| group.add(usize::MAX)).starts_with("WaitGroup: the count would be too large"));
    assert_eq!(group.count(), COUNT_MAX);
    group.add(0);
    assert!(!group.wait_timeout(Duration::ZERO));
    group.done();
    group.add(1);
    assert_eq!(group.count(), COUNT_MAX);
}

#[test]
fn a_wait_returns_when_both_are_done() {
    everywhere(|kind| {
        for _ in 0..if kind == Kind::G { 1000 } else { 50 } {
            let (group, n) = (WaitGroup::new(), Arc::new(AtomicUsize::new(0)));
            let workers = [(); 2].map(|()| {
                let (token, n) = (group.token(), n.clone());
                kind.go(move || {
                    n.fetch_add(1, Ordering::Relaxed);
                    drop(token);
                })
            });
            group.wait();
            assert_eq!(n.load(Ordering::Relaxed), 2);
            workers.into_iter().for_each(|worker| worker.join());
        }
    });
}

#[test]
fn go_counts_until_the_end() {
    on_gs(|| {
        let group = WaitGroup::new();
        let sum = Arc::new(AtomicUsize::new(0));
        for n in 0..100 {
            let sum = sum.clone();
            group.go(move || sum.fetch_add(n, Ordering::Relaxed));
        }
        group.wait();
        assert_eq!(sum.load(Ordering::Relaxed), 4950);
        let g = group.go(|| 7);
        assert_eq!(g.join().unwrap(), 7);
        assert_eq!(group.count(), 0, "it is done before it can be joined");
    });
}

#[test]
fn one_that_panics_is_done() {
    on_gs(|| {
        let group = WaitGroup::new();
        let g = group.go(|| std::panic::resume_unwind(Box::new("a mistake")));
        group.wait();
        g.join().expect_err("it panicked");
        let token = group.token();
        let g = go(move || {
            let _token = token;
            std::panic::resume_unwind(Box::new("a mistake"))
        });
        group.wait();
        g.join().expect_err("it panicked");
    });
}

#[test]
fn what_a_goroutine_has_is_dropped_before_it_is_done() {
    struct OnDrop(Arc<AtomicUsize>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    on_gs(|| {
        let (group, n) = (WaitGroup::new(), Arc::new(AtomicUsize::new(0)));
        let value = OnDrop(n.clone());
        group.go(move || {
            let _value = &value;
        });
        group.wait();
        assert_eq!(n.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn go_outside_of_a_runtime_leaves_the_count() {
    let group = WaitGroup::new();
    message_of(|| _ = group.go(|| ()));
    assert_eq!(group.count(), 0);
}

#[test]
fn an_add_beside_a_wait_is_no_mistake() {
    everywhere(|kind| {
        for _ in 0..if kind == Kind::G { 2000 } else { 50 } {
            let group = WaitGroup::new();
            group.add(1);
            let [waits, adds] = [group.clone(), group.clone()];
            let workers = [
                kind.go(move || waits.wait()),
                kind.go(move || {
                    adds.add(1);
                    adds.done();
                }),
            ];
            group.done();
            workers.into_iter().for_each(|worker| worker.join());
        }
    });
}

#[test]
fn a_group_is_reused_at_once() {
    everywhere(|kind| {
        for _ in 0..if kind == Kind::G { 2000 } else { 50 } {
            let group = WaitGroup::new();
            group.add(1);
            let [done, waits] = [group.clone(), group.clone()];
            let workers = [
                kind.go(move || done.done()),
                kind.go(move || {
                    waits.wait();
                    waits.add(1);
                    let again = waits.clone();
                    let worker = kind.go(move || again.done());
                    waits.wait();
                    worker.join();
                }),
            ];
            group.wait();
            workers.into_iter().for_each(|worker| worker.join());
        }
    });
}

/// More than one turn tells: those of the last round return, and one of the next waits for its own.
#[test]
fn a_round_of_many_does_not_release_the_next() {
    on_gs(|| {
        let group = WaitGroup::new();
        group.add(1);
        let waiters: Vec<_> = (0..100)
            .map(|_| {
                Kind::G.go_and_wait({
                    let group = group.clone();
                    move || group.wait()
                })
            })
            .collect();
        group.done();
        group.add(1);
        assert!(!group.wait_timeout(Duration::from_millis(5)));
        waiters.into_iter().for_each(|waiter| waiter.join());
        group.done();
        group.wait();
    });
}

#[test]
fn a_token_counts_until_it_is_dropped() {
    let group = WaitGroup::new();
    let token = group.token();
    let others: Vec<Token> = (0..3).map(|_| token.clone()).collect();
    assert_eq!(group.count(), 4);
    assert!(!group.wait_timeout(Duration::from_millis(1)));
    drop(others);
    assert_eq!(token.group().count(), 1);
    drop(token);
    assert!(group.wait_timeout(Duration::ZERO));
}

#[test]
fn timeouts_of_nought_and_for_ever() {
    everywhere(|kind| {
        let group = WaitGroup::default();
        assert!(group.wait_timeout(Duration::ZERO));
        let token = group.token();
        assert!(!group.wait_timeout(Duration::ZERO));
        let waiter = kind.go({
            let group = group.clone();
            move || group.wait_timeout(Duration::MAX)
        });
        drop(token);
        assert!(waiter.join());
    });
}

#[test]
fn all_kinds_wait_for_one() {
    on_gs(|| {
        let group = WaitGroup::new();
        let token = group.token();
        let waiters = KINDS.map(|kind| {
            let group = group.clone();
            kind.go_and_wait(move || wait(kind, &group))
        });
        drop(token);
        waiters.into_iter().for_each(|waiter| waiter.join());
    });
}

#[test]
fn a_future_that_is_dropped_leaves_nothing() {
    let group = WaitGroup::new();
    let token = group.token();
    {
        let mut early = pin!(group.wait_async());
        let mut late = pin!(group.wait_async());
        assert!(poll_once(&mut early).is_pending());
        assert!(poll_once(&mut late).is_pending());
        assert!(poll_once(&mut early).is_pending());
    }
    let mut last = pin!(group.wait_async());
    assert!(poll_once(&mut last).is_pending());
    drop(token);
    assert!(poll_once(&mut last).is_ready());
}

#[test]
fn a_shutdown_unwinds_thousands_that_wait() {
    in_time(|| {
        let mut house = house(builder().procs(2));
        let group = WaitGroup::new();
        let outside = group.token();
        let waiters: Vec<_> = (0..5000)
            .map(|_| {
                let group = group.clone();
                house.go(move || group.wait())
            })
            .collect();
        let within = WaitGroup::new();
        house.run({
            let (group, within) = (group.clone(), within.clone());
            move || {
                for _ in 0..1000 {
                    let group = group.clone();
                    within.go(move || group.wait());
                }
            }
        });
        let handle = house.handle();
        eventually("all wait", || {
            handle.goroutines().iter().filter(|g| g.state == pirn_runtime::State::Waiting).count() == 6000
        });
        assert!(house.take().shutdown_timeout(Duration::from_secs(20)));
        for waiter in waiters {
            assert!(waiter.join().expect_err("it was unwound").is::<ShutDown>());
        }
        assert_eq!((group.count(), within.count()), (1, 0), "who was unwound is done");
        drop(outside);
        group.wait();
        house.check_empty();
    });
}
