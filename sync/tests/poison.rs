//! The locks with poisoning, where the tests of std are not enough (`ci/sync-suites`).

use pirn_sync::poison::{
    MappedMutexGuard, MappedRwLockWriteGuard, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::TryLockError;

/// The guard of a value takes the place of a guard of a value that lives for a shorter time, as that of std does.
#[test]
fn a_read_guard_is_covariant() {
    fn both<'a>(guard: RwLockReadGuard<'_, &'a str>, other: &'a str) -> usize {
        guard.len() + other.len()
    }
    let lock = RwLock::new("static");
    {
        let short = String::from("short");
        assert_eq!(both(lock.read().expect("nobody panics"), &short), 11);
    }
    assert_eq!(*lock.read().expect("nobody panics"), "static");
}

/// What a guard of a part does when its thread unwinds: it poisons the lock, and then unlocks it.
#[test]
fn a_part_poisons() {
    let mutex = Mutex::new([1]);
    let parts: [&dyn Fn(); 3] = [
        &|| drop(MutexGuard::filter_map(mutex.lock().expect("clear"), |_| -> Option<&mut u32> { panic!("no part") })),
        &|| {
            let part = MutexGuard::map(mutex.lock().expect("clear"), |all| all);
            drop(MappedMutexGuard::map(part, |_| -> &mut u32 { panic!("no part") }));
        },
        &|| {
            let _part = MutexGuard::map(mutex.lock().expect("clear"), |all| &mut all[0]);
            panic!("with a part");
        },
    ];
    for part in parts {
        assert!(catch_unwind(AssertUnwindSafe(part)).is_err());
        assert!(matches!(mutex.try_lock(), Err(TryLockError::Poisoned(_))));
        mutex.clear_poison();
    }
}

#[test]
fn a_part_of_a_lock_to_write_poisons_and_one_to_read_does_not() {
    let lock = RwLock::new([1]);
    let read = || drop(RwLockReadGuard::map(lock.read().expect("clear"), |_| -> &u32 { panic!("no part") }));
    assert!(catch_unwind(AssertUnwindSafe(read)).is_err());
    assert!(lock.try_write().is_ok());
    let write = || {
        let part = RwLockWriteGuard::filter_map(lock.write().expect("clear"), |all| all.get_mut(1));
        let part = RwLockWriteGuard::map(part.expect_err("there is one"), |all| all);
        drop(MappedRwLockWriteGuard::map(part, |_| -> &mut u32 { panic!("no part") }));
    };
    assert!(catch_unwind(AssertUnwindSafe(write)).is_err());
    assert!(matches!(lock.try_write(), Err(TryLockError::Poisoned(_))));
}
