//! Gs that never let go, and one that wants to run every millisecond.
//!
//! ```text
//! PIRN_MAXPROCS=2 PIRN_DEBUG=schedtrace=100 cargo run --release --example preempt
//! ```
//!
//! There are as many tight loops as Ps, and no call of the runtime in them. Each loses its P after its slice of 10 ms and
//! goes on without one; the ticker gets the P. Look at `threads`, and at `idleprocs` while the loops run. SCHEDTRACE.md
//! reads the output aloud.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const TIME: Duration = Duration::from_millis(1000);
const PERIOD: Duration = Duration::from_millis(1);

fn main() {
    pirn::run(|| {
        let over = AtomicBool::new(false);
        pirn::scope(|s| {
            let loops: Vec<_> = (0..pirn::maxprocs())
                .map(|_| {
                    s.go(|| {
                        let mut rounds = 0_u64;
                        while !over.load(Ordering::Relaxed) {
                            rounds += 1;
                        }
                        rounds
                    })
                })
                .collect();
            let mut late = Vec::new();
            let began = Instant::now();
            while began.elapsed() < TIME {
                let due = Instant::now() + PERIOD;
                pirn::sleep(PERIOD);
                late.push(due.elapsed());
            }
            over.store(true, Ordering::Relaxed);
            late.sort();
            println!("{} loops on {} Ps, and {} ticks in {TIME:?}", loops.len(), pirn::maxprocs(), late.len());
            println!("late: half of them {:?} or less, at most {:?}", late[late.len() / 2], late[late.len() - 1]);
            let rounds: Vec<u64> = loops.into_iter().map(|g| g.join().expect("a loop does not panic")).collect();
            println!("every loop has got on: {}", rounds.iter().all(|rounds| *rounds > 0));
        });
    });
}
