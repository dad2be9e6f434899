//! An order service in front of a backend that fails: retries, a circuit breaker, a bulkhead.
//!
//! Each order tries up to three times. A try first asks the breaker, which opens after four failures in a row, then the
//! bulkhead, which lets two calls in and three wait, and calls the backend last. Only a failure of the backend is worth
//! another try: a breaker that is open, or a bulkhead that is full, ends the order at once. The backend is flaky at
//! first, then slow, then down, then well again. Which tries are flaky is computed from a seed, so every run prints the
//! same.
//!
//! Go and Java: libraries do this with interceptors or annotations. Different here: the three are values that one calls,
//! from the outside to the inside, and an error says by its type which of them has refused. A call that gives up its
//! place does so by dropping a guard, also if the backend panics; and a wait for the next try or for a place ends with
//! the context of the order.

use pirn::channel::unbounded;
use pirn::context::Context;
use pirn::group::gather;
use pirn::patterns::breaker::{CircuitBreaker, Rejected};
use pirn::patterns::bulkhead::Bulkhead;
use pirn::patterns::guarded::{Guarded, GuardedError};
use pirn::patterns::retry::{Attempt, Backoff, Retry, RetryError};
use pirn::sync::Event;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(10);
const IN_FLIGHT: usize = 2;
const WAITING: usize = 3;
const FAILURES_UNTIL_OPEN: u32 = 4;
const OPEN_FOR: Duration = Duration::from_secs(1);

/// The backend has been asked, and has failed.
#[derive(Debug)]
struct Down;

/// Why a try has failed.
type Failure = GuardedError<Down>;

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
    fn call(&self, order: u32, attempt: u32) -> Result<(), Down> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let is_good = match self.mood.load(Ordering::Relaxed) {
            FLAKY => !is_flaky(order, attempt),
            SLOW => {
                self.answers.wait();
                true
            }
            mood => mood == WELL,
        };
        if is_good { Ok(()) } else { Err(Down) }
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
    retry: Retry<Failure>,
    guarded: Guarded,
}

impl Service {
    fn new() -> Service {
        let breaker = CircuitBreaker::builder().failures(FAILURES_UNTIL_OPEN).open_for(OPEN_FOR).half_open(1).build();
        let retry = Retry::new(Backoff::exponential(FIRST_PAUSE, LAST_PAUSE)).tries(TRIES);
        Service {
            backend: Backend::default(),
            retry: retry.retry_if(|failure| matches!(failure, Failure::Failed(Down))),
            guarded: Guarded::new(breaker, Bulkhead::new(IN_FLIGHT, WAITING)),
        }
    }

    /// Returns how many tries it took.
    fn order(&self, context: &Context, order: u32) -> Result<u32, RetryError<Failure>> {
        // A real backend gets it with the order, so that an order whose answer was lost is not done twice.
        let key = format!("order-{order}");
        self.retry.run_ctx(context, Some(&key), |attempt: &Attempt<'_>| {
            let call = |_: &Context| self.backend.call(order, attempt.number);
            self.guarded.call_ctx(attempt.context, call).map(|()| attempt.number)
        })
    }
}

pub(crate) fn program() {
    let service = &Service::new();
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
        println!("down: {} after {} calls", outcome(&service.order(context, order)), calls());
    }

    service.backend.mood.store(WELL, Ordering::Relaxed);
    let refused = service.order(context, 30);
    println!("well: {} after {} calls", outcome(&refused), calls());
    // The breaker says for how long. The call that comes then is its trial.
    if let Err(RetryError { error: Some(Failure::Broken(Rejected::Open(left))), .. }) = refused {
        pirn::sleep(left);
    }
    for order in 31..33 {
        println!("well: {} after {} calls", outcome(&service.order(context, order)), calls());
    }
    let metrics = service.guarded.breaker().metrics();
    println!("the breaker: opened {}, rejected {}, failed {}", metrics.opened, metrics.rejected, metrics.failed);
}

fn outcome(result: &Result<u32, RetryError<Failure>>) -> &'static str {
    match result {
        Ok(_) => "done",
        Err(RetryError { error: Some(Failure::Failed(Down)), .. }) => "the backend is down",
        Err(RetryError { error: Some(Failure::Broken(_)), .. }) => "the breaker is open",
        Err(_) => "something else",
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
        let is_full = |result: &Result<_, RetryError<Failure>>| {
            matches!(result, Err(RetryError { error: Some(Failure::Full), .. }))
        };
        let refused = results.iter().take(8 - IN_FLIGHT - WAITING).filter(is_full).count();
        service.backend.answers.set();
        (results.iter().filter(Result::is_ok).count(), refused)
    })
}
