//! tokio: async tasks on the runtime of many threads, with `--procs` workers; 0 is the runtime of the current thread.
//!
//! tokio has no rendezvous: a channel of one place stands in (tag `[mpsc1]`). It has no channel with several receivers:
//! that of the crate async-channel stands in, or a semaphore where nothing is sent.

mod channels;
mod net;
mod sync;
mod tasks;

use super::Workload;
use super::probe::probe;
use crate::{Bench, Clocks, Cost};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::*};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub(super) const WORKLOADS: &[Workload] = &[
    ("probe", probe),
    ("spawn_join", |bench| in_task(bench, tasks::spawn_join)),
    ("spawn_join_handle", |bench| in_task(bench, tasks::spawn_join_handle)),
    ("parked_mem", |bench| in_task(bench, tasks::parked_mem)),
    ("yield1", |bench| in_task(bench, |bench| tasks::yields(bench, 2, 1_000_000))),
    ("yield_many", |bench| in_task(bench, |bench| tasks::yields(bench, 1000, 5000))),
    ("yield_n", |bench| in_task(bench, tasks::yield_n)),
    ("pingpong", |bench| in_task(bench, channels::pingpong)),
    ("ring", |bench| in_task(bench, channels::ring)),
    ("spsc0", |bench| in_task(bench, |bench| channels::stream(bench, 1, 1, 2_000_000, "msg[mpsc1]"))),
    ("spsc128", |bench| in_task(bench, |bench| channels::stream(bench, 128, 1, 4_000_000, "msg"))),
    ("mpsc128", |bench| in_task(bench, |bench| channels::stream(bench, 128, 4, 4_000_000, "msg"))),
    ("mpmc128", |bench| in_task(bench, channels::mpmc128)),
    ("select4", |bench| in_task(bench, channels::select4)),
    ("select_nb", |bench| in_task(bench, channels::select_nb)),
    ("select_timeout", |bench| in_task(bench, channels::select_timeout)),
    ("sieve", |bench| in_task(bench, channels::sieve)),
    ("skynet", |bench| in_task(bench, channels::skynet)),
    ("timers", |bench| in_task(bench, |bench| tasks::timers(bench, 100_000))),
    ("timers_10k", |bench| in_task(bench, |bench| tasks::timers(bench, 10_000))),
    ("sleeps", |bench| in_task(bench, tasks::sleeps)),
    ("fib", |bench| in_task(bench, tasks::fib)),
    ("cpu_map", channels::cpu_map),
    ("hog", tasks::hog),
    ("blocking", |bench| in_task(bench, tasks::blocking)),
    ("deepstack", |bench| in_task(bench, tasks::deepstack)),
    ("mutex1", |bench| in_task(bench, sync::mutex1)),
    ("mutex8", |bench| in_task(bench, sync::mutex8)),
    ("rwlock1", |bench| in_task(bench, sync::rwlock1)),
    ("rwlock8", |bench| in_task(bench, sync::rwlock8)),
    ("mutex_chan", |bench| in_task(bench, sync::mutex_chan)),
    ("mutex_sleep", |bench| in_task(bench, sync::mutex_sleep)),
    ("barrier", |bench| in_task(bench, sync::barrier)),
    ("condvar_turns", |bench| in_task(bench, sync::condvar_turns)),
    ("semaphore", |bench| in_task(bench, sync::semaphore)),
    ("wait_group", |bench| in_task(bench, sync::wait_group)),
    ("errgroup", |bench| in_task(bench, sync::errgroup)),
    ("ctx_cancel", |bench| in_task(bench, sync::ctx_cancel)),
    ("map90", |bench| in_task(bench, sync::map90)),
];

pub(super) const SERVERS: &[Workload] =
    &[("serve_echo", net::echo), ("serve_http", net::http), ("serve_hyper", net::hyper)];

/// The runtime that was asked for.
fn runtime(bench: &Bench) -> Runtime {
    let mut builder = match bench.procs {
        0 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(bench.procs.max(1)).enable_all().build().expect("threads for the workers")
}

/// Runs a workload in a task, so that it is on a worker.
fn in_task<F: Future<Output = ()> + Send + 'static>(bench: &Bench, workload: fn(Bench) -> F) {
    let runtime = runtime(bench);
    let task = runtime.spawn(workload(bench.clone()));
    runtime.block_on(joined(task));
    runtime.shutdown_background();
}

/// A count that falls to nought, and the one task that waits for that.
struct Countdown {
    left: AtomicUsize,
    over: Notify,
}

impl Countdown {
    fn new(n: usize) -> Arc<Self> {
        Arc::new(Countdown { left: AtomicUsize::new(n), over: Notify::new() })
    }

    fn done(&self) {
        if self.left.fetch_sub(1, AcqRel) == 1 {
            self.over.notify_one();
        }
    }

    async fn wait(&self) {
        self.over.notified().await;
    }
}

async fn joined<T>(handle: JoinHandle<T>) -> T {
    handle.await.expect("no task panics")
}

/// The results of all, one after the other.
async fn all_joined<T>(handles: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    let mut results = Vec::new();
    for handle in handles {
        results.push(joined(handle).await);
    }
    results
}

/// As [`measure`](crate::measure), of work that waits.
async fn measure<R>(work: impl Future<Output = R>) -> (R, Cost) {
    let clocks = Clocks::start();
    let result = work.await;
    (result, clocks.stop())
}
