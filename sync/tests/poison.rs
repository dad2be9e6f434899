//! The locks with poisoning, where the tests of std are not enough (`ci/sync-suites`).

use pirn_sync::poison::{RwLock, RwLockReadGuard};

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
