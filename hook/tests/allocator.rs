//! An allocator that takes a lock of std's, as those that count or trace allocations do. The runtime allocates in the middle
//! of its work, so it waits for that lock, and wakes who waits for it.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::isolated;
use pirn_hook as _;
use pirn_runtime::go;
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::{black_box, spin_loop};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread::{sleep, yield_now};
use std::time::{Duration, Instant};

struct Locked;

static COUNT: Mutex<u64> = Mutex::new(0);

/// Holds the lock for some time now and then, so that others wait for it.
fn with_lock<T>(f: impl FnOnce() -> T) -> T {
    let mut count = COUNT.lock().unwrap_or_else(|e| e.into_inner());
    *count += 1;
    if count.is_multiple_of(64) {
        (0..2_000).for_each(|_| spin_loop());
    }
    f()
}

// SAFETY: it is the system's.
unsafe impl GlobalAlloc for Locked {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        with_lock(|| unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        with_lock(|| unsafe { System.dealloc(place, layout) });
    }
}

#[global_allocator]
static ALLOCATOR: Locked = Locked;

/// Gs that allocate, and have the runtime allocate, until the time is over.
fn work(procs: usize, end: Instant) {
    let rt = isolated(procs);
    rt.run(|| {
        let gs: Vec<_> = (0..200)
            .map(|nth| {
                go(move || {
                    let (sender, receiver) = channel();
                    while Instant::now() < end {
                        let buffers: Vec<_> = (10..30).map(|bytes| vec![0_u8; bytes]).collect();
                        sender.send(buffers[3].clone()).expect("the receiver is here");
                        drop(buffers);
                        receiver.recv().expect("it was sent");
                        if nth % 3 == 0 {
                            go(|| drop(black_box(vec![0_u8; 100]))).join().expect("it does not panic");
                        }
                        if nth % 5 == 0 {
                            sleep(Duration::from_micros(50));
                        }
                        if nth % 7 == 0 {
                            yield_now();
                        }
                    }
                })
            })
            .collect();
        gs.into_iter().for_each(|g| g.join().expect("it does not panic"));
    });
}

#[test]
fn an_allocator_with_a_lock_on_one_p_and_on_two() {
    for procs in [1, 2] {
        work(procs, Instant::now() + Duration::from_secs(2));
    }
}
