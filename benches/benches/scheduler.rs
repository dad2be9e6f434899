//! Starting, ending, taking turns, waking each other, and work for two that begins with one.
//!
//! Threads do the same with fewer of them where they are too dear; the figures per element can be compared.

mod common;

use common::{AsyncWork, Comparison, May, Peer, Threads, Work, pair, repeat};
use criterion::{Criterion, criterion_group, criterion_main};
use pirn_benches::{fibonacci, job, sum_below};
use std::hint::black_box;
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Starts so many tasks and waits for all.
#[derive(Clone, Copy)]
struct Burst(u64);

impl Work for Burst {
    fn elements(self) -> u64 {
        self.0
    }

    fn run<P: Peer>(self, iters: u64) -> Duration {
        repeat(iters, || {
            let tasks: Vec<_> = (0..self.0).map(|_| P::go(|| ())).collect();
            tasks.into_iter().for_each(P::join);
        })
    }
}

impl AsyncWork for Burst {
    async fn run_async(self, iters: u64) -> Duration {
        let start = Instant::now();
        for _ in 0..iters {
            let tasks: Vec<_> = (0..self.0).map(|_| tokio::spawn(async {})).collect();
            for task in tasks {
                task.await.expect("no task panics");
            }
        }
        start.elapsed()
    }
}

/// Each of so many tasks yields once.
#[derive(Clone, Copy)]
struct Yields(u64);

impl Work for Yields {
    fn elements(self) -> u64 {
        self.0
    }

    fn run<P: Peer>(self, iters: u64) -> Duration {
        let start = Instant::now();
        let tasks: Vec<_> = (0..self.0).map(|_| P::go(move || (0..iters).for_each(|_| P::yield_now()))).collect();
        tasks.into_iter().for_each(P::join);
        start.elapsed()
    }
}

impl AsyncWork for Yields {
    async fn run_async(self, iters: u64) -> Duration {
        let yields = move || async move {
            for _ in 0..iters {
                tokio::task::yield_now().await;
            }
        };
        let start = Instant::now();
        let tasks: Vec<_> = (0..self.0).map(|_| tokio::spawn(yields())).collect();
        for task in tasks {
            task.await.expect("no task panics");
        }
        start.elapsed()
    }
}

/// So many tasks hand a number round, over channels with room for one. One repetition is one round: of two, there and
/// back.
#[derive(Clone, Copy)]
struct Ring(usize);

impl Work for Ring {
    fn elements(self) -> u64 {
        self.0 as u64
    }

    fn run<P: Peer>(self, iters: u64) -> Duration {
        let (mut senders, receivers): (Vec<_>, Vec<_>) = (0..self.0).map(|_| pair::<P, u64>(Some(1))).unzip();
        let first = senders[0].clone();
        senders.rotate_left(1);
        let (over, is_over) = pair::<P, ()>(Some(1));
        for (left, right) in receivers.into_iter().zip(senders) {
            let over = over.clone();
            drop(P::go(move || {
                while let Some(hops) = P::recv(&left) {
                    if hops == 0 {
                        // Who ends drops the sender to the next one, and so on.
                        return P::send(&over, ());
                    }
                    P::send(&right, hops - 1);
                }
            }));
        }
        let start = Instant::now();
        P::send(&first, iters * self.elements());
        P::recv(&is_over).expect("the last one says so");
        start.elapsed()
    }
}

impl AsyncWork for Ring {
    async fn run_async(self, iters: u64) -> Duration {
        let (mut senders, receivers): (Vec<_>, Vec<_>) = (0..self.0).map(|_| mpsc::channel::<u64>(1)).unzip();
        let first = senders[0].clone();
        senders.rotate_left(1);
        let (over, mut is_over) = mpsc::channel(1);
        for (mut left, right) in receivers.into_iter().zip(senders) {
            let over = over.clone();
            tokio::spawn(async move {
                while let Some(hops) = left.recv().await {
                    if hops == 0 {
                        return over.send(()).await.expect("somebody waits");
                    }
                    right.send(hops - 1).await.expect("there is a receiver");
                }
            });
        }
        let start = Instant::now();
        first.send(iters * self.elements()).await.expect("there is a receiver");
        is_over.recv().await.expect("the last one says so");
        start.elapsed()
    }
}

/// That Fibonacci number, with a task for one half of each sum.
#[derive(Clone, Copy)]
struct Fib(u32);

impl Fib {
    fn of<P: Peer>(n: u32) -> u64 {
        if n < 2 {
            return u64::from(n);
        }
        let one = P::go(move || Self::of::<P>(n - 1));
        Self::of::<P>(n - 2) + P::join(one)
    }

    fn of_async(n: u32) -> Pin<Box<dyn Future<Output = u64> + Send>> {
        Box::pin(async move {
            if n < 2 {
                return u64::from(n);
            }
            let one = tokio::spawn(Self::of_async(n - 1));
            Self::of_async(n - 2).await + one.await.expect("no task panics")
        })
    }
}

impl Work for Fib {
    fn elements(self) -> u64 {
        fibonacci(self.0 + 1) - 1
    }

    fn run<P: Peer>(self, iters: u64) -> Duration {
        repeat(iters, || assert_eq!(Self::of::<P>(self.0), fibonacci(self.0)))
    }
}

impl AsyncWork for Fib {
    async fn run_async(self, iters: u64) -> Duration {
        let start = Instant::now();
        for _ in 0..iters {
            assert_eq!(Self::of_async(self.0).await, fibonacci(self.0));
        }
        start.elapsed()
    }
}

/// A tree in which each task has ten children, with so many leaves that send their number up.
#[derive(Clone, Copy)]
struct Skynet(u64);

impl Skynet {
    fn node<P: Peer>(parent: &P::Sender<u64>, number: u64, size: u64) {
        let sum = if size == 1 {
            number
        } else {
            let (sender, receiver) = pair::<P, u64>(Some(10));
            for child in 0..10 {
                let (sender, size) = (sender.clone(), size / 10);
                drop(P::go(move || Self::node::<P>(&sender, number + child * size, size)));
            }
            (0..10).map(|_| P::recv(&receiver).expect("each child has a sum")).sum()
        };
        P::send(parent, sum);
    }

    fn node_async(parent: mpsc::Sender<u64>, number: u64, size: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let mut sum = if size == 1 { number } else { 0 };
            if size > 1 {
                let (sender, mut receiver) = mpsc::channel(10);
                for child in 0..10 {
                    tokio::spawn(Self::node_async(sender.clone(), number + child * (size / 10), size / 10));
                }
                for _ in 0..10 {
                    sum += receiver.recv().await.expect("each child has a sum");
                }
            }
            parent.send(sum).await.expect("the parent waits");
        })
    }
}

impl Work for Skynet {
    fn elements(self) -> u64 {
        self.0
    }

    fn run<P: Peer>(self, iters: u64) -> Duration {
        let (sender, receiver) = pair::<P, u64>(Some(1));
        repeat(iters, || {
            let sender = sender.clone();
            drop(P::go(move || Self::node::<P>(&sender, 0, self.0)));
            assert_eq!(P::recv(&receiver), Some(sum_below(self.0 as usize)));
        })
    }
}

impl AsyncWork for Skynet {
    async fn run_async(self, iters: u64) -> Duration {
        let (sender, mut receiver) = mpsc::channel(1);
        let start = Instant::now();
        for _ in 0..iters {
            tokio::spawn(Self::node_async(sender.clone(), 0, self.0));
            assert_eq!(receiver.recv().await, Some(sum_below(self.0 as usize)));
        }
        start.elapsed()
    }
}

/// One task starts so many that compute for some 50 us each: the second P has only what it steals.
#[derive(Clone, Copy)]
struct Steal(u64);

impl Work for Steal {
    fn elements(self) -> u64 {
        self.0
    }

    fn run<P: Peer>(self, iters: u64) -> Duration {
        repeat(iters, || {
            let jobs: Vec<_> = (0..self.0).map(|i| P::go(move || job(i))).collect();
            black_box(jobs.into_iter().map(P::join).fold(0, u64::wrapping_add));
        })
    }
}

impl AsyncWork for Steal {
    async fn run_async(self, iters: u64) -> Duration {
        let start = Instant::now();
        for _ in 0..iters {
            let jobs: Vec<_> = (0..self.0).map(|i| tokio::spawn(async move { job(i) })).collect();
            for job in jobs {
                black_box(job.await.expect("no task panics"));
            }
        }
        start.elapsed()
    }
}

/// On all peers, and on one P; with another size for threads.
fn everywhere<W: AsyncWork>(c: &mut Criterion, name: &str, work: W, for_threads: W) {
    let mut peers = Comparison::new(c, name);
    peers.on_gs(work).on::<Threads>(for_threads).on::<May>(work).on_tokio::<2>(work);
    peers.on_one_p(work).on_tokio::<1>(work);
}

fn scheduler(c: &mut Criterion) {
    everywhere(c, "spawn_burst", Burst(1000), Burst(100));
    everywhere(c, "spawn_join", Burst(1), Burst(1));
    everywhere(c, "yield_2", Yields(2), Yields(2));
    everywhere(c, "yield_1000", Yields(1000), Yields(100));
    everywhere(c, "ping_pong", Ring(2), Ring(2));
    everywhere(c, "ring_100", Ring(100), Ring(100));
    everywhere(c, "fib_16", Fib(16), Fib(8));
    everywhere(c, "skynet_1000", Skynet(1000), Skynet(100));
    everywhere(c, "steal_64", Steal(64), Steal(64));
}

criterion_group!(name = all; config = common::criterion(); targets = scheduler);
criterion_main!(all);
