//! SimpleCache: the same cache three times, and how long a call takes by how many of the calls only read.
//!
//! Go: a map under a `sync.Mutex`, a map under a `sync.RWMutex`, a `sync.Map`. Here the lock has the map inside. Eight Gs
//! call each cache, and the table has the time of a call. Look at how it changes with the number of Ps. On one P nobody
//! calls at the same time. On several Ps readers are let in together by an `RwLock`, so it gains where nearly all calls
//! read; but each reader writes to the lock. A `Map` costs more a call, as each value is an allocation of its own; but a
//! call waits for another one only if they use the same part of the map, and no code of the user runs under a lock.
//!
//! ```text
//! PIRN_MAXPROCS=2 cargo run --release --example simple_cache
//! ```

use pirn::sync::{Map, Mutex, RwLock};
use std::collections::HashMap;
use std::time::Instant;

const GS: u64 = 8;
const CALLS: u64 = if cfg!(debug_assertions) { 2_000 } else { 200_000 };
const KEYS: u64 = 1024;
/// How many of a hundred calls read.
const READS: [u64; 4] = [0, 50, 90, 99];

/// The square of a key is under it.
trait Cache: Default + Sync {
    fn get(&self, key: u64) -> Option<u64>;
    fn put(&self, key: u64, value: u64);
}

#[derive(Default)]
struct UnderMutex(Mutex<HashMap<u64, u64>>);

impl Cache for UnderMutex {
    fn get(&self, key: u64) -> Option<u64> {
        self.0.lock().get(&key).copied()
    }

    fn put(&self, key: u64, value: u64) {
        self.0.lock().insert(key, value);
    }
}

#[derive(Default)]
struct UnderRwLock(RwLock<HashMap<u64, u64>>);

impl Cache for UnderRwLock {
    fn get(&self, key: u64) -> Option<u64> {
        self.0.read().get(&key).copied()
    }

    fn put(&self, key: u64, value: u64) {
        self.0.write().insert(key, value);
    }
}

impl Cache for Map<u64, u64> {
    fn get(&self, key: u64) -> Option<u64> {
        self.load(&key)
    }

    fn put(&self, key: u64, value: u64) {
        self.store(key, value);
    }
}

/// What all have found.
#[derive(Default)]
struct Found {
    right: u64,
    wrong: u64,
}

/// Calls a cache from all Gs, and returns how many nanoseconds passed for each call.
fn measure<C: Cache>(reads: u64, found: &Mutex<Found>) -> u128 {
    let cache = C::default();
    (0..KEYS).for_each(|key| cache.put(key, key * key));
    let began = Instant::now();
    pirn::scope(|s| {
        for g in 1..=GS {
            let cache = &cache;
            s.go(move || {
                let (mut right, mut wrong, mut random) = (0, 0, g);
                for _ in 0..CALLS {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let key = (random >> 33) % KEYS;
                    if (random >> 50) % 100 >= reads {
                        cache.put(key, key * key);
                    } else if cache.get(key) == Some(key * key) {
                        right += 1;
                    } else {
                        wrong += 1;
                    }
                }
                let mut found = found.lock();
                found.right += right;
                found.wrong += wrong;
            });
        }
    });
    began.elapsed().as_nanos() / u128::from(GS * CALLS)
}

fn main() {
    let found = Mutex::new(Found::default());
    pirn::run(|| {
        println!("reads    Mutex   RwLock      Map");
        for reads in READS {
            let mutex = measure::<UnderMutex>(reads, &found);
            let rwlock = measure::<UnderRwLock>(reads, &found);
            let map = measure::<Map<u64, u64>>(reads, &found);
            println!("{reads:>3} % {mutex:>5} ns {rwlock:>5} ns {map:>5} ns");
        }
    });
    let Found { right, wrong } = found.into_inner();
    println!("read something: {}, something wrong: {wrong}", right > 0);
}
