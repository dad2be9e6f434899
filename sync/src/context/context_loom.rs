//! Models of a tree of contexts: whatever the order, what is below an end is marked, parents first, and calls are made
//! once or taken back; and a wait that ends with a context is told or ends.

use super::{Context, ContextError};
use crate::{Event, Mutex, Semaphore};
use loom::thread;
use pirn_channels::TryRecvError;
use pirn_channels::internal::{keep_alarms, ring_next_alarm, take_alarms_that_are_set};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;

/// Tries all orders with up to three preemptions.
fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(f);
}

const ENDED: Option<ContextError> = Some(ContextError::Cancelled);

#[test]
fn a_child_that_comes_while_its_parent_is_cancelled() {
    model(|| {
        let (parent, cancel) = Context::background().with_cancel();
        let makes = {
            let parent = parent.clone();
            thread::spawn(move || {
                let (child, _) = parent.with_cancel();
                let (grandchild, _) = child.with_cancel();
                // Parents are marked first.
                if grandchild.err().is_some() {
                    assert_eq!((child.err(), parent.err()), (ENDED, ENDED));
                }
                (child, grandchild)
            })
        };
        cancel.cancel();
        assert_eq!(parent.err(), ENDED);
        let (child, grandchild) = makes.join().unwrap();
        assert_eq!((child.err(), grandchild.err()), (ENDED, ENDED));
    });
}

#[test]
fn the_channel_of_an_end_is_closed_whoever_comes_first() {
    model(|| {
        let (context, cancel) = Context::background().with_cancel();
        let asks = {
            let context = context.clone();
            thread::spawn(move || context.done().clone())
        };
        cancel.cancel();
        let done = asks.join().unwrap();
        assert_eq!(done.try_recv(), Err(TryRecvError::Disconnected));
        // It goes last: loom does not see that the handles of a channel synchronise.
        drop(context);
    });
}

#[test]
fn two_cancel_at_once() {
    model(|| {
        let (root, cancel_root) = Context::background().with_cancel();
        let (child, cancel_child) = root.with_cancel();
        let (below, _) = child.with_cancel();
        let other = {
            let below = below.clone();
            thread::spawn(move || {
                cancel_child.cancel_with("the child's");
                assert_eq!(below.err(), ENDED);
                below.cause().unwrap().to_string()
            })
        };
        cancel_root.cancel_with("the root's");
        assert_eq!((root.err(), child.err(), below.err()), (ENDED, ENDED, ENDED));
        let cause = other.join().unwrap();
        // Nobody has seen another cause.
        assert_eq!(below.cause().unwrap().to_string(), cause);
        assert_eq!(child.cause().unwrap().to_string(), cause);
        assert_eq!(root.cause().unwrap().to_string(), "the root's");
    });
}

#[test]
fn a_child_that_goes_while_its_parent_is_cancelled() {
    model(|| {
        let (parent, cancel) = Context::background().with_cancel();
        let (child, _) = parent.with_cancel();
        let (stays, _) = parent.with_cancel();
        let drops = thread::spawn(move || drop(child));
        cancel.cancel();
        assert_eq!(stays.err(), ENDED);
        drops.join().unwrap();
        assert_eq!(parent.err(), ENDED);
    });
}

#[test]
fn a_call_is_made_once_or_taken_back() {
    model(|| {
        let (context, cancel) = Context::background().with_cancel();
        let made = Arc::new(AtomicUsize::new(0));
        let stops = {
            let (context, made) = (context.clone(), made.clone());
            thread::spawn(move || {
                let stop = context.after_func(move || _ = made.fetch_add(1, Ordering::Relaxed));
                stop.stop()
            })
        };
        cancel.cancel();
        let was_stopped = stops.join().unwrap();
        assert_eq!(made.load(Ordering::Relaxed), usize::from(!was_stopped));
    });
}

#[test]
fn who_waits_is_told() {
    model(|| {
        let (parent, cancel) = Context::background().with_cancel();
        let (child, _) = parent.with_cancel();
        let waits = {
            let child = child.clone();
            thread::spawn(move || child.wait())
        };
        cancel.cancel();
        assert_eq!(waits.join().unwrap(), ContextError::Cancelled);
        // It goes last: loom does not see that the handles of an `Arc` synchronise.
        drop(child);
    });
}

#[test]
fn a_wait_for_a_lock_gets_it_or_ends_with_the_context() {
    model(|| {
        let (context, cancel) = Context::background().with_cancel();
        let mutex = Arc::new(Mutex::new(0));
        let guard = mutex.lock();
        let locks = {
            let (context, mutex) = (context.clone(), mutex.clone());
            thread::spawn(move || mutex.lock_ctx(&context).map(|mut n| *n += 1).is_ok())
        };
        cancel.cancel();
        drop(guard);
        let is_locked = locks.join().unwrap();
        assert_eq!(*mutex.try_lock().unwrap(), u32::from(is_locked));
        drop(context);
    });
}

#[test]
fn permits_are_not_lost_with_a_context() {
    model(|| {
        let (context, cancel) = Context::background().with_cancel();
        let semaphore = Arc::new(Semaphore::new(0));
        let acquires = {
            let (context, semaphore) = (context.clone(), semaphore.clone());
            thread::spawn(move || drop(semaphore.acquire_ctx(&context, 2)))
        };
        let cancels = thread::spawn(move || cancel.cancel());
        semaphore.add_permits(1);
        // Behind the large one, if that waits.
        drop(semaphore.acquire(1).unwrap());
        acquires.join().unwrap();
        cancels.join().unwrap();
        assert_eq!(semaphore.available(), 1);
        drop(context);
    });
}

#[test]
fn an_event_and_an_end_at_once() {
    model(|| {
        let (context, cancel) = Context::background().with_cancel();
        let event = Arc::new(Event::new());
        let waits = {
            let (context, event) = (context.clone(), event.clone());
            thread::spawn(move || event.wait_ctx(&context).is_ok())
        };
        let sets = {
            let event = event.clone();
            thread::spawn(move || event.set())
        };
        cancel.cancel();
        sets.join().unwrap();
        waits.join().unwrap();
        assert!(event.is_set());
        drop(context);
    });
}

/// Who has set that alarm does not keep it in the place of the one that was set when it rang.
#[test]
fn an_alarm_that_rings_too_early_before_it_is_kept() {
    model(|| {
        keep_alarms();
        ring_next_alarm();
        let (context, _cancel) = Context::background().with_timeout(Duration::from_secs(1));
        let alarms = take_alarms_that_are_set();
        assert_eq!(context.err(), None);
        // In that thread alarms go off at once, too early at first.
        thread::spawn(move || alarms.into_iter().for_each(Waker::wake)).join().unwrap();
        assert_eq!(context.err(), Some(ContextError::DeadlineExceeded));
    });
}
