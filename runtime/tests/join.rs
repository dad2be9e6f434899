//! Handles that wait in other ways than by `join`: for some time, and as futures.

mod common;

use common::{Census, Rng, eventually, runtime, seed, stress_secs};
use pirn_runtime::{JoinHandle, ShutDown, Unparker, block_on, go, park, sleep, yield_now};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(2);
const LATE: Duration = Duration::from_secs(3600);

/// A G that ends when it is told, and what tells it.
fn waits<T: Send + 'static>(result: T) -> (JoinHandle<T>, impl FnOnce()) {
    let told = Arc::new(AtomicBool::new(false));
    let (seen, me) = (told.clone(), Arc::new(std::sync::OnceLock::new()));
    let unparker = me.clone();
    let g = go(move || {
        me.set(Unparker::current()).expect("once");
        while !seen.load(Ordering::Acquire) {
            park();
        }
        result
    });
    let tell = move || {
        told.store(true, Ordering::Release);
        if let Some(unparker) = unparker.get() {
            unparker.unpark();
        }
    };
    (g, tell)
}

#[derive(Default)]
struct Counts(AtomicUsize);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counts {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn poll<T>(g: &mut JoinHandle<T>, waker: &Waker) -> Poll<thread::Result<T>> {
    Pin::new(g).poll(&mut Context::from_waker(waker))
}

#[test]
fn a_join_with_a_timeout_gives_the_handle_back() {
    for procs in [1, 2] {
        let house = runtime(procs);
        house.run(|| {
            let (g, tell) = waits(5);
            let g = g.join_timeout(SOON).expect_err("it waits");
            let g = g.join_timeout(Duration::ZERO).expect_err("it waits");
            tell();
            let result = g.join_timeout(LATE).expect("in time");
            assert_eq!(result.expect("it returns"), 5);
            assert_eq!(go(|| 6).join_timeout(Duration::MAX).expect("in time").expect("it returns"), 6);
            let failed = go(|| resume_unwind(Box::new(7))).join_timeout(LATE).expect("in time");
            assert_eq!(failed.expect_err("it panics").downcast_ref(), Some(&7));
        });
        let house_g = house.go(|| sleep(2 * SOON));
        // From a thread.
        match house_g.join_timeout(Duration::from_micros(1)) {
            Err(g) => g.join().expect("it sleeps"),
            Ok(result) => result.expect("it sleeps"),
        }
        assert_eq!(house.metrics().timers, 0);
        house.close();
    }
}

#[test]
fn a_handle_is_a_future() {
    let house = runtime(1);
    house.run(|| {
        let sum = block_on(async {
            let (a, b) = (go(|| 1), go(|| 2));
            a.await.expect("it returns") + b.await.expect("it returns")
        });
        assert_eq!(sum, 3);
        let (g, tell) = waits("late");
        let teller = go(move || {
            sleep(SOON);
            tell();
        });
        assert_eq!(block_on(g).expect("it returns"), "late");
        block_on(teller).expect("it tells");
        let payload = block_on(go(|| resume_unwind(Box::new(1)))).expect_err("it panics");
        assert!(payload.is::<i32>());
    });
    let g = house.go(|| sleep(SOON));
    block_on(g).expect("also from a thread");
    house.close();
}

#[test]
fn it_may_be_polled_left_and_joined() {
    let house = runtime(1);
    house.run(|| {
        let counts: [Arc<Counts>; 2] = Default::default();
        let wakers = counts.clone().map(Waker::from);
        let (mut g, tell) = waits(1);
        assert!(poll(&mut g, &wakers[0]).is_pending());
        assert!(poll(&mut g, &wakers[1]).is_pending());
        assert_eq!(Arc::strong_count(&counts[0]), 2, "only the last waker is kept");
        let mut g = g.join_timeout(SOON).expect_err("it waits");
        assert!(poll(&mut g, &wakers[1]).is_pending());
        tell();
        while !g.is_finished() {
            yield_now();
        }
        eventually("it is woken", || counts[1].get() == 1);
        assert!(matches!(poll(&mut g, &wakers[0]), Poll::Ready(Ok(1))));
        let again = catch_unwind(AssertUnwindSafe(|| poll(&mut g, &wakers[0]).is_pending()));
        assert!(again.is_err(), "polled again");
        assert!(g.is_finished());
        assert_eq!(format!("{g:?}"), "JoinHandle(its result was given)");
        drop(g);
        // Polled, then joined: whether it was woken before that is not known. Then one that is dropped.
        let (mut g, tell) = waits(2);
        assert!(poll(&mut g, &wakers[1]).is_pending());
        tell();
        assert_eq!(g.join().expect("it returns"), 2);
        let census = Census::default();
        let (mut g, tell) = waits(census.count());
        assert!(poll(&mut g, &wakers[0]).is_pending());
        drop(g);
        tell();
        eventually("its result is dropped", || census.living() == 0);
        assert_eq!(counts[0].get(), 0);
        assert!(counts.iter().all(|counts| Arc::strong_count(counts) == 2));
    });
    house.close();
}

/// A waker is the user's code: it may panic, use thread-locals, and join.
#[test]
fn wakers_may_do_anything() {
    thread_local!(static USED: Census = Census::default());
    struct Wakes(AtomicUsize);
    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            USED.with(|census| drop(census.count()));
            self.0.fetch_add(1, Ordering::Relaxed);
            resume_unwind(Box::new("on purpose"));
        }
    }
    let house = runtime(1);
    house.run(|| {
        let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
        let (mut g, tell) = waits(1);
        assert!(poll(&mut g, &Waker::from(wakes.clone())).is_pending());
        tell();
        while wakes.0.load(Ordering::Relaxed) == 0 {
            yield_now();
        }
        assert_eq!(g.join().expect("it returns"), 1);
    });
    house.close();
}

#[test]
fn a_task_hears_of_a_shutdown() {
    let house = runtime(1);
    let g = house.go(park);
    let task = thread::spawn(move || block_on(g));
    eventually("it waits", || house.goroutines().iter().any(|g| g.waiting_for.is_some()));
    house.close();
    let payload = task.join().expect("it ends").expect_err("it was unwound");
    assert!(payload.is::<ShutDown>());
}

/// It waits for a G that waits for it to end: both are unwound, and the handle detaches.
#[test]
fn a_join_with_a_timeout_is_unwound_by_a_shutdown() {
    let mut house = runtime(1);
    let census = Census::default();
    let counted = census.count();
    let joins = house.go(move || {
        let waits = go(move || {
            let _counted = counted;
            park();
        });
        waits.join_timeout(LATE).is_ok()
    });
    eventually("both wait", || house.goroutines().iter().filter(|g| g.waiting_for.is_some()).count() == 2);
    assert!(house.take().shutdown_timeout(Duration::from_secs(30)));
    house.check_empty();
    assert!(joins.join().expect_err("it was unwound").is::<ShutDown>());
    assert_eq!(census.living(), 0);
}

#[test]
fn handles_in_all_ways_at_random() {
    let mut rng = Rng::new(seed("handles_in_all_ways_at_random"));
    let until = Instant::now() + Duration::from_secs(stress_secs());
    let house = runtime(2);
    let census = Census::default();
    while Instant::now() < until {
        let work = |mut rng: Rng, census: Census| {
            move || {
                for _ in 0..200 {
                    let counted = census.count();
                    let turns = rng.below(3);
                    let mut g = go(move || {
                        (0..turns).for_each(|_| yield_now());
                        counted
                    });
                    if rng.below(2) == 0 && poll(&mut g, Waker::noop()).is_ready() {
                        continue;
                    }
                    match rng.below(5) {
                        0 => drop(g),
                        1 => drop(g.join()),
                        2 => drop(block_on(g)),
                        3 => drop(g.join_timeout(Duration::from_micros(rng.below(20) as u64))),
                        _ => block_on(poll_fn(|context| {
                            _ = Pin::new(&mut g).poll(context).is_ready();
                            Poll::Ready(())
                        })),
                    }
                }
            }
        };
        let workers: Vec<_> = (0..4).map(|_| house.go(work(Rng::new(rng.next()), census.clone()))).collect();
        for worker in workers {
            worker.join().expect("no worker fails");
        }
    }
    eventually("every result is dropped", || census.living() == 0);
    house.close();
}
