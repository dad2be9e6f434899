//! 64 Gs that block their threads: for this time there are as many threads, and then they go.
//!
//! ```text
//! PIRN_MAXPROCS=2 PIRN_DEBUG=schedtrace=250 cargo run --release --example blocking
//! ```
//!
//! Look at `threads` and `idlethreads`: they grow to 66 or so, and shrink to 4 after two seconds. SCHEDTRACE.md reads
//! the output aloud.

use std::thread;
use std::time::{Duration, Instant};

const GS: usize = 64;
const NAP: Duration = Duration::from_millis(500);

fn main() {
    pirn::run(|| {
        for (how, call) in [("said so", true), ("said nothing", false)] {
            let began = Instant::now();
            pirn::scope(|s| {
                for _ in 0..GS {
                    s.go(move || {
                        // A system call, a lock of another library, C code: the runtime can not tell, and need not be told.
                        let nap = || thread::sleep(NAP);
                        if call { pirn::blocking(nap) } else { nap() }
                    });
                }
            });
            let took = began.elapsed();
            println!("{GS} Gs that {how} blocked for {NAP:?} each, on {} Ps: {took:.0?}", pirn::maxprocs());
            assert!(took < NAP * GS as u32 / 4, "one after the other it would be {:?}", NAP * GS as u32 / 2);
        }
        let threads = || pirn::Handle::current().expect("this is a goroutine").metrics().threads;
        println!("now there is a thread for nearly every one: {}", threads() > GS * 9 / 10);
        pirn::sleep(Duration::from_secs(3));
        println!("three seconds later: {} threads", threads());
    });
}
