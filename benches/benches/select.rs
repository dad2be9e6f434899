//! Receiving from one of several channels.
//!
//! may and tokio have no select over channels in this sense, and do what comes nearest: tokio's task looks at all of its
//! channels in turn, beginning with another one each time, as its macro does; may's has a coroutine for each channel
//! that passes on what comes.

mod common;

use common::{Comparison, May, Peer, Threads, pair};
use criterion::{Criterion, criterion_group, criterion_main};
use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Never comes.
const LIMIT: Duration = Duration::from_secs(60);

/// pirn's channels and crossbeam-channel's have the same API, but not the same types.
macro_rules! selects {
    ($name:ident, $channels:ident $(:: $path:ident)*) => {
        mod $name {
            use super::{LIMIT, Peer};
            use crate::common::repeat;
            use $channels $(:: $path)* ::{Select, bounded, select};
            use std::hint::black_box;
            use std::time::{Duration, Instant};

            /// So many senders, each with a channel of its own, and one who receives from all.
            pub(super) fn over<P: Peer>(channels: usize, iters: u64) -> Duration {
                let receivers: Vec<_> = (0..channels)
                    .map(|_| {
                        let (sender, receiver) = bounded(1);
                        let send = move |i| sender.send(i).expect("there is a receiver");
                        drop(P::go(move || (0..iters).for_each(send)));
                        receiver
                    })
                    .collect();
                let start = Instant::now();
                let mut select = Select::new();
                for receiver in &receivers {
                    select.recv(receiver);
                }
                let mut left = iters * channels as u64;
                while left > 0 {
                    let operation = select.select();
                    let chosen = operation.index();
                    match operation.recv(&receivers[chosen]) {
                        Ok(_) => left -= 1,
                        Err(_) => select.remove(chosen),
                    }
                }
                start.elapsed()
            }

            /// Nothing comes.
            pub(super) fn default(iters: u64) -> Duration {
                let (_one, first) = bounded::<u64>(1);
                let (_two, second) = bounded::<u64>(1);
                repeat(iters, || {
                    select! {
                        recv(black_box(&first)) -> _ => unreachable!("nothing is sent"),
                        recv(black_box(&second)) -> _ => unreachable!("nothing is sent"),
                        default => {}
                    }
                })
            }

            /// Another task sends all the time.
            pub(super) fn timeout<P: Peer>(iters: u64) -> Duration {
                let (_never, nothing) = bounded::<u64>(1);
                let (sender, receiver) = bounded(128);
                let send = move |i| sender.send(i).expect("there is a receiver");
                drop(P::go(move || (0..iters).for_each(send)));
                repeat(iters, || {
                    select! {
                        recv(receiver) -> value => {
                            value.expect("there is a sender");
                        }
                        recv(nothing) -> _ => unreachable!("nothing is sent"),
                        default(LIMIT) => panic!("nothing came for a minute"),
                    }
                })
            }
        }
    };
}

selects!(gs, pirn::channel);
selects!(threads, crossbeam_channel);

fn over_in_may(channels: usize, iters: u64) -> Duration {
    may::cqueue::scope(|queue| {
        for token in 0..channels {
            let (sender, receiver) = pair::<May, u64>(None);
            drop(May::go(move || (0..iters).for_each(|i| May::send(&sender, i))));
            queue.add(token, move |events| {
                while let Some(value) = May::recv(&receiver) {
                    events.send(value as usize);
                }
            });
        }
        let start = Instant::now();
        for _ in 0..iters * channels as u64 {
            queue.poll(Some(LIMIT)).expect("there is another value");
        }
        start.elapsed()
    })
}

async fn over_in_tokio(channels: usize, iters: u64) -> Duration {
    let mut receivers: Vec<_> = (0..channels)
        .map(|_| {
            let (sender, receiver) = mpsc::channel(1);
            tokio::spawn(async move {
                for i in 0..iters {
                    sender.send(i).await.expect("there is a receiver");
                }
            });
            receiver
        })
        .collect();
    let start = Instant::now();
    let (mut left, mut first) = (iters * channels as u64, 0);
    while left > 0 {
        first += 1;
        poll_fn(|context| {
            let next = (0..channels).find_map(|i| match receivers[(first + i) % channels].poll_recv(context) {
                // One that has ended is ready for ever.
                Poll::Ready(Some(value)) => Some(value),
                Poll::Ready(None) | Poll::Pending => None,
            });
            next.map_or(Poll::Pending, Poll::Ready)
        })
        .await;
        left -= 1;
    }
    start.elapsed()
}

async fn default_in_tokio(iters: u64) -> Duration {
    let (_one, mut first) = mpsc::channel::<u64>(1);
    let (_two, mut second) = mpsc::channel::<u64>(1);
    let start = Instant::now();
    for _ in 0..iters {
        assert!(first.try_recv().is_err() && second.try_recv().is_err());
    }
    start.elapsed()
}

async fn timeout_in_tokio(iters: u64) -> Duration {
    let (sender, mut receiver) = mpsc::channel(128);
    tokio::spawn(async move {
        for i in 0..iters {
            sender.send(i).await.expect("there is a receiver");
        }
    });
    let start = Instant::now();
    for _ in 0..iters {
        tokio::time::timeout(LIMIT, receiver.recv()).await.expect("in time").expect("there is a sender");
    }
    start.elapsed()
}

fn select(c: &mut Criterion) {
    for channels in [2, 4, 16] {
        let elements = channels as u64;
        Comparison::new(c, format!("select_{channels}"))
            .with::<common::Shared>(elements, move |iters| gs::over::<common::Shared>(channels, iters))
            .with::<common::Isolated>(elements, move |iters| gs::over::<common::Isolated>(channels, iters))
            .with::<Threads>(elements, move |iters| threads::over::<Threads>(channels, iters))
            .with::<May>(elements, move |iters| over_in_may(channels, iters))
            .with_tokio::<2, _>(elements, move |iters| over_in_tokio(channels, iters));
    }
    Comparison::new(c, "select_default")
        .with::<common::Shared>(1, gs::default)
        .with::<common::Isolated>(1, gs::default)
        .with::<Threads>(1, threads::default)
        .with_tokio::<2, _>(1, default_in_tokio);
    Comparison::new(c, "select_timeout")
        .with::<common::Shared>(1, gs::timeout::<common::Shared>)
        .with::<common::Isolated>(1, gs::timeout::<common::Isolated>)
        .with::<Threads>(1, threads::timeout::<Threads>)
        .with_tokio::<2, _>(1, timeout_in_tokio);
}

criterion_group!(name = all; config = common::criterion(); targets = select);
criterion_main!(all);
