//! Three philosophers, each with one fork in the hand and waiting for the next one's.
//!
//! Nobody will ever put one down. The runtime sees that nothing can wake any of them, says who waits on what, and where,
//! and ends the process with status 2.

use pirn::GoBuilder;
use pirn::channel::{Receiver, Sender, bounded};
use std::time::Duration;

/// A fork lies in its channel, or somebody has it.
type Fork = (Sender<()>, Receiver<()>);

fn pick_up(fork: &Fork) {
    fork.1.recv().expect("forks are there for ever");
}

fn put_down(fork: &Fork) {
    fork.0.send(()).expect("forks are there for ever");
}

fn dine(left: &Fork, right: &Fork) {
    pick_up(left);
    // Time to think: by now the others have theirs too.
    pirn::sleep(Duration::from_millis(20));
    pick_up(right);
    println!("one has eaten");
    put_down(right);
    put_down(left);
}

fn main() {
    pirn::run(|| {
        let forks: Vec<Fork> = (0..3).map(|_| bounded(1)).collect();
        forks.iter().for_each(put_down);
        let dinner = ["Plato", "Hypatia", "Laozi"].into_iter().enumerate().map(|(i, name)| {
            let (left, right) = (forks[i].clone(), forks[(i + 1) % 3].clone());
            GoBuilder::new().name(name).go(move || dine(&left, &right))
        });
        for philosopher in dinner.collect::<Vec<_>>() {
            philosopher.join().expect("nobody chokes");
        }
        println!("all have eaten");
    });
}
