//! Models of reading without a lock: what is seen is there, and what was taken out is dropped.

#![allow(unsafe_code, reason = "cells of a model")]

use super::Readers;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

/// Two objects, of which one at a time is to be seen.
struct Shared {
    readers: Readers<Gone>,
    seen: AtomicUsize,
    objects: Arc<Objects>,
}

struct Objects {
    /// Written when the object is dropped.
    cells: [UnsafeCell<bool>; 3],
    dropped: AtomicUsize,
}

// SAFETY: what the models check.
unsafe impl Send for Objects {}
// SAFETY: as above.
unsafe impl Sync for Objects {}

/// An object that was taken out.
struct Gone {
    objects: Arc<Objects>,
    number: usize,
}

impl Drop for Gone {
    fn drop(&mut self) {
        // SAFETY: what the models check.
        self.objects.cells[self.number].with_mut(|is_gone| unsafe { *is_gone = true });
        self.objects.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

impl Shared {
    fn new() -> Shared {
        let objects = Objects { cells: std::array::from_fn(|_| UnsafeCell::new(false)), dropped: AtomicUsize::new(0) };
        Shared { readers: Readers::new(), seen: AtomicUsize::new(0), objects: Arc::new(objects) }
    }

    fn read(&self) {
        let reading = self.readers.read();
        let number = self.seen.load(Ordering::SeqCst);
        // SAFETY: what the models check.
        assert!(!self.objects.cells[number].with(|is_gone| unsafe { *is_gone }));
        drop(reading);
    }

    fn replace(&self, new: usize) {
        let number = self.seen.swap(new, Ordering::SeqCst);
        self.readers.drop_later(Gone { objects: self.objects.clone(), number });
    }
}

fn check(preemptions: usize, replaced: usize, works: &'static [fn(&Shared)]) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(move || {
        let shared = Arc::new(Shared::new());
        let start = |work: fn(&Shared)| {
            let shared = shared.clone();
            thread::spawn(move || work(&shared))
        };
        let threads: Vec<_> = works[1..].iter().map(|work| start(*work)).collect();
        works[0](&shared);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        // Nobody reads, so nothing is left in the list.
        assert_eq!(shared.objects.dropped.load(Ordering::Relaxed), replaced);
    });
}

#[test]
fn what_one_reads_is_there() {
    check(3, 1, &[Shared::read, |shared| shared.replace(1)]);
    check(
        3,
        2,
        &[
            |shared| {
                shared.replace(1);
                shared.replace(2);
            },
            Shared::read,
        ],
    );
}

#[test]
fn two_read() {
    check(2, 1, &[|shared| shared.replace(1), Shared::read, Shared::read]);
}

#[test]
fn one_reads_again_and_again() {
    check(
        2,
        2,
        &[
            |shared| {
                shared.replace(1);
                shared.replace(2);
            },
            |shared| {
                shared.read();
                shared.read();
            },
        ],
    );
}

#[test]
fn two_replace() {
    check(2, 2, &[|shared| shared.replace(1), |shared| shared.replace(2), Shared::read]);
}
