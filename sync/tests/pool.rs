//! The pool, for goroutines and threads.
//!
//! Go's `src/sync/pool_test.go`, as semantics: `TestPool` and `TestPoolNew` are `what_is_put_is_taken`; `TestPoolStress`
//! is `nobody_has_what_another_one_has`; `TestPoolGC` and `TestPoolRelease` are in `pool_age.rs`. Left out: `TestPoolDequeue`
//! and `TestPoolChain`, which are about the parts of Go's pool, and `TestNilPool`, as there is no such thing.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::{everywhere, on_gs};
use pirn_sync::{Pool, Pooled};
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[test]
fn what_is_put_is_taken() {
    everywhere(|_| {
        let pool = Pool::new(|| 0);
        assert_eq!(pool.take(), None);
        assert_eq!(*pool.get(), 0);
        assert_eq!(pool.kept(), 1, "it has been put back");
        pool.clear();
        assert_eq!(pool.kept(), 0);
        (1..=100).for_each(|n| pool.put(n));
        assert_eq!(pool.kept(), 100);
        let mut taken: Vec<u32> = std::iter::from_fn(|| pool.take()).collect();
        taken.sort_unstable();
        assert_eq!(taken, (1..=100).collect::<Vec<_>>());
    });
}

#[test]
fn a_value_goes_back_as_it_was_left() {
    let pool = Pool::new(|| 1);
    *pool.get() += 1;
    let value = pool.get();
    assert_eq!(*value, 2);
    let value = Pooled::into_inner(value);
    assert_eq!((value, pool.kept()), (2, 0));
    assert_eq!(*pool.get(), 1);
}

#[test]
fn one_whose_holder_panics_does_not_go_back() {
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    struct Value;
    impl Drop for Value {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Ordering::Relaxed);
        }
    }
    let pool = Pool::new(|| Value);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _value = pool.get();
        resume_unwind(Box::new("a mistake"));
    }));
    panicked.expect_err("it panicked");
    assert_eq!((pool.kept(), DROPS.load(Ordering::Relaxed)), (0, 1));
    drop(pool.get());
    assert_eq!(pool.kept(), 1);
    drop(pool);
    assert_eq!(DROPS.load(Ordering::Relaxed), 2);
}

#[test]
fn it_keeps_no_more_than_its_maximum() {
    for max in [0, 1, 7] {
        let pool = Pool::new(|| 0).with_max(max);
        (0..20).for_each(|n| pool.put(n));
        assert_eq!(pool.kept(), max);
        let taken: Vec<_> = (0..20).map(|_| pool.get()).collect();
        drop(taken);
        assert_eq!(pool.kept(), max);
        pool.clear();
        (0..20).for_each(|n| pool.put(n));
        assert_eq!(pool.kept(), max);
    }
}

#[test]
fn nobody_has_what_another_one_has() {
    everywhere(|kind| {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        MADE.store(0, Ordering::Relaxed);
        let pool = Arc::new(Pool::new(|| {
            MADE.fetch_add(1, Ordering::Relaxed);
            AtomicUsize::new(0)
        }));
        let workers = [(); 8].map(|()| {
            let pool = pool.clone();
            kind.go(move || {
                for n in 0..500 {
                    let value = pool.get();
                    assert_eq!(value.fetch_add(1, Ordering::Relaxed), 0, "two have it");
                    if n % 16 == 0 {
                        pirn_runtime::yield_now();
                    }
                    value.store(0, Ordering::Relaxed);
                }
            })
        });
        workers.into_iter().for_each(|worker| worker.join());
        assert!(pool.kept() <= MADE.load(Ordering::Relaxed));
    });
}

/// All but one of a thread's are kept in another way.
#[test]
fn many_are_in_use_at_the_same_time() {
    everywhere(|kind| {
        let pool = Arc::new(Pool::new(|| 0));
        for _ in 0..3 {
            let values: Vec<_> = (0..20).map(|_| pool.get()).collect();
            assert_eq!(pool.kept(), 0);
            drop(values);
            assert_eq!(pool.kept(), 20);
        }
        let mut values: Vec<_> = (0..20).map(|_| pool.get()).collect();
        assert_eq!(values.drain(..10).map(Pooled::into_inner).sum::<u32>(), 0);
        forget(values.pop());
        drop(values);
        assert_eq!(pool.kept(), 9, "ten were taken away, and one was forgotten");
        let other = pool.clone();
        kind.go(move || (0..100).for_each(|_| drop(other.get()))).join();
        assert_eq!(pool.kept(), 9);
    });
}

#[test]
fn a_value_may_be_dropped_on_another_thread() {
    static POOL: Pool<u32> = Pool::new(|| 0);
    for n in 0..10 {
        let mut value = POOL.get();
        assert_eq!((*value, POOL.kept()), (n, 0));
        *value += 1;
        std::thread::spawn(move || drop(value)).join().unwrap();
        assert_eq!(POOL.kept(), 1);
    }
}

#[test]
fn one_that_cannot_be_made_harms_nobody() {
    static MAY_MAKE: AtomicBool = AtomicBool::new(false);
    let make: fn() -> u32 = || if MAY_MAKE.load(Ordering::Relaxed) { 1 } else { resume_unwind(Box::new("a mistake")) };
    let pool = Pool::new(make);
    catch_unwind(AssertUnwindSafe(|| drop(pool.get()))).expect_err("it panicked");
    MAY_MAKE.store(true, Ordering::Relaxed);
    assert_eq!(*pool.get(), 1);
    assert_eq!(pool.kept(), 1);
}

/// A destructor of one value may use the pool.
#[test]
fn a_destructor_may_use_the_pool() {
    static POOL: Pool<Nested> = Pool::new(|| Nested(0)).with_max(1);
    struct Nested(u32);
    impl Drop for Nested {
        fn drop(&mut self) {
            if self.0 > 0 {
                POOL.put(Nested(self.0 - 1));
            }
        }
    }
    on_gs(|| {
        POOL.put(Nested(0));
        POOL.put(Nested(5));
        assert_eq!(POOL.kept(), 1);
    });
}
