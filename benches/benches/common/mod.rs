//! What the benches share: one way to time the same work on every peer, and an end to what hangs.
//!
//! A bench is a [`Work`], written once for all peers that have stacks, and an [`AsyncWork`], the same for tokio. Each is
//! told how many repetitions to do, and says how long they took; it is called inside a task of the peer, so that what
//! is timed is never the way from criterion's thread into the runtime.
#![allow(dead_code, unused_imports, reason = "each bench uses its own part of this one")]

mod peers;

pub(crate) use peers::{Isolated, Isolated1, May, Peer, Shared, Shared1, Threads, Tokio, pair};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{process, thread};

/// No call of a bench takes so long, but one that hangs.
const HANGS_AFTER: Duration = Duration::from_secs(100);

/// As little time as still gives figures that come out alike twice: there are some two hundred.
pub(crate) fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(10)
        .nresamples(5_000)
        .without_plots()
}

/// What is done on each peer that has stacks.
pub(crate) trait Work: Copy + Send + 'static {
    /// How many of what is counted one repetition does; 0 if a rate would say nothing.
    fn elements(self) -> u64;

    /// Does so many repetitions, in a task of the peer, and says how long they took.
    fn run<P: Peer>(self, iters: u64) -> Duration;
}

/// The same as a task of tokio's.
pub(crate) trait AsyncWork: Work {
    /// As [`Work::run`].
    fn run_async(self, iters: u64) -> impl Future<Output = Duration> + Send + 'static;
}

/// How long so many calls of `once` take.
pub(crate) fn repeat(iters: u64, mut once: impl FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..iters {
        once();
    }
    start.elapsed()
}

/// One group of figures: the same work on each peer.
pub(crate) struct Comparison<'a>(BenchmarkGroup<'a, WallTime>);

impl<'a> Comparison<'a> {
    /// Begins the group of that name.
    pub(crate) fn new(c: &'a mut Criterion, name: impl Into<String>) -> Self {
        Comparison(c.benchmark_group(name))
    }

    /// Times `work` on `P`.
    pub(crate) fn on<P: Peer>(&mut self, work: impl Work) -> &mut Self {
        self.with::<P>(work.elements(), move |iters| work.run::<P>(iters))
    }

    /// Times `work` on Gs of both kinds, on two Ps.
    pub(crate) fn on_gs(&mut self, work: impl Work) -> &mut Self {
        self.on::<Shared>(work).on::<Isolated>(work)
    }

    /// Times `work` on Gs of both kinds, on one P.
    pub(crate) fn on_one_p(&mut self, work: impl Work) -> &mut Self {
        self.on::<Shared1>(work).on::<Isolated1>(work)
    }

    /// Times `work` on tokio with so many workers.
    pub(crate) fn on_tokio<const WORKERS: usize>(&mut self, work: impl AsyncWork) -> &mut Self {
        self.with_tokio::<WORKERS, _>(work.elements(), move |iters| work.run_async(iters))
    }

    /// Times `run` on `P`, where the work is not the same for all peers.
    pub(crate) fn with<P: Peer>(
        &mut self,
        elements: u64,
        run: impl Fn(u64) -> Duration + Copy + Send + 'static,
    ) -> &mut Self {
        self.count(elements);
        self.0.bench_function(P::NAME, |b| b.iter_custom(|iters| bounded(|| P::run(move || run(iters)))));
        self
    }

    /// Times `run` on tokio, where the work is not the same for all peers.
    pub(crate) fn with_tokio<const WORKERS: usize, F>(&mut self, elements: u64, run: impl Fn(u64) -> F) -> &mut Self
    where
        F: Future<Output = Duration> + Send + 'static,
    {
        self.count(elements);
        let once = |iters| bounded(|| Tokio::<WORKERS>::run(run(iters)));
        self.0.bench_function(Tokio::<WORKERS>::NAME, |b| b.iter_custom(once));
        self
    }

    fn count(&mut self, elements: u64) {
        if elements > 0 {
            self.0.throughput(Throughput::Elements(elements));
        }
    }
}

/// Odd while a call is under way.
static CALLS: AtomicU64 = AtomicU64::new(0);

/// Calls `call`. If it hangs, the process ends and says so.
pub(crate) fn bounded<R>(call: impl FnOnce() -> R) -> R {
    static WATCHMAN: Once = Once::new();
    WATCHMAN.call_once(|| drop(thread::spawn(watch)));
    CALLS.fetch_add(1, Relaxed);
    let result = call();
    CALLS.fetch_add(1, Relaxed);
    result
}

fn watch() {
    let mut seen = 0;
    let mut since = Instant::now();
    loop {
        thread::sleep(Duration::from_secs(1));
        let calls = CALLS.load(Relaxed);
        if calls != seen || calls.is_multiple_of(2) {
            seen = calls;
            since = Instant::now();
        } else if since.elapsed() > HANGS_AFTER {
            eprintln!("a bench hangs: its call has not ended in {HANGS_AFTER:?}");
            peers::dump();
            process::abort();
        }
    }
}
