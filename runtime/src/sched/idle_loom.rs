//! Models of idle and wake: some M always takes work that was made visible.

use super::*;
use crate::loom::{Mutex, model, thread};
use loom::sync::Arc;

/// A runtime with queues that are only counters. `ps` are the idle Ps under the lock.
struct House {
    idle: Idle,
    queue: AtomicU32,
    lock: Mutex<u32>,
    /// Ps that were woken to search: each of their Ms will look again.
    woken: AtomicU32,
}

impl House {
    fn new(idle_ps: u32) -> Arc<House> {
        Arc::new(House {
            idle: Idle::new(idle_ps),
            queue: AtomicU32::new(0),
            lock: Mutex::new(idle_ps),
            woken: AtomicU32::new(0),
        })
    }

    fn publish(&self) {
        // A plain store, as the queue's push is one. One producer at a time.
        self.queue.store(self.queue.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.announce();
    }

    fn announce(&self) {
        if self.idle.announce() {
            let mut ps = self.lock.lock().unwrap();
            if *ps == 0 {
                // The lowering happens under the lock: the argument needs it.
                self.idle.end_search();
                return;
            }
            *ps -= 1;
            self.idle.p_left_idle();
            drop(ps);
            self.woken.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// An M with a P goes idle. True if its last look found work.
    fn go_idle(&self, searching: bool) -> bool {
        self.lay_p_down(searching);
        self.queue.load(Ordering::Relaxed) > 0
    }

    fn lay_p_down(&self, searching: bool) {
        {
            let mut ps = self.lock.lock().unwrap();
            *ps += 1;
            self.idle.p_went_idle();
        }
        if searching {
            self.idle.end_search();
        } else {
            self.idle.before_last_look();
        }
    }
}

#[test]
fn a_push_and_a_p_that_goes_idle_do_not_miss_each_other() {
    model(|| {
        let house = House::new(0);
        house.idle.begin_search();
        let other = house.clone();
        let idler = thread::spawn(move || other.go_idle(true));
        house.publish();
        let found = idler.join().unwrap();
        assert!(found || house.woken.load(Ordering::SeqCst) == 1);
    });
}

#[test]
fn a_searcher_keeps_its_promise() {
    model(|| {
        // One P is idle already, another searches and goes idle, while work is published.
        let house = House::new(1);
        house.idle.begin_search();
        let other = house.clone();
        let idler = thread::spawn(move || other.go_idle(true));
        house.publish();
        let found = idler.join().unwrap();
        assert!(found || house.woken.load(Ordering::SeqCst) >= 1);
    });
}

#[test]
fn a_wake_that_finds_no_p_hides_no_work() {
    model(|| {
        // A first waker has seen an idle P that another thread takes before it: it raises `searching` for nothing.
        let house = House::new(0);
        house.idle.begin_search();
        let (a, b) = (house.clone(), house.clone());
        let vain = thread::spawn(move || {
            let ps = a.lock.lock().unwrap();
            if *ps == 0 {
                a.idle.end_search();
                return 0;
            }
            drop(ps);
            // It got the P after all and will search.
            a.woken.fetch_add(1, Ordering::SeqCst);
            1
        });
        let idler = thread::spawn(move || b.go_idle(false));
        house.publish();
        vain.join().unwrap();
        let found = idler.join().unwrap();
        assert!(found || house.woken.load(Ordering::SeqCst) >= 1);
    });
}

/// An M that searches was seen, so nobody was woken for some work. Another M takes it on into a queue that the first has
/// looked at already.
#[test]
fn what_another_takes_on_meanwhile_is_announced_again() {
    model(|| {
        let house = House::new(0);
        house.idle.begin_search();
        house.publish();
        assert_eq!(house.woken.load(Ordering::SeqCst), 0);
        let taken_on = Arc::new(AtomicU32::new(0));
        let (other, other_queue) = (house.clone(), taken_on.clone());
        let idler = thread::spawn(move || {
            other.lay_p_down(true);
            other_queue.load(Ordering::Relaxed) > 0 || other.queue.load(Ordering::Relaxed) > 0
        });
        house.queue.store(0, Ordering::Relaxed);
        taken_on.store(1, Ordering::Relaxed);
        house.announce();
        let found = idler.join().unwrap();
        assert!(found || house.woken.load(Ordering::SeqCst) == 1);
    });
}

/// The scheduler's lock, as far as a surplus M needs it.
#[derive(Default)]
struct Lists {
    idle_ps: u32,
    has_keeper: bool,
    global: u32,
}

/// Two Ms with a P each rest while a G is put into the global queue; one of them, or both, as surplus.
fn rests(both_surplus: bool) {
    let (idle, lists) = (Arc::new(Idle::new(0)), Arc::new(Mutex::new(Lists::default())));
    // Whether it goes on, as it has found the G. It is the real sequence of `rest.rs`.
    let rest = |is_surplus: bool| {
        let (idle, lists) = (idle.clone(), lists.clone());
        thread::spawn(move || {
            {
                let mut lists = lists.lock().unwrap();
                if lists.global > 0 {
                    return true;
                }
                lists.idle_ps += 1;
                idle.p_went_idle();
            }
            idle.before_last_look();
            let mut lists = lists.lock().unwrap();
            if !is_surplus && lists.global > 0 {
                return true;
            }
            if !(is_surplus && lists.idle_ps < 2) && !lists.has_keeper {
                lists.has_keeper = true;
            }
            false
        })
    };
    let ms = [rest(true), rest(both_surplus)];
    lists.lock().unwrap().global += 1;
    let woken = idle.announce();
    let goes_on = ms.map(|m| m.join().unwrap()).contains(&true);
    assert!(goes_on || woken, "the G is left alone");
    assert!(goes_on || lists.lock().unwrap().has_keeper, "nobody waits for what comes from outside");
}

#[test]
fn an_m_that_is_surplus_misses_nothing_in_the_global_queue_and_leaves_a_keeper() {
    model(|| rests(false));
}

#[test]
fn of_ms_that_are_surplus_the_last_becomes_the_keeper() {
    model(|| rests(true));
}
