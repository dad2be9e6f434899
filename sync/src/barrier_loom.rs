//! Models of the barrier: a round has one leader, and one that does not wait any longer has not arrived.

use super::Barrier;
use loom::sync::Arc;
use loom::thread;
use std::time::Duration;

/// Tries all orders with up to so many preemptions.
fn model(preemptions: usize, f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(f);
}

#[test]
fn each_round_has_one_leader() {
    model(2, || {
        let barrier = Arc::new(Barrier::new(2));
        let other = barrier.clone();
        let worker = thread::spawn(move || [(); 2].map(|()| other.wait().is_leader()));
        let mine = [(); 2].map(|()| barrier.wait().is_leader());
        let theirs = worker.join().unwrap();
        assert!(mine[0] != theirs[0] && mine[1] != theirs[1]);
    });
}

#[test]
fn one_whose_time_is_over_has_not_arrived() {
    model(2, || {
        let barrier = Arc::new(Barrier::new(2));
        let other = barrier.clone();
        let worker = thread::spawn(move || {
            other.wait_timeout(Duration::ZERO).map_or_else(|| other.wait(), |result| result).is_leader()
        });
        let is_leader = barrier.wait().is_leader();
        assert_ne!(worker.join().unwrap(), is_leader);
    });
}

#[test]
fn those_that_pass_are_a_whole_round() {
    model(3, || {
        let barrier = Arc::new(Barrier::new(2));
        let workers = [(); 2].map(|()| {
            let barrier = barrier.clone();
            thread::spawn(move || usize::from(barrier.wait_timeout(Duration::ZERO).is_some()))
        });
        let mine = usize::from(barrier.wait_timeout(Duration::ZERO).is_some());
        let passed = mine + workers.into_iter().map(|worker| worker.join().unwrap()).sum::<usize>();
        assert!([0, 2].contains(&passed), "{passed}");
    });
}
