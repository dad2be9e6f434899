//! 503 goroutines in a ring pass a token round: what a hop by park and unpark costs.
//!
//! ```text
//! cargo run --release --example ring [PASSES]
//! PIRN_MAXPROCS=1 cargo run --release --example ring
//! ```
//!
//! Look at: the G that ends up with the token, which is PASSES modulo 503, plus 1; and the nanoseconds per hop, on one
//! P and on two. Every hop is an unpark of the next G and a park of this one. The next G is made ready in runnext, so
//! with short hops the token stays on one P and no other is woken for it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const SEATS: usize = 503;
const PASSES: u64 = 5_000_000;

/// No token here.
const EMPTY: u64 = u64::MAX;
/// Not a token: go home, and tell the next one.
const GO_HOME: u64 = u64::MAX - 1;

/// A place in the ring: who sits there, and the passes that the token has left when it is there.
struct Seat {
    unparker: OnceLock<pirn::Unparker>,
    token: AtomicU64,
}

impl Seat {
    fn new() -> Seat {
        Seat { unparker: OnceLock::new(), token: AtomicU64::new(EMPTY) }
    }

    /// Gives the token to who sits here.
    fn give(&self, token: u64) {
        self.token.store(token, Ordering::Release);
        self.unparker.get().expect("all have sat down").unpark();
    }

    /// Waits for the token. A park may return for no reason, so it looks again.
    fn take(&self) -> u64 {
        loop {
            let token = self.token.load(Ordering::Acquire);
            if token != EMPTY {
                self.token.store(EMPTY, Ordering::Relaxed);
                return token;
            }
            pirn::park();
        }
    }
}

fn main() {
    let passes = match std::env::args().nth(1).map(|text| text.parse()) {
        None => PASSES,
        Some(Ok(passes)) if passes < GO_HOME => passes,
        Some(_) => {
            eprintln!("usage: ring [PASSES]");
            std::process::exit(2);
        }
    };
    pirn::run(|| ring(passes));
}

fn ring(passes: u64) {
    let seats: Vec<Seat> = (0..SEATS).map(|_| Seat::new()).collect();
    let winner = AtomicU64::new(0);
    let began = pirn::scope(|s| {
        for at in 0..SEATS {
            let (seats, winner) = (&seats, &winner);
            s.go(move || sit(seats, at, winner));
        }
        // Until all have sat down.
        while !seats.iter().all(|seat| seat.unparker.get().is_some()) {
            pirn::yield_now();
        }
        let began = Instant::now();
        seats[0].give(passes);
        began
    });
    let ns = began.elapsed().as_nanos() as f64 / passes.max(1) as f64;
    println!("G {} of {SEATS} has the token after {passes} passes", winner.into_inner());
    println!("{ns:.0} ns per hop, Ps {}", pirn::maxprocs());
}

fn sit(seats: &[Seat], at: usize, winner: &AtomicU64) {
    let me = pirn::Unparker::current();
    seats[at].unparker.set(me).expect("nobody else sits here");
    let next = &seats[(at + 1) % seats.len()];
    loop {
        match seats[at].take() {
            // To unpark a G that has ended does nothing, so the last one need not know that it is the last.
            GO_HOME => return next.give(GO_HOME),
            0 => {
                winner.store(at as u64 + 1, Ordering::Relaxed);
                return next.give(GO_HOME);
            }
            left => next.give(left - 1),
        }
    }
}
