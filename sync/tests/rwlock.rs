//! Read-write locks: who is let in by whom, and what those leave that give up after they were told.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::common::house;
use crew::everywhere;
use pirn_runtime::{Builder, go, yield_now};
use pirn_sync::{Mutex, RwLock, RwLockWriteGuard};
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Waker};

#[test]
fn a_downgrade_lets_the_readers_in_that_wait() {
    everywhere(|kind| {
        let lock = Arc::new(RwLock::new(1));
        let written = lock.write();
        let reader = {
            let lock = lock.clone();
            kind.go_and_wait(move || *lock.read())
        };
        let reads = RwLockWriteGuard::downgrade(written);
        assert_eq!(reader.join(), 1);
        drop(reads);
        assert!(lock.try_write().is_some());
    });
}

/// It has been let in, and is dropped before it hears of that.
#[test]
fn a_reading_future_that_is_dropped_leaves_the_lock_free() {
    let lock = RwLock::new(());
    let written = lock.write();
    let mut reads = Box::pin(lock.read_async());
    let context = &mut Context::from_waker(Waker::noop());
    assert!(reads.as_mut().poll(context).is_pending());
    drop(written);
    assert!(lock.try_write().is_none(), "it reads");
    drop(reads);
    assert!(lock.try_write().is_some());
}

#[test]
fn a_writing_future_that_is_dropped_leaves_the_lock_free() {
    let lock = RwLock::new(());
    let written = lock.write();
    let mut writes = Box::pin(lock.write_async());
    let context = &mut Context::from_waker(Waker::noop());
    assert!(writes.as_mut().poll(context).is_pending());
    drop(written);
    assert!(lock.try_read().is_none(), "it writes");
    drop(writes);
    assert!(lock.try_write().is_some());
}

/// A writer that was woken and finds the lock taken keeps its place before the others.
#[test]
fn a_writer_that_comes_too_late_stays_the_first() {
    let house = house(Builder::new().procs(1));
    house.run(|| {
        let (lock, order) = (Arc::new(RwLock::new(())), Arc::new(Mutex::new(Vec::new())));
        let written = lock.write();
        let writers = [1, 2].map(|number| {
            let (lock, order) = (lock.clone(), order.clone());
            let writer = go(move || {
                let _written = lock.write();
                order.lock().push(number);
            });
            // It runs up to its wait. If that takes long it is handed the lock, which is right as well.
            (0..3).for_each(|_| yield_now());
            writer
        });
        // The first is woken, and cannot run before the lock is taken again.
        drop(written);
        let written = lock.write();
        (0..10).for_each(|_| yield_now());
        drop(written);
        writers.into_iter().for_each(|writer| writer.join().expect("no panic"));
        assert_eq!(*order.lock(), [1, 2]);
    });
    house.close();
}
