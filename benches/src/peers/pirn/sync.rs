//! The workloads over locks, and those about what ends or is kept together: wait groups, groups, contexts, pools.

use super::{Countdown, Gs, joined};
use crate::peers::locks::{self, locks};
use crate::{Bench, Cost, measure};
use pirn::context::{Cancel, Context};
use pirn::go;
use pirn::group::ErrGroup;
use pirn::sync::{Barrier, Map, Pool, Semaphore, WaitGroup};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::time::Duration;

/// The locks of pirn.
pub(super) struct Locks;

locks!(Locks, "", pirn::sync, [], |condvar, guard| condvar.wait(&mut guard));

pub(super) fn barrier(bench: &Bench) {
    locks::barrier::<Gs, _>(bench, 20_000, Barrier::new, |barrier| barrier.wait().is_leader());
}

pub(super) fn semaphore(bench: &Bench) {
    locks::semaphore::<Gs, _>(bench, "", 1000, Semaphore::new, |semaphore, work| {
        let _permit = semaphore.acquire(1).expect("nobody closes it");
        work();
    });
}

pub(super) fn wait_group(bench: &Bench) {
    const TASKS: usize = 8;
    let n = bench.size(1_000_000);
    let run = |n: usize| {
        let group = WaitGroup::new();
        let each = n / TASKS;
        (0..each * TASKS).for_each(|_| group.add(1));
        for _ in 0..TASKS {
            let group = group.clone();
            go(move || (0..each).for_each(|_| group.done()));
        }
        group.wait();
        assert_eq!(group.count(), 0);
    };
    run(n / 10);
    let ((), cost) = measure(|| (0..5).for_each(|_| run(n)));
    bench.each("add_done", 5 * n, cost);
}

pub(super) fn errgroup(bench: &Bench) {
    let n = bench.size(500_000);
    let run = |n: usize| {
        let hits = Arc::new(AtomicUsize::new(0));
        let (group, _context) = ErrGroup::<String>::with_context(&Context::background());
        let group = group.limit(8);
        for _ in 0..n {
            let hits = hits.clone();
            group.go(move || {
                hits.fetch_add(1, Relaxed);
                Ok(())
            });
        }
        group.wait().expect("no task fails");
        assert_eq!(hits.load(Relaxed), n);
    };
    run(n / 10);
    bench.each("task", n, measure(|| run(n)).1);
}

pub(super) fn ctx_cancel(bench: &Bench) {
    const TIMES: usize = 5;
    let n = bench.size(100_000);
    let (mut make, mut cancel, mut wake) = (Cost::default(), Cost::default(), Cost::default());
    for _ in 0..TIMES {
        let (made, cancelled) = children(n);
        make += made;
        cancel += cancelled;
        wake += waiters(n / 10);
    }
    bench.each("make", TIMES * n, make);
    bench.each("cancel", TIMES * n, cancel);
    bench.each("wake", TIMES * (n / 10), wake);
}

/// Makes children, and cancels their parent.
fn children(n: usize) -> (Cost, Cost) {
    let (context, cancel) = Context::background().with_cancel();
    let (children, make) = measure(|| (0..n).map(|_| context.with_cancel()).collect::<Vec<(Context, Cancel)>>());
    let ((), cancelled) = measure(|| cancel.cancel());
    assert!(children.iter().all(|(child, _)| child.err().is_some()));
    (make, cancelled)
}

/// Has so many Gs wait for the end of one context, and ends it.
fn waiters(n: usize) -> Cost {
    let (context, cancel) = Context::background().with_cancel();
    let (ready, left) = (Arc::new(Countdown::new(n)), Arc::new(Countdown::new(n)));
    for _ in 0..n {
        let (context, ready, left) = (context.clone(), ready.clone(), left.clone());
        go(move || {
            ready.done();
            context.wait();
            left.done();
        });
    }
    ready.wait();
    pirn::sleep(Duration::from_millis(10));
    let ((), wake) = measure(|| {
        cancel.cancel();
        left.wait();
    });
    wake
}

/// A buffer that only one may have.
struct Buffer {
    bytes: [u8; 1024],
    taken: bool,
}

pub(super) fn pool(bench: &Bench) {
    const TASKS: usize = 8;
    static POOL: Pool<Box<Buffer>> = Pool::new(|| Box::new(Buffer { bytes: [0; 1024], taken: false }));
    let n = bench.size(1_000_000);
    let run = |n: usize| {
        let tasks = [(); TASKS].map(|()| {
            go(move || {
                for i in 0..n {
                    let mut buffer = POOL.get();
                    assert!(!buffer.taken);
                    buffer.taken = true;
                    buffer.bytes[i % 1024] = i as u8;
                    buffer.taken = false;
                }
            })
        });
        tasks.into_iter().for_each(joined);
    };
    run(n / 10);
    bench.each("get_put", TASKS * n, measure(|| run(n)).1);
}

pub(super) fn map90(bench: &Bench) {
    let new = Map::<u64, u64>::new;
    locks::map90::<Gs, _>(
        bench,
        "",
        1_000_000,
        new,
        |map, key| map.load(&key),
        |map, key, value| map.store(key, value),
    );
}
