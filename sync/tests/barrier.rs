//! The barrier, for goroutines, threads and async tasks.
//!
//! std's `library/std/tests/sync/barrier.rs`: `test_barrier` is `one_of_all_is_the_leader`, for each kind and from Gs in
//! both modes. `check_barrier_is_ref_unwind_safe` is `a_barrier_is_unwind_safe`. None is left out.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::common::{builder, eventually, house};
use crew::{KINDS, Kind, everywhere, in_time, on_gs, poll_once};
use pirn_channels::unbounded;
use pirn_runtime::{ShutDown, block_on};
use pirn_sync::Barrier;
use std::panic::RefUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Waits in the way of that kind.
fn is_leader(kind: Kind, barrier: &Barrier) -> bool {
    match kind {
        Kind::Task => block_on(barrier.wait_async()).is_leader(),
        _ => barrier.wait().is_leader(),
    }
}

#[test]
fn one_of_all_is_the_leader() {
    const N: usize = 10;
    fn test(kind: Kind) {
        let barrier = Arc::new(Barrier::new(N));
        let (s, r) = unbounded();
        let workers: Vec<_> = (0..N - 1)
            .map(|_| {
                let (s, barrier) = (s.clone(), barrier.clone());
                kind.go(move || s.send(is_leader(kind, &barrier)).unwrap())
            })
            .collect();
        assert!(r.try_recv().is_err());
        let mut leaders = usize::from(is_leader(kind, &barrier));
        for _ in 0..N - 1 {
            leaders += usize::from(r.recv().unwrap());
        }
        assert_eq!(leaders, 1);
        workers.into_iter().for_each(|worker| worker.join());
    }
    everywhere(test);
    test(Kind::Task);
}

#[test]
fn a_barrier_is_unwind_safe() {
    fn check<T: RefUnwindSafe + Send + Sync>() {}
    check::<Arc<Barrier>>();
}

#[test]
fn a_barrier_of_nought_or_one_lets_each_lead() {
    for n in [0, 1] {
        let barrier = Barrier::new(n);
        for _ in 0..3 {
            assert!(barrier.wait().is_leader());
            assert!(barrier.wait_timeout(Duration::ZERO).unwrap().is_leader());
            assert!(block_on(barrier.wait_async()).is_leader());
        }
    }
}

/// Nobody is ahead of a round by more than one, with more waiters than one turn tells.
#[test]
fn rounds_follow_each_other() {
    on_gs(|| {
        const N: usize = 40;
        const ROUNDS: usize = 50;
        let shared = Arc::new((Barrier::new(N), [const { AtomicUsize::new(0) }; ROUNDS], AtomicUsize::new(0)));
        let workers: Vec<_> = (0..N)
            .map(|_| {
                let shared = shared.clone();
                Kind::G.go(move || {
                    let (barrier, arrived, leaders) = &*shared;
                    for round in arrived {
                        round.fetch_add(1, Ordering::Relaxed);
                        if barrier.wait().is_leader() {
                            leaders.fetch_add(1, Ordering::Relaxed);
                        }
                        assert_eq!(round.load(Ordering::Relaxed), N);
                    }
                })
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join());
        assert_eq!(shared.2.load(Ordering::Relaxed), ROUNDS);
    });
}

#[test]
fn kinds_meet() {
    on_gs(|| {
        let barrier = Arc::new(Barrier::new(3));
        let workers = KINDS.map(|kind| {
            let barrier = barrier.clone();
            kind.go(move || (0..20).filter(|_| is_leader(kind, &barrier)).count())
        });
        assert_eq!(workers.into_iter().map(|worker| worker.join()).sum::<usize>(), 20);
    });
}

#[test]
fn one_whose_time_is_over_has_not_arrived() {
    everywhere(|kind| {
        let barrier = Arc::new(Barrier::new(2));
        assert!(barrier.wait_timeout(Duration::ZERO).is_none());
        assert!(barrier.wait_timeout(Duration::from_millis(2)).is_none());
        let other = barrier.clone();
        let worker = kind.go(move || other.wait_timeout(Duration::MAX).unwrap().is_leader());
        assert_ne!(barrier.wait().is_leader(), worker.join());
    });
}

#[test]
fn a_future_that_is_dropped_has_not_arrived() {
    let barrier = Barrier::new(2);
    {
        let mut arrival = pin!(barrier.wait_async());
        assert!(poll_once(&mut arrival).is_pending());
        assert!(poll_once(&mut arrival).is_pending());
    }
    assert!(barrier.wait_timeout(Duration::ZERO).is_none());
    let mut arrival = pin!(barrier.wait_async());
    assert!(poll_once(&mut arrival).is_pending());
    assert!(barrier.wait().is_leader());
    assert!(poll_once(&mut arrival).is_ready());
    {
        // One that has passed has arrived, though it does not look.
        let mut arrival = pin!(barrier.wait_async());
        assert!(poll_once(&mut arrival).is_pending());
        assert!(barrier.wait().is_leader());
    }
    assert!(barrier.wait_timeout(Duration::ZERO).is_none());
}

#[test]
fn a_shutdown_unwinds_thousands_that_wait() {
    in_time(|| {
        let mut house = house(builder().procs(2));
        let barrier = Arc::new(Barrier::new(3001));
        let waiters: Vec<_> = (0..3000)
            .map(|_| {
                let barrier = barrier.clone();
                house.go(move || _ = barrier.wait())
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
        assert!(barrier.wait_timeout(Duration::ZERO).is_none(), "nobody has arrived");
        house.check_empty();
    });
}
