//! A worker pool that ends in three ways: there are no more jobs, a quit channel is closed, a context ends.
//!
//! Go: the same two selects in each worker, `close(quit)`, `ctx.Done()` and a `sync.WaitGroup`. Different here: a
//! channel that has ended is an error and not a zero value, so no `ok` can be forgotten. The results end when the last
//! worker has dropped its sender, so nobody has to wait for the workers in order to close them.

use pirn::JoinHandle;
use pirn::channel::{Receiver, Sender, bounded, never};
use pirn::context::Context;
use std::convert::Infallible;
use std::time::Duration;

const WORKERS: usize = 3;

pub(crate) fn program() {
    let background = Context::background();

    let (results, workers) = pool(&numbers(1..=9), &never(), &background);
    let mut squares: Vec<u64> = results.iter().collect();
    squares.sort_unstable();
    println!("results: {squares:?}; each worker: {}", how_they_ended(workers));

    // Jobs without an end.
    let (quit_in, quit) = bounded(0);
    let (results, workers) = pool(&numbers(1..), &quit, &background);
    let enough = results.iter().take(5).count();
    quit_in.close();
    println!("{enough} results are enough; each worker: {}", how_they_ended(workers));

    // Nobody takes the results, so all workers wait to send them.
    let (context, _cancel) = background.with_timeout(Duration::from_millis(10));
    let (_results, workers) = pool(&numbers(1..), &never(), &context);
    println!("10 ms are over; each worker: {}", how_they_ended(workers));
}

/// The jobs. The goroutine that sends them ends when all workers have ended.
fn numbers(range: impl Iterator<Item = u64> + Send + 'static) -> Receiver<u64> {
    let (s, r) = bounded(0);
    pirn::go(move || range.into_iter().try_for_each(|n| s.send(n)).ok());
    r
}

/// The workers, and a channel with their results.
fn pool(
    jobs: &Receiver<u64>,
    quit: &Receiver<Infallible>,
    context: &Context,
) -> (Receiver<u64>, [JoinHandle<String>; WORKERS]) {
    let (results_in, results) = bounded(0);
    let workers = [(); WORKERS].map(|()| {
        let (jobs, results_in, quit, context) = (jobs.clone(), results_in.clone(), quit.clone(), context.clone());
        pirn::go(move || work(&jobs, &results_in, &quit, &context))
    });
    (results, workers)
}

/// Returns why it has ended. Whatever it waits for, the quit channel and the context end the wait.
fn work(jobs: &Receiver<u64>, results: &Sender<u64>, quit: &Receiver<Infallible>, context: &Context) -> String {
    let quits = || "quit".to_owned();
    let gives_up = || context.err().expect("it is done").to_string();
    loop {
        let job = pirn::select! {
            recv(jobs) -> job => match job {
                Ok(job) => job,
                Err(_) => return "no more jobs".to_owned(),
            },
            recv(quit) -> _ => return quits(),
            recv(context.done()) -> _ => return gives_up(),
        };
        pirn::select! {
            send(results, job * job) -> sent => sent.expect("the pool keeps the receiver"),
            recv(quit) -> _ => return quits(),
            recv(context.done()) -> _ => return gives_up(),
        }
    }
}

fn how_they_ended(workers: [JoinHandle<String>; WORKERS]) -> String {
    let [first, others @ ..] = workers.map(|worker| worker.join().expect("a worker does not panic"));
    assert!(others.iter().all(|other| *other == first), "{first}, but {others:?}");
    first
}
