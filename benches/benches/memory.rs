//! What tasks that wait cost: memory for each, and the time to create and to release them.
//!
//! A process keeps the memory of tasks that have ended, so each measurement is a process of its own: this program calls
//! itself. It has ten thousand tasks wait on one channel (a thousand threads), releases them, and does both again.

mod common;

use common::{Isolated, May, Peer, Shared, Threads, Tokio, bounded};
use criterion::measurement::{Measurement, ValueFormatter};
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};
use pirn_benches::Memory;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::time::{Duration, Instant};
use std::{array, env};
use tokio::sync::Semaphore;

/// How this program is told to be one measurement, before the name of the peer.
const ONE: &str = "--measure-one";

/// Tasks that wait. An unoptimised build is for a test of the bench, not for figures.
const TASKS: usize = if cfg!(debug_assertions) { 1_000 } else { 10_000 };

/// Threads that wait.
const THREADS: usize = TASKS / 10;

/// Until what is about to wait does.
const SETTLE: Duration = Duration::from_millis(20);

/// The name of a peer, how many tasks it has, and how one measurement is done on it.
type Measured = (&'static str, usize, fn(usize) -> Figures);

const PEERS: [Measured; 5] = [
    (Shared::NAME, TASKS, measure::<Shared>),
    (Isolated::NAME, TASKS, measure::<Isolated>),
    (Threads::NAME, THREADS, measure::<Threads>),
    (May::NAME, TASKS, measure::<May>),
    (Tokio::<2>::NAME, TASKS, measure_tokio),
];

/// The figures of one measurement, in this order: memory in bytes, then times in nanoseconds.
type Figures = [f64; 5];
/// Index of the memory.
const BYTES: usize = 0;
/// Times, and what they are called.
const TIMES: [(usize, &str); 4] =
    [(1, "parked_create"), (2, "parked_release"), (3, "parked_create_again"), (4, "parked_release_again")];

/// Growth of the process: resident memory and page tables.
struct Resident;

impl Measurement for Resident {
    type Intermediate = Memory;
    type Value = f64;

    fn start(&self) -> Memory {
        Memory::now()
    }

    fn end(&self, before: Memory) -> f64 {
        let now = Memory::now();
        now.resident - before.resident + now.page_tables - before.page_tables
    }

    fn add(&self, a: &f64, b: &f64) -> f64 {
        a + b
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, value: &f64) -> f64 {
        *value
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

impl ValueFormatter for Resident {
    fn scale_values(&self, _typical: f64, values: &mut [f64]) -> &'static str {
        values.iter_mut().for_each(|value| *value /= 1024.0);
        "KiB"
    }

    fn scale_throughputs(&self, _typical: f64, _throughput: &Throughput, _values: &mut [f64]) -> &'static str {
        unreachable!("bytes have no rate")
    }

    fn scale_for_machines(&self, _values: &mut [f64]) -> &'static str {
        "B"
    }
}

/// Nanoseconds since `start`, which is set to now.
fn lap(start: &mut Instant) -> f64 {
    let time = start.elapsed();
    *start = Instant::now();
    time.as_nanos() as f64
}

/// A channel that so many tasks wait on.
type Gate<P> = (<P as Peer>::Sender<()>, Vec<<P as Peer>::Receiver<()>>);

/// One measurement on a peer that has not been used yet: what its runtime needs is counted too, but hardly to be seen.
fn measure<P: Peer>(tasks: usize) -> Figures {
    let gates: [Gate<P>; 2] = array::from_fn(|_| P::channel(None, tasks));
    let before = Resident.start();
    P::run(move || {
        let [(bytes, create, release), (_, create_again, release_again)] = gates.map(|gate| wait::<P>(gate, before));
        [bytes / tasks as f64, create, release, create_again, release_again]
    })
}

/// Has a task wait for each receiver, and releases them. Says how much memory is used meanwhile, and how long the two
/// steps took.
fn wait<P: Peer>((sender, receivers): Gate<P>, before: Memory) -> (f64, f64, f64) {
    let tasks = receivers.len();
    let arrived = Arc::new(AtomicUsize::new(0));
    let mut start = Instant::now();
    let come_and_wait = |receiver| {
        let arrived = arrived.clone();
        P::go(move || {
            arrived.fetch_add(1, Relaxed);
            P::recv(&receiver).expect("there is a sender");
        })
    };
    let waiting: Vec<_> = receivers.into_iter().map(come_and_wait).collect();
    while arrived.load(Relaxed) < tasks {
        P::yield_now();
    }
    let create = lap(&mut start);
    P::sleep(SETTLE);
    let bytes = Resident.end(before);
    lap(&mut start);
    (0..tasks).for_each(|_| P::send(&sender, ()));
    waiting.into_iter().for_each(P::join);
    (bytes, create, lap(&mut start))
}

/// As [`measure`].
fn measure_tokio(tasks: usize) -> Figures {
    let before = Resident.start();
    Tokio::<2>::run(async move {
        let (bytes, create, release) = wait_in_tokio(tasks, before).await;
        let (_, create_again, release_again) = wait_in_tokio(tasks, before).await;
        [bytes / tasks as f64, create, release, create_again, release_again]
    })
}

/// As [`wait`], at a semaphore: tokio's channels have one receiver.
async fn wait_in_tokio(tasks: usize, before: Memory) -> (f64, f64, f64) {
    let gate = Arc::new((Semaphore::new(0), AtomicUsize::new(0)));
    let mut start = Instant::now();
    let come_and_wait = |_| {
        let gate = gate.clone();
        tokio::spawn(async move {
            gate.1.fetch_add(1, Relaxed);
            gate.0.acquire().await.expect("it is not closed").forget();
        })
    };
    let waiting: Vec<_> = (0..tasks).map(come_and_wait).collect();
    while gate.1.load(Relaxed) < tasks {
        tokio::task::yield_now().await;
    }
    let create = lap(&mut start);
    tokio::time::sleep(SETTLE).await;
    let bytes = Resident.end(before);
    lap(&mut start);
    gate.0.add_permits(tasks);
    for task in waiting {
        task.await.expect("no task panics");
    }
    (bytes, create, lap(&mut start))
}

/// Has another process do one measurement, which has a watchman of its own.
fn measure_in_child(peer: &str) -> Figures {
    let program = env::current_exe().expect("the path of this program");
    let child = Command::new(program).args([ONE, peer]).stderr(Stdio::inherit()).output().expect("a child");
    assert!(child.status.success(), "{peer}: {}", child.status);
    let text = String::from_utf8(child.stdout).expect("figures are ASCII");
    let figures: Vec<f64> = text.split_whitespace().map(|figure| figure.parse().expect("a figure")).collect();
    figures.try_into().expect("all figures")
}

/// Does the measurement that the parent asked for.
fn be_child(peer: &str) {
    let (_, tasks, measure) = PEERS.iter().find(|(name, ..)| *name == peer).expect("a peer");
    let figures = bounded(|| measure(*tasks));
    println!("{}", figures.map(|figure| figure.to_string()).join(" "));
}

/// Adds up one figure of so many measurements.
fn sum(peer: &str, figure: usize, iters: u64) -> f64 {
    (0..iters).map(|_| bounded(|| measure_in_child(peer))[figure]).sum()
}

/// A group in which each repetition is a process.
fn group<'a, M: Measurement>(c: &'a mut Criterion<M>, name: &str) -> BenchmarkGroup<'a, M> {
    let mut group = c.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_millis(1500));
    group
}

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    if let [one, peer] = &arguments[..]
        && one == ONE
    {
        return be_child(peer);
    }
    let mut criterion = common::criterion().with_measurement(Resident).configure_from_args();
    let mut bytes = group(&mut criterion, "parked_memory");
    for (peer, ..) in PEERS {
        bytes.bench_function(peer, |b| b.iter_custom(|iters| sum(peer, BYTES, iters)));
    }
    bytes.finish();
    let mut criterion = common::criterion().configure_from_args();
    for (figure, name) in TIMES {
        let mut times = group(&mut criterion, name);
        for (peer, tasks, _) in PEERS {
            times.throughput(Throughput::Elements(tasks as u64));
            let nanos = |iters| Duration::from_nanos(sum(peer, figure, iters) as u64);
            times.bench_function(peer, |b| b.iter_custom(nanos));
        }
        times.finish();
    }
    criterion.final_summary();
}
