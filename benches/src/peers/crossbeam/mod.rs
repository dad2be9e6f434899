//! The workloads over channels, for those whose channels have the API of crossbeam-channel: unbuffered where nothing else
//! is said. [`Api`] says whose channels these are, and whose tasks.

mod api;

pub(crate) use api::{Api, api};

use crate::{Bench, job, measure, sum_below};
use std::hint::black_box;
use std::time::Duration;

pub(super) fn pingpong<A: Api>(bench: &Bench, default: usize) {
    let n = bench.size(default);
    let run = |n: usize| {
        let (ping_in, pings) = A::bounded(0);
        let (pong_in, pongs) = A::bounded(0);
        let pong = A::go(move || {
            (0..n).for_each(|_| A::send(&pong_in, A::recv(&pings).expect("a ping")).expect("a receiver"))
        });
        let ping = A::go(move || {
            for i in 0..n {
                A::send(&ping_in, i).expect("a receiver");
                assert_eq!(A::recv(&pongs), Some(i));
            }
        });
        A::joined(pong);
        A::joined(ping);
    };
    run(n / 10);
    bench.each("roundtrip", n, measure(|| run(n)).1);
}

pub(super) fn ring<A: Api>(bench: &Bench, default: usize) {
    const SIZE: usize = 503;
    let n = bench.size(default);
    let run = |n: usize| {
        let (mut senders, receivers): (Vec<_>, Vec<_>) = (0..SIZE).map(|_| A::bounded::<usize>(0)).unzip();
        let first = senders[0].clone();
        senders.rotate_left(1);
        let (over, is_over) = A::bounded::<()>(1);
        for (left, right) in receivers.into_iter().zip(senders) {
            let over = over.clone();
            A::go(move || {
                while let Some(hops) = A::recv(&left) {
                    if hops == 0 {
                        A::send(&over, ()).expect("somebody waits");
                        return;
                    }
                    if A::send(&right, hops - 1).is_none() {
                        return;
                    }
                }
            });
        }
        A::send(&first, n).expect("the first one sits");
        A::recv(&is_over).expect("the last one says so");
    };
    run(n / 10);
    bench.each("hop", n, measure(|| run(n)).1);
}

/// From so many to so many, over one channel.
pub(super) fn stream<A: Api>(bench: &Bench, cap: usize, producers: usize, consumers: usize, default: usize) {
    let n = bench.size(default);
    let run = |n: usize| {
        let (sender, receiver) = A::bounded(cap);
        let each = n / producers;
        for _ in 0..producers {
            let sender = sender.clone();
            A::go(move || (0..each as u64).for_each(|i| A::send(&sender, i).expect("a receiver")));
        }
        drop(sender);
        let sums: Vec<A::Handle<u64>> = (0..consumers)
            .map(|_| {
                let receiver = receiver.clone();
                A::go(move || values::<A>(&receiver).sum())
            })
            .collect();
        drop(receiver);
        let sum: u64 = sums.into_iter().map(A::joined).sum();
        assert_eq!(sum, producers as u64 * sum_below(each));
    };
    run(n / 10);
    bench.each("msg", n, measure(|| run(n)).1);
}

pub(super) fn select4<A: Api>(bench: &Bench, default: usize) {
    let n = bench.size(default);
    let run = |n: usize| {
        let each = n / 4;
        let mut receivers = [0; 4].map(|_| {
            let (sender, receiver) = A::bounded(0);
            A::go(move || (0..each as u64).for_each(|i| A::send(&sender, i).expect("a receiver")));
            receiver
        });
        let sum = A::go(move || {
            let (mut sum, mut got) = (0, 0);
            while got < each * 4 {
                let (from, message) = A::select4(&receivers);
                match message {
                    Some(value) => {
                        sum += value;
                        got += 1;
                    }
                    // One that has ended would be ready for ever.
                    None => receivers[from] = A::never(),
                }
            }
            sum
        });
        assert_eq!(A::joined(sum), 4 * sum_below(each));
    };
    run(n / 10);
    bench.each("msg", n, measure(|| run(n)).1);
}

pub(super) fn select_nb<A: Api>(bench: &Bench) {
    let n = bench.size(50_000_000);
    let (_one, first) = A::bounded::<u64>(0);
    let (_two, second) = A::bounded::<u64>(0);
    let one = |n: usize| {
        let mut missed = 0;
        for _ in 0..n {
            missed += usize::from(!A::select_one(black_box(&first)));
        }
        assert_eq!(missed, n);
    };
    let two = |n: usize| {
        let mut missed = 0;
        for _ in 0..n {
            missed += usize::from(!A::select_two(black_box(&first), black_box(&second)));
        }
        assert_eq!(missed, n);
    };
    one(n / 10);
    bench.each("op_1ch", n, measure(|| one(n)).1);
    let n = n / 5;
    two(n / 10);
    bench.each("op_2ch", n, measure(|| two(n)).1);
}

/// One way to receive a value that is sent.
type Receive<A> = fn(&<A as Api>::Receiver<u64>) -> u64;

pub(super) fn select_timeout<A: Api>(bench: &Bench) {
    const LIMIT: Duration = Duration::from_secs(60);
    let cases: [(&str, Receive<A>); 3] = [
        ("op_no_timeout", |receiver| A::recv(receiver).expect("it is sent")),
        ("op_reused_timer[default(d)]", |receiver| A::recv_or_default(receiver, LIMIT)),
        ("op_naive[after(d)]", |receiver| A::recv_or_after(receiver, LIMIT)),
    ];
    let n = bench.size(1_000_000);
    let run = |n: usize, receive: Receive<A>| {
        let (sender, receiver) = A::bounded(128);
        A::go(move || (0..n as u64).for_each(|i| A::send(&sender, i).expect("a receiver")));
        let sum = A::go(move || (0..n).map(|_| receive(&receiver)).sum::<u64>());
        assert_eq!(A::joined(sum), sum_below(n));
    };
    for (name, receive) in cases {
        run(n / 10, receive);
        bench.each(name, n, measure(|| run(n, receive)).1);
    }
}

pub(super) fn sieve<A: Api>(bench: &Bench) {
    let primes = |count: usize| {
        let (sender, mut numbers) = A::bounded(0);
        A::go(move || (2_u64..).try_for_each(|n| A::send(&sender, n)));
        let mut last = 0;
        for _ in 0..count {
            let prime = A::recv(&numbers).expect("there is always another one");
            let (sender, rest) = A::bounded(0);
            let all = std::mem::replace(&mut numbers, rest);
            A::go(move || values::<A>(&all).filter(|n| n % prime != 0).try_for_each(|n| A::send(&sender, n)));
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
pub(super) fn pool<A: Api>(n: usize) -> u64 {
    let (jobs_in, jobs) = A::bounded(128);
    let workers: Vec<A::Handle<u64>> = (0..8)
        .map(|_| {
            let jobs = jobs.clone();
            A::go(move || values::<A>(&jobs).map(job).fold(0, u64::wrapping_add))
        })
        .collect();
    (0..n as u64).for_each(|i| A::send(&jobs_in, i).expect("the pool listens"));
    drop(jobs_in);
    workers.into_iter().map(A::joined).fold(0, u64::wrapping_add)
}

/// What comes, until there are no senders any more.
fn values<A: Api>(receiver: &A::Receiver<u64>) -> impl Iterator<Item = u64> {
    std::iter::from_fn(|| A::recv(receiver))
}
