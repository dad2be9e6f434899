//! What a task of an [`ErrGroup`] costs in memory: nothing that is allocated, once its stack is there.

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use common::runtime;
use pirn_sync::context::Context;
use pirn_sync::group::ErrGroup;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

/// Counts, for all threads.
struct Counting;

// SAFETY: it is the system's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_task_allocates_nothing() {
    const TASKS: usize = 10_000;
    let house = runtime(2);
    let allocations = house.run(|| {
        let (group, _context) = ErrGroup::<String>::with_context(&Context::background());
        let group = group.limit(8);
        let hits = Arc::new(AtomicUsize::new(0));
        let run = |tasks: usize| {
            for _ in 0..tasks {
                let hits = hits.clone();
                group.go(move || {
                    hits.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                });
            }
            assert_eq!(group.wait(), Ok(()));
        };
        run(TASKS);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        run(TASKS);
        assert_eq!(hits.load(Ordering::Relaxed), 2 * TASKS);
        ALLOCATIONS.load(Ordering::Relaxed) - before
    });
    house.close();
    // The runtime allocates some things at times, for whatever runs.
    assert!(allocations < TASKS / 20, "{allocations} allocations by {TASKS} tasks");
}
