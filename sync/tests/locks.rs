//! The locks, the condition variable and the semaphore, from Gs and from threads: what they promise beside mutual
//! exclusion.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::common::{builder, eventually, house, runtime, wait_until_waiting};
use crew::{KINDS, Kind, PATIENCE, SHORT, everywhere, on_gs, poll_once};
use pirn_runtime::{Handle, ShutDown, block_on, go, sleep, yield_now};
use pirn_sync::{
    AcquireError, AcquireFuture, Barrier, Condvar, Event, MappedRwLockReadGuard, Mutex, MutexGuard, Notify, RwLock,
    RwLockReadGuard, RwLockWriteGuard, Semaphore, TryAcquireError, WaitGroup,
};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

fn here() -> Handle {
    Handle::current().expect("a G")
}

#[test]
fn a_lock_is_one_word() {
    assert_eq!(size_of::<Mutex<()>>(), 8);
    assert_eq!(size_of::<RwLock<()>>(), 8);
    assert_eq!(size_of::<Semaphore>(), 8);
    assert!(size_of::<Condvar>() <= 8);
}

#[test]
fn guards_may_be_sent() {
    fn is_send<T: Send>() {}
    fn is_sync<T: Sync>() {}
    is_send::<MutexGuard<'_, u32>>();
    is_send::<RwLockReadGuard<'_, u32>>();
    is_send::<RwLockWriteGuard<'_, u32>>();
    is_sync::<Mutex<std::cell::Cell<u32>>>();
    is_send::<MappedRwLockReadGuard<'_, u32>>();
    is_sync::<MappedRwLockReadGuard<'_, u32>>();
    on_gs(|| {
        let mutex = Arc::new(Mutex::new(1));
        let (s, r) = pirn_channels::bounded::<MutexGuard<'static, u32>>(1);
        let shared: &'static Mutex<u32> = Box::leak(Box::new(Mutex::new(5)));
        let guard = shared.lock();
        let other = go(move || drop(r.recv().expect("a guard")));
        s.send(guard).expect("it listens");
        *shared.lock() += 1;
        other.join().expect("no panic");
        *mutex.lock() += 1;
    });
}

/// A panic unlocks, and poisons nothing.
#[test]
fn a_panic_unlocks() {
    everywhere(|_| {
        let (mutex, lock) = (Mutex::new(1), RwLock::new(1));
        let failed = catch_unwind(AssertUnwindSafe(|| {
            let (_both, _locked) = (mutex.lock(), lock.write());
            panic!("as it should");
        }));
        assert!(failed.is_err());
        assert!(!mutex.is_locked() && !lock.is_locked());
        assert_eq!(*mutex.lock() + *lock.read(), 2);
    });
}

#[test]
fn a_forgotten_guard_leaves_it_locked() {
    everywhere(|_| {
        let mutex = Mutex::new(1);
        std::mem::forget(mutex.lock());
        assert!(mutex.is_locked());
        assert!(mutex.try_lock().is_none());
        assert!(mutex.try_lock_for(Duration::from_millis(1)).is_none());
        assert_eq!(format!("{mutex:?}"), "Mutex { value: <locked> }");
    });
}

#[test]
fn timeouts_of_nothing_and_of_for_ever() {
    everywhere(|_| {
        let (mutex, lock) = (Mutex::new(1), RwLock::new(1));
        assert!(mutex.try_lock_for(Duration::ZERO).is_some());
        assert!(mutex.try_lock_for(Duration::MAX).is_some());
        assert!(lock.try_read_for(Duration::MAX).is_some());
        assert!(lock.try_write_for(Duration::ZERO).is_some());
        let (held, read) = (mutex.lock(), lock.read());
        assert!(mutex.try_lock_for(Duration::ZERO).is_none());
        assert!(mutex.try_lock_until(Instant::now()).is_none());
        assert!(lock.try_write_for(Duration::ZERO).is_none());
        assert!(lock.try_write_for(SHORT).is_none());
        assert!(lock.try_read_for(Duration::ZERO).is_some());
        drop((held, read));
        // Nobody who gave up is waited for.
        assert!(mutex.try_lock().is_some() && lock.try_write().is_some());
    });
}

/// A caller that has given up does not keep others out.
#[test]
fn readers_behind_a_writer_that_gives_up_are_let_in() {
    everywhere(|kind| {
        let lock = Arc::new(RwLock::new(1));
        let read = lock.read();
        let writer = {
            let lock = lock.clone();
            kind.go_and_wait(move || lock.try_write_for(Duration::from_millis(300)).is_none())
        };
        assert!(lock.try_read().is_none(), "a writer waits");
        assert!(lock.try_read_recursive().is_some());
        assert_eq!(*lock.read_recursive(), 1);
        let reader = {
            let lock = lock.clone();
            kind.go(move || *lock.read())
        };
        assert!(writer.join());
        assert_eq!(reader.join(), 1);
        drop(read);
        assert!(lock.try_write().is_some());
    });
}

#[test]
fn all_readers_come_in_together() {
    everywhere(|kind| {
        let lock = Arc::new(RwLock::new(1));
        let inside = Arc::new(AtomicUsize::new(0));
        let written = lock.write();
        let readers: Vec<_> = (0..40)
            .map(|_| {
                let (lock, inside) = (lock.clone(), inside.clone());
                kind.go_and_wait(move || {
                    let _read = lock.read();
                    inside.fetch_add(1, Ordering::Relaxed);
                    eventually("all are inside", || inside.load(Ordering::Relaxed) == 40);
                })
            })
            .collect();
        drop(RwLockWriteGuard::downgrade(written));
        readers.into_iter().for_each(|reader| reader.join());
        assert!(lock.try_write().is_some());
    });
}

/// One that unlocks and locks in a loop, and never suspends by itself, does not keep others out for long.
#[test]
fn a_g_that_locks_in_a_loop_keeps_nobody_out() {
    on_gs(|| {
        let (mutex, over) = (Arc::new(Mutex::new(0u64)), Arc::new(AtomicBool::new(false)));
        let greedy = {
            let (mutex, over) = (mutex.clone(), over.clone());
            go(move || {
                while !over.load(Ordering::Relaxed) {
                    let mut count = mutex.lock();
                    *count += 1;
                    let until = Instant::now() + Duration::from_micros(100);
                    while Instant::now() < until {}
                }
            })
        };
        for _ in 0..5 {
            let guard = mutex.lock();
            drop(guard);
            sleep(Duration::from_micros(500));
        }
        over.store(true, Ordering::Relaxed);
        greedy.join().expect("no panic");
    });
}

#[test]
fn unlocking_fairly_hands_it_over() {
    on_gs(|| {
        let mutex = Arc::new(Mutex::new(Vec::new()));
        let guard = mutex.lock();
        let others: Vec<_> = (0..3)
            .map(|n| {
                let mutex = mutex.clone();
                let other = go(move || {
                    let mut order = mutex.lock();
                    order.push(n);
                    MutexGuard::unlock_fair(order);
                });
                wait_until_waiting(&here(), other.id());
                other
            })
            .collect();
        MutexGuard::unlock_fair(guard);
        others.into_iter().for_each(|other| other.join().expect("no panic"));
        assert_eq!(*mutex.lock(), [0, 1, 2]);
    });
}

#[test]
fn a_part_of_the_value() {
    everywhere(|_| {
        let mutex = Mutex::new((1, String::from("a")));
        let mut part = MutexGuard::map(mutex.lock(), |pair| &mut pair.1);
        part.push('b');
        assert!(mutex.try_lock().is_none());
        drop(part);
        assert_eq!(mutex.lock().1, "ab");
        let lock = RwLock::new((1, 2));
        assert_eq!(*RwLockReadGuard::map(lock.read(), |pair| &pair.1), 2);
        *RwLockWriteGuard::map(lock.write(), |pair| &mut pair.0) += 1;
        assert_eq!(lock.into_inner(), (2, 2));
    });
}

#[test]
fn unlocked_in_between() {
    everywhere(|_| {
        let mutex = Mutex::new(1);
        let mut guard = mutex.lock();
        MutexGuard::unlocked(&mut guard, || *mutex.lock() += 1);
        assert_eq!(*guard, 2);
        let failed = catch_unwind(AssertUnwindSafe(|| MutexGuard::unlocked(&mut guard, || panic!("as it should"))));
        assert!(failed.is_err() && mutex.is_locked());
        drop(guard);
        assert!(!mutex.is_locked());
    });
}

/// A future that was handed the lock and is dropped hands it on.
#[test]
fn futures_give_up_what_they_were_handed() {
    on_gs(|| {
        let mutex = Arc::new(Mutex::new(0));
        let guard = mutex.lock();
        let mut first = Box::pin(mutex.lock_async());
        assert!(poll_once(&mut first).is_pending());
        let other = {
            let mutex = mutex.clone();
            go(move || *mutex.lock() += 1)
        };
        wait_until_waiting(&here(), other.id());
        drop(guard);
        // The future has it, though it was not polled.
        assert!(mutex.is_locked());
        drop(first);
        other.join().expect("no panic");
        let lock = RwLock::new(1);
        let read = lock.read();
        let mut writer = Box::pin(lock.write_async());
        assert!(poll_once(&mut writer).is_pending());
        let mut reader = Box::pin(lock.read_async());
        assert!(poll_once(&mut reader).is_pending());
        drop(writer);
        let Poll::Ready(second) = poll_once(&mut reader) else { panic!("the writer has gone") };
        assert_eq!(*second + *read, 2);
    });
}

/// Polls a future once, which waits then, and forgets it.
fn forget<F: Future>(future: F) {
    let mut future = Box::pin(future);
    assert!(poll_once(&mut future).is_pending());
    std::mem::forget(future);
}

/// A future that is forgotten waits for good in the line of its lock's address. Another lock may lie there later.
#[test]
fn a_forgotten_future_does_not_stop_the_next_event() {
    everywhere(|_| {
        let (mut event, mut notify) = (Box::new(Event::new()), Box::new(Notify::new()));
        let (mut group, mut barrier) = (Box::new(WaitGroup::new()), Box::new(Barrier::new(2)));
        group.add(1);
        forget(event.wait_async());
        forget(notify.notified());
        forget(group.wait_async());
        forget(barrier.wait_async());
        *event = Event::new();
        *notify = Notify::new();
        *group = WaitGroup::new();
        *barrier = Barrier::new(2);
        group.add(1);
        std::thread::scope(|scope| {
            let waiters = [
                scope.spawn(|| event.wait_timeout(PATIENCE)),
                scope.spawn(|| notify.wait_timeout(PATIENCE)),
                scope.spawn(|| group.wait_timeout(PATIENCE)),
                scope.spawn(|| barrier.wait_timeout(PATIENCE).is_some()),
            ];
            std::thread::sleep(SHORT);
            event.set();
            notify.notify_one();
            group.done();
            barrier.wait();
            waiters.into_iter().for_each(|waiter| assert!(waiter.join().expect("no panic")));
        });
    });
}

#[test]
fn a_forgotten_future_does_not_stop_the_next_lock() {
    everywhere(|_| {
        let mut mutex = Box::new(Mutex::new(0));
        let mut lock = Box::new(RwLock::new(0));
        let mut permits = Box::new(Semaphore::new(0));
        std::mem::forget((mutex.lock(), lock.write()));
        forget(mutex.lock_async());
        forget(lock.write_async());
        forget(lock.read_async());
        forget(permits.acquire_async(3));
        *mutex = Mutex::new(0);
        *lock = RwLock::new(0);
        *permits = Semaphore::new(0);
        let (held, written) = (mutex.lock(), lock.write());
        std::thread::scope(|scope| {
            let waiters = [
                scope.spawn(|| mutex.try_lock_for(PATIENCE).is_some()),
                scope.spawn(|| lock.try_write_for(PATIENCE).is_some()),
                scope.spawn(|| permits.acquire_timeout(1, PATIENCE).is_ok()),
            ];
            std::thread::sleep(SHORT);
            drop((held, written));
            permits.add_permits(1);
            assert_eq!(waiters.map(|waiter| waiter.join().expect("no panic")), [true; 3]);
        });
    });
}

/// The lock that a forgotten future waited for may move. Nobody waits at its new place.
#[test]
fn a_lock_that_moves_away_from_a_forgotten_future() {
    everywhere(|_| {
        let (mutex, lock, permits) = (Mutex::new(0), RwLock::new(0), Semaphore::new(1));
        let held = mutex.lock();
        forget(mutex.lock_async());
        std::mem::forget(held);
        let read = lock.read();
        forget(lock.write_async());
        std::mem::forget(read);
        forget(permits.acquire_async(2));
        let (mutex, lock, permits) = (Box::new(mutex), Box::new(lock), Box::new(permits));
        assert!(mutex.try_lock_for(SHORT).is_none(), "its guard was forgotten");
        assert!(lock.try_read_for(PATIENCE).is_some(), "one reads, and nobody waits");
        assert!(permits.acquire_timeout(1, PATIENCE).is_ok(), "nobody waits");
    });
}

#[test]
fn a_condvar_wakes_in_order() {
    everywhere(|kind| {
        let shared = Arc::new((Mutex::new((0, Vec::new())), Condvar::new()));
        let waiters: Vec<_> = (0..3)
            .map(|n| {
                let shared = shared.clone();
                kind.go_and_wait(move || {
                    let mut state = shared.0.lock();
                    shared.1.wait(&mut state);
                    state.1.push(n);
                    state.0 += 1;
                })
            })
            .collect();
        for told in 0..3 {
            shared.1.notify_one();
            eventually("it was told", || shared.0.lock().0 == told + 1);
        }
        waiters.into_iter().for_each(|waiter| waiter.join());
        assert_eq!(shared.0.lock().1, [0, 1, 2]);
        // Nobody is there to be told.
        shared.1.notify_one();
        shared.1.notify_all();
    });
}

#[test]
fn a_condvar_and_time() {
    everywhere(|_| {
        let (mutex, condvar) = (Mutex::new(0), Condvar::new());
        let mut guard = mutex.lock();
        assert!(condvar.wait_timeout(&mut guard, Duration::ZERO).timed_out());
        assert!(condvar.wait_timeout(&mut guard, Duration::from_millis(2)).timed_out());
        assert!(condvar.wait_until(&mut guard, Instant::now()).timed_out());
        assert!(condvar.wait_timeout_while(&mut guard, Duration::from_millis(2), |n| *n == 0).timed_out());
        assert!(!condvar.wait_timeout_while(&mut guard, Duration::MAX, |n| *n == 1).timed_out());
        *guard += 1;
        drop(guard);
        assert_eq!(*mutex.lock(), 1);
    });
}

#[test]
fn turns_by_one_condvar() {
    fn turns(kind: Kind, n: usize) {
        let shared = Arc::new((Mutex::new(0), Condvar::new()));
        let workers: Vec<_> = (0..n)
            .map(|me| {
                let shared = shared.clone();
                kind.go(move || {
                    for _ in 0..20 {
                        let mut turn = shared.0.lock();
                        shared.1.wait_while(&mut turn, |turn| *turn % n != me);
                        *turn += 1;
                        drop(turn);
                        shared.1.notify_all();
                    }
                })
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join());
        assert_eq!(*shared.0.lock(), 20 * n);
    }
    everywhere(|kind| turns(kind, if kind == Kind::G { 50 } else { 5 }));
}

#[test]
fn a_semaphore_keeps_the_order_of_all_amounts() {
    everywhere(|kind| {
        let semaphore = Arc::new(Semaphore::new(3));
        let held = semaphore.acquire(3).expect("open");
        let order = Arc::new(Mutex::new(Vec::new()));
        let waiters: Vec<_> = [3, 1, 2]
            .map(|n| {
                let (semaphore, order) = (semaphore.clone(), order.clone());
                kind.go_and_wait(move || {
                    let permit = semaphore.acquire(n).expect("open");
                    order.lock().push(n);
                    sleep(Duration::from_millis(1));
                    drop(permit);
                })
            })
            .into_iter()
            .collect();
        // One is free, and one waits for one, but behind a larger amount.
        let mut held = held;
        drop(held.split(1));
        assert_eq!(semaphore.available(), 1);
        assert_eq!(semaphore.try_acquire(1).err(), Some(TryAcquireError::NoPermits));
        drop(held);
        waiters.into_iter().for_each(|waiter| waiter.join());
        assert_eq!(order.lock()[0], 3);
        assert_eq!(semaphore.available(), 3);
    });
}

#[test]
fn a_large_amount_that_gives_up_lets_small_ones_in() {
    everywhere(|kind| {
        let semaphore = Arc::new(Semaphore::new(2));
        let held = semaphore.acquire(1).expect("open");
        let large = {
            let semaphore = semaphore.clone();
            kind.go_and_wait(move || semaphore.acquire_timeout(2, Duration::from_millis(300)).err())
        };
        let small = {
            let semaphore = semaphore.clone();
            kind.go(move || semaphore.acquire_timeout(1, PATIENCE).is_ok())
        };
        assert_eq!(large.join(), Some(TryAcquireError::NoPermits));
        assert!(small.join());
        drop(held);
        assert_eq!(semaphore.available(), 2);
    });
}

#[test]
fn permits_of_nought_and_too_many() {
    everywhere(|kind| {
        let semaphore = Arc::new(Semaphore::new(0));
        assert_eq!(semaphore.acquire(0).expect("open").count(), 0);
        assert!(semaphore.try_acquire(0).is_ok());
        assert!(semaphore.try_acquire(1).is_err());
        assert_eq!(semaphore.forget_permits(5), 0);
        semaphore.add_permits(Semaphore::MAX_PERMITS);
        assert!(catch_unwind(AssertUnwindSafe(|| semaphore.add_permits(1))).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| semaphore.add_permits(usize::MAX))).is_err());
        assert_eq!(semaphore.forget_permits(usize::MAX), Semaphore::MAX_PERMITS);
        let waiter = {
            let semaphore = semaphore.clone();
            kind.go_and_wait(move || semaphore.acquire(usize::MAX).err())
        };
        semaphore.close();
        assert_eq!(waiter.join(), Some(AcquireError));
        assert_eq!(semaphore.try_acquire(0).err(), Some(TryAcquireError::Closed));
    });
}

#[test]
fn permits_of_a_future_that_is_dropped_go_on() {
    on_gs(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let held = semaphore.acquire(1).expect("open");
        let mut future = Box::pin(semaphore.acquire_async(1));
        assert!(poll_once(&mut future).is_pending());
        let other = {
            let semaphore = semaphore.clone();
            go(move || semaphore.acquire(1).map(|_| ()))
        };
        wait_until_waiting(&here(), other.id());
        drop(held);
        assert_eq!(semaphore.available(), 0);
        drop(future);
        assert_eq!(other.join().expect("no panic"), Ok(()));
        block_on(async { drop(semaphore.acquire_async(1).await.expect("open")) });
        assert_eq!(semaphore.available(), 1);
    });
}

/// One that gives up may let many in: some in each turn of the lock of the line, and those are woken before the next.
#[test]
fn one_that_gives_up_lets_many_in_by_turns() {
    const MANY: usize = 100;
    struct Looks(Arc<Semaphore>, std::sync::Mutex<Vec<usize>>);
    impl std::task::Wake for Looks {
        fn wake(self: Arc<Self>) {
            self.1.lock().expect("no panic").push(self.0.available());
        }
    }
    let semaphore = Arc::new(Semaphore::new(MANY));
    let looks = Arc::new(Looks(semaphore.clone(), std::sync::Mutex::default()));
    let waker = std::task::Waker::from(looks.clone());
    let mut poll = |future: &mut Pin<Box<AcquireFuture<'_>>>| {
        assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    };
    let mut large = Box::pin(semaphore.acquire_async(MANY + 1));
    poll(&mut large);
    let mut small: Vec<_> = (0..MANY).map(|_| Box::pin(semaphore.acquire_async(1))).collect();
    small.iter_mut().for_each(&mut poll);
    drop(large);
    assert_eq!(semaphore.available(), 0);
    let seen = looks.1.lock().expect("no panic");
    // The first that was woken has seen that few had been let in by then.
    assert_eq!(seen.len(), MANY);
    assert!(seen[0] >= MANY - 16 && seen[MANY - 1] == 0, "{seen:?}");
    // Readers behind a writer.
    let lock = RwLock::new(());
    let reads = lock.read();
    let mut writer = Box::pin(lock.write_async());
    assert!(poll_once(&mut writer).is_pending());
    let mut readers: Vec<_> = (0..MANY).map(|_| Box::pin(lock.read_async())).collect();
    assert!(readers.iter_mut().all(|reader| poll_once(reader).is_pending()));
    drop(writer);
    assert!(readers.iter_mut().all(|reader| poll_once(reader).is_ready()));
    drop(reads);
    assert!(lock.try_write().is_some());
}

/// Thousands wait for every kind of thing while their runtime ends: all are unwound, and nobody is left in a line.
#[test]
fn a_shutdown_while_thousands_wait() {
    for procs in [1, 2] {
        let mut house = house(builder().procs(procs));
        let runtime = house.take();
        let mutex: &'static Mutex<u32> = Box::leak(Box::new(Mutex::new(1)));
        let lock: &'static RwLock<u32> = Box::leak(Box::new(RwLock::new(1)));
        let condvar: &'static Condvar = Box::leak(Box::new(Condvar::new()));
        let semaphore: &'static Semaphore = Box::leak(Box::new(Semaphore::new(1)));
        let held = (mutex.lock(), lock.write(), semaphore.acquire(1).expect("open"));
        let other: &'static Mutex<u32> = Box::leak(Box::new(Mutex::new(1)));
        let gs: Vec<_> = (0..5000)
            .map(|n| {
                runtime.go(move || match n % 5 {
                    0 => *mutex.lock(),
                    1 => *lock.read(),
                    2 => *lock.write(),
                    3 => {
                        let mut guard = other.lock();
                        condvar.wait(&mut guard);
                        *guard
                    }
                    _ => semaphore.acquire(1).map_or(0, |permit| permit.count() as u32),
                })
            })
            .collect();
        eventually("all wait", || runtime.metrics().waiting == 5000);
        runtime.shutdown_timeout(PATIENCE);
        for g in gs {
            assert!(g.join().expect_err("it is unwound").is::<ShutDown>());
        }
        drop(held);
        assert!(mutex.try_lock().is_some() && lock.try_write().is_some() && other.try_lock().is_some());
        assert_eq!(semaphore.available(), 1);
        condvar.notify_all();
        drop(house);
    }
}

/// Gs that are unwound while they are handed things pass them on.
#[test]
fn a_shutdown_in_the_middle() {
    for _ in 0..20 {
        let mutex: &'static Mutex<u64> = Box::leak(Box::new(Mutex::new(0)));
        let lock: &'static RwLock<u64> = Box::leak(Box::new(RwLock::new(0)));
        let semaphore: &'static Semaphore = Box::leak(Box::new(Semaphore::new(2)));
        let ends = builder().procs(2).build().expect("a runtime");
        let stays = runtime(2);
        for n in 0..20 {
            let work = move || loop {
                match n % 3 {
                    0 => *mutex.lock() += 1,
                    1 => *lock.write() += 1,
                    _ => drop(semaphore.acquire(2).expect("open")),
                }
                drop(lock.read());
                yield_now();
            };
            drop(ends.go(work));
        }
        let over: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
        let steady: Vec<_> = (0..6)
            .map(|n| {
                stays.go(move || {
                    while !over.load(Ordering::Relaxed) {
                        match n % 3 {
                            0 => *mutex.lock() += 1,
                            1 => *lock.write() += 1,
                            _ => drop(semaphore.acquire(1).expect("open")),
                        }
                        yield_now();
                    }
                })
            })
            .collect();
        sleep(Duration::from_millis(2));
        ends.shutdown_timeout(PATIENCE);
        over.store(true, Ordering::Relaxed);
        steady.into_iter().for_each(|g| g.join().expect("no panic"));
        assert!(mutex.try_lock().is_some() && lock.try_write().is_some());
        assert_eq!(semaphore.available(), 2);
        stays.close();
    }
}

#[test]
fn all_kinds_share_a_lock() {
    let house = runtime(2);
    house.run(|| {
        let shared = Arc::new((Mutex::new(0u64), RwLock::new(0u64), Semaphore::new(2)));
        let workers: Vec<_> = (0..9)
            .map(|n| {
                let (shared, kind) = (shared.clone(), KINDS[n % 3]);
                kind.go(move || {
                    for _ in 0..500 {
                        if kind == Kind::Task {
                            block_on(async {
                                *shared.0.lock_async().await += 1;
                                *shared.1.write_async().await += 1;
                                drop(shared.1.read_async().await);
                                drop(shared.2.acquire_async(2).await.expect("open"));
                            });
                        } else {
                            *shared.0.lock() += 1;
                            *shared.1.write() += 1;
                            drop(shared.1.read());
                            drop(shared.2.acquire(1).expect("open"));
                        }
                    }
                })
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join());
        assert_eq!((*shared.0.lock(), *shared.1.read(), shared.2.available()), (4500, 4500, 2));
    });
    house.close();
}
