//! How near the first two CPUs are to each other: what it costs to hand a cache line from one to the other and back.
//!
//! On a virtual machine that depends on where the host happens to run the two, and what two procs cost depends on it:
//! compare only figures that were taken at the same distance.

use crate::{Bench, cpus, measure, ns};
use std::hint::spin_loop;
use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::thread;

#[repr(align(128))]
struct Line(AtomicUsize);

static LINE: Line = Line(AtomicUsize::new(0));

pub(super) fn probe(bench: &Bench) {
    let n = bench.size(30_000);
    let &[here, there, ..] = cpus::allowed().as_slice() else { panic!("a probe needs two CPUs") };
    let other = thread::spawn(move || {
        cpus::confine(&[there]);
        (0..n).for_each(|trip| hand_on(2 * trip + 1));
    });
    cpus::confine(&[here]);
    let warm_up = n / 10;
    (0..warm_up).for_each(|trip| hand_on(2 * trip));
    let ((), cost) = measure(|| (warm_up..n).for_each(|trip| hand_on(2 * trip)));
    other.join().expect("the other one has handed all of them back");
    bench.figure("ns_per_handoff", ns(cost.wall) / (2 * (n - warm_up)) as f64, "ns");
}

/// Waits for the line to come with this number, and hands it on.
fn hand_on(number: usize) {
    while LINE.0.load(Acquire) != number {
        spin_loop();
    }
    LINE.0.store(number + 1, Release);
}
