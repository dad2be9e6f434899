//! OS threads, with crossbeam-channel, on the first `--procs` CPUs that the process may use.
//!
//! Sizes are smaller where a thread for each task makes those of the others senseless.

mod sync;
mod tasks;

use super::Workload;
use super::crossbeam::{self as channels, api};
use super::locks;
use super::probe::probe;
use super::std_servers as servers;
use crate::{Bench, cpus};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::thread::{self, JoinHandle, Thread};

/// Threads, and the channels of crossbeam-channel.
pub(super) struct Threads;

api!(Threads, crossbeam_channel, std::thread, spawn);

pub(super) const WORKLOADS: &[Workload] = &[
    ("probe", probe),
    ("spawn_join", |bench| on_cpus(bench, tasks::spawn_join)),
    ("spawn_join_handle", |bench| on_cpus(bench, tasks::spawn_join_handle)),
    ("parked_mem", |bench| on_cpus(bench, tasks::parked_mem)),
    ("yield1", |bench| on_cpus(bench, |bench| tasks::yields(bench, 2, 500_000))),
    ("yield_many", |bench| on_cpus(bench, |bench| tasks::yields(bench, 1000, 500))),
    ("yield_n", |bench| on_cpus(bench, tasks::yield_n)),
    ("pingpong", |bench| on_cpus(bench, |bench| channels::pingpong::<Threads>(bench, 30_000))),
    ("ring", |bench| on_cpus(bench, |bench| channels::ring::<Threads>(bench, 100_000))),
    ("spsc0", |bench| on_cpus(bench, |bench| channels::stream::<Threads>(bench, 0, 1, 1, 50_000))),
    ("spsc128", |bench| on_cpus(bench, |bench| channels::stream::<Threads>(bench, 128, 1, 1, 4_000_000))),
    ("mpsc128", |bench| on_cpus(bench, |bench| channels::stream::<Threads>(bench, 128, 4, 1, 4_000_000))),
    ("mpmc128", |bench| on_cpus(bench, |bench| channels::stream::<Threads>(bench, 128, 4, 4, 4_000_000))),
    ("select4", |bench| on_cpus(bench, |bench| channels::select4::<Threads>(bench, 200_000))),
    ("select_nb", |bench| on_cpus(bench, channels::select_nb::<Threads>)),
    ("select_timeout", |bench| on_cpus(bench, channels::select_timeout::<Threads>)),
    ("sieve", |bench| on_cpus(bench, channels::sieve::<Threads>)),
    ("timers", |bench| on_cpus(bench, |bench| tasks::timers(bench, &bench.size_tag(10_000, 100_000)))),
    ("timers_10k", |bench| on_cpus(bench, |bench| tasks::timers(bench, ""))),
    ("sleeps", |bench| on_cpus(bench, |bench| locks::sleeps::<Threads>(bench, thread::sleep))),
    ("cpu_map", |bench| on_cpus(bench, |bench| bench.jobs(bench.size(10_000), channels::pool::<Threads>))),
    ("hog", |bench| on_cpus(bench, tasks::hog)),
    ("blocking", |bench| on_cpus(bench, tasks::blocking)),
    ("deepstack", |bench| on_cpus(bench, tasks::deepstack)),
    ("mutex1", |bench| on_cpus(bench, sync::mutex1)),
    ("mutex8", |bench| on_cpus(bench, sync::mutex8)),
    ("rwlock1", |bench| on_cpus(bench, sync::rwlock1)),
    ("rwlock8", |bench| on_cpus(bench, sync::rwlock8)),
    ("mutex_chan", |bench| on_cpus(bench, sync::mutex_chan)),
    ("mutex_sleep", |bench| on_cpus(bench, sync::mutex_sleep)),
    ("barrier", |bench| on_cpus(bench, sync::barrier)),
    ("condvar_turns", |bench| on_cpus(bench, sync::condvar_turns)),
    ("semaphore", |bench| on_cpus(bench, sync::semaphore)),
    ("wait_group", |bench| on_cpus(bench, sync::wait_group)),
    ("map90", |bench| on_cpus(bench, sync::map90)),
];

pub(super) const SERVERS: &[Workload] = &[
    ("serve_echo", |bench| on_cpus(bench, |_| servers::echo::<Threads>())),
    ("serve_http", |bench| on_cpus(bench, |_| servers::http::<Threads>())),
];

/// Runs a workload on so many CPUs.
fn on_cpus(bench: &Bench, workload: fn(&Bench)) {
    let mut cpus = cpus::allowed();
    cpus.truncate(bench.procs);
    cpus::confine(&cpus);
    workload(bench);
}

/// A count that falls to nought, and the one thread that waits for that.
struct Countdown {
    left: AtomicUsize,
    waiter: Thread,
}

impl Countdown {
    /// Counts down from `n` for the thread that calls.
    fn new(n: usize) -> Arc<Self> {
        Arc::new(Countdown { left: AtomicUsize::new(n), waiter: thread::current() })
    }

    fn done(&self) {
        if self.left.fetch_sub(1, AcqRel) == 1 {
            self.waiter.unpark();
        }
    }

    fn wait(&self) {
        while self.left.load(Acquire) > 0 {
            thread::park();
        }
    }
}

fn joined<T>(handle: JoinHandle<T>) -> T {
    handle.join().expect("no thread panics")
}
