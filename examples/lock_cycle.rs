//! LockCycle: three goroutines, three mutexes, and each waits for the one that the next one has.
//!
//! Go reports that all goroutines are asleep. Here the report begins with the cycle: who waits for which mutex, and who
//! has it. If other goroutines were alive, it would be reported too, as a partial deadlock, and the program would go on.
//!
//! ```text
//! cargo run --example lock_cycle
//! ```

use pirn::GoBuilder;
use pirn::sync::{Barrier, Mutex};
use std::sync::Arc;

fn main() {
    pirn::run(|| {
        let mutexes: Arc<[Mutex<&str>; 3]> = Arc::new(["ledger", "audit", "mail"].map(Mutex::new));
        // All have their first one before any takes its second.
        let all_have_one = Arc::new(Barrier::new(3));
        let workers = ["debit", "check", "notify"].into_iter().enumerate().map(|(i, name)| {
            let (mutexes, all_have_one) = (mutexes.clone(), all_have_one.clone());
            GoBuilder::new().name(name).go(move || {
                let first = mutexes[i].lock();
                all_have_one.wait();
                let second = mutexes[(i + 1) % 3].lock();
                println!("{name} has {} and {}", *first, *second);
            })
        });
        for worker in workers.collect::<Vec<_>>() {
            worker.join().expect("it only locks");
        }
    });
}
