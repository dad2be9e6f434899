//! The workloads over channels: unbounded ones as they are, and bounded by a semaphore.

use super::{Countdown, joined};
use crate::{Bench, job, measure, sum_below, tagged};
use may::coroutine::JoinHandle;
use may::sync::{Semphore, mpmc, mpsc, spsc};
use may::{cqueue, go};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};
use std::time::Duration;
use std::{mem, process};

/// A bounded channel made of an unbounded one and a semaphore.
pub(super) struct Bounded<T> {
    sender: mpmc::Sender<T>,
    receiver: mpmc::Receiver<T>,
    room: Arc<Semphore>,
}

impl<T> Clone for Bounded<T> {
    fn clone(&self) -> Self {
        Bounded { sender: self.sender.clone(), receiver: self.receiver.clone(), room: self.room.clone() }
    }
}

impl<T> Bounded<T> {
    fn new(cap: usize) -> Self {
        let (sender, receiver) = mpmc::channel();
        Bounded { sender, receiver, room: Arc::new(Semphore::new(cap)) }
    }

    fn send(&self, value: T) {
        self.room.wait();
        assert!(self.sender.send(value).is_ok(), "a receiver");
    }

    fn recv(&self) -> T {
        let value = self.receiver.recv().expect("a sender");
        self.room.post();
        value
    }
}

pub(super) fn pingpong(bench: &Bench) {
    let n = bench.size(1_000_000);
    let run = |n: usize| {
        let (ping_in, pings) = spsc::channel();
        let (pong_in, pongs) = spsc::channel();
        let pong = go!(move || (0..n).for_each(|_| pong_in.send(pings.recv().expect("a ping")).expect("a receiver")));
        let ping = go!(move || {
            for i in 0..n {
                ping_in.send(i).expect("a receiver");
                assert_eq!(pongs.recv(), Ok(i));
            }
        });
        joined(pong);
        joined(ping);
    };
    run(n / 10);
    bench.each("roundtrip[spsc,unbounded]", n, measure(|| run(n)).1);
}

pub(super) fn ring(bench: &Bench) {
    const SIZE: usize = 503;
    let n = bench.size(2_000_000);
    let run = |n: usize| {
        let (mut senders, receivers): (Vec<_>, Vec<_>) = (0..SIZE).map(|_| mpsc::channel::<usize>()).unzip();
        let over = Countdown::new(1);
        senders[0].send(n).expect("a receiver");
        senders.rotate_left(1);
        for (left, right) in receivers.into_iter().zip(senders) {
            let over = over.clone();
            go!(move || {
                for hops in left.iter() {
                    if hops == 0 {
                        over.done();
                        return;
                    }
                    if right.send(hops - 1).is_err() {
                        return;
                    }
                }
            });
        }
        over.wait();
    };
    run(n / 10);
    bench.each("hop[unbounded]", n, measure(|| run(n)).1);
}

/// From so many to so many, over one bounded channel.
pub(super) fn bounded(bench: &Bench, cap: usize, producers: usize, consumers: usize, default: usize) {
    let n = bench.size(default);
    let run = |n: usize| {
        let channel = Bounded::new(cap);
        let each = n / producers;
        for _ in 0..producers {
            let channel = channel.clone();
            go!(move || (0..each as u64).for_each(|i| channel.send(i)));
        }
        // Each has its share, for this channel never closes.
        let all = each * producers;
        let sums: Vec<JoinHandle<u64>> = (0..consumers)
            .map(|nth| {
                let channel = channel.clone();
                let share = all / consumers + usize::from(nth < all % consumers);
                go!(move || (0..share).map(|_| channel.recv()).sum())
            })
            .collect();
        let sum: u64 = sums.into_iter().map(joined).sum();
        assert_eq!(sum, producers as u64 * sum_below(each));
    };
    run(n / 10);
    bench.each(&tagged("msg", &[&format!("sem{cap}")]), n, measure(|| run(n)).1);
}

pub(super) fn spsc128(bench: &Bench) {
    let n = bench.size(4_000_000);
    let run = |n: usize| {
        let (sender, receiver) = spsc::channel();
        go!(move || (0..n as u64).for_each(|i| sender.send(i).expect("a receiver")));
        // Not until it is closed: now and then that wakes nobody, and all wait for ever.
        let sum = go!(move || (0..n).map(|_| receiver.recv().expect("a sender")).sum::<u64>());
        assert_eq!(joined(sum), sum_below(n));
    };
    run(n / 10);
    bench.each("msg[unbounded]", n, measure(|| run(n)).1);
    bounded(bench, 128, 1, 1, 4_000_000);
}

pub(super) fn mpsc128(bench: &Bench) {
    let n = bench.size(4_000_000);
    let run = |n: usize| {
        let (sender, receiver) = mpsc::channel();
        let each = n / 4;
        for _ in 0..4 {
            let sender = sender.clone();
            go!(move || (0..each as u64).for_each(|i| sender.send(i).expect("a receiver")));
        }
        drop(sender);
        let sum = go!(move || receiver.iter().sum::<u64>());
        assert_eq!(joined(sum), 4 * sum_below(each));
    };
    run(n / 10);
    bench.each("msg[unbounded]", n, measure(|| run(n)).1);
    bounded(bench, 128, 4, 1, 4_000_000);
}

pub(super) fn mpmc128(bench: &Bench) {
    let n = bench.size(4_000_000);
    let run = |n: usize| {
        let (sender, receiver) = mpmc::channel();
        let each = n / 4;
        for _ in 0..4 {
            let sender = sender.clone();
            go!(move || (0..each as u64).for_each(|i| sender.send(i).expect("a receiver")));
        }
        drop(sender);
        let sums = [(); 4].map(|()| {
            let receiver = receiver.clone();
            go!(move || receiver.iter().sum::<u64>())
        });
        let sum: u64 = sums.into_iter().map(joined).sum();
        assert_eq!(sum, 4 * sum_below(each));
    };
    run(n / 10);
    bench.each("msg[unbounded]", n, measure(|| run(n)).1);
    bounded(bench, 128, 4, 4, 4_000_000);
}

/// By a queue of events, with a coroutine that helps for each channel: it can be used again, while `select!` starts and
/// cancels a coroutine for each arm each time.
pub(super) fn select4(bench: &Bench) {
    let n = bench.size(1_000_000);
    let run = |n: usize| {
        let each = n / 4;
        let receivers = [(); 4].map(|()| {
            let (sender, receiver) = mpsc::channel::<u64>();
            go!(move || (0..each as u64).try_for_each(|i| sender.send(i)));
            receiver
        });
        let sum = AtomicU64::new(0);
        let sum = &sum;
        cqueue::scope(|events| {
            for (token, receiver) in receivers.into_iter().enumerate() {
                go!(events, token, move |event: cqueue::EventSender| {
                    for value in receiver.iter() {
                        event.send(event.get_token());
                        sum.fetch_add(value, Relaxed);
                    }
                });
            }
            for _ in 0..each * 4 {
                events.poll(None).expect("another event");
            }
        });
        assert_eq!(sum.load(Relaxed), 4 * sum_below(each));
    };
    run(n / 10);
    bench.each("msg[cqueue,unbounded]", n, measure(|| run(n)).1);
}

/// Its select has no default: try_recv stands in, once for each channel.
pub(super) fn select_nb(bench: &Bench) {
    let n = bench.size(50_000_000);
    let (_one, first) = mpsc::channel::<u64>();
    let (_two, second) = mpsc::channel::<u64>();
    let one = |n: usize| (0..n).for_each(|_| assert!(black_box(&first).try_recv().is_err()));
    let two = |n: usize| {
        for _ in 0..n {
            assert!(black_box(&first).try_recv().is_err());
            assert!(black_box(&second).try_recv().is_err());
        }
    };
    one(n / 10);
    bench.each("op_1ch[try_recv]", n, measure(|| one(n)).1);
    let n = n / 5;
    two(n / 10);
    bench.each("op_2ch[try_recv]", n, measure(|| two(n)).1);
}

/// Its only form is recv_timeout.
pub(super) fn select_timeout(bench: &Bench) {
    const LIMIT: Duration = Duration::from_secs(60);
    type Receive = fn(&mpsc::Receiver<u64>) -> u64;
    let cases: [(&str, Receive); 2] = [
        ("op_no_timeout[sem128]", |receiver| receiver.recv().expect("it is sent")),
        ("op_reused_timer[recv_timeout,sem128]", |receiver| receiver.recv_timeout(LIMIT).expect("it is sent")),
    ];
    let n = bench.size(1_000_000);
    let run = |n: usize, receive: Receive| {
        let (sender, receiver) = mpsc::channel();
        let room = Arc::new(Semphore::new(128));
        let of_sender = room.clone();
        go!(move || {
            for i in 0..n as u64 {
                of_sender.wait();
                sender.send(i).expect("a receiver");
            }
        });
        let receive_and_make_room = move |_| {
            let value = receive(&receiver);
            room.post();
            value
        };
        let sum = go!(move || (0..n).map(receive_and_make_room).sum::<u64>());
        assert_eq!(joined(sum), sum_below(n));
    };
    for (name, receive) in cases {
        run(n / 10, receive);
        bench.each(name, n, measure(|| run(n, receive)).1);
    }
}

/// With channels of one place: with unbounded ones, whoever counts would run away. The filters wait for ever, so this
/// ends the process.
pub(super) fn sieve(bench: &Bench) {
    let primes = |count: usize| {
        let stop = Arc::new(AtomicBool::new(false));
        let mut numbers = Bounded::new(1);
        let (source, source_stops) = (numbers.clone(), stop.clone());
        go!(move || (2_u64..).take_while(|_| !source_stops.load(Relaxed)).for_each(|n| source.send(n)));
        let mut last = 0;
        for _ in 0..count {
            let prime: u64 = numbers.recv();
            let rest = Bounded::new(1);
            let all = mem::replace(&mut numbers, rest.clone());
            go!(move || {
                loop {
                    let n = all.recv();
                    if n % prime != 0 {
                        rest.send(n);
                    }
                }
            });
            last = prime;
        }
        stop.store(true, Relaxed);
        last
    };
    let n = bench.size(2500);
    primes(100);
    let (last, cost) = measure(|| primes(n));
    assert!(n != 2500 || last == 22307, "{last}");
    bench.primes("sem1", cost);
    process::exit(0);
}

pub(super) fn skynet(bench: &Bench) {
    fn node(parent: &mpsc::Sender<u64>, number: u64, size: u64) {
        let sum = if size == 1 {
            number
        } else {
            let (sender, receiver) = mpsc::channel();
            for child in 0..10 {
                let (sender, size) = (sender.clone(), size / 10);
                go!(move || node(&sender, number + child * size, size));
            }
            (0..10).map(|_| receiver.recv().expect("each child has a sum")).sum()
        };
        parent.send(sum).expect("the parent waits");
    }
    let n = bench.size(10_000);
    let run = || {
        let (sum, cost) = measure(|| {
            let (sender, receiver) = mpsc::channel();
            go!(move || node(&sender, 0, n as u64));
            receiver.recv().expect("the sum of all")
        });
        assert_eq!(sum, sum_below(n));
        cost
    };
    let costs = [run(), run()];
    bench.tree(&["unbounded", &bench.size_tag(10_000, 1_000_000)], n, costs);
}

/// `job` of each number, by a pool of eight that is fed by a channel.
pub(super) fn pool(n: usize) -> u64 {
    let (jobs_in, jobs) = mpmc::channel();
    let workers = [(); 8].map(|()| {
        let jobs = jobs.clone();
        go!(move || jobs.iter().map(job).fold(0, u64::wrapping_add))
    });
    (0..n as u64).for_each(|i| jobs_in.send(i).expect("the pool listens"));
    drop(jobs_in);
    workers.into_iter().map(joined).fold(0, u64::wrapping_add)
}
