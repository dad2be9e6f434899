//! The workloads over channels.

use super::{Countdown, all_joined, joined, measure, runtime};
use crate::{Bench, Cost, job, sum_below};
use std::future::ready;
use std::hint::black_box;
use std::mem;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::select;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{Instant, sleep};

pub(super) async fn pingpong(bench: Bench) {
    let n = bench.size(1_000_000);
    let run = async |n: usize| {
        let (ping_in, mut pings) = mpsc::channel(1);
        let (pong_in, mut pongs) = mpsc::channel(1);
        let pong = tokio::spawn(async move {
            for _ in 0..n {
                pong_in.send(pings.recv().await.expect("a ping")).await.expect("a receiver");
            }
        });
        let ping = tokio::spawn(async move {
            for i in 0..n {
                ping_in.send(i).await.expect("a receiver");
                assert_eq!(pongs.recv().await, Some(i));
            }
        });
        joined(pong).await;
        joined(ping).await;
    };
    run(n / 10).await;
    bench.each("roundtrip[mpsc1]", n, measure(run(n)).await.1);
}

pub(super) async fn ring(bench: Bench) {
    const SIZE: usize = 503;
    let n = bench.size(2_000_000);
    let run = async |n: usize| {
        let (mut senders, receivers): (Vec<_>, Vec<_>) = (0..SIZE).map(|_| mpsc::channel::<usize>(1)).unzip();
        let over = Countdown::new(1);
        senders[0].send(n).await.expect("a receiver");
        senders.rotate_left(1);
        for (mut left, right) in receivers.into_iter().zip(senders) {
            let over = over.clone();
            tokio::spawn(async move {
                while let Some(hops) = left.recv().await {
                    if hops == 0 {
                        over.done();
                        return;
                    }
                    if right.send(hops - 1).await.is_err() {
                        return;
                    }
                }
            });
        }
        over.wait().await;
    };
    run(n / 10).await;
    bench.each("hop[mpsc1]", n, measure(run(n)).await.1);
}

/// A task that sends the numbers below `n`.
fn produce(sender: Sender<u64>, n: usize) {
    tokio::spawn(async move {
        for i in 0..n as u64 {
            sender.send(i).await.expect("a receiver");
        }
    });
}

/// From so many to one, over one channel.
pub(super) async fn stream(bench: Bench, cap: usize, producers: usize, default: usize, name: &'static str) {
    let n = bench.size(default);
    let run = async |n: usize| {
        let (sender, mut receiver) = mpsc::channel(cap);
        let each = n / producers;
        for _ in 0..producers {
            produce(sender.clone(), each);
        }
        drop(sender);
        let sum = tokio::spawn(async move {
            let mut sum = 0;
            while let Some(value) = receiver.recv().await {
                sum += value;
            }
            sum
        });
        assert_eq!(joined(sum).await, producers as u64 * sum_below(each));
    };
    run(n / 10).await;
    bench.each(name, n, measure(run(n)).await.1);
}

pub(super) async fn mpmc128(bench: Bench) {
    let n = bench.size(4_000_000);
    let run = async |n: usize| {
        let (sender, receiver) = async_channel::bounded(128);
        let each = n / 4;
        for _ in 0..4 {
            let sender = sender.clone();
            tokio::spawn(async move {
                for i in 0..each as u64 {
                    sender.send(i).await.expect("a receiver");
                }
            });
        }
        drop(sender);
        let sums = [(); 4].map(|()| {
            let receiver = receiver.clone();
            tokio::spawn(async move {
                let mut sum = 0;
                while let Ok(value) = receiver.recv().await {
                    sum += value;
                }
                sum
            })
        });
        let sum: u64 = all_joined(sums).await.into_iter().sum();
        assert_eq!(sum, 4 * sum_below(each));
    };
    run(n / 10).await;
    bench.each("msg[async-channel]", n, measure(run(n)).await.1);
}

pub(super) async fn select4(bench: Bench) {
    let n = bench.size(1_000_000);
    let run = async |n: usize| {
        let each = n / 4;
        let [mut first, mut second, mut third, mut fourth] = [(); 4].map(|()| {
            let (sender, receiver) = mpsc::channel(1);
            produce(sender, each);
            receiver
        });
        let sum = tokio::spawn(async move {
            let mut sum = 0;
            for _ in 0..each * 4 {
                select! {
                    Some(value) = first.recv() => sum += value,
                    Some(value) = second.recv() => sum += value,
                    Some(value) = third.recv() => sum += value,
                    Some(value) = fourth.recv() => sum += value,
                }
            }
            sum
        });
        assert_eq!(joined(sum).await, 4 * sum_below(each));
    };
    run(n / 10).await;
    bench.each("msg[mpsc1]", n, measure(run(n)).await.1);
}

/// One channel by try_recv; two by a select with an arm that is always ready, in its order.
pub(super) async fn select_nb(bench: Bench) {
    let n = bench.size(50_000_000);
    let (_one, mut first) = mpsc::channel::<u64>(1);
    let (_two, mut second) = mpsc::channel::<u64>(1);
    let mut one = async |n: usize| (0..n).for_each(|_| assert!(black_box(&mut first).try_recv().is_err()));
    one(n / 10).await;
    bench.each("op_1ch[try_recv]", n, measure(one(n)).await.1);
    let n = n / 5;
    let mut two = async |n: usize| {
        let mut missed = 0;
        for _ in 0..n {
            select! {
                biased;
                Some(_) = first.recv() => {}
                Some(_) = second.recv() => {}
                () = ready(()) => missed += 1,
            }
        }
        assert_eq!(missed, n);
    };
    two(n / 10).await;
    bench.each("op_2ch", n, measure(two(n)).await.1);
}

/// What each receive of select_timeout has as its limit.
const LIMIT: Duration = Duration::from_secs(60);

pub(super) async fn select_timeout(bench: Bench) {
    async fn plain(n: usize, mut receiver: Receiver<u64>) -> u64 {
        let mut sum = 0;
        for _ in 0..n {
            sum += receiver.recv().await.expect("it is sent");
        }
        sum
    }
    async fn reused(n: usize, mut receiver: Receiver<u64>) -> u64 {
        let mut sum = 0;
        let mut timer = pin!(sleep(LIMIT));
        for _ in 0..n {
            timer.as_mut().reset(Instant::now() + LIMIT);
            select! {
                Some(value) = receiver.recv() => sum += value,
                () = &mut timer => panic!("fired"),
            }
        }
        sum
    }
    async fn naive(n: usize, mut receiver: Receiver<u64>) -> u64 {
        let mut sum = 0;
        for _ in 0..n {
            select! {
                Some(value) = receiver.recv() => sum += value,
                () = sleep(LIMIT) => panic!("fired"),
            }
        }
        sum
    }
    receive_all(&bench, "op_no_timeout", plain).await;
    receive_all(&bench, "op_reused_timer", reused).await;
    receive_all(&bench, "op_naive", naive).await;
}

/// One way to receive what is sent over a channel of 128.
async fn receive_all<F>(bench: &Bench, name: &str, receive: fn(usize, Receiver<u64>) -> F)
where
    F: Future<Output = u64> + Send + 'static,
{
    let n = bench.size(1_000_000);
    let run = async |n: usize| {
        let (sender, receiver) = mpsc::channel(128);
        produce(sender, n);
        assert_eq!(joined(tokio::spawn(receive(n, receiver))).await, sum_below(n));
    };
    run(n / 10).await;
    bench.each(name, n, measure(run(n)).await.1);
}

pub(super) async fn sieve(bench: Bench) {
    let primes = async |count: usize| {
        let (sender, mut numbers) = mpsc::channel(1);
        tokio::spawn(async move {
            for n in 2_u64.. {
                if sender.send(n).await.is_err() {
                    return;
                }
            }
        });
        let mut last = 0;
        for _ in 0..count {
            let prime = numbers.recv().await.expect("there is always another one");
            let (sender, rest) = mpsc::channel(1);
            let mut all = mem::replace(&mut numbers, rest);
            tokio::spawn(async move {
                while let Some(n) = all.recv().await {
                    if n % prime != 0 && sender.send(n).await.is_err() {
                        return;
                    }
                }
            });
            last = prime;
        }
        last
    };
    let n = bench.size(2500);
    primes(100).await;
    let (last, cost) = measure(primes(n)).await;
    assert!(n != 2500 || last == 22307, "{last}");
    bench.primes("mpsc1", cost);
}

pub(super) async fn skynet(bench: Bench) {
    fn node(parent: Sender<u64>, number: u64, size: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let mut sum = number;
            if size > 1 {
                let (sender, mut receiver) = mpsc::channel(1);
                let size = size / 10;
                for child in 0..10 {
                    tokio::spawn(node(sender.clone(), number + child * size, size));
                }
                sum = 0;
                for _ in 0..10 {
                    sum += receiver.recv().await.expect("each child has a sum");
                }
            }
            parent.send(sum).await.expect("the parent waits");
        })
    }
    let n = bench.size(1_000_000);
    let run = async || -> Cost {
        let work = async {
            let (sender, mut receiver) = mpsc::channel(1);
            tokio::spawn(node(sender, 0, n as u64));
            receiver.recv().await
        };
        let (sum, cost) = measure(work).await;
        assert_eq!(sum, Some(sum_below(n)));
        cost
    };
    let costs = [run().await, run().await];
    bench.tree(&["mpsc1"], n, costs);
}

/// Fed by a task; what it is compared with is done by the main thread, for it never waits.
pub(super) fn cpu_map(bench: &Bench) {
    let runtime = runtime(bench);
    bench.jobs(bench.size(10_000), |n| runtime.block_on(joined(runtime.spawn(pool(n)))));
}

/// `job` of each number, by a pool of eight that is fed by a channel.
async fn pool(n: usize) -> u64 {
    let (jobs_in, jobs) = async_channel::bounded(128);
    let workers = [(); 8].map(|()| {
        let jobs = jobs.clone();
        tokio::spawn(async move {
            let mut sum = 0_u64;
            while let Ok(number) = jobs.recv().await {
                sum = sum.wrapping_add(job(number));
            }
            sum
        })
    });
    for i in 0..n as u64 {
        jobs_in.send(i).await.expect("the pool listens");
    }
    drop(jobs_in);
    all_joined(workers).await.into_iter().fold(0, u64::wrapping_add)
}
