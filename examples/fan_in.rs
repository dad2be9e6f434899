//! Fan-out and fan-in: several goroutines read from one channel, and their results are merged into one again.
//!
//! Go: `merge(cs ...<-chan int)` of the blog article "Go Concurrency Patterns: Pipelines and cancellation". A receiver
//! may be cloned, so fanning out is to give each worker a clone. To fan in, all workers may send to clones of one
//! sender; what comes from channels of their own is merged by a G for each. The merged channel ends when the last of
//! them has dropped its sender: no wait group is needed.
//!
//! ```text
//! cargo run --example fan_in
//! ```

use pirn::channel::{Receiver, bounded};

fn main() {
    pirn::run(|| {
        let numbers = source(1..=10);
        let squares = (0..4).map(|_| square(numbers.clone())).collect();
        drop(numbers);
        // Who gets which number is chance, and so is the order.
        let mut all: Vec<u64> = merge(squares).iter().collect();
        all.sort_unstable();
        println!("{all:?}");
    });
}

fn source(range: impl Iterator<Item = u64> + Send + 'static) -> Receiver<u64> {
    let (s, r) = bounded(0);
    pirn::go(move || range.into_iter().try_for_each(|n| s.send(n)).ok());
    r
}

/// One of the workers. All of them have the same `numbers`, and each a channel of its own.
fn square(numbers: Receiver<u64>) -> Receiver<u64> {
    let (s, r) = bounded(0);
    pirn::go(move || numbers.iter().try_for_each(|n| s.send(n * n)).ok());
    r
}

/// What comes from any of them.
fn merge(channels: Vec<Receiver<u64>>) -> Receiver<u64> {
    let (s, r) = bounded(0);
    for channel in channels {
        let s = s.clone();
        pirn::go(move || channel.iter().try_for_each(|n| s.send(n)).ok());
    }
    r
}
