//! All work starts on one P, and ends up on all of them.
//!
//! ```text
//! PIRN_MAXPROCS=4 PIRN_DEBUG=schedtrace=10 cargo run --release --example steal
//! ```
//!
//! Look at the numbers in brackets: one queue is long, and the others are filled from it; and at `schedticks`, which end
//! up alike. SCHEDTRACE.md reads the output aloud.

use std::hint::black_box;

const JOBS: usize = 200;

/// About a millisecond of work.
fn job(n: usize) -> u64 {
    (0..400_000).fold(n as u64, |x, i| black_box(x.rotate_left(7) ^ i))
}

fn main() {
    pirn::run(|| {
        println!("{} Ps", pirn::maxprocs());
        // One G starts all of them, on the P that it runs on.
        let jobs: Vec<_> = (0..JOBS).map(|n| pirn::go(move || job(n))).collect();
        let sum = jobs.into_iter().fold(0_u64, |sum, job| sum.wrapping_add(job.join().expect("a job does not panic")));
        let metrics = pirn::Handle::current().expect("this is a goroutine").metrics();
        println!("{JOBS} jobs done, result {sum:016x}");
        println!("the Ps have stolen from each other: {}", metrics.steals > 0);
    });
}
