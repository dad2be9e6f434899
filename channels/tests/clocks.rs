//! Async receives from channels of the clock, with the timers of a runtime and without one. One test, for it looks at the
//! threads of the whole process.

mod crew;

use crew::common::{eventually, runtime};
use crew::in_time;
use pirn_channels::{after, at, never, select, tick};
use pirn_runtime::block_on;
use std::fs;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(2);
const LATE: Duration = Duration::from_secs(3600);

/// Whether the thread has been started that serves those without a runtime.
fn is_helped() -> bool {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux");
    let mut names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.any(|name| name.starts_with("futures-timer"))
}

/// Waits for a moment, for ticks, and for the first of two.
fn use_clocks() {
    block_on(async {
        let due = Instant::now() + SOON;
        assert_eq!(at(due).recv_async().await, Ok(due));
        assert!(Instant::now() >= due);
        let (began, ticks) = (Instant::now(), tick(SOON));
        for _ in 0..3 {
            ticks.recv_async().await.expect("it ticks for ever");
        }
        assert!(began.elapsed() >= 3 * SOON);
        let (late, soon, none) = (after(LATE), after(SOON), never::<()>());
        let mut late = Box::pin(late.recv_async());
        let mut soon = Box::pin(soon.recv_async());
        let mut none = Box::pin(none.recv_async());
        poll_fn(|context| {
            assert!(late.as_mut().poll(context).is_pending());
            assert!(none.as_mut().poll(context).is_pending());
            soon.as_mut().poll(context)
        })
        .await
        .expect("it comes");
    });
}

/// Counts how often it is woken.
#[derive(Default)]
struct Counts(AtomicUsize);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The last waker is the one that counts, and the alarm goes with its future.
fn change_wakers() {
    let wakers: [Arc<Counts>; 2] = Default::default();
    let polls = |n: usize, future: &mut std::pin::Pin<Box<pirn_channels::RecvFuture<'_, Instant>>>| {
        future.as_mut().poll(&mut Context::from_waker(&Waker::from(wakers[n].clone())))
    };
    let clock = after(SOON);
    let mut future = Box::pin(clock.recv_async());
    assert!(polls(0, &mut future).is_pending());
    if polls(1, &mut future).is_pending() {
        while wakers[1].0.load(Ordering::Relaxed) == 0 {
            pirn_runtime::sleep(SOON);
        }
        assert!(matches!(polls(1, &mut future), Poll::Ready(Ok(_))));
    }
    drop(future);
    let clock = after(LATE);
    let mut future = Box::pin(clock.recv_async());
    assert!(polls(0, &mut future).is_pending());
    drop(future);
    // Off the runtimes its thread may look at it a little longer.
    eventually("nobody holds it any more", || wakers.iter().all(|waker| Arc::strong_count(waker) == 1));
    // A clock that another has emptied never gives anything.
    let clock = at(Instant::now());
    let mut future = Box::pin(clock.recv_async());
    select! { recv(clock) -> moment => assert!(moment.is_ok()) }
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

/// A task that was polled on a G first goes on elsewhere when that runtime has ended.
fn outlive_the_runtime() {
    let clock = after(5 * SOON);
    let mut future = Box::pin(clock.recv_async());
    let house = runtime(1);
    let is_pending = house.run(|| future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    house.close();
    if is_pending {
        block_on(future).expect("it comes");
    }
}

/// They started the thread of futures-timer, and no deadlock was reported any more.
#[test]
fn async_receives_on_gs_need_no_thread_of_others() {
    in_time(|| {
        for procs in [1, 2] {
            let house = runtime(procs);
            house.run(|| {
                use_clocks();
                change_wakers();
            });
            // Nothing is left in the heaps.
            assert_eq!(house.metrics().timers, 0);
            house.close();
        }
        assert!(!is_helped(), "there were timers on the spot");
        // Without a runtime it works too.
        use_clocks();
        change_wakers();
        outlive_the_runtime();
        assert!(is_helped());
    });
}
