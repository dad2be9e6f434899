//! Barrier: five goroutines do their part of the work, and none continues before all have done theirs.
//!
//! Go has none; there it is a `sync.WaitGroup` on which all members wait too. One of them is the leader, and does what has
//! to be done once. Look at what each sees behind the barrier: the parts of all.
//!
//! ```text
//! cargo run --example barrier
//! ```

use pirn::sync::{Barrier, Mutex};
use std::time::Duration;

const WORKERS: u64 = 5;

fn main() {
    let barrier = Barrier::new(WORKERS as usize);
    let parts = Mutex::new(Vec::new());
    let seen = Mutex::new(Vec::new());
    pirn::run(|| {
        pirn::scope(|s| {
            for n in 1..=WORKERS {
                let (barrier, parts, seen) = (&barrier, &parts, &seen);
                s.go(move || {
                    // They arrive one after the other.
                    pirn::sleep(Duration::from_millis(n));
                    parts.lock().push(n * n);
                    let is_leader = barrier.wait().is_leader();
                    let sum: u64 = parts.lock().iter().sum();
                    seen.lock().push(sum);
                    if is_leader {
                        println!("all {WORKERS} have arrived");
                    }
                });
            }
        });
    });
    println!("what they see: {:?}", seen.into_inner());
}
