//! Values through one channel: of each capacity, from one or four to one or four, small and large.

mod common;

use common::{AsyncWork, Comparison, May, Peer, Threads, Work, repeat};
use criterion::{Criterion, criterion_group, criterion_main};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// So many values go through in one repetition, with tasks that are started for it.
const VALUES: u64 = 8000;

/// The same for threads that wait for each other at every value.
const VALUES_IN_STEP: u64 = 800;

/// Values of so many words go through a channel.
#[derive(Clone, Copy)]
struct Stream<const WORDS: usize> {
    /// None is unbounded.
    cap: Option<usize>,
    senders: u64,
    receivers: u64,
    values: u64,
}

impl<const WORDS: usize> Stream<WORDS> {
    fn values(self) -> impl Iterator<Item = [u64; WORDS]> {
        (0..self.values / self.senders).map(|i| [i; WORDS])
    }

    fn check(self, sum: u64) {
        assert_eq!(sum, self.values().map(|value| value[0]).sum::<u64>() * self.senders);
    }
}

impl<const WORDS: usize> Work for Stream<WORDS> {
    fn elements(self) -> u64 {
        self.values
    }

    fn run<P: Peer>(self, iters: u64) -> Duration {
        repeat(iters, || {
            let (sender, receivers) = P::channel(self.cap, self.receivers as usize);
            for _ in 0..self.senders {
                let sender = sender.clone();
                drop(P::go(move || self.values().for_each(|value| P::send(&sender, value))));
            }
            let sums: Vec<_> = receivers
                .into_iter()
                .map(|receiver| {
                    let received = move |_| P::recv(&receiver).expect("there is a sender")[WORDS - 1];
                    P::go(move || (0..self.values / self.receivers).map(received).sum::<u64>())
                })
                .collect();
            self.check(sums.into_iter().map(P::join).sum());
        })
    }
}

/// tokio has channels to one receiver only.
impl<const WORDS: usize> AsyncWork for Stream<WORDS> {
    async fn run_async(self, iters: u64) -> Duration {
        let start = Instant::now();
        for _ in 0..iters {
            let sum = match self.cap {
                None => {
                    let (sender, mut receiver) = mpsc::unbounded_channel();
                    for _ in 0..self.senders {
                        let sender = sender.clone();
                        let send = move |value| assert!(sender.send(value).is_ok());
                        tokio::spawn(async move { self.values().for_each(send) });
                    }
                    tokio::spawn(async move {
                        let mut sum = 0;
                        for _ in 0..self.values {
                            sum += receiver.recv().await.expect("there is a sender")[WORDS - 1];
                        }
                        sum
                    })
                }
                Some(cap) => {
                    let (sender, mut receiver) = mpsc::channel(cap);
                    for _ in 0..self.senders {
                        let sender = sender.clone();
                        tokio::spawn(async move {
                            for value in self.values() {
                                sender.send(value).await.expect("there is a receiver");
                            }
                        });
                    }
                    tokio::spawn(async move {
                        let mut sum = 0;
                        for _ in 0..self.values {
                            sum += receiver.recv().await.expect("there is a sender")[WORDS - 1];
                        }
                        sum
                    })
                }
            };
            self.check(sum.await.expect("no task panics"));
        }
        start.elapsed()
    }
}

fn of_size<const WORDS: usize>(c: &mut Criterion) {
    let capacities = [("unbounded", None), ("bounded_1", Some(1)), ("bounded_128", Some(128)), ("unbuffered", Some(0))];
    for (name, cap) in capacities {
        for (senders, receivers) in [(1, 1), (4, 1), (4, 4)] {
            let name = format!("{name}/{senders}_to_{receivers}/{}_bytes", WORDS * 8);
            let work = Stream::<WORDS> { cap, senders, receivers, values: VALUES };
            let in_step = matches!(cap, Some(0 | 1));
            let for_threads = Stream { values: if in_step { VALUES_IN_STEP } else { VALUES }, ..work };
            let mut peers = Comparison::new(c, name);
            peers.on_gs(work).on::<Threads>(for_threads);
            if cap.is_none() {
                peers.on::<May>(work);
            }
            if receivers == 1 && cap != Some(0) {
                peers.on_tokio::<2>(work);
            }
        }
    }
}

criterion_group!(name = all; config = common::criterion(); targets = of_size::<1>, of_size::<32>);
criterion_main!(all);
