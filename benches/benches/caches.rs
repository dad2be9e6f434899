//! The caches of the example `simple_cache`, by how many of the calls only read: a map under a mutex, one under a
//! read-write lock, and one that needs no lock around it. For threads std's locks do the same, and dashmap.

mod common;

use common::{Comparison, Peer, Threads, Work, repeat};
use criterion::{Criterion, criterion_group, criterion_main};
use dashmap::DashMap;
use pirn_benches::{KEYS, calls};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

const TASKS: usize = 8;

/// So many calls of each task in one repetition.
const CALLS: usize = 1000;

/// The square of a key is under it.
trait Cache: Default + Send + Sync + 'static {
    const NAME: &str;
    fn get(&self, key: u64) -> Option<u64>;
    fn put(&self, key: u64, value: u64);
}

type Squares = HashMap<u64, u64>;

/// Implements [`Cache`] for a map under a lock. `$guarded` makes a guard of what the calls return.
macro_rules! cache {
    ($name:literal, $lock:ty, $read:ident, $write:ident, [$($guarded:tt)*]) => {
        impl Cache for $lock {
            const NAME: &str = $name;

            fn get(&self, key: u64) -> Option<u64> {
                self.$read()$($guarded)*.get(&key).copied()
            }

            fn put(&self, key: u64, value: u64) {
                self.$write()$($guarded)*.insert(key, value);
            }
        }
    };
}

cache!("mutex", pirn::sync::Mutex<Squares>, lock, lock, []);
cache!("rwlock", pirn::sync::RwLock<Squares>, read, write, []);
cache!("mutex", std::sync::Mutex<Squares>, lock, lock, [.expect("no thread panics")]);
cache!("rwlock", std::sync::RwLock<Squares>, read, write, [.expect("no thread panics")]);

impl Cache for DashMap<u64, u64> {
    const NAME: &str = "map";

    fn get(&self, key: u64) -> Option<u64> {
        DashMap::get(self, &key).map(|value| *value)
    }

    fn put(&self, key: u64, value: u64) {
        self.insert(key, value);
    }
}

impl Cache for pirn::sync::Map<u64, u64> {
    const NAME: &str = "map";

    fn get(&self, key: u64) -> Option<u64> {
        self.load(&key)
    }

    fn put(&self, key: u64, value: u64) {
        self.store(key, value);
    }
}

/// All tasks call one cache.
struct Calls<C> {
    /// How many of a hundred calls only read.
    reads: u64,
    cache: PhantomData<fn() -> C>,
}

impl<C> Copy for Calls<C> {}

impl<C> Clone for Calls<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C: Cache> Work for Calls<C> {
    fn elements(self) -> u64 {
        (TASKS * CALLS) as u64
    }

    fn run<P: Peer>(self, iters: u64) -> Duration {
        let cache = Arc::new(C::default());
        (0..KEYS).for_each(|key| cache.put(key, key * key));
        repeat(iters, || {
            let tasks = [0, 1, 2, 3, 4, 5, 6, 7].map(|task| {
                let cache = cache.clone();
                P::go(move || {
                    for call in calls(task).take(CALLS) {
                        let key = call.key();
                        if call.writes_beside(self.reads) {
                            cache.put(key, key * key);
                        } else {
                            assert_eq!(cache.get(key), Some(key * key));
                        }
                    }
                })
            });
            tasks.into_iter().for_each(P::join);
        })
    }
}

fn by_reads<Ours: Cache, Of: Cache>(c: &mut Criterion) {
    for reads in [0, 50, 90, 99] {
        let mut peers = Comparison::new(c, format!("cache_{}/{reads}_percent_reads", Ours::NAME));
        peers.on_gs(Calls::<Ours> { reads, cache: PhantomData });
        peers.on::<Threads>(Calls::<Of> { reads, cache: PhantomData });
    }
}

fn all_caches(c: &mut Criterion) {
    by_reads::<pirn::sync::Mutex<Squares>, std::sync::Mutex<Squares>>(c);
    by_reads::<pirn::sync::RwLock<Squares>, std::sync::RwLock<Squares>>(c);
    by_reads::<pirn::sync::Map<u64, u64>, DashMap<u64, u64>>(c);
}

criterion_group!(name = all; config = common::criterion(); targets = all_caches);
criterion_main!(all);
