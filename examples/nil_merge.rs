//! Merging with a nil channel: a case of a select is turned off when its channel has ended.
//!
//! Go: `case v, ok := <-a: if !ok { a = nil; continue }`. A receive from nil waits for ever, so its case is never
//! chosen; without that, the ended channel would be ready again and again. `never()` is the nil channel here.
//!
//! ```text
//! cargo run --example nil_merge
//! ```

use pirn::channel::{Receiver, bounded, never};

fn main() {
    pirn::run(|| {
        let even = source((0..10).step_by(2));
        let odd = source((1..20).step_by(2));
        // Each of the two is in order; how they are merged is chance.
        let mut all = merge(even, odd);
        all.sort_unstable();
        println!("{all:?}");
    });
}

fn source(numbers: impl Iterator<Item = u32> + Send + 'static) -> Receiver<u32> {
    let (s, r) = bounded(0);
    pirn::go(move || numbers.into_iter().try_for_each(|n| s.send(n)).ok());
    r
}

/// All that comes from either, until both have ended.
fn merge(mut a: Receiver<u32>, mut b: Receiver<u32>) -> Vec<u32> {
    let mut all = Vec::new();
    let mut open = 2;
    while open > 0 {
        pirn::select! {
            recv(a) -> n => match n {
                Ok(n) => all.push(n),
                Err(_) => {
                    a = never();
                    open -= 1;
                }
            },
            recv(b) -> n => match n {
                Ok(n) => all.push(n),
                Err(_) => {
                    b = never();
                    open -= 1;
                }
            },
        }
    }
    all
}
