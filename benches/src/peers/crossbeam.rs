//! The workloads over channels, for those whose channels have the API of crossbeam-channel: unbuffered where nothing else
//! is said. It is a module of each of them, which says in `api` whose channels these are, and whose tasks.

use super::api::{JoinHandle, Receiver, after, bounded, go, joined, never, select};
use crate::{Bench, job, measure, sum_below};
use std::hint::black_box;
use std::time::Duration;

pub(super) fn pingpong(bench: &Bench, default: usize) {
    let n = bench.size(default);
    let run = |n: usize| {
        let (ping_in, pings) = bounded(0);
        let (pong_in, pongs) = bounded(0);
        let pong = go(move || (0..n).for_each(|_| pong_in.send(pings.recv().expect("a ping")).expect("a receiver")));
        let ping = go(move || {
            for i in 0..n {
                ping_in.send(i).expect("a receiver");
                assert_eq!(pongs.recv(), Ok(i));
            }
        });
        joined(pong);
        joined(ping);
    };
    run(n / 10);
    bench.each("roundtrip", n, measure(|| run(n)).1);
}

pub(super) fn ring(bench: &Bench, default: usize) {
    const SIZE: usize = 503;
    let n = bench.size(default);
    let run = |n: usize| {
        let (mut senders, receivers): (Vec<_>, Vec<_>) = (0..SIZE).map(|_| bounded::<usize>(0)).unzip();
        let first = senders[0].clone();
        senders.rotate_left(1);
        let (over, is_over) = bounded::<()>(1);
        for (left, right) in receivers.into_iter().zip(senders) {
            let over = over.clone();
            go(move || {
                for hops in &left {
                    if hops == 0 {
                        over.send(()).expect("somebody waits");
                        return;
                    }
                    if right.send(hops - 1).is_err() {
                        return;
                    }
                }
            });
        }
        first.send(n).expect("the first one sits");
        is_over.recv().expect("the last one says so");
    };
    run(n / 10);
    bench.each("hop", n, measure(|| run(n)).1);
}

/// From so many to so many, over one channel.
pub(super) fn stream(bench: &Bench, cap: usize, producers: usize, consumers: usize, default: usize) {
    let n = bench.size(default);
    let run = |n: usize| {
        let (sender, receiver) = bounded(cap);
        let each = n / producers;
        for _ in 0..producers {
            let sender = sender.clone();
            go(move || (0..each as u64).for_each(|i| sender.send(i).expect("a receiver")));
        }
        drop(sender);
        let sums: Vec<JoinHandle<u64>> = (0..consumers)
            .map(|_| {
                let receiver = receiver.clone();
                go(move || receiver.iter().sum())
            })
            .collect();
        drop(receiver);
        let sum: u64 = sums.into_iter().map(joined).sum();
        assert_eq!(sum, producers as u64 * sum_below(each));
    };
    run(n / 10);
    bench.each("msg", n, measure(|| run(n)).1);
}

pub(super) fn select4(bench: &Bench, default: usize) {
    let n = bench.size(default);
    let run = |n: usize| {
        let each = n / 4;
        let mut receivers = [0; 4].map(|_| {
            let (sender, receiver) = bounded(0);
            go(move || (0..each as u64).for_each(|i| sender.send(i).expect("a receiver")));
            receiver
        });
        let sum = go(move || {
            let (mut sum, mut got) = (0, 0);
            while got < each * 4 {
                let (from, message) = select! {
                    recv(receivers[0]) -> message => (0, message),
                    recv(receivers[1]) -> message => (1, message),
                    recv(receivers[2]) -> message => (2, message),
                    recv(receivers[3]) -> message => (3, message),
                };
                match message {
                    Ok(value) => {
                        sum += value;
                        got += 1;
                    }
                    // One that has ended would be ready for ever.
                    Err(_) => receivers[from] = never(),
                }
            }
            sum
        });
        assert_eq!(joined(sum), 4 * sum_below(each));
    };
    run(n / 10);
    bench.each("msg", n, measure(|| run(n)).1);
}

pub(super) fn select_nb(bench: &Bench) {
    let n = bench.size(50_000_000);
    let (_one, first) = bounded::<u64>(0);
    let (_two, second) = bounded::<u64>(0);
    let one = |n: usize| {
        let mut missed = 0;
        for _ in 0..n {
            select! {
                recv(black_box(&first)) -> _ => {}
                default => missed += 1,
            }
        }
        assert_eq!(missed, n);
    };
    let two = |n: usize| {
        let mut missed = 0;
        for _ in 0..n {
            select! {
                recv(black_box(&first)) -> _ => {}
                recv(black_box(&second)) -> _ => {}
                default => missed += 1,
            }
        }
        assert_eq!(missed, n);
    };
    one(n / 10);
    bench.each("op_1ch", n, measure(|| one(n)).1);
    let n = n / 5;
    two(n / 10);
    bench.each("op_2ch", n, measure(|| two(n)).1);
}

pub(super) fn select_timeout(bench: &Bench) {
    const LIMIT: Duration = Duration::from_secs(60);
    type Receive = fn(&Receiver<u64>) -> u64;
    let cases: [(&str, Receive); 3] = [
        ("op_no_timeout", |receiver| receiver.recv().expect("it is sent")),
        ("op_reused_timer[default(d)]", |receiver| {
            select! {
                recv(receiver) -> value => value.expect("it is sent"),
                default(LIMIT) => panic!("fired"),
            }
        }),
        ("op_naive[after(d)]", |receiver| {
            select! {
                recv(receiver) -> value => value.expect("it is sent"),
                recv(after(LIMIT)) -> _ => panic!("fired"),
            }
        }),
    ];
    let n = bench.size(1_000_000);
    let run = |n: usize, receive: Receive| {
        let (sender, receiver) = bounded(128);
        go(move || (0..n as u64).for_each(|i| sender.send(i).expect("a receiver")));
        let sum = go(move || (0..n).map(|_| receive(&receiver)).sum::<u64>());
        assert_eq!(joined(sum), sum_below(n));
    };
    for (name, receive) in cases {
        run(n / 10, receive);
        bench.each(name, n, measure(|| run(n, receive)).1);
    }
}

pub(super) fn sieve(bench: &Bench) {
    let primes = |count: usize| {
        let (sender, mut numbers) = bounded(0);
        go(move || (2_u64..).try_for_each(|n| sender.send(n)).ok());
        let mut last = 0;
        for _ in 0..count {
            let prime = numbers.recv().expect("there is always another one");
            let (sender, rest) = bounded(0);
            let all = std::mem::replace(&mut numbers, rest);
            go(move || all.iter().filter(|n| n % prime != 0).try_for_each(|n| sender.send(n)).ok());
            last = prime;
        }
        last
    };
    let n = bench.size(2500);
    primes(50);
    let (last, cost) = measure(|| primes(n));
    assert!(n != 2500 || last == 22307, "{last}");
    bench.primes("", cost);
}

/// `job` of each number, by a pool of eight that is fed by a channel.
pub(super) fn pool(n: usize) -> u64 {
    let (jobs_in, jobs) = bounded(128);
    let workers: Vec<JoinHandle<u64>> = (0..8)
        .map(|_| {
            let jobs = jobs.clone();
            go(move || jobs.iter().map(job).fold(0, u64::wrapping_add))
        })
        .collect();
    (0..n as u64).for_each(|i| jobs_in.send(i).expect("the pool listens"));
    drop(jobs_in);
    workers.into_iter().map(joined).fold(0, u64::wrapping_add)
}
