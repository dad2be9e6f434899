//! The cache. moka's tests (moka 0.12.16, `src/sync/cache.rs`, MIT or Apache 2.0) by name, as far as they are about what
//! this cache does too:
//!
//! | moka | here |
//! | --- | --- |
//! | basic_single_thread, basic_multi_threads | `stress_of_all_operations`; `it_is_a_map_with_deadlines` in `virtual_time.rs` |
//! | max_capacity_zero | `a_cache_of_no_entries_is_a_mistake` |
//! | invalidate_all | `all_keys_go` |
//! | time_to_live, time_to_live_by_expiry_type | `an_entry_expires_at_its_time` in `virtual_time.rs` |
//! | get_with | `moka_get_with` |
//! | try_get_with | `moka_try_get_with` |
//! | optionally_get_with | `moka_try_get_with`, with `()` as the error |
//! | get_with_by_ref, try_get_with_by_ref, optionally_get_with_by_ref | none: the key is cloned |
//! | entry_or_insert_with_if, entry_by_ref_or_insert_with_if | none: `invalidate` and then a load |
//! | handle_panic_in_get_with, handle_panic_in_try_get_with | `a_load_that_panics_panics_for_all_and_leaves_nothing` |
//! | test_optionally_get_with_expired_entry_bug | `what_is_loaded_for_an_expired_entry_expires` in `virtual_time.rs` |
//! | drop_value_immediately_after_eviction | `what_goes_is_dropped` |
//! | ensure_gc_runs_when_dropping_cache | `what_goes_is_dropped` |
//!
//! What differs: with moka the callers that wait for a load that panics load themselves. Left out: the rest, which is
//! about listeners, weights, idle times, iterators, `upsert` and `compute`, and the policies that a cache may have there.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::{Census, Counted, Rng, eventually, on_gs, runtime, seed, stress_secs, wait_until_waiting};
use pirn_patterns::cache::{CacheMetrics, LoadError, TtlCache};
use pirn_runtime::{Handle, JoinHandle, go, num_goroutines, yield_now};
use pirn_sync::Event;
use pirn_sync::context::{Context, ContextError};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);

fn adds_up(figures: CacheMetrics) -> bool {
    let gone = figures.replaced + figures.expired + figures.evicted + figures.invalidated;
    figures.inserted == figures.entries + gone
}

/// Starts a lookup, and waits until it waits.
fn waits<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let g = go(f);
    wait_until_waiting(&Handle::current().expect("a G"), g.id());
    g
}

#[test]
fn moka_get_with() {
    on_gs(|| {
        let cache = TtlCache::new(HOUR, 100);
        let gate = Arc::new(Event::new());
        let load = |value: &'static str| {
            let (cache, gate) = (cache.clone(), gate.clone());
            waits(move || {
                cache.get_or_insert_with("key", move |_| {
                    gate.wait();
                    value
                })
            })
        };
        // The second comes while the first loads; a third after that; one only looks.
        let (first, second) = (load("first"), load("second"));
        assert_eq!(cache.get(&"key"), None);
        gate.set();
        assert_eq!(first.join().expect("it returns"), "first");
        assert_eq!(second.join().expect("it returns"), "first");
        assert_eq!(cache.get_or_insert_with("key", |_| unreachable!("it is there")), "first");
        assert_eq!(cache.get(&"key"), Some("first"));
        // An insertion takes the place of all.
        cache.insert("key", "inserted");
        assert_eq!(cache.get(&"key"), Some("inserted"));
        let figures = cache.metrics();
        assert_eq!((figures.hits, figures.misses, figures.joined, figures.loads), (3, 2, 1, 1));
        assert!(adds_up(figures), "{figures:?}");
    });
}

#[test]
fn moka_try_get_with() {
    on_gs(|| {
        let cache = TtlCache::new(HOUR, 100);
        let gate = Arc::new(Event::new());
        let load = |result: Result<u32, &'static str>| {
            let (cache, gate) = (cache.clone(), gate.clone());
            waits(move || {
                cache.get_or_try_insert_with("key", move |_| {
                    gate.wait();
                    result
                })
            })
        };
        let (first, second) = (load(Err("fails")), load(Ok(2)));
        gate.set();
        // One error for both; and it is not kept.
        let errors = [first, second].map(|g| g.join().expect("it returns").expect_err("the load fails"));
        assert!(Arc::ptr_eq(&errors[0], &errors[1]));
        assert_eq!(*errors[0], "fails");
        assert!(cache.is_empty());
        assert_eq!(cache.get_or_try_insert_with("key", |_| Ok::<_, ()>(3)), Ok(3));
        assert_eq!(cache.get_or_try_insert_with("key", |_| Err("it is there")), Ok(3));
    });
}

#[test]
fn an_error_of_another_type_is_not_given() {
    on_gs(|| {
        let cache = TtlCache::<_, u32>::new(HOUR, 100);
        let gate = Arc::new(Event::new());
        let first = {
            let (cache, gate) = (cache.clone(), gate.clone());
            waits(move || {
                cache.get_or_try_insert_with("key", move |_| {
                    gate.wait();
                    Err("text")
                })
            })
        };
        let second = {
            let cache = cache.clone();
            waits(move || cache.get_or_try_insert_with("key", |_| Err(7)))
        };
        gate.set();
        assert_eq!(*first.join().expect("it returns").expect_err("it fails"), "text");
        assert_eq!(*second.join().expect("it returns").expect_err("it fails"), 7);
    });
}

#[test]
fn a_load_that_panics_panics_for_all_and_leaves_nothing() {
    on_gs(|| {
        let cache = TtlCache::<_, u32>::new(HOUR, 100);
        let gate = Arc::new(Event::new());
        let gs = [(); 3].map(|()| {
            let (cache, gate) = (cache.clone(), gate.clone());
            waits(move || {
                cache.get_or_insert_with("key", move |_| {
                    gate.wait();
                    resume_unwind(Box::new("it breaks"))
                })
            })
        });
        gate.set();
        for g in gs {
            assert_eq!(g.join().expect_err("it panics").downcast_ref(), Some(&"it breaks"));
        }
        assert_eq!(cache.get_or_insert_with("key", |_| 1), 1);
    });
}

#[test]
fn there_are_never_too_many() {
    on_gs(|| {
        let cache = TtlCache::new(HOUR, 10);
        for n in 0..100 {
            cache.insert(n, n);
            assert!(cache.len() <= 10);
        }
        // What would expire first has gone.
        let there: Vec<_> = (0..100).filter(|n| cache.get(n).is_some()).collect();
        assert_eq!(there, (90..100).collect::<Vec<_>>());
        assert_eq!(cache.metrics().evicted, 90);
        assert!(adds_up(cache.metrics()));
    });
}

#[test]
fn a_value_whose_load_began_before_the_invalidation_is_not_kept() {
    on_gs(|| {
        let cache = TtlCache::new(HOUR, 100);
        let gate = Arc::new(Event::new());
        let slow = {
            let (cache, gate) = (cache.clone(), gate.clone());
            waits(move || {
                cache.get_or_insert_with("key", move |_| {
                    gate.wait();
                    "old"
                })
            })
        };
        assert_eq!(cache.invalidate(&"key"), None);
        assert_eq!(cache.get_or_insert_with("key", |_| "new"), "new");
        gate.set();
        assert_eq!(slow.join().expect("it returns"), "old");
        assert_eq!(cache.get(&"key"), Some("new"));
        assert_eq!(cache.invalidate(&"key"), Some("new"));
        assert_eq!(cache.len(), 0);
    });
}

#[test]
fn a_caller_that_gives_up_fails_no_other_and_nobody_keeps_what_was_made_for_nobody() {
    on_gs(|| {
        let cache = TtlCache::new(HOUR, 100);
        let gate = Arc::new(Event::new());
        let (context, cancel) = Context::background().with_cancel();
        let start = |context: Context| {
            let (cache, gate) = (cache.clone(), gate.clone());
            waits(move || {
                cache.get_or_try_insert_ctx(&context, "key", move |context: &Context| {
                    gate.wait();
                    Ok::<_, ()>(context.err())
                })
            })
        };
        let (first, second) = (start(context.clone()), start(Context::background()));
        cancel.cancel();
        assert!(matches!(first.join(), Ok(Err(LoadError::Ended(ContextError::Cancelled)))));
        gate.set();
        assert_eq!(second.join().expect("it returns").expect("it loads"), None);
        // Nobody waits for this one.
        cache.clear();
        gate.reset();
        let (context, cancel) = Context::background().with_cancel();
        let alone = start(context);
        cancel.cancel();
        assert!(alone.join().expect("it returns").is_err());
        gate.set();
        eventually("it has landed", || num_goroutines() == 1);
        assert_eq!(cache.get(&"key"), None);
    });
}

#[test]
fn what_goes_is_dropped() {
    let census = Census::default();
    let value = || Arc::new(census.count());
    let cache = TtlCache::<_, Arc<Counted>>::new(HOUR, 2);
    cache.insert(1, value());
    drop(cache.invalidate(&1));
    assert_eq!(census.living(), 0);
    (0..5).for_each(|n| cache.insert(n, value()));
    assert_eq!(census.living(), 2);
    cache.insert(4, value());
    assert_eq!(census.living(), 2);
    drop(cache);
    assert_eq!(census.living(), 0);
}

#[test]
#[should_panic(expected = "a cache of 0 entries")]
fn a_cache_of_no_entries_is_a_mistake() {
    TtlCache::<u8, u8>::new(HOUR, 0);
}

#[test]
fn all_keys_go() {
    let cache = TtlCache::new(HOUR, 10);
    ["alice", "bob", "cindy"].into_iter().for_each(|name| cache.insert(name, name.len()));
    cache.clear();
    assert!(cache.is_empty());
    cache.insert("david", 5);
    assert_eq!(["alice", "bob", "cindy", "david"].map(|name| cache.get(&name)), [None, None, None, Some(5)]);
    assert_eq!(cache.metrics().invalidated, 3);
    assert!(adds_up(cache.metrics()));
}

#[test]
fn a_stampede_is_one_load() {
    on_gs(|| {
        let cache = TtlCache::new(HOUR, 100);
        let loads = Arc::new(AtomicUsize::new(0));
        let gs: Vec<_> = (0..1000)
            .map(|_| {
                let (cache, loads) = (cache.clone(), loads.clone());
                go(move || {
                    cache.get_or_insert_with("key", move |_| {
                        loads.fetch_add(1, Ordering::Relaxed);
                        (0..100).for_each(|_| yield_now());
                        1
                    })
                })
            })
            .collect();
        gs.into_iter().for_each(|g| assert_eq!(g.join().expect("it returns"), 1));
        let figures = cache.metrics();
        assert_eq!((loads.load(Ordering::Relaxed), figures.loads), (1, 1));
        assert_eq!(figures.hits + figures.misses + figures.joined, 1000);
    });
}

#[test]
fn threads_use_it_without_a_runtime() {
    let cache = TtlCache::new(Duration::from_millis(1), 100);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let cache = cache.clone();
            thread::spawn(move || cache.get_or_insert_with("key", |_| 7))
        })
        .collect();
    threads.into_iter().for_each(|thread| assert_eq!(thread.join().expect("it returns"), 7));
    // There is no timer; whoever looks takes it out.
    thread::sleep(Duration::from_millis(20));
    assert_eq!((cache.get(&"key"), cache.len()), (None, 0));
    assert!(adds_up(cache.metrics()));
}

#[test]
fn stress_of_all_operations() {
    let seed = seed("stress_of_all_operations");
    let house = runtime(2);
    house.run(|| {
        let cache = TtlCache::new(Duration::from_millis(3), 8);
        let end = Instant::now() + Duration::from_secs(stress_secs());
        let gs: Vec<_> = (0..8)
            .map(|nth| {
                let cache = cache.clone();
                let mut rng = Rng::new(seed + nth);
                go(move || {
                    while Instant::now() < end {
                        let key = rng.below(16);
                        match rng.below(8) {
                            0 => cache.insert(key, key),
                            1 => _ = cache.invalidate(&key),
                            2 => cache.insert_for(key, key, Duration::from_micros(rng.below(500) as u64)),
                            3 => _ = cache.get(&key).inspect(|value| assert_eq!(*value, key)),
                            4 => {
                                let (context, _cancel) =
                                    Context::background().with_timeout(Duration::from_micros(rng.below(200) as u64));
                                _ = cache.get_or_insert_ctx(&context, key, move |_| {
                                    yield_now();
                                    key
                                });
                            }
                            _ => assert_eq!(cache.get_or_insert_with(key, move |_| key), key),
                        }
                        let figures = cache.metrics();
                        assert!(adds_up(figures) && figures.entries <= 8, "{figures:?}");
                    }
                })
            })
            .collect();
        gs.into_iter().for_each(|g| g.join().expect("it ends"));
        // All that is left goes by itself: the table and the order agree.
        eventually("all has expired", || cache.is_empty());
        assert!((0..16).all(|key| cache.get(&key).is_none()));
        eventually("no other G is left", || num_goroutines() == 1);
    });
    house.close();
}
