//! Models of the notification: none is lost, whoever gives up, and all that wait are notified together.

use super::Notify;
use loom::sync::Arc;
use loom::thread;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

/// Tries all orders with up to three preemptions.
fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(f);
}

#[test]
fn one_after_the_other_is_notified() {
    model(|| {
        let notify = Arc::new(Notify::new());
        let wait = |notify: &Notify| {
            notify.wait();
            notify.notify_one();
        };
        let other = notify.clone();
        let waiter = thread::spawn(move || wait(&other));
        let other = notify.clone();
        let teller = thread::spawn(move || other.notify_one());
        wait(&notify);
        waiter.join().unwrap();
        teller.join().unwrap();
    });
}

#[test]
fn one_that_gives_up_passes_it_on() {
    model(|| {
        let notify = Arc::new(Notify::new());
        let other = notify.clone();
        let dropper = thread::spawn(move || {
            let mut notified = pin!(other.notified());
            notified.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
        });
        let other = notify.clone();
        let teller = thread::spawn(move || other.notify_one());
        if dropper.join().unwrap() {
            notify.notify_one();
        }
        notify.wait();
        teller.join().unwrap();
    });
}

#[test]
fn one_whose_time_is_over_takes_nothing() {
    model(|| {
        let notify = Arc::new(Notify::new());
        let other = notify.clone();
        let teller = thread::spawn(move || other.notify_one());
        if !notify.wait_timeout(Duration::ZERO) {
            notify.wait();
        }
        teller.join().unwrap();
    });
}

#[test]
fn a_future_made_before_is_notified_with_all() {
    model(|| {
        let notify = Arc::new(Notify::new());
        let other = notify.clone();
        let mut notified = pin!(notify.notified());
        let teller = thread::spawn(move || other.notify_waiters());
        let mut context = Context::from_waker(Waker::noop());
        _ = notified.as_mut().poll(&mut context);
        teller.join().unwrap();
        assert!(notified.as_mut().poll(&mut context).is_ready());
    });
}
