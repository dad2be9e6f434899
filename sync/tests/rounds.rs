//! All that wait are told in one go, though the lock of their line is free for a moment in between: whoever is woken first,
//! and comes back in, meets those that are left.

use pirn_sync::{Condvar, Mutex, MutexGuard, Notify, Semaphore};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// A waker that calls a closure, once.
struct OnWake(std::sync::Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Wake for OnWake {
    fn wake(self: Arc<Self>) {
        let call = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(call) = call {
            call();
        }
    }
}

fn waker(call: impl FnOnce() + Send + 'static) -> Waker {
    Waker::from(Arc::new(OnWake(std::sync::Mutex::new(Some(Box::new(call))))))
}

fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>, waker: &Waker) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

#[test]
fn one_notification_after_one_for_all_is_not_used_up_by_those() {
    static NOTIFY: Notify = Notify::new();
    let mut both = [Box::pin(NOTIFY.notified()), Box::pin(NOTIFY.notified())];
    assert!(poll(&mut both[0], &waker(|| NOTIFY.notify_one())).is_pending());
    assert!(poll(&mut both[1], Waker::noop()).is_pending());
    NOTIFY.notify_waiters();
    assert!(both.iter_mut().all(|wait| poll(wait, Waker::noop()).is_ready()));
    assert!(poll(&mut Box::pin(NOTIFY.notified()), Waker::noop()).is_ready(), "the notification is lost");
}

#[test]
fn one_notification_after_one_for_all_goes_to_one_who_came_later() {
    type Later = Pin<Box<dyn Future<Output = MutexGuard<'static, ()>> + Send>>;
    static MUTEX: Mutex<()> = Mutex::new(());
    static CONDVAR: Condvar = Condvar::new();
    static LATER: std::sync::Mutex<Option<Later>> = std::sync::Mutex::new(None);
    let comes_back = || {
        let mut later: Later = Box::pin(async { CONDVAR.wait_async(MUTEX.lock_async().await).await });
        assert!(poll(&mut later, Waker::noop()).is_pending());
        *LATER.lock().expect("no panic") = Some(later);
        CONDVAR.notify_one();
    };
    let mut first = Box::pin(CONDVAR.wait_async(MUTEX.lock()));
    assert!(poll(&mut first, &waker(comes_back)).is_pending());
    let mut second = Box::pin(CONDVAR.wait_async(MUTEX.lock()));
    assert!(poll(&mut second, Waker::noop()).is_pending());
    CONDVAR.notify_all();
    assert!(poll(&mut first, Waker::noop()).is_ready());
    assert!(poll(&mut second, Waker::noop()).is_ready());
    let mut later = LATER.lock().expect("no panic").take().expect("the first has been woken");
    assert!(poll(&mut later, Waker::noop()).is_ready(), "the notification is lost");
}

/// More than a turn tells, also of those that are told in a list.
#[test]
fn all_are_notified_once_however_many_they_are() {
    static NOTIFY: Notify = Notify::new();
    let mut waits: Vec<_> = (0..100).map(|_| Box::pin(NOTIFY.notified())).collect();
    for wait in &mut waits {
        assert!(poll(wait, &waker(|| NOTIFY.notify_waiters())).is_pending());
    }
    NOTIFY.notify_waiters();
    assert!(waits.iter_mut().all(|wait| poll(wait, Waker::noop()).is_ready()));
    assert!(poll(&mut Box::pin(NOTIFY.notified()), Waker::noop()).is_pending(), "nobody has left a permit");
}

#[test]
fn who_waits_when_it_is_closed_gets_no_permit() {
    static SEMAPHORE: Semaphore = Semaphore::new(0);
    let mut both = [Box::pin(SEMAPHORE.acquire_async(1)), Box::pin(SEMAPHORE.acquire_async(1))];
    assert!(poll(&mut both[0], &waker(|| SEMAPHORE.add_permits(1))).is_pending());
    assert!(poll(&mut both[1], Waker::noop()).is_pending());
    SEMAPHORE.close();
    assert!(both.iter_mut().all(|wait| matches!(poll(wait, Waker::noop()), Poll::Ready(Err(_)))));
}
