//! Signals over unbuffered channels: one goroutine is told by a message, many are told by the end of a channel.
//!
//! Go: `done <- true` and `<-done`; `close(start)` as a broadcast. An unbuffered send returns when its message has been
//! received, so both sides know that the other one has got there: what was written before the send is seen after the
//! receive. A channel that is closed can be received from at once, by any number and for ever.
//!
//! ```text
//! cargo run --example signal
//! ```

use pirn::channel::bounded;
use std::sync::atomic::{AtomicU32, Ordering};

static ANSWER: AtomicU32 = AtomicU32::new(0);

fn main() {
    pirn::run(|| {
        let (done, wait) = bounded::<()>(0);
        pirn::go(move || {
            ANSWER.store(42, Ordering::Relaxed);
            done.send(()).expect("main waits");
        });
        wait.recv().expect("it is sent");
        println!("done: {}", ANSWER.load(Ordering::Relaxed));

        let (start, started) = bounded::<()>(0);
        let (at_the_goal, goal) = bounded(0);
        for runner in 1..=3 {
            let (started, at_the_goal) = (started.clone(), at_the_goal.clone());
            pirn::go(move || {
                started.recv().expect_err("nothing is sent, it is closed");
                at_the_goal.send(runner).expect("main is at the goal");
            });
        }
        println!("ready: {} at the goal", goal.try_iter().count());
        start.close();
        let mut runners: Vec<u32> = goal.iter().take(3).collect();
        runners.sort_unstable();
        println!("go: {runners:?} at the goal");
    });
}
