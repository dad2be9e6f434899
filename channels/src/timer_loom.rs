//! Models of a timer that is stopped and set again while it fires: whatever the order, nothing stale is received, and
//! what is due is received once.

use super::{Timer, timer};
use crate::loom::{keep_alarms, ring_next_alarm, take_alarms, take_alarms_that_are_set};
use crate::{RecvError, RecvTimeoutError, TryRecvError, select, unbounded};
use loom::thread;
use std::task::Waker;
use std::time::{Duration, Instant};

/// Longer than a model is.
const SOON: Duration = Duration::from_secs(1);

/// Tries all orders with up to so many preemptions.
fn model(preemptions: usize, f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(f);
}

/// A timer, when it is due, and its alarms.
fn set_timer() -> (Timer, Instant, Vec<Waker>) {
    keep_alarms();
    let timer = timer(Duration::from_secs(1));
    let due = due(&timer);
    (timer, due, take_alarms())
}

fn due(timer: &Timer) -> Instant {
    timer.armed.lock().due.expect("it was set")
}

/// Sets it again. Returns whether it was pending, when it is due now, and its alarms.
fn reset(timer: &Timer) -> (bool, Instant, Vec<Waker>) {
    let was_pending = timer.reset(Duration::from_secs(2));
    (was_pending, due(timer), take_alarms())
}

/// The alarms go off; if they find that it is too early, once more, as this thread keeps none.
fn go_off(alarms: Vec<Waker>) {
    alarms.into_iter().for_each(Waker::wake);
}

#[test]
fn nothing_stale_is_received_after_a_reset() {
    model(3, || {
        let (timer, _, alarms) = set_timer();
        let fires = thread::spawn(move || go_off(alarms));
        let (_, due, alarms) = reset(&timer);
        assert_eq!(timer.receiver().try_recv(), Err(TryRecvError::Empty));
        let fires_again = thread::spawn(move || go_off(alarms));
        fires_again.join().unwrap();
        fires.join().unwrap();
        assert_eq!(timer.receiver().try_recv(), Ok(due));
        assert_eq!(timer.receiver().try_recv(), Err(TryRecvError::Empty));
    });
}

#[test]
fn nothing_is_received_after_a_stop() {
    model(3, || {
        let (timer, due, alarms) = set_timer();
        let fires = thread::spawn(move || go_off(alarms));
        let receives = {
            let receiver = timer.receiver().clone();
            thread::spawn(move || receiver.recv_timeout(SOON))
        };
        let was_pending = timer.stop();
        assert_eq!(timer.receiver().try_recv(), Err(TryRecvError::Empty));
        fires.join().unwrap();
        assert_eq!(timer.receiver().try_recv(), Err(TryRecvError::Empty));
        match receives.join().unwrap() {
            Ok(moment) => assert_eq!((moment, was_pending), (due, false)),
            Err(error) => assert_eq!(error, RecvTimeoutError::Timeout),
        }
    });
}

#[test]
fn one_that_waits_receives_each_firing_once() {
    model(2, || {
        let (timer, first, alarms) = set_timer();
        let fires = thread::spawn(move || go_off(alarms));
        let receives = {
            let receiver = timer.receiver().clone();
            thread::spawn(move || receiver.recv())
        };
        let (was_pending, second, alarms) = reset(&timer);
        thread::spawn(move || go_off(alarms)).join().unwrap();
        fires.join().unwrap();
        match receives.join().unwrap() {
            Ok(moment) if moment == first => {
                assert!(!was_pending);
                assert_eq!(timer.receiver().try_recv(), Ok(second));
            }
            moment => {
                assert_eq!(moment, Ok(second));
                assert_eq!(timer.receiver().try_recv(), Err(TryRecvError::Empty));
            }
        }
    });
}

#[test]
fn a_select_is_told() {
    model(2, || {
        let (timer, due, alarms) = set_timer();
        let fires = thread::spawn(move || go_off(alarms));
        let (_keep, never) = unbounded::<()>();
        let moment = select! {
            recv(timer.receiver()) -> moment => moment,
            recv(never) -> _ => unreachable!("nobody sends"),
        };
        assert_eq!(moment, Ok(due));
        fires.join().unwrap();
        assert!(!timer.stop());
    });
}

/// Who has set that alarm does not keep it in the place of the one that was set when it rang.
#[test]
fn an_alarm_that_rings_too_early_before_it_is_kept() {
    model(2, || {
        keep_alarms();
        ring_next_alarm();
        let timer = timer(SOON);
        let due = due(&timer);
        let alarms = take_alarms_that_are_set();
        thread::spawn(move || go_off(alarms)).join().unwrap();
        assert_eq!(timer.receiver().try_recv(), Ok(due));
        assert_eq!(timer.receiver().try_recv(), Err(TryRecvError::Empty));
    });
}

#[test]
fn two_set_it_at_once() {
    model(2, || {
        let (timer, _, alarms) = set_timer();
        let timer = std::sync::Arc::new(timer);
        let fires = thread::spawn(move || go_off(alarms));
        let sets = {
            let timer = timer.clone();
            thread::spawn(move || {
                keep_alarms();
                timer.reset(Duration::from_secs(3));
                take_alarms()
            })
        };
        timer.reset(Duration::from_secs(2));
        let mut alarms = take_alarms();
        alarms.extend(sets.join().unwrap());
        fires.join().unwrap();
        let due = due(&timer);
        thread::spawn(move || go_off(alarms)).join().unwrap();
        assert_eq!(timer.receiver().try_recv(), Ok(due));
        assert_eq!(timer.receiver().try_recv(), Err(TryRecvError::Empty));
    });
}

#[test]
fn one_that_is_dropped_while_it_fires() {
    model(3, || {
        let (timer, due, alarms) = set_timer();
        let receiver = timer.receiver().clone();
        let fires = thread::spawn(move || go_off(alarms));
        let receives = thread::spawn(move || receiver.recv());
        drop(timer);
        // It has been received before, or never is.
        let received = receives.join().unwrap();
        assert!(received == Ok(due) || received == Err(RecvError));
        fires.join().unwrap();
    });
}
