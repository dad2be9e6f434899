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
    /// The box of each task, at index `address / 16`: it has one owner at a time.
    tasks: [UnsafeCell<u32>; 3],
    woken: AtomicUsize,
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
        tasks: [UnsafeCell::new(0), UnsafeCell::new(0), UnsafeCell::new(0)],
        woken: AtomicUsize::new(0),
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
            Settled::AwaitedByTask(address) => {
                self.free(address);
                self.woken.store(address, Ordering::Release);
            }
        }
        if self.join.retire() {
            self.recycle();
        }
    }

    fn make(&self, address: usize) {
        // SAFETY: what the model checks: the box is the caller's.
        self.tasks[address / 16].with_mut(|task| unsafe { *task += 1 });
    }

    fn free(&self, address: usize) {
        // SAFETY: as above.
        self.tasks[address / 16].with_mut(|task| unsafe { *task -= 1 });
    }

    /// Registers a task. False: the result is there.
    fn poll(&self, address: usize) -> bool {
        if let Some(before) = self.join.withdraw_task() {
            self.free(before);
        }
        self.make(address);
        let waits = self.join.wait_as_task(address);
        if !waits {
            self.free(address);
        }
        waits
    }

    fn take_and_release(&self) {
        self.take();
        if self.join.release_record() {
            self.recycle();
        }
    }

    /// As the drop of a handle.
    fn drop_handle(&self) {
        loop {
            match self.join.drop_handle() {
                Dropped::Detached => return,
                Dropped::HasResult => return self.take_and_release(),
                Dropped::HasTask => self.join.withdraw_task().into_iter().for_each(|address| self.free(address)),
            }
        }
    }

    fn check(&self) {
        for task in &self.tasks {
            // SAFETY: all have ended.
            task.with(|task| unsafe { assert_eq!(*task, 0) });
        }
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

#[test]
fn a_task_that_polls_twice_and_goes_at_any_time() {
    model(|| {
        let r = record();
        let g = r.clone();
        let g = thread::spawn(move || g.end());
        if !r.join.has_result() {
            _ = r.poll(16) && r.poll(32);
        }
        r.drop_handle();
        g.join().unwrap();
        r.check();
    });
}

#[test]
fn a_task_is_woken_when_the_result_is_there() {
    model(|| {
        let r = record();
        let g = r.clone();
        let g = thread::spawn(move || g.end());
        if !r.join.has_result() && r.poll(16) && r.poll(32) {
            while r.woken.load(Ordering::Acquire) != 32 {
                thread::yield_now();
            }
        }
        assert!(r.join.has_result());
        r.take_and_release();
        g.join().unwrap();
        r.check();
    });
}

#[test]
fn a_task_that_joins_instead() {
    model(|| {
        let r = record();
        let g = r.clone();
        let g = thread::spawn(move || g.end());
        r.poll(16);
        if let Some(address) = r.join.withdraw_task() {
            r.free(address);
        }
        if !r.join.has_result() && r.join.wait(64) {
            while r.told.load(Ordering::Acquire) != 64 {
                thread::yield_now();
            }
        }
        r.take_and_release();
        g.join().unwrap();
        r.check();
    });
}
