//! may: coroutines on `--procs` worker threads.
//!
//! may's channels are all unbounded. Where a workload bounds its buffer, [`Bounded`](channels::Bounded) adds a
//! semaphore of permits to one; capacity 1 stands in for a rendezvous. Sizes are smaller where each waiting task would
//! need a mapped stack: the kernel's default of `vm.max_map_count` ends that at some 32,000.

mod channels;
mod net;
mod sync;
mod tasks;

use super::Workload;
use super::locks;
use super::probe::probe;
use crate::Bench;
use may::coroutine::{self, JoinHandle};
use may::go;
use may::sync::Semphore;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::*};
use sync::{Coroutines, Locks};

pub(super) const WORKLOADS: &[Workload] = &[
    ("probe", probe),
    ("spawn_join", |bench| in_coroutine(bench, tasks::spawn_join)),
    ("spawn_join_handle", |bench| in_coroutine(bench, tasks::spawn_join_handle)),
    ("parked_mem", |bench| in_coroutine(bench, tasks::parked_mem)),
    ("yield1", |bench| in_coroutine(bench, |bench| tasks::yields(bench, 2, 1_000_000))),
    ("yield_many", |bench| in_coroutine(bench, |bench| tasks::yields(bench, 1000, 5000))),
    ("yield_n", tasks::yield_n),
    ("pingpong", |bench| in_coroutine(bench, channels::pingpong)),
    ("ring", |bench| in_coroutine(bench, channels::ring)),
    ("spsc0", |bench| in_coroutine(bench, |bench| channels::bounded(bench, 1, 1, 1, 2_000_000))),
    ("spsc128", |bench| in_coroutine(bench, channels::spsc128)),
    ("mpsc128", |bench| in_coroutine(bench, channels::mpsc128)),
    ("mpmc128", |bench| in_coroutine(bench, channels::mpmc128)),
    ("select4", |bench| in_coroutine(bench, channels::select4)),
    ("select_nb", |bench| in_coroutine(bench, channels::select_nb)),
    ("select_timeout", |bench| in_coroutine(bench, channels::select_timeout)),
    ("sieve", |bench| in_coroutine(bench, channels::sieve)),
    ("skynet", |bench| in_coroutine(bench, channels::skynet)),
    ("timers", |bench| in_coroutine(bench, |bench| tasks::timers(bench, 20_000, &bench.size_tag(20_000, 100_000)))),
    ("timers_10k", |bench| in_coroutine(bench, |bench| tasks::timers(bench, 10_000, ""))),
    ("sleeps", |bench| in_coroutine(bench, |bench| locks::sleeps::<Coroutines>(bench, coroutine::sleep))),
    ("fib", |bench| in_coroutine(bench, tasks::fib)),
    ("cpu_map", |bench| in_coroutine(bench, |bench| bench.jobs(bench.size(10_000), channels::pool))),
    ("hog", tasks::hog),
    ("blocking", |bench| in_coroutine(bench, tasks::blocking)),
    ("deepstack", tasks::deepstack),
    ("mutex1", |bench| in_coroutine(bench, |bench| locks::mutex1::<Locks>(bench, ""))),
    ("mutex8", |bench| in_coroutine(bench, |bench| locks::mutex8::<Coroutines, Locks>(bench, 200_000))),
    ("rwlock1", |bench| in_coroutine(bench, |bench| locks::rwlock1::<Locks>(bench, ""))),
    ("rwlock8", |bench| in_coroutine(bench, |bench| locks::rwlock8::<Coroutines, Locks>(bench, 100_000))),
    ("mutex_chan", |bench| in_coroutine(bench, |bench| locks::mutex_chan::<Coroutines, Locks>(bench, 100_000))),
    ("mutex_sleep", |bench| {
        in_coroutine(bench, |bench| locks::mutex_sleep::<Coroutines, Locks>(bench, coroutine::sleep));
    }),
    ("barrier", |bench| in_coroutine(bench, sync::barrier)),
    ("condvar_turns", |bench| in_coroutine(bench, |bench| locks::condvar_turns::<Coroutines, Locks>(bench, 500))),
    ("semaphore", |bench| in_coroutine(bench, sync::semaphore)),
    ("wait_group", |bench| in_coroutine(bench, sync::wait_group)),
    ("map90", |bench| in_coroutine(bench, sync::map90)),
];

pub(super) const SERVERS: &[Workload] = &[("serve_echo", net::echo), ("serve_http", net::http)];

/// Runs a workload in a coroutine, as its users would.
fn in_coroutine(bench: &Bench, workload: fn(&Bench)) {
    start(bench);
    let bench = bench.clone();
    joined(go!(move || workload(&bench)));
}

/// Says how many workers there are, before there is one.
fn start(bench: &Bench) {
    may::config().set_workers(bench.procs);
}

/// A count that falls to nought, and the one who waits for that.
struct Countdown {
    left: AtomicUsize,
    over: Semphore,
}

impl Countdown {
    fn new(n: usize) -> Arc<Self> {
        Arc::new(Countdown { left: AtomicUsize::new(n), over: Semphore::new(0) })
    }

    fn done(&self) {
        if self.left.fetch_sub(1, AcqRel) == 1 {
            self.over.post();
        }
    }

    fn wait(&self) {
        self.over.wait();
    }
}

fn joined<T>(handle: JoinHandle<T>) -> T {
    handle.join().expect("no coroutine panics")
}
