//! Models of a slot: a value has one holder, is neither lost nor doubled, and a pool that has one ages.

use super::Slot;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

/// Tries all orders with up to three preemptions.
fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(f);
}

/// Two use the slot while a step of age goes on.
#[test]
fn a_value_has_one_holder_and_is_not_lost() {
    model(|| {
        let slot = Arc::new(Slot::new());
        slot.put(Box::new(0)).unwrap();
        let users = [(); 2].map(|()| {
            let slot = slot.clone();
            thread::spawn(move || match slot.hold() {
                Some((held, Some(mut value))) => {
                    *value += 1;
                    held.give_back(value);
                    1
                }
                _ => 0,
            })
        });
        let aged = [slot.age(), slot.age()];
        let uses: usize = users.into_iter().map(|user| user.join().unwrap()).sum();
        let left = aged.into_iter().flatten().chain(slot.take()).collect::<Vec<_>>();
        assert_eq!(left.into_iter().map(|value| *value).collect::<Vec<_>>(), [uses]);
    });
}

/// One takes the value for good, and leaves the slot, while another puts one in.
#[test]
fn what_is_put_is_taken_once() {
    model(|| {
        let slot = Arc::new(Slot::new());
        slot.put(Box::new(1)).unwrap();
        let other = slot.clone();
        let takes = thread::spawn(move || other.hold().and_then(|(_held, value)| value));
        let back = slot.put(Box::new(2)).err();
        let taken = takes.join().unwrap();
        let mut all: Vec<usize> = [taken, back, slot.take()].into_iter().flatten().map(|value| *value).collect();
        all.sort_unstable();
        assert_eq!(all, [1, 2]);
    });
}

/// The flag of a pool that is on the list is set again, by a step or by whoever gives a value back.
#[test]
fn a_pool_with_a_value_is_on_the_list() {
    model(|| {
        let pool = Arc::new((Slot::new(), AtomicBool::new(true)));
        let other = pool.clone();
        let user = thread::spawn(move || {
            let (held, _) = other.0.hold().expect("nobody else holds it");
            held.give_back(1);
            if !other.1.load(Ordering::Relaxed) {
                other.1.store(true, Ordering::Relaxed);
            }
        });
        pool.1.store(false, Ordering::Relaxed);
        if pool.0.may_have_value() {
            pool.1.store(true, Ordering::Relaxed);
        }
        user.join().unwrap();
        assert!(pool.1.load(Ordering::Relaxed));
    });
}
