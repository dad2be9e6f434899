//! The child of a fork has the locks of its parent, and none of its threads.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::common::{builder, eventually, house};
use pirn_sync::{Mutex, MutexGuard, Notify, Semaphore};
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::time::Duration;

/// Forks so often: what goes wrong does not each time.
const TIMES: usize = 50;

/// Has the child call `f` and leave. How it ended. One that hangs is ended by a signal.
fn fork(f: impl FnOnce()) -> ExitStatus {
    // SAFETY: the child does what is tested, and nothing of the test harness's.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // SAFETY: no preconditions.
        unsafe { libc::alarm(20) };
        // A panic has no business with the harness here.
        let status = if catch_unwind(AssertUnwindSafe(f)).is_ok() { 7 } else { 8 };
        // SAFETY: as above.
        unsafe { libc::_exit(status) };
    }
    let mut status = 0;
    // SAFETY: the status is valid to be written.
    while unsafe { libc::waitpid(child, &raw mut status, 0) } != child {}
    ExitStatus::from_raw(status)
}

/// Waits at addresses of all buckets.
fn use_all_buckets(locks: &[Mutex<()>]) {
    for lock in locks {
        let guard = lock.lock();
        assert!(lock.try_lock_until(std::time::Instant::now()).is_none());
        drop(guard);
    }
}

fn locks() -> Vec<Mutex<()>> {
    (0..4096).map(|_| Mutex::new(())).collect()
}

/// Calls `f` while others use the table. The first use, which prepares forks, is over then.
fn beside_others(f: impl FnOnce()) {
    use_all_buckets(&locks()[..1]);
    let over = AtomicBool::new(false);
    scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let locks = locks();
                while !over.load(Ordering::Relaxed) {
                    use_all_buckets(&locks);
                }
            });
        }
        let result = catch_unwind(AssertUnwindSafe(f));
        over.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| resume_unwind(panic));
    });
}

#[test]
fn a_thread_that_forked_waits_at_any_address() {
    let locks = locks();
    beside_others(|| {
        for _ in 0..TIMES {
            let ended = fork(|| use_all_buckets(&locks));
            assert_eq!(ended.code(), Some(7), "{ended}");
        }
    });
}

#[test]
fn a_g_that_forked_waits_at_any_address() {
    beside_others(|| {
        let rt = house(builder().procs(2));
        rt.run(|| {
            let locks = locks();
            for _ in 0..TIMES {
                let ended = fork(|| use_all_buckets(&locks));
                assert_eq!(ended.code(), Some(7), "{ended}");
            }
        });
    });
}

/// Those who waited are not there, and what they had waited for goes to those who are.
#[test]
fn those_who_waited_are_not_in_the_child() {
    let (lock, semaphore) = (Mutex::new(1), Semaphore::new(0));
    scope(|scope| {
        let guard = lock.lock();
        let waiters = [scope.spawn(|| drop(lock.lock())), scope.spawn(|| drop(semaphore.acquire(1)))];
        std::thread::sleep(Duration::from_millis(50));
        let ended = fork(|| {
            MutexGuard::unlock_fair(guard);
            assert!(lock.try_lock().is_some(), "the lock");
            semaphore.add_permits(1);
            assert!(semaphore.try_acquire(1).is_ok(), "the semaphore");
        });
        // In the parent all is as it was. The guard has gone with the closure.
        for waiter in waiters {
            semaphore.add_permits(1);
            waiter.join().expect("no panic");
        }
        assert_eq!(ended.code(), Some(7), "{ended}");
    });
}

/// The notification is for the next that waits, and not for those who waited in the parent.
#[test]
fn a_notification_in_the_child_is_not_lost() {
    let notify = Notify::new();
    scope(|scope| {
        let waiter = scope.spawn(|| notify.wait());
        std::thread::sleep(Duration::from_millis(50));
        let ended = fork(|| {
            notify.notify_one();
            assert!(notify.wait_timeout(Duration::from_secs(10)), "it was notified");
            assert!(!notify.wait_timeout(Duration::from_millis(1)), "once");
            // The same with the permit of a later one.
            notify.notify_waiters();
            notify.notify_one();
            notify.wait();
        });
        notify.notify_one();
        waiter.join().expect("no panic");
        assert_eq!(ended.code(), Some(7), "{ended}");
    });
}

/// Permits that are free are to be had, whoever waited in the parent for more.
#[test]
fn free_permits_are_to_be_had_in_the_child() {
    let semaphore = Semaphore::new(1);
    scope(|scope| {
        let waiter = scope.spawn(|| drop(semaphore.acquire(2)));
        // Nobody overtakes one that waits.
        eventually("one waits", || semaphore.try_acquire(1).is_err());
        let ended = fork(|| assert!(semaphore.try_acquire(1).is_ok(), "nobody waits"));
        assert!(semaphore.try_acquire(1).is_err(), "one waits");
        semaphore.add_permits(1);
        waiter.join().expect("no panic");
        assert_eq!(ended.code(), Some(7), "{ended}");
    });
}
