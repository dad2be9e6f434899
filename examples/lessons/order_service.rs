//! An order service in front of a backend that fails: retries, a bulkhead, a circuit breaker.
//!
//! Each order tries up to three times. A try first asks the breaker, which refuses after four failures in a row, then
//! the bulkhead, which lets two calls in and three wait, and calls the backend last. The backend is flaky at first,
//! then slow, then down, then well again. Which tries are flaky is computed from a seed: every run prints the same.
//!
//! Go and Java: libraries do this with callbacks or annotations. Different here: the three are a loop, a semaphore and
//! a mutex. A call that gives up its place does so by dropping a guard, also if the backend panics; and a wait for the
//! next try or for a place ends with the context of the order.

use pirn::channel::unbounded;
use pirn::context::Context;
use pirn::group::gather;
use pirn::sync::{Event, Mutex, Permit, Semaphore};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const IN_FLIGHT: usize = 2;
const WAITING: usize = 3;
const FAILURES_UNTIL_OPEN: u32 = 4;
/// So many are refused before one is let through to try. With a clock it would be a time; so the output is the same
/// on every machine.
const REFUSED_UNTIL_TRIAL: u32 = 3;

#[derive(Debug)]
enum Failure {
    /// The backend has been asked. Worth another try.
    Backend,
    /// The breaker is open.
    Refused,
    /// The bulkhead is full.
    Full,
    /// The order has no more time.
    OutOfTime,
}

/// Stops calling a backend that fails.
#[derive(Default)]
struct Breaker(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    failures_in_a_row: u32,
    refused: u32,
}

impl Breaker {
    fn ask(&self) -> Result<(), Failure> {
        let mut counts = self.0.lock();
        if counts.failures_in_a_row < FAILURES_UNTIL_OPEN {
            return Ok(());
        }
        if counts.refused == REFUSED_UNTIL_TRIAL {
            counts.refused = 0;
            return Ok(()); // the trial
        }
        counts.refused += 1;
        Err(Failure::Refused)
    }

    fn tell(&self, is_good: bool) {
        let mut counts = self.0.lock();
        if is_good {
            *counts = Counts::default();
        } else {
            counts.failures_in_a_row += 1;
        }
    }
}

/// Keeps one slow backend from taking all goroutines.
struct Bulkhead {
    /// Those that wait, and those that are let in.
    admitted: Semaphore,
    in_flight: Semaphore,
}

impl Bulkhead {
    fn enter(&self, context: &Context) -> Result<(Permit<'_>, Permit<'_>), Failure> {
        let admitted = self.admitted.try_acquire(1).map_err(|_| Failure::Full)?;
        let in_flight = self.in_flight.acquire_ctx(context, 1).map_err(|_| Failure::OutOfTime)?;
        // Dropped in this order: the next one is admitted when this one has left.
        Ok((in_flight, admitted))
    }
}

const FLAKY: u8 = 0;
const SLOW: u8 = 1;
const DOWN: u8 = 2;
const WELL: u8 = 3;

#[derive(Default)]
struct Backend {
    mood: AtomicU8,
    calls: AtomicUsize,
    /// A slow answer comes when it is set.
    answers: Event,
}

impl Backend {
    fn call(&self, order: u32, attempt: u32) -> Result<(), Failure> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let is_good = match self.mood.load(Ordering::Relaxed) {
            FLAKY => !is_flaky(order, attempt),
            SLOW => {
                self.answers.wait();
                true
            }
            mood => mood == WELL,
        };
        if is_good { Ok(()) } else { Err(Failure::Backend) }
    }
}

/// Every fifth try or so, by a hash of the seed, the order and the try.
fn is_flaky(order: u32, attempt: u32) -> bool {
    const SEED: u64 = 3;
    let mut hash = SEED << 40 | u64::from(order) << 8 | u64::from(attempt);
    for _ in 0..2 {
        hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    }
    (hash >> 32).is_multiple_of(5)
}

struct Service {
    backend: Backend,
    breaker: Breaker,
    bulkhead: Bulkhead,
}

impl Service {
    fn order(&self, context: &Context, order: u32) -> Result<u32, Failure> {
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            match self.attempt(context, order, attempt) {
                Ok(()) => return Ok(attempt),
                Err(Failure::Backend) if attempt < TRIES => {}
                Err(failure) => return Err(failure),
            }
            context.sleep(pause).map_err(|_| Failure::OutOfTime)?;
            pause *= 2;
            attempt += 1;
        }
    }

    fn attempt(&self, context: &Context, order: u32, attempt: u32) -> Result<(), Failure> {
        self.breaker.ask()?;
        let _place = self.bulkhead.enter(context)?;
        let result = self.backend.call(order, attempt);
        self.breaker.tell(result.is_ok());
        result
    }
}

pub(crate) fn program() {
    let bulkhead = Bulkhead { admitted: Semaphore::new(IN_FLIGHT + WAITING), in_flight: Semaphore::new(IN_FLIGHT) };
    let service = &Service { backend: Backend::default(), breaker: Breaker::default(), bulkhead };
    let context = &Context::background();
    let calls = || service.backend.calls.swap(0, Ordering::Relaxed);

    // As many orders at a time as the bulkhead takes.
    let mut tries = Vec::new();
    for orders in [1..=5, 6..=10, 11..=15_u32] {
        let results = gather(orders.map(|order| move || service.order(context, order)));
        tries.extend(results.into_iter().map(|result| result.expect("three tries are enough for this seed")));
    }
    println!("flaky: {} orders, tries {tries:?}, {} calls", tries.len(), calls());

    service.backend.mood.store(SLOW, Ordering::Relaxed);
    let (done, refused) = eight_at_once(service, context);
    println!("slow: {done} orders done, {refused} refused as the bulkhead is full, {} calls", calls());

    service.backend.mood.store(DOWN, Ordering::Relaxed);
    for order in 20..23 {
        println!("down: {:?} after {} calls", service.order(context, order), calls());
    }

    service.backend.mood.store(WELL, Ordering::Relaxed);
    for order in 30..34 {
        println!("well: {:?} after {} calls", service.order(context, order), calls());
    }
}

/// More orders than there are places. The backend answers when those have been refused that must be.
fn eight_at_once(service: &Service, context: &Context) -> (usize, usize) {
    let (results_in, results) = unbounded();
    pirn::scope(|s| {
        for order in 0..8 {
            let results_in = results_in.clone();
            s.go(move || results_in.send(service.order(context, order)).expect("they are received below"));
        }
        drop(results_in);
        let refused =
            results.iter().take(8 - IN_FLIGHT - WAITING).filter(|it| matches!(it, Err(Failure::Full))).count();
        service.backend.answers.set();
        (results.iter().filter(Result::is_ok).count(), refused)
    })
}
