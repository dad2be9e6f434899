//! A pipeline: stages that run at the same time, each a goroutine between two channels.
//!
//! Go: `sq(sq(gen(1, 2, 3, 4, 5)))` of the blog article "Go Concurrency Patterns: Pipelines and cancellation". A stage
//! is a function from a receiver to a receiver. It ends when the one before it has ended, or when nobody listens any
//! more: the send is an error then, and nothing needs to be cancelled.
//!
//! ```text
//! cargo run --example pipeline
//! ```

use pirn::channel::{Receiver, bounded};

fn main() {
    pirn::run(|| {
        for n in square(square(source(vec![1, 2, 3, 4, 5]))) {
            println!("{n}");
        }
    });
}

/// The first stage.
fn source(numbers: Vec<u64>) -> Receiver<u64> {
    let (s, r) = bounded(0);
    pirn::go(move || numbers.into_iter().try_for_each(|n| s.send(n)).ok());
    r
}

/// A stage in the middle.
fn square(numbers: Receiver<u64>) -> Receiver<u64> {
    let (s, r) = bounded(0);
    pirn::go(move || numbers.into_iter().try_for_each(|n| s.send(n * n)).ok());
    r
}
