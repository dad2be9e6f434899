//! Models of the counts: the value is dropped once, after all that was done to it, and not while one has it.

use super::Strong;
use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Value {
    done: UnsafeCell<usize>,
    drops: Arc<AtomicUsize>,
}

// SAFETY: what the model checks.
unsafe impl Sync for Value {}

impl Value {
    fn new(drops: &Arc<AtomicUsize>) -> Value {
        Value { done: UnsafeCell::new(0), drops: drops.clone() }
    }

    fn look(&self) {
        // SAFETY: what the model checks: nobody writes while there are owners.
        self.done.with(|done| unsafe { assert_eq!(*done, 0) });
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        // SAFETY: what the model checks: this comes after each look.
        self.done.with_mut(|done| unsafe { *done += 1 });
        self.drops.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn two_owners_and_one_that_upgrades() {
    loom::model(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let (one, two, weak) = Strong::two_and_weak(Value::new(&drops));
        let owns = thread::spawn(move || {
            one.look();
            drop(one);
        });
        let upgrades = thread::spawn(move || {
            if let Some(owner) = weak.upgrade() {
                owner.look();
            }
        });
        two.look();
        drop(two);
        owns.join().unwrap();
        upgrades.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn the_last_of_two_takes_the_value_out() {
    loom::model(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let (one, two, weak) = Strong::two_and_weak(Value::new(&drops));
        let other = thread::spawn(move || {
            one.look();
            Strong::into_inner(one).is_some()
        });
        two.look();
        let is_last = Strong::into_inner(two).is_some();
        let other_was_last = other.join().unwrap();
        assert!(is_last != other_was_last);
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        assert!(weak.upgrade().is_none());
    });
}
