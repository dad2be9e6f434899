//! Tests of others for semaphores, written anew as semantics, each under its name.
//!
//! tokio's `tests/sync_semaphore.rs` and, in `owned`, `tests/sync_semaphore_owned.rs`, from Gs, threads and tasks where
//! somebody waits. `blocking_acquire*` are the calls without `async` in their names, so `blocking_acquire`,
//! `blocking_acquire_many`, `blocking_acquire_closed`, `blocking_acquire_owned` and `blocking_acquire_many_owned` are
//! `what_blocks`, and `blocking_acquire_waits_for_permit` is `acquire`. Left out: `blocking_acquire_in_async_context`,
//! `blocking_acquire_many_in_async_context`, `blocking_acquire_owned_in_async_context` and
//! `blocking_acquire_many_owned_in_async_context`, as such a call may block a thread anywhere here;
//! `acquire_many_exceeds_maxpermits`, `acquire_many_top_bit_exceeds_maxpermits`, `acquire_many_owned_exceeds_maxpermits`
//! and `acquire_many_owned_top_bit_exceeds_maxpermits`, as an acquire of too many waits until the semaphore is closed
//! (`too_many_wait_until_it_is_closed`).
//!
//! tokio's batch semaphore (`src/sync/tests/semaphore_batch.rs`), in `batch`. A large amount waits here until all of it is
//! free, and there it takes what is free bit by bit; so what is said of free permits meanwhile differs in
//! `poll_acquire_many_unavailable` and `cancel_acquire_releases_permits`. `max_permits_doesnt_panic` is
//! `no_panic_at_maxpermits`, `validates_max_permits` is `panic_when_exceeds_maxpermits`. Left out, as above:
//! `try_acquire_validates_max_permits` (it says that there are too few), `acquire_validates_max_permits` and
//! `acquire_validates_top_bit_permits`. Its models (`loom_semaphore_batch.rs`: `basic_usage`, `release`, `basic_closing`,
//! `concurrent_close`, `concurrent_cancel`, `batch`, `release_during_acquire`, `concurrent_permit_updates`) are those of
//! `src/locks_loom.rs` for the semaphore.
//!
//! Go's `x/sync/semaphore` (semaphore_test.go), in `weighted`. Left out: `TestWeightedPanic`, as permits may be added
//! that were never acquired; `TestWeightedDoesntBlockIfTooBig`: a semaphore has no size here, so an amount may become
//! possible later, and keeps its place in the line. `TestAllocCancelDoesntStarve` and `TestWeightedAcquireCanceled` are in
//! `context_waits.rs`.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::{KINDS, Kind, on_gs};
use pirn_runtime::{block_on, sleep};
use pirn_sync::context::Context;
use pirn_sync::{AcquireError, Semaphore, TryAcquireError};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context as Task, Poll, Wake, Waker};
use std::time::Duration;

/// A future that is polled by hand, and how often it was woken.
struct Spawned<F> {
    future: Pin<Box<F>>,
    wakes: Arc<Wakes>,
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl<F: Future> Spawned<F> {
    fn poll(&mut self) -> Poll<F::Output> {
        self.future.as_mut().poll(&mut Task::from_waker(&Waker::from(self.wakes.clone())))
    }

    /// What it has now.
    #[track_caller]
    fn ready(&mut self) -> F::Output {
        match self.poll() {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("it waits"),
        }
    }

    fn is_woken(&self) -> bool {
        self.wakes.0.load(Ordering::Relaxed) > 0
    }
}

fn spawn<F: Future>(future: F) -> Spawned<F> {
    Spawned { future: Box::pin(future), wakes: Arc::default() }
}

/// What a future has at its first poll.
fn at_once<F: Future>(future: F) -> F::Output {
    spawn(future).ready()
}

/// A test on Gs, with workers of each kind.
fn with_all_kinds(test: impl Fn(Kind) + Sync) {
    on_gs(|| KINDS.into_iter().for_each(&test));
}

/// Acquires in the way of that kind, and gives back.
fn visit(kind: Kind, semaphore: &Semaphore, n: usize) -> Result<(), AcquireError> {
    match kind {
        Kind::Task => block_on(semaphore.acquire_async(n)).map(drop),
        _ => semaphore.acquire(n).map(drop),
    }
}

fn panics(f: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_err()
}

#[test]
fn no_permits() {
    assert_eq!(Semaphore::new(0).available(), 0);
}

#[test]
fn try_acquire() {
    let semaphore = Semaphore::new(1);
    {
        let _first = semaphore.try_acquire(1).expect("it is free");
        assert_eq!(semaphore.try_acquire(1).err(), Some(TryAcquireError::NoPermits));
    }
    assert!(semaphore.try_acquire(1).is_ok());
}

#[test]
fn acquire() {
    with_all_kinds(|kind| {
        let semaphore = Arc::new(Semaphore::new(1));
        let first = semaphore.try_acquire(1).expect("it is free");
        let second = {
            let semaphore = semaphore.clone();
            kind.go_and_wait(move || visit(kind, &semaphore, 1))
        };
        drop(first);
        assert_eq!(second.join(), Ok(()));
    });
}

#[test]
fn add_permits() {
    with_all_kinds(|kind| {
        let semaphore = Arc::new(Semaphore::new(0));
        let waits = {
            let semaphore = semaphore.clone();
            kind.go_and_wait(move || visit(kind, &semaphore, 1))
        };
        semaphore.add_permits(1);
        assert_eq!(waits.join(), Ok(()));
    });
}

// add_permits_open, add_permits_closed
#[test]
fn add_permits_open_or_closed() {
    for (size, add, close) in (0..4).flat_map(|size| (0..4).flat_map(move |n| [(size, n, false), (size, n, true)])) {
        let semaphore = Semaphore::new(size);
        if close {
            semaphore.close();
        }
        semaphore.add_permits(add);
        assert_eq!((semaphore.available(), semaphore.is_closed()), (size + add, close));
    }
}

// forget_open, forget_closed
#[test]
fn forget_open_or_closed() {
    for (size, sub, close) in (0..4).flat_map(|size| (0..4).flat_map(move |n| [(size, n, false), (size, n, true)])) {
        let semaphore = Semaphore::new(size);
        if close {
            semaphore.close();
        }
        let forgotten = semaphore.forget_permits(sub);
        assert_eq!((semaphore.available(), forgotten), (size.saturating_sub(sub), size.min(sub)));
        assert_eq!(semaphore.is_closed(), close);
    }
}

#[test]
fn close_drops_wakers_outside_lock() {
    struct ReleaseOnDrop(Arc<Semaphore>);
    impl Wake for ReleaseOnDrop {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for ReleaseOnDrop {
        fn drop(&mut self) {
            self.0.add_permits(1);
        }
    }
    let semaphore = Arc::new(Semaphore::new(0));
    let mut future = Box::pin(semaphore.acquire_async(1));
    let waker = Waker::from(Arc::new(ReleaseOnDrop(semaphore.clone())));
    assert!(future.as_mut().poll(&mut Task::from_waker(&waker)).is_pending());
    drop(waker);
    semaphore.close();
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn close_wakes_waiters_outside_lock() {
    struct ReleaseOnWake(Arc<Semaphore>);
    impl Wake for ReleaseOnWake {
        fn wake(self: Arc<Self>) {
            self.0.add_permits(1);
        }
    }
    let semaphore = Arc::new(Semaphore::new(0));
    let mut future = Box::pin(semaphore.acquire_async(1));
    let waker = Waker::from(Arc::new(ReleaseOnWake(semaphore.clone())));
    assert!(future.as_mut().poll(&mut Task::from_waker(&waker)).is_pending());
    semaphore.close();
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn close_wakes_all_waiters() {
    let semaphore = Semaphore::new(0);
    let mut waiters: Vec<_> = (0..100).map(|_| spawn(semaphore.acquire_async(1))).collect();
    assert!(waiters.iter_mut().all(|waiter| waiter.poll().is_pending()));
    semaphore.close();
    assert!(waiters.iter().all(Spawned::is_woken));
    assert!(waiters.iter_mut().all(|waiter| matches!(waiter.poll(), Poll::Ready(Err(AcquireError)))));
}

#[test]
fn forget() {
    let semaphore = Semaphore::new(1);
    semaphore.try_acquire(1).expect("it is free").forget();
    assert_eq!(semaphore.available(), 0);
    assert!(semaphore.try_acquire(1).is_err());
}

#[test]
fn merge() {
    let semaphore = Semaphore::new(3);
    let mut one = semaphore.try_acquire(1).expect("it is free");
    one.merge(semaphore.try_acquire(2).expect("they are free"));
    assert_eq!((semaphore.available(), one.count()), (0, 3));
    drop(one);
    assert_eq!(semaphore.available(), 3);
}

#[test]
fn merge_unrelated_permits() {
    let (semaphore, other) = (Semaphore::new(3), Semaphore::new(3));
    assert!(panics(|| semaphore.acquire(1).expect("open").merge(other.acquire(1).expect("open"))));
    assert_eq!((semaphore.available(), other.available()), (3, 3));
}

const MANY: usize = 3_000_000_000;

#[test]
fn merge_many_permits() {
    let semaphore = Semaphore::new(2 * MANY);
    let mut one = semaphore.try_acquire(MANY).expect("they are free");
    one.merge(semaphore.try_acquire(MANY).expect("they are free"));
    assert_eq!((semaphore.available(), one.count()), (0, 2 * MANY));
    drop(one);
    assert_eq!(semaphore.available(), 2 * MANY);
}

#[test]
fn split() {
    let semaphore = Semaphore::new(5);
    let mut one = semaphore.try_acquire(3).expect("they are free");
    let mut two = one.split(1).expect("it has three");
    let three = one.split(0).expect("it has two");
    assert_eq!([one.count(), two.count(), three.count(), semaphore.available()], [2, 1, 0, 2]);
    drop(one);
    assert_eq!(semaphore.available(), 4);
    let four = two.split(1).expect("it has one");
    assert_eq!((two.count(), four.count()), (0, 1));
    assert!(two.split(1).is_none());
    drop((two, three));
    assert_eq!(semaphore.available(), 4);
    drop(four);
    assert_eq!(semaphore.available(), 5);
}

#[test]
fn permit_semaphore() {
    let semaphore = Semaphore::new(1);
    assert!(std::ptr::eq(semaphore.acquire(1).expect("open").semaphore(), &semaphore));
}

#[test]
fn stress_test() {
    with_all_kinds(|kind| {
        let count = if kind == Kind::G { 1000 } else { 20 };
        let semaphore = Arc::new(Semaphore::new(5));
        let start = |_| {
            let semaphore = semaphore.clone();
            kind.go(move || visit(kind, &semaphore, 1))
        };
        let workers: Vec<_> = (0..count).map(start).collect();
        workers.into_iter().for_each(|worker| assert_eq!(worker.join(), Ok(())));
        let _all = semaphore.try_acquire(5).expect("all are back");
        assert!(semaphore.try_acquire(1).is_err());
    });
}

#[test]
fn add_max_amount_permits() {
    let semaphore = Semaphore::new(0);
    semaphore.add_permits(Semaphore::MAX_PERMITS);
    assert_eq!(semaphore.available(), Semaphore::MAX_PERMITS);
}

// add_more_than_max_amount_permits1, add_more_than_max_amount_permits2
#[test]
fn add_more_than_max_amount_permits() {
    let semaphore = Semaphore::new(1);
    assert!(panics(|| semaphore.add_permits(Semaphore::MAX_PERMITS)));
    assert_eq!(semaphore.available(), 1);
    let semaphore = Semaphore::new(Semaphore::MAX_PERMITS - 1);
    semaphore.add_permits(1);
    assert!(panics(|| semaphore.add_permits(1)));
}

#[test]
fn panic_when_exceeds_maxpermits() {
    assert!(panics(|| _ = Semaphore::new(Semaphore::MAX_PERMITS + 1)));
}

#[test]
fn no_panic_at_maxpermits() {
    assert_eq!(Semaphore::new(Semaphore::MAX_PERMITS).available(), Semaphore::MAX_PERMITS);
    Semaphore::new(Semaphore::MAX_PERMITS - 1).add_permits(1);
}

/// An acquire of none does not wait behind others.
#[test]
fn none_are_to_be_had_while_others_wait() {
    let semaphore = Semaphore::new(0);
    let mut waits = spawn(semaphore.acquire_async(1));
    assert!(waits.poll().is_pending());
    assert!(semaphore.try_acquire(0).is_ok());
    assert_eq!(at_once(semaphore.acquire_async(0)).expect("open").count(), 0);
}

#[test]
fn what_blocks() {
    with_all_kinds(|kind| {
        let semaphore = Arc::new(Semaphore::new(5));
        let works = {
            let semaphore = semaphore.clone();
            kind.go(move || {
                let permit = semaphore.acquire(3).expect("open");
                assert_eq!(semaphore.available(), 2);
                drop(permit);
                let permit = semaphore.acquire_owned(4).expect("open");
                assert_eq!((semaphore.available(), permit.count()), (1, 4));
                drop(permit);
                semaphore.close();
                assert_eq!(semaphore.acquire(1).err(), Some(AcquireError));
                assert_eq!(semaphore.acquire_owned(2).err(), Some(AcquireError));
            })
        };
        works.join();
        assert_eq!(semaphore.available(), 5);
    });
}

#[test]
fn too_many_wait_until_it_is_closed() {
    let semaphore = Arc::new(Semaphore::new(0));
    for n in [Semaphore::MAX_PERMITS + 1, 1 << (usize::BITS - 1), usize::MAX] {
        assert_eq!(semaphore.try_acquire(n).err(), Some(TryAcquireError::NoPermits));
    }
    let mut one = spawn(semaphore.acquire_async(Semaphore::MAX_PERMITS + 1));
    let mut other = spawn(semaphore.acquire_owned_async(usize::MAX));
    assert!(one.poll().is_pending() && other.poll().is_pending());
    semaphore.add_permits(Semaphore::MAX_PERMITS);
    assert!(one.poll().is_pending() && other.poll().is_pending());
    semaphore.close();
    assert!(matches!((one.poll(), other.poll()), (Poll::Ready(Err(_)), Poll::Ready(Err(_)))));
}

/// tests/sync_semaphore_owned.rs
mod owned {
    use super::*;

    // try_acquire, try_acquire_many
    #[test]
    fn try_acquire() {
        let semaphore = Arc::new(Semaphore::new(42));
        {
            let all = semaphore.try_acquire_owned(42).expect("they are free");
            assert!(Arc::ptr_eq(all.semaphore(), &semaphore));
            assert_eq!(semaphore.try_acquire_owned(1).err(), Some(TryAcquireError::NoPermits));
        }
        let _many = semaphore.try_acquire_owned(32).expect("they are free");
        let _rest = semaphore.try_acquire_owned(10).expect("they are free");
        assert!(semaphore.try_acquire_owned(1).is_err());
    }

    // acquire, add_permits
    #[test]
    fn acquire() {
        with_all_kinds(|kind| {
            let semaphore = Arc::new(Semaphore::new(1));
            let first = semaphore.try_acquire_owned(1).expect("it is free");
            let second = {
                let semaphore = semaphore.clone();
                kind.go_and_wait(move || match kind {
                    Kind::Task => block_on(semaphore.acquire_owned_async(2)),
                    _ => semaphore.acquire_owned(2),
                })
            };
            drop(first);
            semaphore.add_permits(1);
            // It is given to another, and goes back from there.
            let permits = second.join().expect("open");
            assert_eq!((permits.count(), semaphore.available()), (2, 0));
            Kind::G.go(move || drop(permits)).join();
            assert_eq!(semaphore.available(), 2);
        });
    }

    #[test]
    fn acquire_many() {
        with_all_kinds(|kind| {
            let semaphore = Arc::new(Semaphore::new(42));
            let many = semaphore.try_acquire_owned(32).expect("they are free");
            let works = {
                let semaphore = semaphore.clone();
                kind.go_and_wait(move || {
                    let _rest = semaphore.acquire_owned(10).expect("open");
                    semaphore.acquire_owned(32).map(drop)
                })
            };
            drop(many);
            assert_eq!(works.join(), Ok(()));
            assert_eq!(semaphore.available(), 42);
        });
    }

    #[test]
    fn forget() {
        let semaphore = Arc::new(Semaphore::new(1));
        semaphore.try_acquire_owned(1).expect("it is free").forget();
        assert_eq!(semaphore.available(), 0);
        // The semaphore is not kept by it.
        assert_eq!(Arc::strong_count(&semaphore), 1);
    }

    // merge, merge_unrelated_permits, merge_many_permits_owned
    #[test]
    fn merge() {
        let semaphore = Arc::new(Semaphore::new(2 * MANY));
        let mut one = semaphore.try_acquire_owned(MANY).expect("they are free");
        one.merge(semaphore.try_acquire_owned(MANY).expect("they are free"));
        assert_eq!((semaphore.available(), one.count()), (0, 2 * MANY));
        let other = Arc::new(Semaphore::new(1));
        assert!(panics(|| one.merge(other.try_acquire_owned(1).expect("it is free"))));
        assert_eq!((semaphore.available(), other.available()), (0, 1));
        drop(one);
        assert_eq!(semaphore.available(), 2 * MANY);
    }

    #[test]
    fn split() {
        let semaphore = Arc::new(Semaphore::new(5));
        let mut one = semaphore.try_acquire_owned(3).expect("they are free");
        let mut two = one.split(1).expect("it has three");
        let three = one.split(0).expect("it has two");
        assert_eq!([one.count(), two.count(), three.count(), semaphore.available()], [2, 1, 0, 2]);
        drop(one);
        let four = two.split(1).expect("it has one");
        assert!(two.split(1).is_none());
        drop((two, three));
        assert_eq!(semaphore.available(), 4);
        drop(four);
        assert_eq!(semaphore.available(), 5);
    }

    #[test]
    fn stress_test() {
        with_all_kinds(|kind| {
            let count = if kind == Kind::G { 1000 } else { 20 };
            let semaphore = Arc::new(Semaphore::new(5));
            // A permit is acquired here, and goes back there.
            let start = |_| {
                let permit = semaphore.acquire_owned(1).expect("open");
                kind.go(move || drop(permit))
            };
            let workers: Vec<_> = (0..count).map(start).collect();
            workers.into_iter().for_each(crew::Worker::join);
            assert_eq!(semaphore.available(), 5);
        });
    }

    #[test]
    fn with_a_context() {
        let semaphore = Arc::new(Semaphore::new(1));
        let (context, cancel) = Context::background().with_cancel();
        let permit = semaphore.acquire_owned_ctx(&context, 1).expect("it is free");
        cancel.cancel();
        assert!(semaphore.acquire_owned_ctx(&context, 1).is_err());
        drop(permit);
        assert_eq!(semaphore.available(), 1);
    }
}

/// src/sync/tests/semaphore_batch.rs
mod batch {
    use super::*;

    // poll_acquire_one_available, poll_acquire_many_available, try_acquire_one_available, try_acquire_many_available
    #[test]
    fn acquire_available() {
        let semaphore = Semaphore::new(100);
        for (n, left) in [(1, 99), (5, 94), (5, 89)] {
            at_once(semaphore.acquire_async(n)).expect("open").forget();
            assert_eq!(semaphore.available(), left);
        }
        for (n, left) in [(1, 88), (5, 83), (5, 78)] {
            semaphore.try_acquire(n).expect("they are free").forget();
            assert_eq!(semaphore.available(), left);
        }
    }

    #[test]
    fn poll_acquire_one_unavailable() {
        let semaphore = Semaphore::new(1);
        let first = at_once(semaphore.acquire_async(1)).expect("open");
        let mut second = spawn(semaphore.acquire_async(1));
        assert!(second.poll().is_pending());
        drop(first);
        assert_eq!(semaphore.available(), 0);
        assert!(second.is_woken());
        let permit = second.poll();
        assert!(matches!(permit, Poll::Ready(Ok(_))));
        assert_eq!(semaphore.available(), 0);
        drop(permit);
        assert_eq!(semaphore.available(), 1);
    }

    #[test]
    fn poll_acquire_many_unavailable() {
        let semaphore = Semaphore::new(5);
        at_once(semaphore.acquire_async(1)).expect("open").forget();
        let mut five = spawn(semaphore.acquire_async(5));
        let mut three = spawn(semaphore.acquire_async(3));
        assert!(five.poll().is_pending() && three.poll().is_pending());
        assert!(semaphore.try_acquire(1).is_err(), "nobody overtakes");
        semaphore.add_permits(1);
        assert!(five.is_woken());
        five.ready().expect("open").forget();
        assert!(!three.is_woken());
        assert_eq!(semaphore.available(), 0);
        semaphore.add_permits(1);
        assert!(!three.is_woken());
        semaphore.add_permits(2);
        assert!(three.is_woken());
        assert!(matches!(three.poll(), Poll::Ready(Ok(_))));
    }

    // try_acquire_one_unavailable, try_acquire_many_unavailable
    #[test]
    fn try_acquire_unavailable() {
        let semaphore = Semaphore::new(5);
        semaphore.try_acquire(1).expect("it is free").forget();
        assert!(semaphore.try_acquire(5).is_err());
        assert_eq!(semaphore.available(), 4);
        semaphore.add_permits(1);
        semaphore.try_acquire(5).expect("they are free").forget();
        assert!(semaphore.try_acquire(1).is_err());
        semaphore.add_permits(1);
        semaphore.add_permits(1);
        assert_eq!(semaphore.available(), 2);
    }

    #[test]
    fn poll_acquire_one_zero_permits() {
        let semaphore = Semaphore::new(0);
        let mut acquire = spawn(semaphore.acquire_async(1));
        assert!(acquire.poll().is_pending());
        semaphore.add_permits(1);
        assert!(acquire.is_woken());
        assert!(matches!(acquire.poll(), Poll::Ready(Ok(_))));
    }

    #[test]
    fn close_semaphore_prevents_acquire() {
        let semaphore = Semaphore::new(5);
        semaphore.close();
        for _ in 0..2 {
            assert_eq!(at_once(semaphore.acquire_async(1)).err(), Some(AcquireError));
            assert_eq!(semaphore.available(), 5);
        }
    }

    // close_semaphore_notifies_permit1, close_semaphore_notifies_permit2
    #[test]
    fn close_semaphore_notifies_permit() {
        let semaphore = Semaphore::new(2);
        let _held = at_once(semaphore.acquire_async(2)).expect("open");
        let mut waiters = [spawn(semaphore.acquire_async(1)), spawn(semaphore.acquire_async(1))];
        assert!(waiters.iter_mut().all(|waiter| waiter.poll().is_pending()));
        semaphore.close();
        assert!(waiters.iter().all(Spawned::is_woken));
        assert!(waiters.iter_mut().all(|waiter| matches!(waiter.poll(), Poll::Ready(Err(_)))));
        assert_eq!(semaphore.available(), 0);
        semaphore.add_permits(1);
        assert_eq!(semaphore.available(), 1);
        assert!(at_once(semaphore.acquire_async(1)).is_err());
    }

    #[test]
    fn cancel_acquire_releases_permits() {
        let semaphore = Semaphore::new(10);
        semaphore.try_acquire(4).expect("they are free").forget();
        let mut acquire = spawn(semaphore.acquire_async(8));
        assert!(acquire.poll().is_pending());
        assert!(semaphore.try_acquire(1).is_err(), "nobody overtakes");
        drop(acquire);
        assert_eq!(semaphore.available(), 6);
        assert!(semaphore.try_acquire(6).is_ok());
    }

    #[test]
    fn release_permits_at_drop() {
        struct ReleaseOnDrop(Arc<Semaphore>, bool);
        impl Wake for ReleaseOnDrop {
            fn wake(self: Arc<Self>) {}
        }
        impl Drop for ReleaseOnDrop {
            fn drop(&mut self) {
                if self.1 {
                    self.0.add_permits(1);
                }
            }
        }
        let semaphore = Arc::new(Semaphore::new(1));
        let mut future = Box::pin(semaphore.acquire_async(1));
        // The second waker takes the place of the first, which is dropped then, and that gives a permit back.
        for _ in 0..2 {
            let has_it = semaphore.try_acquire(1).map(|permit| permit.forget()).is_ok();
            let waker = Waker::from(Arc::new(ReleaseOnDrop(semaphore.clone(), has_it)));
            _ = future.as_mut().poll(&mut Task::from_waker(&waker));
        }
        assert!(future.as_mut().poll(&mut Task::from_waker(Waker::noop())).is_ready());
    }

    // forget_permits_basic, update_permits_many_times
    #[test]
    fn update_permits() {
        let semaphore = Semaphore::new(10);
        assert_eq!((semaphore.forget_permits(4), semaphore.available()), (4, 6));
        assert_eq!((semaphore.forget_permits(10), semaphore.available()), (6, 0));
        let semaphore = Semaphore::new(5);
        let mut acquire = spawn(semaphore.acquire_async(7));
        assert!(acquire.poll().is_pending());
        semaphore.add_permits(5);
        acquire.ready().expect("open").forget();
        assert_eq!((semaphore.available(), semaphore.forget_permits(3), semaphore.available()), (3, 3, 0));
    }
}

/// Go's `x/sync/semaphore`.
mod weighted {
    use super::*;

    // TestWeighted
    #[test]
    fn weighted() {
        with_all_kinds(|kind| {
            let n = 4;
            let semaphore = Arc::new(Semaphore::new(n));
            let hammer = |weight: usize| {
                let semaphore = semaphore.clone();
                kind.go(move || {
                    for turn in 0..50 {
                        let permit = semaphore.acquire(weight).expect("open");
                        sleep(Duration::from_micros(turn * 7 % 50));
                        drop(permit);
                    }
                })
            };
            let workers: Vec<_> = (0..n).map(hammer).collect();
            workers.into_iter().for_each(crew::Worker::join);
            assert_eq!(semaphore.available(), n);
        });
    }

    // TestWeightedTryAcquire, TestWeightedAcquire
    #[test]
    fn tries() {
        let by_time = |semaphore: &Semaphore| {
            let (context, _cancel) = Context::background().with_timeout(Duration::from_millis(10));
            semaphore.acquire_ctx(&context, 1).map(|permit| permit.forget()).is_ok()
        };
        let at_once = |semaphore: &Semaphore| semaphore.try_acquire(1).map(|permit| permit.forget()).is_ok();
        for acquire in [&by_time as &dyn Fn(&Semaphore) -> bool, &at_once] {
            let semaphore = Semaphore::new(2);
            semaphore.acquire(1).expect("open").forget();
            let before = [acquire(&semaphore), acquire(&semaphore)];
            semaphore.add_permits(2);
            let first = acquire(&semaphore);
            semaphore.acquire(1).expect("open").forget();
            assert_eq!((before, first, acquire(&semaphore)), ([true, false], true, false));
        }
    }

    // TestLargeAcquireDoesntStarve
    #[test]
    fn large_acquire_doesnt_starve() {
        with_all_kinds(|kind| {
            let n = 4;
            let semaphore = Arc::new(Semaphore::new(n));
            let runs = Arc::new(AtomicBool::new(true));
            let start = |_| {
                let (semaphore, runs) = (semaphore.clone(), runs.clone());
                let mut permit = semaphore.acquire_owned(1).expect("open");
                kind.go(move || {
                    while runs.load(Ordering::Relaxed) {
                        sleep(Duration::from_micros(100));
                        drop(permit);
                        permit = semaphore.acquire_owned(1).expect("open");
                    }
                })
            };
            let workers: Vec<_> = (0..n).map(start).collect();
            let all = semaphore.acquire(n).expect("open");
            runs.store(false, Ordering::Relaxed);
            drop(all);
            workers.into_iter().for_each(crew::Worker::join);
        });
    }
}
