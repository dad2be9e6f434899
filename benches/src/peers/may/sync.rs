//! The workloads over locks.

use crate::Bench;
use crate::peers::locks::{self, Tasks, locks};
use may::coroutine::{self, JoinHandle};
use may::go;
use may::sync::{Barrier, RwLock, Semphore, WaitGroup, mpsc};
use std::collections::HashMap;

/// Coroutines, and may's channels, which are all unbounded.
pub(super) struct Coroutines;

impl Tasks for Coroutines {
    type Handle<T: Send + 'static> = JoinHandle<T>;
    type Sender = mpsc::Sender<u64>;
    type Receiver = mpsc::Receiver<u64>;

    #[inline(always)]
    fn go<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Self::Handle<T> {
        go!(work)
    }

    #[inline(always)]
    fn joined<T: Send + 'static>(handle: Self::Handle<T>) -> T {
        super::joined(handle)
    }

    #[inline(always)]
    fn yield_now() {
        coroutine::yield_now();
    }

    #[inline(always)]
    fn channel() -> (Self::Sender, Self::Receiver) {
        mpsc::channel()
    }

    #[inline(always)]
    fn send(sender: &Self::Sender, value: u64) {
        sender.send(value).expect("a receiver");
    }

    #[inline(always)]
    fn recv(receiver: &Self::Receiver) -> Option<u64> {
        receiver.recv().ok()
    }
}

/// The locks of may.
pub(super) struct Locks;

locks!(Locks, "", may::sync, [.expect("no coroutine panics")], |condvar, guard| {
    guard = condvar.wait(guard).expect("no coroutine panics");
});

pub(super) fn barrier(bench: &Bench) {
    locks::barrier::<Coroutines, _>(bench, 10_000, Barrier::new, |barrier| barrier.wait().is_leader());
}

pub(super) fn semaphore(bench: &Bench) {
    locks::semaphore::<Coroutines, _>(bench, "", 1000, Semphore::new, |semaphore, work| {
        semaphore.wait();
        work();
        semaphore.post();
    });
}

pub(super) fn wait_group(bench: &Bench) {
    locks::wait_group::<Coroutines, _>(bench, 200_000, WaitGroup::new, WaitGroup::wait);
}

pub(super) fn map90(bench: &Bench) {
    locks::map90::<Coroutines, _>(
        bench,
        "rwlock",
        100_000,
        || RwLock::new(HashMap::<u64, u64>::new()),
        |map, key| map.read().expect("no coroutine panics").get(&key).copied(),
        |map, key, value| _ = map.write().expect("no coroutine panics").insert(key, value),
    );
}
