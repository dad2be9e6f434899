//! The workloads over locks: those of std, and those of parking_lot. What neither has is made of them, or of
//! crossbeam-utils and dashmap.

use super::Threads;
use crate::Bench;
use crate::peers::locks::{self, Locks, Permits, locks};
use crossbeam_utils::sync::WaitGroup;
use dashmap::DashMap;
use std::collections::HashMap;
use std::sync::{Barrier, RwLock};
use std::thread;

/// The locks of std.
pub(super) struct Std;

/// The locks of parking_lot.
pub(super) struct ParkingLot;

locks!(Std, "std", std::sync, [.expect("no thread panics")], |condvar, guard| {
    guard = condvar.wait(guard).expect("no thread panics");
});
locks!(ParkingLot, "parking_lot", parking_lot, [], |condvar, guard| condvar.wait(&mut guard));

/// What std needs is what the others are measured by, so only parking_lot's figures have a tag.
pub(super) fn mutex1(bench: &Bench) {
    locks::mutex1::<Std>(bench, "");
    locks::mutex1::<ParkingLot>(bench, ParkingLot::TAG);
}

pub(super) fn mutex8(bench: &Bench) {
    locks::mutex8::<Threads, Std>(bench, 1_000_000);
    locks::mutex8::<Threads, ParkingLot>(bench, 1_000_000);
}

/// As [`mutex1`].
pub(super) fn rwlock1(bench: &Bench) {
    locks::rwlock1::<Std>(bench, "");
    locks::rwlock1::<ParkingLot>(bench, ParkingLot::TAG);
}

pub(super) fn rwlock8(bench: &Bench) {
    locks::rwlock8::<Threads, Std>(bench, 1_000_000);
    locks::rwlock8::<Threads, ParkingLot>(bench, 1_000_000);
}

pub(super) fn mutex_chan(bench: &Bench) {
    locks::mutex_chan::<Threads, Std>(bench, 1000);
    locks::mutex_chan::<Threads, ParkingLot>(bench, 1000);
}

pub(super) fn mutex_sleep(bench: &Bench) {
    locks::mutex_sleep::<Threads, Std>(bench, thread::sleep);
    locks::mutex_sleep::<Threads, ParkingLot>(bench, thread::sleep);
}

pub(super) fn condvar_turns(bench: &Bench) {
    locks::condvar_turns::<Threads, Std>(bench, 10);
    locks::condvar_turns::<Threads, ParkingLot>(bench, 10);
}

pub(super) fn barrier(bench: &Bench) {
    locks::barrier::<Threads, _>(bench, 300, Barrier::new, |barrier| barrier.wait().is_leader());
}

pub(super) fn semaphore(bench: &Bench) {
    of_locks::<Std>(bench);
    of_locks::<ParkingLot>(bench);
}

fn of_locks<L: Locks>(bench: &Bench) {
    locks::semaphore::<Threads, _>(bench, L::TAG, 20, Permits::<L>::new, Permits::hold);
}

pub(super) fn wait_group(bench: &Bench) {
    locks::wait_group::<Threads, _>(bench, 1_000_000, WaitGroup::new, WaitGroup::wait);
}

pub(super) fn map90(bench: &Bench) {
    locks::map90::<Threads, _>(
        bench,
        "rwlock",
        1_000_000,
        RwLock::<HashMap<u64, u64>>::default,
        |map, key| map.read().expect("no thread panics").get(&key).copied(),
        |map, key, value| _ = map.write().expect("no thread panics").insert(key, value),
    );
    locks::map90::<Threads, _>(
        bench,
        "dashmap",
        1_000_000,
        DashMap::<u64, u64>::new,
        |map, key| map.get(&key).map(|value| *value),
        |map, key, value| _ = map.insert(key, value),
    );
}
