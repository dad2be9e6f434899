//! One call for all that want the same at the same time: Go's `singleflight`.
//!
//! ```
//! use pirn::patterns::flight::SingleFlight;
//!
//! pirn::run(|| {
//!     let flights = SingleFlight::new();
//!     let lookups: Vec<_> = (0..100)
//!         .map(|_| {
//!             let flights = flights.clone();
//!             pirn::go(move || flights.run("pirn.rs", |_context| "192.0.2.7".to_owned()))
//!         })
//!         .collect();
//!     for lookup in lookups {
//!         let (address, _is_shared) = lookup.join().unwrap();
//!         assert_eq!(address, "192.0.2.7");
//!     }
//!     assert!(flights.metrics().started <= 100);
//! });
//! ```
//!
//! The rest of this page is for those who work on it.
//!
//! # What lives here
//! `one` (a flight: who waits for it, who makes its call, its context, its end), `group` ([`SingleFlight`]: flights by their keys).
//!
//! # Who may come in
//! Users, by [`SingleFlight`]. `cache` uses flights under keys of its own.
//!
//! # Invariants
//! 1. A flight that is closed takes nobody more. It is closed, once, when it lands or when the last that waited for it
//!    has left. Whoever finds a closed one in the table replaces it.
//! 2. The context of a flight is none of its callers'. It ends when the flight is closed.
//! 3. A flight leaves the table by its address, before it lands: one that was forgotten changes nothing there.
//! 4. A flight always lands: with a value, with a panic, or lost, if its closure is dropped without a call.
//! 5. No user code runs under the lock of a flight. The table is a `Map`, which calls none under its locks.
//!
//! # Locks and ordering
//! The lock of a flight is held for a moment, and is the last. The outcome is written before `landed` is set, and read
//! after that.
//!
//! # Tests
//! `tests/flight.rs`: Go's tests by name, faults that other implementations have had, a stress.

mod group;
mod one;

pub use group::{FlightMetrics, SingleFlight};
pub(crate) use one::{FlightRef, Outcome, Pilot};
