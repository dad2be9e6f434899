//! Six workers and three permits: three of them work at the same time, then the other three.
//!
//! Python: `async with asyncio.Semaphore(3)`; Go: a channel with room for three, or `x/sync/semaphore`. Different here:
//! `acquire` returns a guard that gives the permit back when it is dropped, on every way out of the function. One
//! semaphore serves goroutines, threads and async tasks.

use pirn::sync::{Barrier, Semaphore};
use std::sync::atomic::{AtomicUsize, Ordering};

const WORKERS: usize = 6;
const PERMITS: usize = 3;

pub(crate) fn program() {
    let semaphore = Semaphore::new(PERMITS);
    // Lets nobody through before as many as there are permits have come: it shows that so many do work at once.
    let meeting = Barrier::new(PERMITS);
    let (now, most, done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    pirn::scope(|s| {
        for _ in 0..WORKERS {
            s.go(|| {
                let _permit = semaphore.acquire(1).expect("nobody closes it");
                most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                meeting.wait();
                now.fetch_sub(1, Ordering::Relaxed);
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    println!("{} workers, at most {} at a time", done.into_inner(), most.into_inner());
    println!("permits at the end: {}", semaphore.available());
}
