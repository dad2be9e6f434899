//! Models of the permits: none is lost, and no more have one than there are.

use super::{Ordering, Permit, Permits};
use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize;
use loom::thread;
use pirn_runtime::internal::{Kind, Reason, Ticket, Told};

static TEST: Reason = Reason::new("a model waits", Kind::Event);

fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(f);
}

struct House {
    permits: Permits,
    /// How many have one now.
    have: AtomicUsize,
}

impl House {
    fn new() -> Arc<House> {
        Arc::new(House { permits: Permits::new(1, Told::wake), have: AtomicUsize::new(0) })
    }

    fn use_one(&self) {
        let permit = self.permits.take(|ticket, _| ticket.wait(&TEST, 0, None)).expect("it waits until it has one");
        self.hold(permit, 1);
    }

    fn hold(&self, permit: Permit<'_>, most: usize) {
        assert!(self.have.fetch_add(1, Ordering::Relaxed) < most);
        self.have.fetch_sub(1, Ordering::Relaxed);
        drop(permit);
    }

    fn all_are_free(&self) {
        assert_eq!(self.permits.taken.load(Ordering::Relaxed), 0);
        assert!(self.permits.waiters.is_empty());
    }
}

/// It looks once, and ends the wait if it is not told.
fn look(ticket: &Ticket<()>) -> bool {
    thread::yield_now();
    ticket.is_told()
}

#[test]
fn one_at_a_time_and_each_gets_it() {
    model(|| {
        let house = House::new();
        let others = [(); 2].map(|()| {
            let house = house.clone();
            thread::spawn(move || house.use_one())
        });
        house.use_one();
        others.into_iter().for_each(|other| other.join().unwrap());
        house.all_are_free();
    });
}

#[test]
fn one_that_waits_no_longer_keeps_none() {
    model(|| {
        let house = House::new();
        let ends = thread::spawn({
            let house = house.clone();
            move || {
                if let Some(permit) = house.permits.take(|ticket, _| look(ticket)) {
                    house.hold(permit, 1);
                }
            }
        });
        let waits = thread::spawn({
            let house = house.clone();
            move || house.use_one()
        });
        house.use_one();
        ends.join().unwrap();
        waits.join().unwrap();
        house.all_are_free();
    });
}

/// It may be handed one at the same moment.
#[test]
fn one_more_is_given_back_too() {
    model(|| {
        let house = House::new();
        let impatient = thread::spawn({
            let house = house.clone();
            move || {
                let permit = house.permits.take(|ticket, more| {
                    let got = house.permits.got();
                    if look(ticket) {
                        return true;
                    }
                    *more = house.permits.get_one_more(got);
                    more.is_none() && ticket.wait(&TEST, 0, None)
                });
                house.hold(permit.expect("it waits until it has one"), 2);
            }
        });
        let permit = house.permits.take(|ticket, _| ticket.wait(&TEST, 0, None)).expect("it waits until it has one");
        house.hold(permit, 2);
        impatient.join().unwrap();
        house.all_are_free();
    });
}
