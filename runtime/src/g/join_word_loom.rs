//! Models of the join word: the result is dropped once, the record recycled once, the joiner told.

use super::*;
use crate::loom::{model, thread};
use loom::cell::UnsafeCell;
use loom::sync::Arc;

struct Record {
    join: JoinWord,
    result: UnsafeCell<u32>,
    dropped: AtomicUsize,
    recycled: AtomicUsize,
    told: AtomicUsize,
}

fn record() -> Arc<Record> {
    let join = JoinWord::new();
    join.init();
    Arc::new(Record {
        join,
        result: UnsafeCell::new(0),
        dropped: AtomicUsize::new(0),
        recycled: AtomicUsize::new(0),
        told: AtomicUsize::new(0),
    })
}

impl Record {
    fn take(&self) {
        // SAFETY: what the model checks.
        self.result.with_mut(|r| unsafe { assert_eq!(std::mem::take(&mut *r), 5) });
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    fn recycle(&self) {
        // SAFETY: what the model checks: nothing else looks at the result any more.
        self.result.with_mut(|r| unsafe { assert_eq!(*r, 0) });
        self.recycled.fetch_add(1, Ordering::Relaxed);
    }

    fn end(&self) {
        // SAFETY: the result is the G's until it is settled.
        self.result.with_mut(|r| unsafe { *r = 5 });
        match self.join.settle() {
            Settled::Detached => self.take(),
            Settled::Kept => {}
            Settled::Awaited(address) => {
                self.told.store(address, Ordering::Release);
            }
        }
        if self.join.retire() {
            self.recycle();
        }
    }

    fn check(&self) {
        assert_eq!(self.dropped.load(Ordering::Relaxed), 1);
        assert_eq!(self.recycled.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn a_handle_dropped_at_any_time() {
    model(|| {
        let r = record();
        let g = r.clone();
        let g = thread::spawn(move || g.end());
        if r.join.drop_handle() == Dropped::HasResult {
            r.take();
            if r.join.release_record() {
                r.recycle();
            }
        }
        g.join().unwrap();
        r.check();
    });
}

#[test]
fn a_join_at_any_time() {
    model(|| {
        let r = record();
        let g = r.clone();
        let g = thread::spawn(move || g.end());
        if !r.join.has_result() && r.join.wait(64) {
            while r.told.load(Ordering::Acquire) != 64 {
                thread::yield_now();
            }
        }
        assert!(r.join.has_result());
        r.take();
        if r.join.release_record() {
            r.recycle();
        }
        g.join().unwrap();
        r.check();
    });
}
