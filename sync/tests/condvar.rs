//! Condition variables: what a wait says at its end, and futures that are forgotten.

use pirn_sync::{Condvar, Mutex};
use std::future::Future;
use std::mem::forget;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

#[test]
fn a_condition_that_has_come_without_a_notification_is_no_timeout() {
    let (mutex, condvar) = (Mutex::new(true), Condvar::new());
    let mut calls = 0;
    let mut guard = mutex.lock();
    let result = condvar.wait_timeout_while(&mut guard, Duration::from_millis(1), |_| {
        calls += 1;
        calls == 1
    });
    assert_eq!((result.timed_out(), calls), (false, 2));
}

/// A new condition variable lies where one was whose future has been forgotten: its notifications are for its own.
#[test]
fn a_forgotten_future_takes_no_notification_of_the_next_condvar() {
    let (mutex, mut condvar) = (Mutex::new(()), Condvar::new());
    let mut waits = Box::pin(condvar.wait_async(mutex.lock()));
    assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    forget(waits);
    condvar = Condvar::new();
    let guard = Mutex::new(0);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let mut count = guard.lock();
            *count = 1;
            condvar.wait_timeout(&mut count, Duration::from_secs(20)).timed_out()
        });
        // It has unlocked the mutex in its wait.
        while *guard.lock() == 0 {
            thread::yield_now();
        }
        condvar.notify_one();
        assert!(!waiter.join().expect("no panic"));
    });
}
