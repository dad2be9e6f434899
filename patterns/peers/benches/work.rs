//! What a lookup in a cache, a load, a flight, a job and an item on its way cost, by one caller that nobody disturbs:
//! `cd patterns/peers && cargo bench --bench work`.
//!
//! All on goroutines of one P, so that what is measured is work and no wake-up of another thread. moka learns what is used
//! often, by bookkeeping on each read. Both run a load on its caller, but where the caller can give up, by the end of a
//! context, pirn starts a goroutine for it. Both clone the value.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use moka::sync::Cache;
use pirn::context::Context;
use pirn::patterns::cache::TtlCache;
use pirn::patterns::executor::Executor;
use pirn::patterns::flight::SingleFlight;
use pirn::patterns::parallel::{ParallelMap, parallel_map};
use pirn::patterns::pipeline::pipeline;
use pirn::patterns::pool::WorkerPool;
use std::hint::black_box;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);
/// Entries of a cache, all of which fit.
const KEYS: u64 = 1000;
/// Items of a map or of a pipeline in one repetition.
const ITEMS: u64 = 1000;

/// Measures `f`, called on a goroutine with the number of the call.
fn measure<T>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, f: impl Fn(u64) -> T + Send + Sync) {
    let runtime = pirn::Builder::new().procs(1).build().expect("a runtime");
    let repeat = |n| {
        let begin = Instant::now();
        (0..n).for_each(|nth| _ = black_box(f(nth)));
        begin.elapsed()
    };
    group.bench_function(name, |b| b.iter_custom(|n| runtime.run(|| repeat(n))));
}

fn caches(c: &mut Criterion) {
    let mut group = c.benchmark_group("caches");
    let pirn = TtlCache::new(HOUR, 10 * KEYS as usize);
    let moka = Cache::builder().max_capacity(10 * KEYS).time_to_live(HOUR).build();
    (0..KEYS).for_each(|key| pirn.insert(key, key));
    (0..KEYS).for_each(|key| moka.insert(key, key));
    measure(&mut group, "pirn, hit", |n| pirn.get(&(n % KEYS)));
    measure(&mut group, "moka, hit", |n| moka.get(&(n % KEYS)));
    measure(&mut group, "pirn, hit of a lookup that may load", |n| pirn.get_or_insert_with(n % KEYS, |_| 7));
    measure(&mut group, "moka, hit of a lookup that may load", |n| moka.get_with(n % KEYS, || 7));
    measure(&mut group, "pirn, miss", |_| pirn.get(&KEYS));
    measure(&mut group, "moka, miss", |_| moka.get(&KEYS));
    measure(&mut group, "pirn, insert", |n| pirn.insert(n % KEYS, 7));
    measure(&mut group, "moka, insert", |n| moka.insert(n % KEYS, 7));
    measure(&mut group, "pirn, load", |_| {
        pirn.invalidate(&7);
        pirn.get_or_insert_with(7, |_| 7)
    });
    let (context, _cancel) = Context::background().with_cancel();
    measure(&mut group, "pirn, load that the caller can give up", |_| {
        pirn.invalidate(&7);
        pirn.get_or_insert_ctx(&context, 7, |_| 7)
    });
    measure(&mut group, "moka, load", |_| {
        moka.invalidate(&7);
        moka.get_with(7, || 7)
    });
    group.finish();
}

fn jobs(c: &mut Criterion) {
    let mut group = c.benchmark_group("jobs");
    let flights = SingleFlight::new();
    measure(&mut group, "goroutine, and its join", |_| pirn::go(|| 7).join());
    measure(&mut group, "flight of one caller", |_| flights.run(7, |_| 7));
    let (context, _cancel) = Context::background().with_cancel();
    measure(&mut group, "flight of one caller that can give up", |_| flights.run_ctx(&context, 7, |_| 7));
    // Made on the runtime, or its workers would be threads.
    measure(&mut group, "pool of four, 1000 jobs", |_| {
        let pool = WorkerPool::fixed(4).build();
        let jobs: Vec<_> = (0..ITEMS).map(|n| pool.submit(move |_| n).expect("it is open")).collect();
        let sum: u64 = jobs.into_iter().map(|job| job.result().expect("it returns")).sum();
        pool.shutdown();
        sum
    });
    measure(&mut group, "executor of four, 1000 items", |_| {
        let executor = Executor::new(4);
        let sum: u64 = executor.map(0..ITEMS, |_, n| n).expect("it is open").map(Result::unwrap).sum();
        executor.shutdown();
        sum
    });
    measure(&mut group, "parallel_map, 1000 items", |_| parallel_map(4, 0..ITEMS, |n| n));
    measure(&mut group, "ParallelMap, 1000 items", |_| {
        ParallelMap::new(4, 0..ITEMS, |_, n| Ok::<_, ()>(n)).map(Result::unwrap).sum::<u64>()
    });
    for (name, capacity) in [("pipeline of three stages, 1000 items", 0), ("the same with room for 16", 16)] {
        measure(&mut group, name, |_| {
            pipeline::<_, (), _>(|p| {
                let p = p.buffered(capacity);
                let flow = p.source(0..ITEMS).stage(|_, n| Ok(n + 1)).stage(|_, n| Ok(n * 2));
                Ok(flow.into_iter().sum::<u64>())
            })
        });
    }
    group.finish();
}

criterion_group!(benches, caches, jobs);
criterion_main!(benches);
