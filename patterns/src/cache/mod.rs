//! A bounded cache whose entries expire, with one load per key at a time.
//!
//! ```
//! use pirn::patterns::cache::TtlCache;
//! use std::time::Duration;
//!
//! pirn::run(|| {
//!     let users = TtlCache::new(Duration::from_secs(60), 10_000);
//!     let requests: Vec<_> = (0..100)
//!         .map(|_| {
//!             let users = users.clone();
//!             pirn::go(move || users.get_or_insert_with(7, |_context| "Ada".to_owned()))
//!         })
//!         .collect();
//!     requests.into_iter().for_each(|request| assert_eq!(request.join().unwrap(), "Ada"));
//!     assert_eq!(users.metrics().loads, 1);
//! });
//! ```
//!
//! The rest of this page is for those who work on it.
//!
//! # What lives here
//! `ttl` ([`TtlCache`], whose table has a `Slot` for each key), `slot` (an entry, or a flight that loads
//! one), `order` (the entries by their deadlines, and what became of them), `alarm` (the timer), `error`.
//!
//! # Who may come in
//! Users.
//!
//! # Invariants
//! 1. The table says what a key has; only an operation on the table changes that, and each is atomic. Whoever takes an
//!    entry out of the table takes it out of the order next, and the other way round.
//! 2. An entry is in the order at most once. Its state is `New`, `Ordered`, `Gone`, in this sequence, and changes under the
//!    lock of the order alone. An entry that was replaced before it came into the order is `Gone` and does not come.
//! 3. An entry that is `Gone`, or whose deadline has come, is not returned, though the table may still have it.
//! 4. The order has at most `max` entries when its lock is free. All figures of entries change under that lock, so
//!    `inserted` is always the sum of `entries`, `replaced`, `expired`, `evicted` and `invalidated`.
//! 5. A load puts its value into the table only in the place of itself. So a value whose load began before its key was
//!    invalidated, or given another value, is not kept.
//! 6. If there are entries and one of them was inserted on a runtime, a timer of a runtime comes at the earliest deadline
//!    or before. A timer whose runtime has ended is replaced at the first insertion after its time.
//!
//! # Locks and ordering
//! The lock of the order and that of the timer are held for a moment, never together. No user code runs under them: what
//! is taken out is dropped after unlocking.
//!
//! # Tests
//! `tests/cache.rs`: a model, the clock of a test, moka's tests of loads by name, a stress.

mod alarm;
mod error;
mod order;
mod slot;
mod ttl;

pub use error::LoadError;
pub use order::CacheMetrics;
pub use ttl::TtlCache;
