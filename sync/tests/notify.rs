//! The notification, for goroutines, threads and async tasks.
//!
//! tokio's `tests/sync_notify.rs`, as semantics: each under its own name, with a waker that counts in place of
//! `tokio_test::task`; `notify_in_drop_after_wake` is `a_waker_that_notifies_when_it_is_dropped`. Left out are
//! `notify_multi_notified_last` and `notified_multi_notify_last_drop`, as there is no `notify_last`; and
//! `tests/sync_notify_owned.rs`, which has the same tests again for `notified_owned`: a `Notified` borrows, and an `async
//! move` block with an `Arc<Notify>` owns.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::common::{builder, eventually, house};
use crew::{KINDS, Kind, everywhere, in_time, on_gs};
use pirn_runtime::{ShutDown, block_on};
use pirn_sync::{Notified, Notify};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// A future that is polled by hand, and how often it was woken.
struct Spawned<'a> {
    future: Pin<Box<Notified<'a>>>,
    wakes: Arc<Wakes>,
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Spawned<'_> {
    fn poll(&mut self) -> Poll<()> {
        let waker = Waker::from(self.wakes.clone());
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn is_woken(&self) -> bool {
        self.wakes.0.load(Ordering::Relaxed) > 0
    }
}

fn spawn(notify: &Notify) -> Spawned<'_> {
    Spawned { future: Box::pin(notify.notified()), wakes: Arc::default() }
}

/// Waits in the way of that kind.
fn wait(kind: Kind, notify: &Notify) {
    match kind {
        Kind::Task => block_on(notify.notified()),
        _ => notify.wait(),
    }
}

#[test]
fn notify_notified_one() {
    let notify = Notify::new();
    let mut notified = spawn(&notify);
    notify.notify_one();
    assert!(notified.poll().is_ready());
}

#[test]
fn notified_one_notify() {
    let notify = Notify::new();
    let mut notified = spawn(&notify);
    assert!(notified.poll().is_pending());
    notify.notify_one();
    assert!(notified.is_woken());
    assert!(notified.poll().is_ready());
}

#[test]
fn notified_multi_notify() {
    let notify = Notify::new();
    let [mut first, mut second] = [spawn(&notify), spawn(&notify)];
    assert!(first.poll().is_pending());
    assert!(second.poll().is_pending());
    notify.notify_one();
    assert!(first.is_woken() && !second.is_woken());
    assert!(first.poll().is_ready());
    assert!(second.poll().is_pending());
}

#[test]
fn notify_notified_multi() {
    let notify = Notify::new();
    notify.notify_one();
    let [mut first, mut second] = [spawn(&notify), spawn(&notify)];
    assert!(first.poll().is_ready());
    assert!(second.poll().is_pending());
    notify.notify_one();
    assert!(second.is_woken());
    assert!(second.poll().is_ready());
}

#[test]
fn notified_drop_notified_notify() {
    let notify = Notify::new();
    let [mut first, mut second] = [spawn(&notify), spawn(&notify)];
    assert!(first.poll().is_pending());
    drop(first);
    assert!(second.poll().is_pending());
    notify.notify_one();
    assert!(second.is_woken());
    assert!(second.poll().is_ready());
}

#[test]
fn notified_multi_notify_drop_one() {
    let notify = Notify::new();
    let [mut first, mut second] = [spawn(&notify), spawn(&notify)];
    assert!(first.poll().is_pending());
    assert!(second.poll().is_pending());
    notify.notify_one();
    assert!(first.is_woken() && !second.is_woken());
    drop(first);
    assert!(second.is_woken());
    assert!(second.poll().is_ready());
}

#[test]
fn a_waker_that_notifies_when_it_is_dropped() {
    struct NotifyOnDrop(Arc<Notify>);
    impl Wake for NotifyOnDrop {
        fn wake(self: Arc<Self>) {}
        fn wake_by_ref(self: &Arc<Self>) {}
    }
    impl Drop for NotifyOnDrop {
        fn drop(&mut self) {
            self.0.notify_waiters();
        }
    }
    let notify = Arc::new(Notify::new());
    let mut future = Box::pin(notify.notified());
    {
        let waker = Waker::from(Arc::new(NotifyOnDrop(notify.clone())));
        assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    notify.notify_waiters();
}

#[test]
fn notify_one_after_dropped_all() {
    let notify = Notify::new();
    let mut first = spawn(&notify);
    assert!(first.poll().is_pending());
    notify.notify_waiters();
    notify.notify_one();
    drop(first);
    assert!(spawn(&notify).poll().is_ready());
}

#[test]
fn test_notify_one_not_enabled() {
    let notify = Notify::new();
    let mut future = spawn(&notify);
    notify.notify_one();
    assert!(future.poll().is_ready());
}

#[test]
fn test_notify_one_after_enable() {
    let notify = Notify::new();
    let mut future = spawn(&notify);
    assert!(!future.future.as_mut().enable());
    notify.notify_one();
    assert!(future.poll().is_ready());
    assert!(future.future.as_mut().enable());
}

#[test]
fn test_poll_after_enable() {
    let notify = Notify::new();
    let mut future = spawn(&notify);
    assert!(!future.future.as_mut().enable());
    assert!(future.poll().is_pending());
    notify.notify_one();
    assert!(future.is_woken());
}

#[test]
fn test_enable_after_poll() {
    let notify = Notify::new();
    let mut future = spawn(&notify);
    assert!(future.poll().is_pending());
    assert!(!future.future.as_mut().enable());
    notify.notify_one();
    assert!(future.is_woken(), "the waker of the poll is still there");
}

#[test]
fn test_enable_consumes_permit() {
    let notify = Notify::new();
    notify.notify_one();
    assert!(spawn(&notify).future.as_mut().enable());
    assert!(!spawn(&notify).future.as_mut().enable());
}

#[test]
fn test_waker_update() {
    let notify = Notify::new();
    let mut future = spawn(&notify);
    assert!(future.future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(future.poll().is_pending());
    notify.notify_one();
    assert!(future.is_woken());
}

#[test]
fn all_are_notified_from_when_they_were_made() {
    let notify = Notify::new();
    let [mut early, mut polled] = [spawn(&notify), spawn(&notify)];
    assert!(polled.poll().is_pending());
    notify.notify_waiters();
    assert!(polled.is_woken());
    assert!(polled.poll().is_ready());
    assert!(early.poll().is_ready());
    assert!(spawn(&notify).poll().is_pending(), "it leaves nothing");
    // One that all were notified with takes no permit, and passes on none.
    let mut early = spawn(&notify);
    notify.notify_waiters();
    notify.notify_one();
    assert!(early.poll().is_ready());
    assert!(spawn(&notify).poll().is_ready());
}

#[test]
fn permits_are_no_more_than_one() {
    let notify = Notify::default();
    (0..3).for_each(|_| notify.notify_one());
    assert!(notify.wait_timeout(Duration::ZERO));
    assert!(!notify.wait_timeout(Duration::ZERO));
    assert!(!notify.wait_timeout(Duration::from_millis(1)));
    notify.notify_one();
    assert!(notify.wait_timeout(Duration::MAX));
}

#[test]
fn kinds_are_notified_in_their_order() {
    on_gs(|| {
        let notify = Arc::new(Notify::new());
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let waiters: Vec<_> = KINDS
            .into_iter()
            .map(|kind| {
                let (notify, order) = (notify.clone(), order.clone());
                kind.go_and_wait(move || {
                    wait(kind, &notify);
                    order.lock().unwrap().push(kind);
                })
            })
            .collect();
        for (nth, waiter) in waiters.into_iter().enumerate() {
            notify.notify_one();
            waiter.join();
            assert_eq!(order.lock().unwrap()[..], KINDS[..=nth]);
        }
    });
}

/// Values go through a queue, and each has its notification.
#[test]
fn no_notification_is_lost() {
    everywhere(|kind| {
        const VALUES: usize = 500;
        let shared = Arc::new((Notify::new(), Notify::new(), AtomicUsize::new(0)));
        let other = shared.clone();
        let worker = kind.go(move || {
            let (full, empty, value) = &*other;
            for n in 1..=VALUES {
                while value.load(Ordering::Relaxed) == 0 {
                    full.wait();
                }
                assert_eq!(value.swap(0, Ordering::Relaxed), n);
                empty.notify_one();
            }
        });
        let (full, empty, value) = &*shared;
        for n in 1..=VALUES {
            while value.load(Ordering::Relaxed) != 0 {
                empty.wait();
            }
            value.store(n, Ordering::Relaxed);
            full.notify_one();
        }
        worker.join();
    });
}

#[test]
fn all_of_many_are_notified() {
    on_gs(|| {
        let notify = Arc::new(Notify::new());
        let waiters: Vec<_> = (0..100)
            .map(|_| {
                let notify = notify.clone();
                Kind::G.go_and_wait(move || notify.wait())
            })
            .collect();
        notify.notify_waiters();
        waiters.into_iter().for_each(|waiter| waiter.join());
        assert!(!notify.wait_timeout(Duration::ZERO));
    });
}

#[test]
fn a_shutdown_unwinds_thousands_that_wait() {
    in_time(|| {
        let mut house = house(builder().procs(2));
        let notify = Arc::new(Notify::new());
        let waiters: Vec<_> = (0..3000)
            .map(|_| {
                let notify = notify.clone();
                house.go(move || notify.wait())
            })
            .collect();
        let handle = house.handle();
        eventually("all wait", || {
            handle.goroutines().iter().filter(|g| g.state == pirn_runtime::State::Waiting).count() == 3000
        });
        // Some of these may be notified and unwound: then the last of them leaves the permit.
        let teller = std::thread::spawn({
            let notify = notify.clone();
            move || (0..3001).for_each(|_| notify.notify_one())
        });
        assert!(house.take().shutdown_timeout(Duration::from_secs(20)));
        teller.join().unwrap();
        let mut notified = 0;
        for waiter in waiters {
            match waiter.join() {
                Ok(()) => notified += 1,
                Err(payload) => assert!(payload.is::<ShutDown>()),
            }
        }
        assert!(notified == 3000 || notify.wait_timeout(Duration::ZERO), "{notified}");
        house.check_empty();
    });
}

#[test]
fn notify_multi_notified_one() {
    let notify = Notify::new();
    let (mut first, mut second) = (spawn(&notify), spawn(&notify));
    assert!(first.poll().is_pending() && second.poll().is_pending());
    notify.notify_one();
    assert!(first.poll().is_ready());
    assert!(second.poll().is_pending());
}

#[test]
fn notified_multi_notify_one_drop() {
    let notify = Notify::new();
    let (mut first, mut second, mut third) = (spawn(&notify), spawn(&notify), spawn(&notify));
    assert!(first.poll().is_pending() && second.poll().is_pending() && third.poll().is_pending());
    notify.notify_one();
    drop(first);
    assert!(second.poll().is_ready());
    assert!(third.poll().is_pending());
}

#[test]
fn unpolled_future_completed_by_notify_waiters_preserves_notify_one_permit() {
    let notify = Notify::new();
    let mut first = spawn(&notify);
    notify.notify_waiters();
    notify.notify_one();
    assert!(first.poll().is_ready());
    assert!(spawn(&notify).poll().is_ready());
}

/// The last that is told may be the sixteenth of a turn: then nobody waits, and the next notification leaves a permit.
#[test]
fn a_notification_after_all_of_many_were_notified_is_not_lost() {
    struct Notifies(Arc<Notify>);
    impl Wake for Notifies {
        fn wake(self: Arc<Self>) {
            self.0.notify_one();
        }
    }
    for count in 1..40 {
        let notify = Arc::new(Notify::new());
        let waker = Waker::from(Arc::new(Notifies(notify.clone())));
        let mut waiters: Vec<_> = (0..count).map(|_| Box::pin(notify.notified())).collect();
        let poll = |waiter: &mut Pin<Box<Notified<'_>>>| waiter.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(waiters.iter_mut().all(|waiter| poll(waiter).is_pending()));
        notify.notify_waiters();
        assert!(waiters.iter_mut().all(|waiter| poll(waiter).is_ready()));
        assert!(notify.wait_timeout(Duration::ZERO), "{count}: the wakers have notified");
    }
}
