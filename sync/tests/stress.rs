//! All locks at once, at random, by Gs, threads and tasks: one at a time has what only one may have, nothing is lost,
//! nobody hangs. `PIRN_STRESS_SECS` is the time box.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::common::{Rng, runtime, seed, stress_secs};
use crew::{KINDS, Kind, Worker, poll_once};
use pirn_runtime::{block_on, yield_now};
use pirn_sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockUpgradableReadGuard, RwLockWriteGuard, Semaphore};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const PERMITS: usize = 5;

/// Two numbers that are equal whenever nobody writes.
#[derive(Default)]
struct Pair(usize, usize);

impl Pair {
    fn add(&mut self, rng: &mut Rng) {
        assert_eq!(self.0, self.1);
        self.0 += 1;
        pause(rng);
        self.1 += 1;
    }

    fn check(&self, rng: &mut Rng) {
        let before = self.0;
        pause(rng);
        assert_eq!((self.0, self.1), (before, before));
    }
}

/// Nothing, mostly; or others run.
fn pause(rng: &mut Rng) {
    match rng.below(20) {
        0 => yield_now(),
        1 => pirn_runtime::sleep(Duration::from_micros(rng.below(50) as u64)),
        2 => (0..rng.below(2000)).for_each(|n| assert_ne!(std::hint::black_box(n), usize::MAX)),
        _ => {}
    }
}

#[derive(Default)]
struct World {
    mutexes: [Mutex<Pair>; 3],
    locks: [RwLock<Pair>; 2],
    /// Balls that are thrown and caught.
    balls: Mutex<usize>,
    thrown: Condvar,
    permits: Option<Semaphore>,
    inside: AtomicUsize,
    counts: [AtomicUsize; 4],
}

impl World {
    fn count(&self, which: usize) {
        self.counts[which].fetch_add(1, Ordering::Relaxed);
    }

    fn lock(&self, kind: Kind, rng: &mut Rng) {
        let mutex = &self.mutexes[rng.below(3)];
        let timeout = Duration::from_micros(rng.below(100) as u64);
        let guard = match (rng.below(6), kind) {
            (0, _) => mutex.try_lock(),
            (1, _) => mutex.try_lock_for(timeout),
            (2, _) => {
                // It may be handed the lock while it is dropped.
                drop(poll_once(&mut Box::pin(mutex.lock_async())));
                None
            }
            (3, Kind::Task) | (4, _) => Some(block_on(mutex.lock_async())),
            _ => Some(mutex.lock()),
        };
        let Some(mut guard) = guard else { return };
        guard.add(rng);
        self.count(0);
        if rng.below(4) == 0 {
            MutexGuard::unlock_fair(guard);
        }
    }

    fn read_or_write(&self, kind: Kind, rng: &mut Rng) {
        let lock = &self.locks[rng.below(2)];
        let timeout = Duration::from_micros(rng.below(100) as u64);
        match (rng.below(11), kind) {
            (0, _) => {
                let Some(mut guard) = lock.try_write_for(timeout) else { return };
                guard.add(rng);
                self.count(1);
            }
            (1, Kind::Task) => {
                block_on(lock.write_async()).add(rng);
                self.count(1);
            }
            (1 | 2, _) => {
                let mut guard = lock.write();
                guard.add(rng);
                self.count(1);
                let guard = RwLockWriteGuard::downgrade(guard);
                guard.check(rng);
                lock.read_recursive().check(rng);
            }
            (3, _) => {
                drop(poll_once(&mut Box::pin(lock.write_async())));
                drop(poll_once(&mut Box::pin(lock.read_async())));
            }
            (4, _) => {
                if let Some(guard) = lock.try_read_for(timeout) {
                    guard.check(rng);
                }
            }
            (9, _) => self.read_and_upgrade(lock, timeout, rng),
            (5, Kind::Task) => block_on(lock.read_async()).check(rng),
            _ => lock.read().check(rng),
        }
    }

    /// What is read before an upgrade holds after it.
    fn read_and_upgrade(&self, lock: &RwLock<Pair>, timeout: Duration, rng: &mut Rng) {
        let guard = match rng.below(3) {
            0 => lock.try_upgradable_read(),
            1 => lock.try_upgradable_read_for(timeout),
            _ => Some(lock.upgradable_read()),
        };
        let Some(guard) = guard else { return };
        guard.check(rng);
        let seen = guard.0;
        let guard = match rng.below(4) {
            0 => return,
            1 => RwLockUpgradableReadGuard::try_upgrade(guard),
            2 => RwLockUpgradableReadGuard::try_upgrade_for(guard, timeout),
            _ => Ok(RwLockUpgradableReadGuard::upgrade(guard)),
        };
        let mut guard = match guard {
            Ok(guard) => guard,
            Err(guard) => return RwLockUpgradableReadGuard::downgrade(guard).check(rng),
        };
        assert_eq!(guard.0, seen);
        guard.add(rng);
        self.count(1);
        let guard = RwLockWriteGuard::downgrade_to_upgradable(guard);
        guard.check(rng);
        assert_eq!(guard.1, seen + 1);
    }

    fn throw(&self, rng: &mut Rng) {
        *self.balls.lock() += 1;
        self.count(2);
        if rng.below(10) == 0 { self.thrown.notify_all() } else { self.thrown.notify_one() }
    }

    fn catch(&self, rng: &mut Rng) {
        let mut balls = self.balls.lock();
        let timeout = Duration::from_micros(rng.below(300) as u64);
        if !self.thrown.wait_timeout_while(&mut balls, timeout, |balls| *balls == 0).timed_out() {
            *balls -= 1;
            self.count(3);
        }
    }

    fn enter(&self, kind: Kind, rng: &mut Rng) {
        let permits = self.permits.as_ref().expect("made");
        let n = 1 + rng.below(PERMITS);
        let timeout = Duration::from_micros(rng.below(100) as u64);
        let permit = match (rng.below(4), kind) {
            (0, _) => permits.acquire_timeout(n, timeout).ok(),
            (1, _) => {
                drop(poll_once(&mut Box::pin(permits.acquire_async(n))));
                None
            }
            (2, Kind::Task) => block_on(permits.acquire_async(n)).ok(),
            _ => permits.acquire(n).ok(),
        };
        let Some(mut permit) = permit else { return };
        assert!(self.inside.fetch_add(n, Ordering::Relaxed) + n <= PERMITS);
        pause(rng);
        self.inside.fetch_sub(n, Ordering::Relaxed);
        drop(permit.split(n / 2));
    }

    fn work(&self, kind: Kind, mut rng: Rng, end: Instant) {
        while Instant::now() < end {
            match rng.below(10) {
                0..3 => self.lock(kind, &mut rng),
                3..6 => self.read_or_write(kind, &mut rng),
                6 => self.throw(&mut rng),
                7 => self.catch(&mut rng),
                _ => self.enter(kind, &mut rng),
            }
        }
    }
}

#[test]
fn everything_at_random() {
    let seed = seed("locks");
    for (round, procs) in [1, 2, 4].into_iter().enumerate() {
        let house = runtime(procs);
        house.run(|| {
            let permits = Some(Semaphore::new(PERMITS));
            let world = Arc::new(World { permits, ..World::default() });
            let end = Instant::now() + Duration::from_millis(stress_secs() * 1000 / 3);
            let workers: Vec<Worker<()>> = (0..18)
                .map(|n| {
                    // Most of them are Gs.
                    let kind = if n < 9 { Kind::G } else { KINDS[n % 3] };
                    let (world, rng) = (world.clone(), Rng::new(seed ^ (round * 100 + n) as u64));
                    kind.go(move || world.work(kind, rng, end))
                })
                .collect();
            workers.into_iter().for_each(Worker::join);
            let [locked, written, thrown, caught] = world.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
            let in_mutexes: usize = world.mutexes.iter().map(|mutex| mutex.lock().0).sum();
            let in_locks: usize = world.locks.iter().map(|lock| lock.read().1).sum();
            assert_eq!((in_mutexes, in_locks, *world.balls.lock()), (locked, written, thrown - caught));
            assert_eq!(world.permits.as_ref().expect("made").available(), PERMITS);
            assert!(locked > 0 && written > 0 && caught > 0, "{:?}", world.counts);
        });
        house.close();
    }
}
