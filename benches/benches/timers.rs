//! How late sleeps and ticks are, and what it costs to start a timer that never fires.

mod common;

use common::{AsyncWork, Comparison, Isolated, May, Peer, Shared, Threads, Work};
use criterion::{Criterion, criterion_group, criterion_main};
use pirn::time::{Ticker, Timer};
use pirn_benches::naps;
use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

/// Timers that are started and cancelled.
const TIMERS: usize = 10_000;

/// None of them fires before that.
const LIMIT: Duration = Duration::from_secs(60);

/// Tickers at the same time, and the time between two ticks of one.
const TICKERS: u32 = 100;
/// See [`TICKERS`].
const PERIOD: Duration = Duration::from_millis(5);

/// By how much a sleep of that length is too long.
#[derive(Clone, Copy)]
struct Late(Duration);

impl Work for Late {
    fn elements(self) -> u64 {
        0
    }

    fn run<P: Peer>(self, iters: u64) -> Duration {
        let late = |_| {
            let start = Instant::now();
            P::sleep(self.0);
            start.elapsed().saturating_sub(self.0)
        };
        (0..iters).map(late).sum()
    }
}

impl AsyncWork for Late {
    async fn run_async(self, iters: u64) -> Duration {
        let mut late = Duration::ZERO;
        for _ in 0..iters {
            let start = Instant::now();
            tokio::time::sleep(self.0).await;
            late += start.elapsed().saturating_sub(self.0);
        }
        late
    }
}

fn start_and_cancel(iters: u64) -> Duration {
    let naps: Vec<_> = naps().map(|nap| LIMIT + nap).take(TIMERS).collect();
    common::repeat(iters, || drop(naps.iter().map(|nap| Timer::new(*nap)).collect::<Vec<_>>()))
}

async fn start_and_cancel_in_tokio(iters: u64) -> Duration {
    let naps: Vec<_> = naps().map(|nap| LIMIT + nap).take(TIMERS).collect();
    let start = Instant::now();
    for _ in 0..iters {
        let mut timers: Vec<_> = naps.iter().map(|nap| Box::pin(tokio::time::sleep(*nap))).collect();
        let poll_all = poll_fn(|context| {
            // A timer of tokio's starts when it is polled.
            assert!(timers.iter_mut().all(|timer| timer.as_mut().poll(context).is_pending()));
            Poll::Ready(())
        });
        // Else only the first 128 of them would be.
        tokio::task::unconstrained(poll_all).await;
    }
    start.elapsed()
}

/// How long ago a tick was due, of those that came `PERIOD` by `PERIOD` since `start`.
fn since_due(start: Instant) -> Duration {
    let nanos = start.elapsed().as_nanos() % PERIOD.as_nanos();
    Duration::from_nanos(nanos as u64)
}

/// So many tasks wait for the ticks of their own tickers, which `tick` makes; how late they are on average.
fn ticks<P: Peer, W: FnMut() + 'static>(iters: u64, ticker: fn() -> W) -> Duration {
    let task = move || {
        let start = Instant::now();
        let mut wait = ticker();
        let late = |_| {
            wait();
            since_due(start)
        };
        (0..iters).map(late).sum::<Duration>()
    };
    let tasks: Vec<_> = (0..TICKERS).map(|_| P::go(task)).collect();
    tasks.into_iter().map(P::join).sum::<Duration>() / TICKERS
}

fn pirns_ticker() -> impl FnMut() {
    let ticker = Ticker::new(PERIOD);
    move || ticker.wait()
}

fn crossbeams_ticker() -> impl FnMut() {
    let ticks = crossbeam_channel::tick(PERIOD);
    move || _ = ticks.recv().expect("there is always another tick")
}

async fn ticks_in_tokio(iters: u64) -> Duration {
    let task = move || async move {
        let start = Instant::now();
        let mut ticker = tokio::time::interval_at((start + PERIOD).into(), PERIOD);
        ticker.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut late = Duration::ZERO;
        for _ in 0..iters {
            ticker.tick().await;
            late += since_due(start);
        }
        late
    };
    let tasks: Vec<_> = (0..TICKERS).map(|_| tokio::spawn(task())).collect();
    let mut late = Duration::ZERO;
    for task in tasks {
        late += task.await.expect("no task panics");
    }
    late / TICKERS
}

fn timers(c: &mut Criterion) {
    let late = Late(Duration::from_millis(1));
    Comparison::new(c, "sleep_1ms_lateness").on_gs(late).on::<Threads>(late).on::<May>(late).on_tokio::<2>(late);

    let elements = TIMERS as u64;
    Comparison::new(c, "timers_10000_start_cancel")
        .with::<Shared>(elements, start_and_cancel)
        .with::<Isolated>(elements, start_and_cancel)
        .with_tokio::<2, _>(elements, start_and_cancel_in_tokio);

    Comparison::new(c, "tickers_100_lateness")
        .with::<Shared>(0, |iters| ticks::<Shared, _>(iters, pirns_ticker))
        .with::<Isolated>(0, |iters| ticks::<Isolated, _>(iters, pirns_ticker))
        .with::<Threads>(0, |iters| ticks::<Threads, _>(iters, crossbeams_ticker))
        .with_tokio::<2, _>(0, ticks_in_tokio);
}

criterion_group!(name = all; config = common::criterion(); targets = timers);
criterion_main!(all);
