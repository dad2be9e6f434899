//! What one call costs that is let through, or refused, by one caller that nobody disturbs:
//! `CARGO_TARGET_DIR=target/peers cargo bench --manifest-path patterns/peers/Cargo.toml`. The same with Go's packages:
//! `cd patterns/peers/go && go mod tidy && go test -bench . -cpu 1 -benchtime 5000x -count 60`.
//!
//! governor reads the processor's time stamps, keeps one number, and compares and swaps it: it has no figures, and nobody
//! can reserve or give back. pirn reads the system's clock, which a test can set, and takes a lock. failsafe takes a lock
//! too.

use backon::{BlockingRetryable, ConstantBuilder};
use criterion::{Criterion, criterion_group, criterion_main};
use failsafe::CircuitBreaker as _;
use governor::{Quota, RateLimiter as Governor};
use pirn::context::Context;
use pirn::patterns::Keyed;
use pirn::patterns::breaker::CircuitBreaker;
use pirn::patterns::bulkhead::Bulkhead;
use pirn::patterns::fallback::Fallback;
use pirn::patterns::rate::{MemoryStore, Quota as Shared, Rate, RateLimiter, SharedLimiter};
use pirn::patterns::retry::{Backoff, Retry};
use std::hint::black_box;
use std::num::NonZeroU32;
use std::time::Duration;

fn rate(c: &mut Criterion) {
    let mut group = c.benchmark_group("rate");
    // So much that nothing is refused.
    let limit = RateLimiter::new(Rate::per_sec(1e9), 1_000_000_000);
    group.bench_function("pirn, token bucket", |b| b.iter(|| assert!(limit.allow())));
    let limit = RateLimiter::leaky_bucket(Rate::per_sec(1e9), 1_000_000_000);
    group.bench_function("pirn, leaky bucket", |b| b.iter(|| black_box(limit.allow())));
    let limit = RateLimiter::fixed_window(usize::MAX / 2, Duration::from_secs(1));
    group.bench_function("pirn, fixed window", |b| b.iter(|| assert!(limit.allow())));
    let limit = RateLimiter::sliding_window(1000, Duration::from_micros(100));
    group.bench_function("pirn, sliding window", |b| b.iter(|| black_box(limit.allow())));
    let quota = Quota::per_second(NonZeroU32::new(1_000_000_000).expect("it is more"));
    let governor = Governor::direct(quota);
    group.bench_function("governor", |b| b.iter(|| black_box(governor.check().is_ok())));
    // One permit in an hour: nearly all are refused.
    let limit = RateLimiter::new(Rate::every(Duration::from_secs(3600)), 1);
    group.bench_function("pirn, refused", |b| b.iter(|| black_box(limit.allow())));
    let governor = Governor::direct(Quota::with_period(Duration::from_secs(3600)).expect("it is a time"));
    group.bench_function("governor, refused", |b| b.iter(|| black_box(governor.check().is_ok())));
    let keyed = Keyed::new(|_: &u32| RateLimiter::new(Rate::per_sec(1e9), 1_000_000_000));
    group.bench_function("pirn, keyed", |b| b.iter(|| assert!(keyed.get(7).allow())));
    let governor = Governor::keyed(quota);
    group.bench_function("governor, keyed", |b| b.iter(|| black_box(governor.check_key(&7).is_ok())));
    let shared = SharedLimiter::new(MemoryStore::new(), Shared::every(Duration::from_nanos(1), 1_000_000_000));
    group.bench_function("pirn, shared in memory", |b| b.iter(|| black_box(shared.allow_n("seven", 1))));
    group.finish();
}

fn breaker(c: &mut Criterion) {
    let mut group = c.benchmark_group("breaker");
    let call = || Ok::<_, ()>(black_box(7));
    let consecutive = CircuitBreaker::builder().failures(5).build();
    group.bench_function("pirn, consecutive", |b| b.iter(|| consecutive.call(call)));
    let windowed = CircuitBreaker::builder().rate(0.5, Duration::from_secs(10), 20).build();
    group.bench_function("pirn, window", |b| b.iter(|| windowed.call(call)));
    let failsafe = failsafe::Config::new().build();
    group.bench_function("failsafe", |b| b.iter(|| failsafe.call(call)));
    consecutive.trip();
    group.bench_function("pirn, open", |b| b.iter(|| consecutive.call(call)));
    group.finish();
}

fn others(c: &mut Criterion) {
    let mut group = c.benchmark_group("others");
    let bulkhead = Bulkhead::new(10, 10);
    group.bench_function("bulkhead", |b| b.iter(|| bulkhead.run(|| black_box(7))));
    let retry = Retry::new(Backoff::exponential(Duration::from_millis(1), Duration::from_secs(1)));
    group.bench_function("retry, none needed", |b| b.iter(|| retry.run(|_| Ok::<_, ()>(black_box(7)))));
    let backon = || {
        let call = || Ok::<_, ()>(black_box(7));
        call.retry(ConstantBuilder::default()).sleep(pirn::sleep).call()
    };
    group.bench_function("backon, none needed", |b| b.iter(backon));
    let fallback = Fallback::new(|()| Ok(0));
    let context = Context::background();
    group.bench_function("fallback, none needed", |b| {
        b.iter(|| fallback.call_ctx(&context, |_| Ok::<_, ()>(black_box(7))))
    });
    group.finish();
}

criterion_group!(benches, rate, breaker, others);
criterion_main!(benches);
