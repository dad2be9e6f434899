//! 100,000 goroutines that sleep for 2 seconds, seen by schedtrace.
//!
//! ```text
//! PIRN_MAXPROCS=1 PIRN_DEBUG=schedtrace=100 cargo run --release --example hundred_thousand
//! ```
//!
//! Look at: the `SCHED 0ms` line; `runqueue` (the global queue) and the numbers in brackets (the
//! local queues) while Gs are started; `idleprocs=1` while all of them sleep; `schedticks`, which grows when they wake.
//! Then without `PIRN_MAXPROCS`, or with 2. SCHEDTRACE.md reads the output aloud.

use std::io;
use std::time::Duration;

const GOROUTINES: usize = 100_000;

fn main() -> io::Result<()> {
    let cpus = std::thread::available_parallelism()?;
    pirn::run(|| {
        println!("CPUs {cpus}");
        println!("Ps {}", pirn::maxprocs());
        pirn::scope(|s| {
            for _ in 0..GOROUTINES {
                s.go(|| pirn::sleep(Duration::from_secs(2)));
            }
            println!("Started {GOROUTINES} goroutines");
        });
        println!("All done");
    });
    Ok(())
}
