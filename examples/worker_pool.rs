//! A worker pool: a fixed number of goroutines share a queue of jobs, until the queue is closed.
//!
//! Go: `for j := range jobs` in each worker, `close(jobs)` in who has no more, and a `sync.WaitGroup`. Here a scope is
//! the wait group. `close` ends the channel for all who send to it, however many senders there are: what is queued is
//! still worked off, and what comes later comes back to who sent it, where Go panics.
//!
//! ```text
//! cargo run --example worker_pool
//! ```

use pirn::channel::{Receiver, SendError, Sender, bounded, unbounded};

const WORKERS: usize = 3;
const JOBS: u64 = 9;

fn main() {
    pirn::run(|| {
        let (jobs_in, jobs) = bounded(JOBS as usize);
        let (results_in, results) = unbounded();
        pirn::scope(|s| {
            for _ in 0..WORKERS {
                let (jobs, results_in) = (&jobs, &results_in);
                s.go(move || work(jobs, results_in));
            }
            for job in 1..=JOBS {
                jobs_in.send(job).expect("it is open");
            }
            // A sender that is still there does not keep a closed channel open.
            let late = jobs_in.clone();
            jobs_in.close();
            if let Err(SendError(job)) = late.send(10) {
                println!("job {job} comes back: the pool is closed");
            }
        });
        // All workers have ended.
        drop(results_in);
        let mut squares: Vec<u64> = results.iter().collect();
        squares.sort_unstable();
        println!("{} jobs done: {squares:?}", squares.len());
    });
}

fn work(jobs: &Receiver<u64>, results: &Sender<u64>) {
    for job in jobs {
        results.send(job * job).expect("main listens");
    }
}
