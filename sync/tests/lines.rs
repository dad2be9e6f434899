//! Many lines at once: several addresses share a bucket of the lot.

use pirn_sync::{LockFuture, Mutex, MutexGuard};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// So many that some share a bucket.
const LOCKS: usize = 4096;

fn poll<'a>(future: &mut Pin<Box<LockFuture<'a, ()>>>) -> Poll<MutexGuard<'a, ()>> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Who leaves a line takes no other line of the bucket along.
#[test]
fn each_is_told_in_its_line() {
    let locks: Vec<_> = (0..LOCKS).map(|_| Mutex::new(())).collect();
    let guards: Vec<_> = locks.iter().map(Mutex::lock).collect();
    let mut lines: Vec<_> = locks.iter().map(|lock| [(); 3].map(|()| Box::pin(lock.lock_async()))).collect();
    for future in lines.iter_mut().flatten() {
        assert!(poll(future).is_pending());
    }
    for (nth, guard) in guards.into_iter().enumerate() {
        drop(guard);
        // The second gives up where it stands.
        let [first, second, third] = &mut lines[nth];
        let Poll::Ready(guard) = poll(first) else { panic!("the first of lock {nth}") };
        *second = Box::pin(locks[nth].lock_async());
        drop(guard);
        assert!(poll(third).is_ready(), "the third of lock {nth}");
    }
    assert!(locks.iter().all(|lock| lock.try_lock().is_some()));
}
