//! The map, for goroutines and threads.
//!
//! Go's `src/sync/map_test.go`, as semantics: `TestMapMatchesRWMutex`, `TestMapMatchesDeepCopy` and
//! `TestMapMatchesHashTrieMap` are `it_does_what_a_hash_map_does`; `TestConcurrentRange` is
//! `a_range_sees_each_key_once_while_others_store`; `TestIssue40999` is `what_is_deleted_is_dropped`;
//! `TestMapRangeNestedCall` is `a_closure_may_use_the_same_map`; `TestCompareAndSwap_NonExistingKey` is
//! `compare_and_swap_stores_nothing_where_nothing_is`; `TestMapRangeNoAllocations`: a range here takes a snapshot of a
//! shard, and is left out; `TestConcurrentClear` is `a_clear_beside_stores_loses_none_after_it`;
//! `TestMapClearOneAllocation` is about Go's map.

#[path = "../../channels/tests/crew/mod.rs"]
mod crew;

use crew::{Kind, everywhere, in_time, on_gs};
use pirn_sync::{Event, Map, MapState};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// All keys have the same hash.
#[derive(Clone, Default)]
struct Same;

impl BuildHasher for Same {
    type Hasher = Same;

    fn build_hasher(&self) -> Same {
        Same
    }
}

impl Hasher for Same {
    fn finish(&self) -> u64 {
        7
    }

    fn write(&mut self, _: &[u8]) {}
}

/// Random numbers of a fixed seed.
fn numbers() -> impl FnMut(u64) -> u64 {
    let state = Cell::new(0x9E37_79B9_7F4A_7C15u64);
    move |n| {
        let mut x = state.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        state.set(x);
        x % n
    }
}

fn compare<S: BuildHasher + Default>() {
    let (map, mut model) = (Map::<u64, u64, S>::default(), HashMap::new());
    let mut random = numbers();
    for _ in 0..20_000 {
        let (key, value) = (random(20), random(4));
        match random(11) {
            0 => assert_eq!(map.load(&key), model.get(&key).copied()),
            1 => {
                map.store(key, value);
                model.insert(key, value);
            }
            2 => {
                let there = model.get(&key).copied();
                assert_eq!(map.load_or_store(key, value), (there.unwrap_or(value), there.is_some()));
                model.entry(key).or_insert(value);
            }
            3 => assert_eq!(map.load_and_delete(&key), model.remove(&key)),
            4 => assert_eq!(map.delete(&key), model.remove(&key).is_some()),
            5 => assert_eq!(map.swap(key, value), model.insert(key, value)),
            6 => {
                let is_old = model.get(&key) == Some(&value);
                assert_eq!(map.compare_and_swap(key, &value, 9), is_old);
                if is_old {
                    model.insert(key, 9);
                }
            }
            7 => {
                let is_old = model.get(&key) == Some(&value);
                assert_eq!(map.compare_and_delete(&key, &value), is_old);
                if is_old {
                    model.remove(&key);
                }
            }
            8 => {
                let f = |there: Option<&u64>| there.map_or(Some(value), |n| (*n != value).then_some(n ^ value));
                let new = f(model.get(&key));
                assert_eq!(map.update(key, f), new.is_some());
                model.remove(&key);
                model.extend(new.map(|new| (key, new)));
            }
            9 => {
                assert_eq!(map.with(&key, |n| n + 1), model.get(&key).map(|n| n + 1));
                assert_eq!(map.contains_key(&key), model.contains_key(&key));
                assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
            }
            _ => match random(40) {
                0 => {
                    map.clear();
                    model.clear();
                }
                1 => {
                    map.retain(|key, n| (key + n) % 3 != 0);
                    model.retain(|key, n| (*key + *n) % 3 != 0);
                }
                _ => {
                    let mut all = HashMap::new();
                    map.range(|key, n| all.insert(*key, *n).is_none());
                    assert_eq!(all, model);
                }
            },
        }
    }
}

#[test]
fn it_does_what_a_hash_map_does() {
    compare::<MapState>();
    compare::<std::hash::BuildHasherDefault<std::collections::hash_map::DefaultHasher>>();
    compare::<Same>();
    compare::<std::collections::hash_map::RandomState>();
}

#[test]
fn counts_of_many_are_exact() {
    everywhere(|kind| {
        for keys in [1, 10] {
            let map = Arc::new(Map::<String, usize>::new());
            let workers = [(); 8].map(|()| {
                let map = map.clone();
                kind.go(move || {
                    for n in 0..300 {
                        map.update(format!("{}", n % keys), |n| Some(n.map_or(1, |n| n + 1)));
                    }
                })
            });
            workers.into_iter().for_each(|worker| worker.join());
            let mut sum = 0;
            map.range(|_, n| {
                sum += n;
                true
            });
            assert_eq!((sum, map.len()), (2400, keys));
        }
    });
}

#[test]
fn one_of_many_stores_first() {
    everywhere(|kind| {
        let map = Arc::new(Map::<u32, usize>::new());
        let workers: Vec<_> = (0..8)
            .map(|n| {
                let map = map.clone();
                kind.go(move || map.load_or_store(1, n))
            })
            .collect();
        let results: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        assert_eq!(results.iter().filter(|(_, is_loaded)| !is_loaded).count(), 1);
        assert!(results.iter().all(|(n, _)| Some(*n) == map.load(&1)));
    });
}

#[test]
fn a_range_sees_each_key_once_while_others_store() {
    everywhere(|kind| {
        const KEYS: u64 = 256;
        let map: Arc<Map<u64, u64>> = Arc::new((1..=KEYS).map(|n| (n, n)).collect());
        let stop = Arc::new(AtomicUsize::new(0));
        let writers = [(); 2].map(|()| {
            let (map, stop) = (map.clone(), stop.clone());
            kind.go(move || {
                let mut m = 1;
                while stop.load(Ordering::Relaxed) == 0 {
                    m += 1;
                    (1..=KEYS).for_each(|n| map.store(n, n * m));
                    pirn_runtime::yield_now();
                }
            })
        });
        for _ in 0..20 {
            let mut seen = HashSet::new();
            map.range(|key, value| {
                assert_eq!(value % key, 0);
                assert!(seen.insert(*key), "visited twice");
                true
            });
            assert_eq!(seen.len() as u64, KEYS);
            pirn_runtime::yield_now();
        }
        stop.store(1, Ordering::Relaxed);
        writers.into_iter().for_each(|writer| writer.join());
    });
}

#[test]
fn what_is_deleted_is_dropped() {
    let value = Arc::new(());
    let map = Map::<u32, Arc<()>>::new();
    for n in 0..10 {
        map.store(n, value.clone());
        map.store(n, value.clone());
    }
    assert_eq!(Arc::strong_count(&value), 11);
    map.delete(&0);
    map.load_and_delete(&1);
    map.swap(2, Arc::new(()));
    map.update(3, |_| None);
    map.retain(|key, _| *key != 4);
    assert_eq!(Arc::strong_count(&value), 6);
    map.clear();
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn compare_and_swap_stores_nothing_where_nothing_is() {
    let map = Map::<&str, u32>::new();
    assert!(!map.compare_and_swap("key", &0, 1));
    assert!(!map.compare_and_delete("key", &0));
    assert_eq!(map.load("key"), None);
    assert_eq!(format!("{map:?}"), "{}");
    map.store("key", 1);
    assert_eq!(format!("{map:?}"), r#"{"key": 1}"#);
}

#[test]
fn a_clear_beside_stores_loses_none_after_it() {
    everywhere(|kind| {
        let map = Arc::new(Map::<u64, u64>::new());
        let other = map.clone();
        let worker = kind.go(move || (0..50).for_each(|_| other.clear()));
        for n in 0..1000 {
            map.store(n, n);
        }
        worker.join();
        (0..1000).for_each(|n| map.store(n, n));
        assert_eq!(map.len(), 1000);
    });
}

#[test]
fn a_closure_may_use_the_same_map() {
    in_time(|| {
        everywhere(|_| {
            let map = Map::<u32, u32>::new();
            (0..10).for_each(|n| map.store(n, n));
            map.range(|key, value| {
                map.range(|_, _| true);
                assert_eq!(map.load(key), Some(*value));
                map.store(*key, value + 1);
                map.delete(key)
            });
            assert!(map.is_empty());
            map.store(1, 1);
            map.with(&1, |_| map.clear());
            // It decides again, as it has changed the value itself.
            let mut calls = 0;
            map.update(1, |n| {
                calls += 1;
                if calls == 1 {
                    map.store(1, 5);
                }
                Some(n.map_or(1, |n| n + 1))
            });
            assert_eq!((map.load(&1), calls), (Some(6), 2));
            map.retain(|key, n| {
                if *key == 1 {
                    map.store(2, *n);
                }
                false
            });
            assert_eq!(map.load(&1), None);
        });
    });
}

/// `Hash`, `Eq` and destructors use the map, or wait.
#[test]
fn user_code_of_keys_and_values_may_do_anything() {
    thread_local! {
        static DEPTH: Cell<u32> = const { Cell::new(0) };
    }
    struct Busy(u32, Arc<Map<Busy, Busy, Same>>);
    impl Busy {
        fn work(&self) {
            if DEPTH.replace(DEPTH.get() + 1) < 2 {
                self.1.with(&Busy(9, self.1.clone()), |_| ());
                self.1.delete(&Busy(8, self.1.clone()));
            }
            DEPTH.set(DEPTH.get() - 1);
        }
    }
    impl Hash for Busy {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.work();
            self.0.hash(state);
        }
    }
    impl PartialEq for Busy {
        fn eq(&self, other: &Busy) -> bool {
            self.work();
            self.0 == other.0
        }
    }
    impl Eq for Busy {}
    impl Drop for Busy {
        fn drop(&mut self) {
            self.work();
        }
    }
    in_time(|| {
        let map = Arc::new(Map::with_hasher(Same));
        let of = |n: u32| Busy(n, map.clone());
        for n in 0..4 {
            map.store(of(n), of(n));
            map.store(of(n), of(n + 10));
        }
        assert_eq!(map.with(&of(2), |value| value.0), Some(12));
        assert!(map.compare_and_swap(of(2), &of(12), of(3)));
        assert_eq!(map.len(), 4);
        map.clear();
    });
}

/// A store that has looked begins anew if the shard was changed since, here by the comparison of keys.
#[test]
fn a_store_sees_what_was_changed_since_it_looked() {
    thread_local! {
        static THEN: Cell<Option<fn()>> = const { Cell::new(None) };
    }
    static MAP: Map<Spy, u32, Same> = Map::with_hasher(Same);
    struct Spy(u32);
    impl Hash for Spy {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    impl PartialEq for Spy {
        fn eq(&self, other: &Spy) -> bool {
            if let Some(then) = THEN.take() {
                then();
            }
            self.0 == other.0
        }
    }
    impl Eq for Spy {}
    let cases: [(fn(), u32, usize); 4] = [
        (|| MAP.clear(), 1, 1),
        (|| assert!(MAP.delete(&Spy(1))), 1, 1),
        (|| MAP.store(Spy(1), 7), 1, 1),
        (|| MAP.store(Spy(2), 7), 2, 2),
    ];
    for (nth, (then, key, len)) in cases.into_iter().enumerate() {
        MAP.clear();
        MAP.store(Spy(1), 5);
        THEN.set(Some(then));
        MAP.store(Spy(key), 6);
        assert_eq!((MAP.load(&Spy(key)), MAP.len()), (Some(6), len), "case {nth}");
        assert!(MAP.delete(&Spy(key)));
        assert_eq!((MAP.load(&Spy(key)), MAP.len()), (None, len - 1), "case {nth}");
    }
}

/// While one waits in a closure, others use the same key.
#[test]
fn a_closure_may_wait() {
    on_gs(|| {
        let map = Arc::new(Map::<u32, u32>::new());
        map.store(1, 1);
        let (s, r) = pirn_channels::bounded::<()>(0);
        let other = map.clone();
        let waiter = Kind::G.go_and_wait(move || other.with(&1, |n| r.recv().map(|()| *n)));
        map.store(1, 2);
        assert_eq!(map.load_and_delete(&1), Some(2));
        s.send(()).unwrap();
        assert_eq!(waiter.join(), Some(Ok(1)));
    });
}

#[test]
fn a_closure_that_panics_changes_nothing() {
    let map = Map::<u32, u32>::new();
    map.store(1, 1);
    let uses: [fn(&Map<u32, u32>); 4] = [
        |map| _ = map.update(1, |_| resume_unwind(Box::new("a mistake"))),
        |map| map.retain(|_, _| resume_unwind(Box::new("a mistake"))),
        |map| map.range(|_, _| resume_unwind(Box::new("a mistake"))),
        |map| _ = map.with(&1, |_| resume_unwind(Box::new("a mistake"))),
    ];
    for panics in uses {
        catch_unwind(AssertUnwindSafe(|| panics(&map))).expect_err("it panicked");
        assert_eq!((map.load(&1), map.len()), (Some(1), 1));
    }
}

/// A value that says how many of its kind there are.
struct Counted {
    live: Arc<AtomicUsize>,
    /// Whoever clones it says so, and waits.
    clones: Option<Arc<(Event, Event)>>,
}

impl Counted {
    fn new(live: &Arc<AtomicUsize>, clones: Option<Arc<(Event, Event)>>) -> Counted {
        live.fetch_add(1, Ordering::Relaxed);
        Counted { live: live.clone(), clones }
    }
}

impl Clone for Counted {
    fn clone(&self) -> Counted {
        if let Some(clones) = &self.clones {
            clones.0.set();
            clones.1.wait();
        }
        // It is still there.
        assert_ne!(self.live.load(Ordering::Relaxed), 0);
        Counted::new(&self.live, None)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.live.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn what_one_reads_is_dropped_when_it_has_been_read() {
    everywhere(|kind| {
        let (map, live) = (Arc::new(Map::new()), Arc::new(AtomicUsize::new(0)));
        let clones = Arc::new((Event::new(), Event::new()));
        map.store(1, Counted::new(&live, Some(clones.clone())));
        let reader = {
            let map = map.clone();
            kind.go(move || drop(map.load(&1)))
        };
        clones.0.wait();
        // Nobody waits for the reader: not to store, and not to fill the table so that it is replaced.
        for key in 0..1000 {
            map.store(key, Counted::new(&live, None));
        }
        assert_eq!(live.load(Ordering::Relaxed), 1001);
        map.clear();
        assert!(map.is_empty() && live.load(Ordering::Relaxed) >= 1);
        clones.1.set();
        reader.join();
        assert_eq!(live.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn all_that_many_store_is_dropped() {
    everywhere(|kind| {
        let (map, live) = (Arc::new(Map::new()), Arc::new(AtomicUsize::new(0)));
        let workers: Vec<_> = (0..8)
            .map(|worker: u64| {
                let (map, live) = (map.clone(), live.clone());
                kind.go(move || {
                    let mut random = numbers();
                    (0..worker).for_each(|_| _ = random(2));
                    for _ in 0..2_000 {
                        let key = random(50);
                        match random(10) {
                            0..=4 => assert!(map.load(&key).is_none_or(|(of, _)| of == key)),
                            5..=7 => map.store(key, (key, Counted::new(&live, None))),
                            8 => _ = map.delete(&key),
                            _ => _ = map.load_or_store(key, (key, Counted::new(&live, None))),
                        }
                    }
                })
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join());
        assert_eq!(live.load(Ordering::Relaxed), map.len());
        drop(map);
        assert_eq!(live.load(Ordering::Relaxed), 0);
    });
}
