//! Models of the locks, of the condition variable and the semaphore, and so of the parking lot under them: whatever the
//! order, one at a time has what only one may have, what it has done is seen, and nobody sleeps for ever.

#![allow(unsafe_code, reason = "cells of a model")]

use super::modelled::{set_spins, set_starved};
use crate::lot::Until;
use crate::raw_mutex::RawMutex;
use crate::raw_rwlock::RawRwLock;
use crate::{Condvar, Mutex, RwLock, RwLockUpgradableReadGuard, RwLockWriteGuard, Semaphore, TryAcquireError};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// There is no time in a model: such a deadline comes when the caller has looked some times.
const SOON: Duration = Duration::from_secs(1);

/// A number that loom watches.
struct Number(UnsafeCell<usize>);

// SAFETY: what the models check.
unsafe impl Sync for Number {}

impl Number {
    fn new() -> Number {
        Number(UnsafeCell::new(0))
    }

    fn add(&self) {
        // SAFETY: what the models check.
        self.0.with_mut(|n| unsafe { *n += 1 });
    }

    fn get(&self) -> usize {
        // SAFETY: as above.
        self.0.with(|n| unsafe { *n })
    }
}

/// Tries all orders with up to so many preemptions.
fn model(preemptions: usize, f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(f);
}

/// Polls once, with a waker that does nothing.
fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Each of these does its work on what they share, on a thread of its own; the first on the caller's.
fn together<T: Send + Sync + 'static>(shared: T, works: &[fn(&T)]) -> Arc<T> {
    let shared = Arc::new(shared);
    let threads: Vec<_> = works[1..]
        .iter()
        .map(|work| {
            let (shared, work) = (shared.clone(), *work);
            thread::spawn(move || work(&shared))
        })
        .collect();
    works[0](&shared);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    shared
}

type Guarded = Mutex<Number>;

fn add(mutex: &Guarded) {
    mutex.lock().add();
}

fn add_and_hand_over(mutex: &Guarded) {
    set_starved(true);
    mutex.lock().add();
}

#[test]
fn one_has_the_mutex() {
    model(3, || {
        let mutex = together(Mutex::new(Number::new()), &[add, add]);
        assert_eq!(mutex.lock().get(), 2);
        assert!(mutex.try_lock().is_some());
    });
}

#[test]
fn three_lock_the_mutex() {
    model(2, || {
        let mutex = together(Mutex::new(Number::new()), &[add, add, add]);
        assert_eq!(mutex.lock().get(), 3);
    });
}

#[test]
fn the_mutex_is_handed_over() {
    model(2, || {
        let mutex = together(Mutex::new(Number::new()), &[add_and_hand_over, add, add_and_hand_over]);
        assert_eq!(mutex.lock().get(), 3);
    });
}

#[test]
fn one_gives_up_on_the_mutex() {
    fn try_to_add(mutex: &Guarded) {
        if let Some(number) = mutex.try_lock_for(SOON) {
            number.add();
        }
    }
    model(2, || {
        let mutex = together(Mutex::new(Number::new()), &[add, try_to_add, add_and_hand_over]);
        assert!(mutex.lock().get() >= 2);
    });
}

#[test]
fn a_future_gives_up_on_the_mutex() {
    fn poll_and_drop(mutex: &Guarded) {
        if let Poll::Ready(number) = poll_once(mutex.lock_async()) {
            number.add();
        }
    }
    model(2, || {
        let mutex = together(Mutex::new(Number::new()), &[add, poll_and_drop, add]);
        assert!(mutex.lock().get() >= 2);
    });
}

fn spin_and_add(mutex: &Guarded) {
    set_spins();
    mutex.lock().add();
}

#[test]
fn one_spins_for_the_mutex() {
    model(2, || {
        let mutex = together(Mutex::new(Number::new()), &[add, spin_and_add, add]);
        assert_eq!(mutex.lock().get(), 3);
    });
    model(2, || {
        let mutex = together(Mutex::new(Number::new()), &[add_and_hand_over, spin_and_add, spin_and_add]);
        assert_eq!(mutex.lock().get(), 3);
    });
}

#[test]
fn one_is_unwound_that_waits_for_the_mutex() {
    fn be_unwound(mutex: &RawMutex) {
        if mutex.lock_or_be_unwound() {
            mutex.unlock();
        }
    }
    fn lock(mutex: &RawMutex) {
        mutex.lock();
        mutex.unlock();
    }
    fn lock_and_hand_over(mutex: &RawMutex) {
        set_starved(true);
        lock(mutex);
    }
    model(2, || {
        let mutex = together(RawMutex::new(), &[lock, be_unwound, lock]);
        assert!(mutex.try_lock());
        mutex.unlock();
        lock(&mutex);
    });
    model(2, || {
        let mutex = together(RawMutex::new(), &[be_unwound, lock_and_hand_over, lock]);
        assert!(mutex.try_lock());
    });
}

type Shared = RwLock<Number>;

fn write(lock: &Shared) {
    lock.write().add();
}

fn read(lock: &Shared) {
    lock.read().get();
}

#[test]
fn one_writes_or_some_read() {
    model(2, || {
        let lock = together(RwLock::new(Number::new()), &[write, read, write]);
        assert_eq!(lock.read().get(), 2);
        assert!(lock.try_write().is_some());
    });
}

#[test]
fn a_writer_waits_for_readers() {
    fn write_and_hand_over(lock: &Shared) {
        set_starved(true);
        lock.write().add();
    }
    fn read_and_hand_over(lock: &Shared) {
        set_starved(true);
        lock.read().get();
    }
    model(2, || {
        let lock = together(RwLock::new(Number::new()), &[write_and_hand_over, read, read_and_hand_over]);
        assert_eq!(lock.read().get(), 1);
    });
}

#[test]
fn a_writer_reads_on() {
    fn write_and_read(lock: &Shared) {
        let written = lock.write();
        written.add();
        let seen = written.get();
        assert_eq!(RwLockWriteGuard::downgrade(written).get(), seen);
    }
    model(2, || {
        let lock = together(RwLock::new(Number::new()), &[write_and_read, read, write]);
        assert_eq!(lock.read().get(), 2);
    });
}

#[test]
fn a_writer_gives_up() {
    fn try_to_write(lock: &Shared) {
        if let Some(number) = lock.try_write_for(SOON) {
            number.add();
        }
    }
    model(2, || {
        let lock = together(RwLock::new(Number::new()), &[read, try_to_write, read]);
        assert!(lock.write().get() <= 1);
    });
}

#[test]
fn futures_of_the_lock_give_up() {
    fn poll_both(lock: &Shared) {
        if let Poll::Ready(number) = poll_once(lock.write_async()) {
            number.add();
        }
        if let Poll::Ready(number) = poll_once(lock.read_async()) {
            number.get();
        }
    }
    model(2, || {
        let lock = together(RwLock::new(Number::new()), &[write, poll_both, read]);
        assert!(lock.write().get() >= 1);
    });
}

fn read_raw(lock: &RawRwLock) {
    lock.read();
    lock.unlock_read();
}

fn write_raw(lock: &RawRwLock) {
    lock.write();
    lock.unlock_write();
}

#[test]
fn one_is_unwound_that_waits_to_write() {
    fn be_unwound(lock: &RawRwLock) {
        if lock.wait_to_write(Until::Unwound) {
            lock.unlock_write();
        }
    }
    model(2, || assert!(together(RawRwLock::new(), &[read_raw, be_unwound, read_raw]).try_write()));
    model(2, || assert!(together(RawRwLock::new(), &[write_raw, be_unwound, read_raw]).try_write()));
    model(2, || assert!(together(RawRwLock::new(), &[write_raw, be_unwound, write_raw]).try_write()));
}

#[test]
fn one_is_unwound_that_waits_to_read() {
    fn be_unwound(lock: &RawRwLock) {
        if lock.read_or_be_unwound() {
            lock.unlock_read();
        }
    }
    model(2, || assert!(together(RawRwLock::new(), &[write_raw, be_unwound, write_raw]).try_write()));
}

/// What it has read holds until it has written.
fn upgrade(lock: &Shared) {
    let guard = lock.upgradable_read();
    let seen = guard.get();
    let guard = RwLockUpgradableReadGuard::upgrade(guard);
    assert_eq!(guard.get(), seen);
    guard.add();
}

#[test]
fn a_reader_upgrades() {
    model(2, || assert_eq!(together(RwLock::new(Number::new()), &[upgrade, read, write]).read().get(), 2));
}

#[test]
fn a_reader_does_not_upgrade_after_all() {
    fn try_to_upgrade(lock: &Shared) {
        match RwLockUpgradableReadGuard::try_upgrade_for(lock.upgradable_read(), SOON) {
            Ok(number) => number.add(),
            Err(guard) => drop(RwLockUpgradableReadGuard::downgrade(guard).get()),
        }
    }
    model(2, || drop(together(RwLock::new(Number::new()), &[try_to_upgrade, read, write])));
    model(2, || drop(together(RwLock::new(Number::new()), &[read, try_to_upgrade, upgrade])));
}

#[test]
fn a_writer_becomes_a_reader_that_upgrades() {
    fn write_twice(lock: &Shared) {
        let guard = lock.write();
        guard.add();
        let seen = guard.get();
        let guard = RwLockWriteGuard::downgrade_to_upgradable(guard);
        assert_eq!(guard.get(), seen);
        let guard = RwLockUpgradableReadGuard::upgrade(guard);
        assert_eq!(guard.get(), seen);
        guard.add();
    }
    model(3, || assert_eq!(together(RwLock::new(Number::new()), &[write_twice, upgrade]).read().get(), 3));
    model(2, || assert_eq!(together(RwLock::new(Number::new()), &[write_twice, read]).read().get(), 2));
}

#[test]
fn one_is_unwound_that_upgrades() {
    fn be_unwound(lock: &RawRwLock) {
        lock.read_upgradable(Until::Told);
        if lock.upgrade(Until::Unwound) { lock.unlock_write() } else { lock.unlock_upgradable() }
    }
    model(2, || assert!(together(RawRwLock::new(), &[be_unwound, read_raw, write_raw]).try_write()));
    model(2, || assert!(together(RawRwLock::new(), &[read_raw, be_unwound, read_raw]).try_write()));
}

struct Flag {
    is_set: Mutex<Number>,
    changed: Condvar,
}

impl Flag {
    fn new() -> Flag {
        Flag { is_set: Mutex::new(Number::new()), changed: Condvar::new() }
    }

    fn wait(&self) {
        let mut number = self.is_set.lock();
        self.changed.wait_while(&mut number, |number| number.get() == 0);
    }

    fn set_for_one(&self) {
        self.is_set.lock().add();
        self.changed.notify_one();
    }

    fn set_for_all(&self) {
        let number = self.is_set.lock();
        number.add();
        self.changed.notify_all();
    }
}

#[test]
fn a_notification_is_not_missed() {
    model(2, || drop(together(Flag::new(), &[Flag::wait, Flag::set_for_one])));
    model(2, || drop(together(Flag::new(), &[Flag::wait, Flag::set_for_all, Flag::wait])));
}

#[test]
fn a_notification_is_not_lost_with_one_that_gives_up() {
    fn wait_for_a_while(flag: &Flag) {
        let mut number = flag.is_set.lock();
        if flag.changed.wait_timeout_while(&mut number, SOON, |number| number.get() == 0).timed_out() {
            return;
        }
        drop(number);
        // It has taken the one notification that there is.
        flag.changed.notify_one();
    }
    model(2, || drop(together(Flag::new(), &[Flag::wait, Flag::set_for_one, wait_for_a_while])));
}

#[test]
fn a_notification_is_not_lost_with_one_that_is_unwound() {
    fn be_unwound(flag: &Flag) {
        let number = flag.is_set.lock();
        if number.get() == 0 {
            flag.changed.wait_within(number.raw(), Until::Unwound);
            // It has the mutex again.
            number.get();
        } else {
            flag.changed.notify_one();
        }
    }
    model(2, || drop(together(Flag::new(), &[Flag::wait, Flag::set_for_one, be_unwound])));
}

#[test]
fn a_notification_is_not_lost_with_a_future_that_is_dropped() {
    fn poll_and_drop(flag: &Flag) {
        let number = flag.is_set.lock();
        if number.get() == 0 {
            assert!(poll_once(flag.changed.wait_async(number)).is_pending());
        } else {
            flag.changed.notify_one();
        }
    }
    model(2, || drop(together(Flag::new(), &[Flag::wait, Flag::set_for_one, poll_and_drop])));
}

struct Room {
    places: Semaphore,
    inside: AtomicUsize,
}

impl Room {
    fn new(places: usize) -> Room {
        Room { places: Semaphore::new(places), inside: AtomicUsize::new(0) }
    }

    fn enter(&self, n: usize) {
        let _permit = self.places.acquire(n).unwrap();
        assert!(self.inside.fetch_add(n, Ordering::Relaxed) + n <= 2);
        self.inside.fetch_sub(n, Ordering::Relaxed);
    }
}

#[test]
fn a_semaphore_lets_so_many_in() {
    model(2, || {
        let room = together(Room::new(2), &[|room| room.enter(1), |room| room.enter(2), |room| room.enter(1)]);
        assert_eq!(room.places.available(), 2);
    });
}

/// With one permit it is a lock; also for one that only tries, and takes no turn.
#[test]
fn who_has_a_permit_sees_what_was_done_with_it() {
    fn add(room: &(Semaphore, Number)) {
        let permit = room.0.acquire(1).expect("nobody closes it");
        room.1.add();
        drop(permit);
    }
    fn try_to_add(room: &(Semaphore, Number)) {
        if let Ok(permit) = room.0.try_acquire(1) {
            room.1.add();
            drop(permit);
        }
    }
    model(2, || {
        let room = together((Semaphore::new(1), Number::new()), &[add, try_to_add]);
        assert_eq!(room.0.available(), 1);
    });
}

/// They give nothing back, so nobody else would let the second one in.
#[test]
fn permits_that_come_at_once_let_all_in_that_they_suffice_for() {
    fn take(semaphore: &Semaphore) {
        semaphore.acquire(1).expect("nobody closes it").forget();
    }
    model(2, || {
        let semaphore = together(Semaphore::new(0), &[|semaphore| semaphore.add_permits(2), take, take]);
        assert_eq!(semaphore.available(), 0);
    });
}

#[test]
fn one_leaves_the_line_of_a_semaphore() {
    fn try_to_enter(room: &Room) {
        if let Ok(permit) = room.places.acquire_timeout(2, SOON) {
            drop(permit);
        }
        drop(poll_once(room.places.acquire_async(2)));
    }
    model(2, || {
        let room = together(Room::new(2), &[|room| room.enter(1), try_to_enter, |room| room.enter(2)]);
        assert_eq!(room.places.available(), 2);
    });
}

#[test]
fn permits_are_not_lost_with_one_that_is_unwound() {
    fn be_unwound(room: &Room) {
        drop(room.places.acquire_within(2, Until::Unwound));
    }
    model(2, || {
        let room = together(Room::new(2), &[|room| room.enter(1), be_unwound, |room| room.enter(2)]);
        assert_eq!(room.places.available(), 2);
    });
}

#[test]
fn closing_ends_all_waits() {
    model(2, || {
        let room = together(
            Room::new(0),
            &[
                |room| assert!(room.places.acquire(1).is_err()),
                |room| assert_eq!(room.places.acquire_timeout(1, SOON).err().map(|_| ()), Some(())),
                |room| room.places.close(),
            ],
        );
        assert_eq!(room.places.try_acquire(1).err(), Some(TryAcquireError::Closed));
    });
}
