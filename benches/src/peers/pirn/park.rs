//! The workloads by park and unpark alone.

use super::{Countdown, joined};
use crate::{Bench, measure};
use pirn::{JoinHandle, Unparker, go};
use std::sync::atomic::{AtomicUsize, Ordering::*};
use std::sync::{Arc, OnceLock};

pub(super) fn pingpong(bench: &Bench) {
    let n = bench.size(1_000_000);
    let run = |n: usize| {
        let seats = Arc::new([Seat::new(), Seat::new()]);
        let seated = Arc::new(Countdown::new(1));
        let pong = {
            let (seats, seated) = (seats.clone(), seated.clone());
            go(move || {
                seats[1].sit();
                seated.done();
                (0..n).for_each(|_| seats[0].hand(seats[1].take()));
            })
        };
        seated.wait();
        let ping = go(move || {
            seats[0].sit();
            for i in 0..n {
                seats[1].hand(i);
                assert_eq!(seats[0].take(), i);
            }
        });
        joined(ping);
        joined(pong);
    };
    run(n / 10);
    bench.each("roundtrip[park]", n, measure(|| run(n)).1);
}

pub(super) fn ring(bench: &Bench) {
    const SIZE: usize = 503;
    const LEAVE: usize = usize::MAX - 1;
    let n = bench.size(2_000_000);
    let run = |n: usize| {
        let seats: Arc<[Seat]> = (0..SIZE).map(|_| Seat::new()).collect();
        let seated = Arc::new(Countdown::new(SIZE));
        let over = Arc::new(Countdown::new(1));
        let sitters: Vec<JoinHandle<usize>> = (0..SIZE)
            .map(|i| {
                let (seats, seated, over) = (seats.clone(), seated.clone(), over.clone());
                go(move || {
                    seats[i].sit();
                    seated.done();
                    let mut taken = 0;
                    loop {
                        match seats[i].take() {
                            LEAVE => return taken,
                            0 => over.done(),
                            hops => seats[(i + 1) % SIZE].hand(hops - 1),
                        }
                        taken += 1;
                    }
                })
            })
            .collect();
        seated.wait();
        seats[0].hand(n);
        over.wait();
        seats.iter().for_each(|seat| seat.hand(LEAVE));
        assert_eq!(sitters.into_iter().map(joined).sum::<usize>(), n + 1);
    };
    run(n / 10);
    bench.each("hop[park]", n, measure(|| run(n)).1);
}

/// Where one G waits for a number from another.
#[repr(align(128))]
struct Seat {
    number: AtomicUsize,
    sitter: OnceLock<Unparker>,
}

impl Seat {
    const NOTHING: usize = usize::MAX;

    fn new() -> Self {
        Seat { number: AtomicUsize::new(Self::NOTHING), sitter: OnceLock::new() }
    }

    /// Takes the seat. Nobody may hand anything over before that.
    fn sit(&self) {
        assert!(self.sitter.set(Unparker::current()).is_ok());
    }

    /// Hands `number` to the sitter, who has taken the one before.
    fn hand(&self, number: usize) {
        self.number.store(number, Release);
        self.sitter.get().expect("somebody sits").unpark();
    }

    fn take(&self) -> usize {
        loop {
            let number = self.number.load(Acquire);
            if number != Self::NOTHING {
                self.number.store(Self::NOTHING, Relaxed);
                return number;
            }
            pirn::park();
        }
    }
}
