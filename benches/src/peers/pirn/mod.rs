//! pirn, in a G on `--procs` Ps.
//!
//! `pingpong` and `ring` are done twice: over channels, and by park and unpark (tag `[park]`), which is what channels
//! are made of. `parked_mem` and `deepstack` park. `hooked` is pirn as another peer: what waits in std, on Gs.

pub(super) mod hooked;

mod net;
mod park;
mod sync;
mod tasks;

use super::Workload;
use super::crossbeam::{self as channels, api};
use super::locks;
use super::probe::probe;
use crate::{Bench, Cost, Peer, measure};
use pirn::{JoinHandle, Unparker, go};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::sync::{Arc, OnceLock};
use sync::Locks;

/// Gs and their channels.
pub(super) struct Gs;

api!(Gs, pirn::channel, pirn, go);

pub(super) const WORKLOADS: &[Workload] = &[
    ("probe", probe),
    ("spawn_join", |bench| in_g(bench, tasks::spawn_join)),
    ("spawn_join_handle", |bench| in_g(bench, tasks::spawn_join_handle)),
    ("parked_mem", |bench| in_g(bench, tasks::parked_mem)),
    ("yield1", |bench| in_g(bench, |bench| tasks::yields(bench, 2, 1_000_000))),
    ("yield_many", |bench| in_g(bench, |bench| tasks::yields(bench, 1000, 5000))),
    ("yield_n", |bench| in_g(bench, tasks::yield_n)),
    ("pingpong", |bench| {
        in_g(bench, |bench| {
            channels::pingpong::<Gs>(bench, 1_000_000);
            park::pingpong(bench);
        });
    }),
    ("ring", |bench| {
        in_g(bench, |bench| {
            channels::ring::<Gs>(bench, 2_000_000);
            park::ring(bench);
        });
    }),
    ("spsc0", |bench| in_g(bench, |bench| channels::stream::<Gs>(bench, 0, 1, 1, 2_000_000))),
    ("spsc128", |bench| in_g(bench, |bench| channels::stream::<Gs>(bench, 128, 1, 1, 4_000_000))),
    ("mpsc128", |bench| in_g(bench, |bench| channels::stream::<Gs>(bench, 128, 4, 1, 4_000_000))),
    ("mpmc128", |bench| in_g(bench, |bench| channels::stream::<Gs>(bench, 128, 4, 4, 4_000_000))),
    ("select4", |bench| in_g(bench, |bench| channels::select4::<Gs>(bench, 1_000_000))),
    ("select_nb", |bench| in_g(bench, channels::select_nb::<Gs>)),
    ("select_timeout", |bench| in_g(bench, channels::select_timeout::<Gs>)),
    ("sieve", |bench| in_g(bench, channels::sieve::<Gs>)),
    ("skynet", |bench| in_g(bench, tasks::skynet)),
    ("timers", |bench| in_g(bench, |bench| tasks::timers(bench, 100_000, pirn::sleep))),
    ("timers_10k", |bench| in_g(bench, |bench| tasks::timers(bench, 10_000, pirn::sleep))),
    ("sleeps", |bench| in_g(bench, |bench| locks::sleeps::<Gs>(bench, pirn::sleep))),
    ("fib", |bench| in_g(bench, tasks::fib)),
    ("cpu_map", |bench| in_g(bench, |bench| bench.jobs(bench.size(10_000), channels::pool::<Gs>))),
    ("hog", |bench| in_g(bench, tasks::hog)),
    ("blocking", |bench| in_g(bench, tasks::blocking)),
    ("deepstack", |bench| in_g(bench, tasks::deepstack)),
    ("mutex1", |bench| in_g(bench, |bench| locks::mutex1::<Locks>(bench, ""))),
    ("mutex8", |bench| in_g(bench, |bench| locks::mutex8::<Gs, Locks>(bench, 1_000_000))),
    ("rwlock1", |bench| in_g(bench, |bench| locks::rwlock1::<Locks>(bench, ""))),
    ("rwlock8", |bench| in_g(bench, |bench| locks::rwlock8::<Gs, Locks>(bench, 1_000_000))),
    ("mutex_chan", |bench| in_g(bench, |bench| locks::mutex_chan::<Gs, Locks>(bench, 100_000))),
    ("mutex_sleep", |bench| in_g(bench, |bench| locks::mutex_sleep::<Gs, Locks>(bench, pirn::sleep))),
    ("barrier", |bench| in_g(bench, sync::barrier)),
    ("condvar_turns", |bench| in_g(bench, |bench| locks::condvar_turns::<Gs, Locks>(bench, 500))),
    ("semaphore", |bench| in_g(bench, sync::semaphore)),
    ("wait_group", |bench| in_g(bench, sync::wait_group)),
    ("errgroup", |bench| in_g(bench, sync::errgroup)),
    ("ctx_cancel", |bench| in_g(bench, sync::ctx_cancel)),
    ("pool", |bench| in_g(bench, sync::pool)),
    ("map90", |bench| in_g(bench, sync::map90)),
];

pub(super) const SERVERS: &[Workload] =
    &[("serve_echo", |bench| in_g(bench, net::echo)), ("serve_http", |bench| in_g(bench, net::http))];

/// Runs a workload in a G of the runtime that was asked for.
fn in_g(bench: &Bench, workload: fn(&Bench)) {
    let builder = pirn::Builder::new().procs(bench.procs);
    let runtime = match bench.peer {
        // SAFETY: no workload has a thread-local's address or value over a call that may park.
        Peer::PirnShared => unsafe { builder.shared_thread_locals() }.build(),
        _ => builder.build(),
    };
    let runtime = runtime.unwrap_or_else(|error| panic!("no runtime: {error}"));
    let is_hooked = !runtime.metrics().hooked_waits.is_empty();
    assert_eq!(is_hooked, bench.peer == Peer::PirnHook, "peers-pirn-hook is the program with the hook");
    runtime.run(|| workload(bench));
}

/// A count that falls to nought, and the one G that waits for that.
struct Countdown {
    left: AtomicUsize,
    waiter: Unparker,
}

impl Countdown {
    /// Counts down from `n` for the G that calls.
    fn new(n: usize) -> Self {
        Countdown { left: AtomicUsize::new(n), waiter: Unparker::current() }
    }

    fn done(&self) {
        if self.left.fetch_sub(1, AcqRel) == 1 {
            self.waiter.unpark();
        }
    }

    fn wait(&self) {
        while self.left.load(Acquire) > 0 {
            pirn::park();
        }
    }
}

/// A gate that `n` Gs wait at.
struct Gate {
    arrived: Countdown,
    left: Countdown,
    open: AtomicBool,
    waiters: Vec<OnceLock<Unparker>>,
}

impl Gate {
    /// A closed one. It is the caller who opens it.
    fn new(n: usize) -> Arc<Self> {
        Arc::new(Gate {
            arrived: Countdown::new(n),
            left: Countdown::new(n),
            open: AtomicBool::new(false),
            waiters: (0..n).map(|_| OnceLock::new()).collect(),
        })
    }

    /// Starts a G for each place, which comes to it by `way`, and returns when all have arrived.
    fn gather(self: &Arc<Self>, way: impl Fn(&Gate, usize) + Clone + Send + 'static) -> Cost {
        let start_all = || {
            for place in 0..self.waiters.len() {
                let (gate, way) = (self.clone(), way.clone());
                go(move || {
                    way(&gate, place);
                    gate.left.done();
                });
            }
            self.arrived.wait();
        };
        measure(start_all).1
    }

    /// Waits at `place`, which nobody else uses.
    fn pass(&self, place: usize) {
        assert!(self.waiters[place].set(Unparker::current()).is_ok());
        self.arrived.done();
        while !self.open.load(Acquire) {
            pirn::park();
        }
    }

    /// Lets all go, once all have arrived.
    fn open(&self) {
        self.open.store(true, Release);
        for waiter in &self.waiters {
            waiter.get().expect("all have arrived").unpark();
        }
    }

    /// Lets all go, and returns when all have left.
    fn empty(&self) {
        self.open();
        self.left.wait();
    }
}

fn joined<T>(handle: JoinHandle<T>) -> T {
    handle.join().expect("no G panics")
}
