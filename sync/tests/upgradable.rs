//! The one reader of a lock that may become a writer, from Gs and from threads.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::common::{builder, eventually, house};
use crew::{Kind, PATIENCE, SHORT, everywhere};
use pirn_runtime::ShutDown;
use pirn_sync::{RwLock, RwLockUpgradableReadGuard as Upgradable, RwLockWriteGuard};
use std::panic::{AssertUnwindSafe, catch_unwind};

fn leaked() -> &'static RwLock<u32> {
    Box::leak(Box::new(RwLock::new(1)))
}

#[test]
fn it_reads_beside_others_but_not_beside_its_like() {
    everywhere(|_| {
        let lock = leaked();
        let guard = lock.upgradable_read();
        assert_eq!((*guard, *lock.read(), *lock.try_read().expect("nobody waits")), (1, 1, 1));
        assert!(std::ptr::eq(Upgradable::rwlock(&guard), lock));
        assert!(lock.try_upgradable_read().is_none() && lock.try_write().is_none());
        assert!(lock.try_upgradable_read_for(SHORT).is_none());
        assert!(lock.is_locked() && !lock.is_locked_exclusive());
        drop(guard);
        assert!(!lock.is_locked());
        let reader = lock.read();
        drop(lock.try_upgradable_read().expect("others only read"));
        drop(reader);
        let writer = lock.write();
        assert!(lock.try_upgradable_read().is_none());
        drop(writer);
    });
}

#[test]
fn an_upgrade_waits_for_readers_alone_and_new_ones_wait_behind_it() {
    everywhere(|kind| {
        let lock = leaked();
        let reader = lock.read();
        let guard = lock.upgradable_read();
        // It waits before the upgrade, but does not come first.
        let writer = kind.go_and_wait(|| std::mem::replace(&mut *lock.write(), 3));
        let upgrades = kind.go_and_wait(move || *Upgradable::upgrade(guard) += 1);
        assert!(lock.try_read().is_none() && lock.try_write().is_none());
        let reads = kind.go_and_wait(|| *lock.read());
        assert_eq!(*lock.read_recursive(), 1);
        drop(reader);
        upgrades.join();
        assert_eq!(writer.join(), 2);
        assert!([2, 3].contains(&reads.join()));
        assert_eq!(*lock.read(), 3);
    });
}

#[test]
fn an_upgrade_may_fail() {
    everywhere(|kind| {
        let lock = leaked();
        let reader = lock.read();
        let guard = Upgradable::try_upgrade(lock.upgradable_read()).expect_err("one reads");
        let guard = Upgradable::try_upgrade_for(guard, SHORT).expect_err("one reads");
        assert_eq!(*lock.try_read().expect("it does not wait any more"), 1);
        let waits = kind.go_and_wait(|| *lock.upgradable_read());
        drop(reader);
        *Upgradable::try_upgrade(guard).expect("nobody else reads") = 5;
        assert_eq!(waits.join(), 5);
        *Upgradable::try_upgrade_for(lock.upgradable_read(), PATIENCE).expect("nobody reads") = 6;
        assert_eq!(*lock.read(), 6);
    });
}

/// Readers that waited behind an upgrade read when it is given up, though the guard is kept.
#[test]
fn readers_go_on_when_an_upgrade_is_given_up() {
    everywhere(|kind| {
        let lock = leaked();
        let reader = lock.read();
        let guard = lock.upgradable_read();
        let upgrades = kind.go(move || Upgradable::try_upgrade_for(guard, 10 * SHORT).map(drop));
        eventually("it waits", || lock.try_read().is_none());
        let reads = kind.go_and_wait(|| *lock.read());
        assert_eq!(reads.join(), 1);
        let guard = upgrades.join().expect_err("one reads");
        drop((reader, guard));
        assert!(lock.try_write().is_some());
    });
}

#[test]
fn the_next_one_is_let_in_beside_readers() {
    everywhere(|kind| {
        let lock = leaked();
        let reader = lock.read();
        for keeps in [true, false] {
            let guard = lock.upgradable_read();
            let next = kind.go_and_wait(|| *lock.upgradable_read());
            let kept = if keeps {
                Some(Upgradable::downgrade(guard))
            } else {
                drop(guard);
                None
            };
            assert_eq!(next.join(), 1);
            drop(kept);
        }
        drop(reader);
        assert!(lock.try_write().is_some());
    });
}

#[test]
fn a_writer_becomes_one() {
    everywhere(|kind| {
        let lock = leaked();
        let mut guard = lock.write();
        *guard = 2;
        let reads = kind.go_and_wait(|| *lock.read());
        let guard = RwLockWriteGuard::downgrade_to_upgradable(guard);
        assert_eq!((reads.join(), *guard), (2, 2));
        assert!(lock.try_write().is_none() && lock.try_upgradable_read().is_none());
        *Upgradable::upgrade(guard) = 3;
        assert_eq!(*lock.read(), 3);
    });
}

#[test]
fn a_panic_unlocks() {
    everywhere(|_| {
        let lock = leaked();
        let panics = || {
            let _guard = lock.upgradable_read();
            panic!("as it should");
        };
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert!(!lock.is_locked());
    });
}

/// One that is unwound while it upgrades unlocks as a reader, and those behind it are let in.
#[test]
fn a_shutdown_while_one_upgrades() {
    for procs in [1, 2] {
        let mut house = house(builder().procs(procs));
        let runtime = house.take();
        let lock = leaked();
        let reader = lock.read();
        let upgrades = runtime.go(move || *Upgradable::upgrade(lock.upgradable_read()) += 1);
        eventually("it waits", || lock.try_read().is_none());
        let waits = [runtime.go(move || *lock.read()), runtime.go(move || *lock.upgradable_read())];
        eventually("all wait", || runtime.metrics().waiting == 3);
        let outside = Kind::Thread.go(move || *lock.read());
        runtime.shutdown_timeout(PATIENCE);
        assert!(upgrades.join().expect_err("it is unwound").is::<ShutDown>());
        for g in waits {
            // It is let in, or unwound too.
            _ = g.join();
        }
        assert_eq!(outside.join(), 1);
        drop(reader);
        assert!(lock.try_write().is_some());
        drop(house);
    }
}
