//! What others' tests of locks need besides locks. `ci/sync-suites` puts it under the tests of std, parking_lot,
//! lock_api and may.

use std::num::NonZeroUsize;

pub use pirn_suite::{on_g, thread};

pub mod may;

/// Who calls, as reentrant mutexes of lock_api want to know it: each G and each thread has a number of its own.
///
/// # Panics
/// Never: no number is nought.
pub fn who() -> NonZeroUsize {
    thread_local! {
        static OF_THREAD: u8 = const { 0 };
    }
    let number = match pirn_runtime::current_gid() {
        // Odd, so that it is no address of what is aligned to two.
        Some(g) => usize::try_from(g.as_u64()).expect("an address has 64 bits") * 2 + 1,
        None => OF_THREAD.with(|byte| std::ptr::from_ref(byte).addr()) * 2,
    };
    NonZeroUsize::new(number).expect("odd, or twice an address")
}
