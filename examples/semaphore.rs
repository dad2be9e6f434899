//! A buffered channel as a semaphore: a hundred jobs, two at a time.
//!
//! Go: `sem <- struct{}{}` before, `<-sem` after. The capacity of the channel is the number of permits: to send is to
//! take one, and waits while they are all out; to receive is to give one back.
//!
//! ```text
//! cargo run --example semaphore
//! ```

use pirn::channel::bounded;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const JOBS: usize = 100;
const PERMITS: usize = 2;

fn main() {
    pirn::run(|| {
        let (take, give_back) = bounded(PERMITS);
        let (now, most, done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        pirn::scope(|s| {
            for _ in 0..JOBS {
                s.go(|| {
                    take.send(()).expect("the channel is open");
                    most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                    pirn::sleep(Duration::from_millis(1)); // the job
                    now.fetch_sub(1, Ordering::Relaxed);
                    done.fetch_add(1, Ordering::Relaxed);
                    give_back.recv().expect("its own permit is in there");
                });
            }
        });
        println!("{} jobs, at most {} at a time", done.into_inner(), most.into_inner());
    });
}
